"""The escapes of a backslash, as echo, printf and tr have them."""

from __future__ import annotations

import re

ESCAPES = {
    "n": "\n",
    "t": "\t",
    "\\": "\\",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "0": "\0",
}


def unescape(text: str) -> str:
    """A text in which backslashes stand for characters."""
    return re.sub(r"\\(0?[0-7]{1,3}|x[0-9A-Fa-f]{1,2}|.)", _escaped, text, flags=re.S)


def _escaped(found: re.Match[str]) -> str:
    text = found[1]
    if text[0] in "01234567":
        return chr(int(text, 8) % 256)
    if text[0] == "x" and len(text) > 1:
        return chr(int(text[1:], 16))
    return ESCAPES.get(text, text if text in "\"'" else f"\\{text}")
