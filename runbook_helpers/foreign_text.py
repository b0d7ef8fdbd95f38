"""Foreign text, of a VM, a registry or Azure, as it may be shown: control characters visible, what looks like a secret hidden."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "(hidden: it looks like a secret)"

_COLOUR = re.compile(r"\x1b\[[0-9;:]*[mK]")  # grep's have K
# Controls of a terminal in 7 and in 8 bits; what turns the direction of a line; halves of characters; what XML cannot hold.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]"
)

# Lengths are bounded, so that no text takes long.
_QUOTE = r"\\{0,4}[\"']"
# Of a word; in a string's repr, \\n and \\x1b stand in front of it.
_BEGIN = r"(?:(?<![A-Za-z0-9+/])|(?<=\\[nrt])|(?<=\\x\w\w)|(?<=\\u\w{4}))"
_NAMES = (
    r"pass(?:word|wd|phrase)|pwd|(?:client|app)_?secret|(?:account|access|shared ?access|api|private)[_-]?(?:key|signature)"
    r"|(?:access|refresh|id|identity|registry|bearer)_?token"
)
_SECRETS = re.compile(
    "|".join(
        (
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)",
            r"(?:(?<![A-Za-z0-9+/=])[A-Za-z0-9+/=]{2,128}(?:\s|\\n){1,2}){1,60}-----END [A-Z0-9 ]*PRIVATE KEY-----",  # its head was cut off
            _BEGIN + r"eyJ[\w-]{8,}(?:(?:\.|%2[Ee])[\w-]*){1,4}",  # a JWT, or a JWE
            _BEGIN
            + r"(?:[01]\.A[\w-]{30,}|OAQABAA[\w-]{30,}|M\.[CR]\d{1,3}_[\w.!*-]{30,})(?:\.[\w-]*)*",  # refresh tokens of Entra
            _BEGIN
            + r"(?:ZXlK|MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAw)[A-Za-z0-9+/=_-]{20,}",  # the same in base64
            _BEGIN + r"[\w~.-]{3}[0-9]Q~[\w~.-]{31,34}(?![\w~.-])",  # a client secret
            _BEGIN + r"(?:[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{42}\+ACR[A-Za-z0-9+/]{6})(?![\w+/])",  # keys of Azure
            _BEGIN + r"(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|AKIA[A-Z0-9]{16})\b",
            # What stands behind a name.
            r"(?<=[?&;\s\"'])sig=(?P<sas>[^&\s\"'<>]{8,})",
            rf"(?i:(?:{_NAMES})(?:{_QUOTE})?\s{{0,9}}=\s{{0,9}}|--?(?:password|client-secret)\s{{1,9}})"
            rf"(?P<value>{_QUOTE}.{{0,400}}?{_QUOTE}|[^\s\"'&;,]+)",
            rf"{_QUOTE}(?i:[\w.-]{{0,40}}(?:{_NAMES})|auth){_QUOTE}\s{{0,9}}:\s{{0,9}}{_QUOTE}(?P<member>[^\"'\\]+)",
            r"(?i:(?:password|passwd|passphrase)\s{0,9}:[ \t]{1,9})(?P<line>[^\s\"'&;,\\]+)[ \t]*(?:$|\\[nr])",
            _BEGIN + r"(?:Bearer|Basic|bearer|basic)\s+(?P<header>[\w+/.~-]{16,}=*)",
            r"\w://[^/\s:@\"']*:(?P<url>[^/\s@\"']+)@",
        )
    ),
    re.ASCII | re.DOTALL | re.MULTILINE,
)


def shown_text(text: str) -> str:
    """A foreign text as it may be shown in a line of a terminal, a report or an error."""
    return visible(redacted(_COLOUR.sub("", text)))  # before \\x1b is a part of the word behind it


def visible(text: str, *, colours: bool = False) -> str:
    r"""A text with its control characters as \x1b or \u202e; a line's end is \n, and colours are left out.

    Args:
        colours: they are kept, for a notebook.
    """
    if colours:
        parts = re.split(rf"({_COLOUR.pattern})", text)
        return "".join(part if number % 2 else visible(part) for number, part in enumerate(parts))
    return _CONTROL.sub(_escaped, _COLOUR.sub("", text).replace("\r\n", "\n"))


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def redacted(text: str) -> str:
    """A text without what has the form of a secret: tokens, private keys, signatures, what stands behind password=."""
    return _SECRETS.sub(_without_its_value, text)


def _without_its_value(match: re.Match[str]) -> str:
    group = match.lastgroup
    if group is None:
        return HIDDEN
    if match[group].startswith(HIDDEN[:7]):  # again
        return match[0]
    return f"{match[0][: match.start(group) - match.start()]}{HIDDEN}{match[0][match.end(group) - match.start() :]}"


def shown_value(value: Any, *, colours: bool = False) -> Any:
    """A JSON value with its texts as they may be shown."""
    if isinstance(value, dict):
        return {key: shown_value(each, colours=colours) for key, each in value.items()}
    if isinstance(value, list):
        return [shown_value(each, colours=colours) for each in value]
    if not isinstance(value, str):
        return value
    plain = shown_text(value)
    return visible(value, colours=True) if colours and HIDDEN not in plain else plain
