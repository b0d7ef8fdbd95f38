"""Secrets that were taken for parameters: recognised by their names and by their forms, and never repeated."""

from __future__ import annotations

import re
from itertools import pairwise

# Words of a name, in any way of writing: admin_password, adminPassword, ADMIN-PASSWORD.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = {
    "apikey", "auth", "cert", "certificate", "cookie", "credential", "credentials", "jwt", "key", "keys", "passphrase",
    "passwd", "password", "passwords", "pat", "pem", "pfx", "pwd", "sas", "secret", "secrets", "token", "tokens",
}  # fmt: skip
# Long enough that they are meant wherever they stand: mypassword, accesstoken.
_SECRET_PARTS = ("apikey", "accesskey", "connectionstring", "credential", "passphrase", "passwd", "password", "privatekey",
                 "secret", "token")  # fmt: skip

_FORMS = {
    "a token (JWT)": r"\beyJ[\w-]{8,}\.[\w-]{8,}",
    "a key or certificate (PEM)": r"-----BEGIN [A-Z0-9 ]+-----",
    "a shared access signature": r"(?:^|[?&;\s])sig=[^&\s]{8,}",
    "a password or connection string": r"(?i)\b(?:account|access|shared ?access)_?(?:key|signature)\s*=|\b(?:password|pwd|client_?secret)\s*=",
    "a client secret": r"(?<![\w~.-])[\w~.-]{3}[0-9]Q~[\w~.-]{31,34}(?![\w~.-])",
    "a key of Azure": r"(?<![\w+/])(?:[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{42}\+ACR[A-Za-z0-9+/]{6})(?![\w+/])",
    "a token of a service": r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|AKIA[A-Z0-9]{16})\b",
    "a URL with a password": r"\w://[^/\s:@]*:[^/\s@]+@",
    "an Authorization header": r"(?i)^\s*(?:bearer|basic)\s+\S{8,}",
}
_COMPILED = {words: re.compile(pattern, re.ASCII) for words, pattern in _FORMS.items()}
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
HIDDEN = "not shown here, since it may be a secret"


def is_secret_name(name: str) -> bool:
    """Whether a parameter of this name would hold a secret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    squeezed = "".join(words)
    return not _SECRET_WORDS.isdisjoint(words) or any(part in squeezed for part in _SECRET_PARTS)


def secret_in(value: object) -> str | None:
    """The kind of secret that a value is or holds, in words; None where it has the form of none."""
    text = _text(value)
    return next((words for words, pattern in _COMPILED.items() if pattern.search(text)), None)


def shown(value: object) -> str:
    """A value as an error message may show it: to follow "it is"."""
    if isinstance(value, (list, dict, set, tuple, bytes)):  # what is in it may be anything
        return {list: "a list", dict: "a list of names and values"}.get(type(value), "no text")
    text = _text(value)
    if not isinstance(value, str) and len(text) > 80:
        return "a very long number"
    return HIDDEN if _may_be_secret(text) else f"{value!r:.120}"


def shown_name(name: object) -> str:
    """A parameter's name as an error message may show it: of `password=x` the name only."""
    match = re.match(r"[\w.-]+", name) if isinstance(name, str) else None
    text = match[0][:80] if match else ""
    return text if text and not secret_in(text) and not _may_be_secret(text) else "(a name)"


def _text(value: object) -> str:
    try:
        return value.decode("latin-1") if isinstance(value, bytes) else str(value)
    except ValueError:  # Python does not write a number of more than 4300 digits
        return "9" * 100


def _may_be_secret(text: str) -> bool:
    """Whether a text could be a key or a password; in doubt yes, where an error message would show it."""
    text = _DIGEST.sub("", text)
    return bool(secret_in(text)) or _is_like_a_password(text) or any(map(_is_random, _RUN.findall(text)))


_DIGEST = re.compile(r"@sha(256|512):[0-9a-fA-F]*")  # of an image: no secret, though a long hash
_RUN = re.compile(r"[A-Za-z0-9+/_=-]{20,}")


def _is_like_a_password(text: str) -> bool:
    return re.fullmatch(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])(?=.*[!@#$%^&*+=?~])\S{8,64}", text, re.DOTALL) is not None


def _is_random(run: str) -> bool:
    """Whether small letters, capitals and digits follow each other as nobody would write them; or it is a long hash."""
    if _GUID.fullmatch(run):
        return False
    kinds = [_kind(letter) for letter in run]
    changes = sum(one != other for one, other in pairwise(kinds))
    return re.fullmatch("[0-9a-fA-F]{32,}", run) is not None or (
        {"digit", "small", "capital"} <= set(kinds) and changes > 0.45 * len(run)
    )


def _kind(letter: str) -> str:
    return "digit" if letter.isdigit() else "capital" if letter.isupper() else "small" if letter.isalpha() else "sign"
