"""The regular expressions of POSIX, as grep and sed have them."""

from __future__ import annotations

import re

from ..program import Failure, Process

_BRACKET = re.compile(r"\[(\^?)(\]?(?:\[:[a-z]+:\]|[^\]])*)\]")


def regular_expression(process: Process, pattern: str, *, extended: bool, flags: int = 0) -> re.Pattern[str]:
    """A POSIX regular expression as one of Python's."""
    classes = {
        "alpha": "A-Za-z", "digit": "0-9", "alnum": "A-Za-z0-9", "space": r"\s", "upper": "A-Z", "lower": "a-z",
        "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9A-Fa-f", "blank": r" \t",
    }  # fmt: skip
    out, at = [], 0
    while at < len(pattern):
        character = pattern[at]
        if character == "[":
            bracket = _BRACKET.match(pattern, at)
            if bracket is None:
                raise Failure(f"{process.name}: Unmatched [, [^, [:, [., or [=", 2)
            inside = re.sub(
                r"\[:([a-z]+):\]|([\[\]\\&|~])", lambda m: classes.get(m[1]) or f"\\{m[2] or ''}", bracket[2]
            )
            out.append(f"[{bracket[1]}{inside}]")
            at = bracket.end()
            continue
        if character == "\\" and at + 1 < len(pattern):
            following = pattern[at + 1]
            special = following in "(){}|+?"
            if special:
                out.append(f"\\{following}" if extended else following)
            elif following in "<>":
                out.append(r"\b")
            else:
                out.append(f"\\{following}")
            at += 2
            continue
        if not extended and character in "(){}|+?":
            out.append(f"\\{character}")
        elif not extended and character == "*" and not "".join(out).strip("^"):
            out.append("\\*")
        else:
            out.append(character)
        at += 1
    try:
        return re.compile("".join(out), flags)
    except re.error as error:
        raise Failure(f"{process.name}: {error}", 2) from error
