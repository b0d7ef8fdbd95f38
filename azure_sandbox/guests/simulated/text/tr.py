"""tr."""

from __future__ import annotations

import re

from ..program import Failure, Process, program
from .escapes import ESCAPES
from .reading import by_letter, usage


@program("tr")
def _tr(process: Process, arguments: list[str]) -> int:
    pairs, sets = process.options(arguments, "dscC", ["delete", "squeeze-repeats", "complement"], anywhere=False)
    flags = {name.lower() for name, _ in by_letter(pairs, delete="d", squeeze_repeats="s", complement="c")}
    if not sets:
        raise usage(process, "missing operand")
    if len(sets) == 1 and not flags & {"d", "s"}:
        raise usage(process, f"missing operand after ‘{sets[0]}’\nTwo strings must be given when translating.")
    if len(sets) > (1 if "d" in flags and "s" not in flags else 2):
        raise usage(process, f"extra operand ‘{sets[1 if flags == {'d'} else 2]}’")
    first, second = _set(process, sets[0]), _set(process, sets[1]) if len(sets) > 1 else ""
    text = process.stdin.read()

    def chosen(character: str) -> bool:
        return (character in first) != ("c" in flags)

    if "d" in flags:
        text = "".join(character for character in text if not chosen(character))
    elif second:
        padded = second + second[-1] * (len(first) - len(second))
        table = dict(zip(reversed(first), reversed(padded[: len(first)]), strict=True))
        text = "".join((second[-1] if "c" in flags else table[c]) if chosen(c) else c for c in text)
    if "s" in flags:
        squeezed = second or ""
        text = "".join(
            c
            for number, c in enumerate(text)
            if not (number and text[number - 1] == c and (c in squeezed if squeezed else chosen(c)))
        )
    process.stdout(text)
    return 0


def _set(process: Process, text: str) -> str:
    """The characters of a set of tr's."""
    ranges = {
        "lower": "abcdefghijklmnopqrstuvwxyz", "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "digit": "0123456789",
        "space": "\t\n\v\f\r ", "blank": "\t ", "punct": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    }  # fmt: skip
    ranges |= {"alpha": ranges["upper"] + ranges["lower"]}
    ranges |= {"alnum": ranges["digit"] + ranges["alpha"]}
    out, at = "", 0
    while at < len(text):
        named = re.compile(r"\[:([a-z]+):\]").match(text, at)
        if named:
            if named[1] not in ranges:
                raise Failure(f"tr: invalid character class ‘{named[1]}’")
            out, at = out + ranges[named[1]], named.end()
            continue
        character, at = _character(text, at)
        if text[at : at + 1] == "-" and at + 1 < len(text):
            last, at = _character(text, at + 1)
            if ord(last) < ord(character):
                raise Failure(f"tr: range-endpoints of ‘{character}-{last}’ are in reverse collating sequence order")
            out += "".join(map(chr, range(ord(character), ord(last) + 1)))
        else:
            out += character
    return out


def _character(text: str, at: int) -> tuple[str, int]:
    if text[at] != "\\" or at + 1 >= len(text):
        return text[at], at + 1
    octal = re.compile(r"[0-7]{1,3}").match(text, at + 1)
    if octal:
        return chr(int(octal[0], 8)), octal.end()
    return ESCAPES.get(text[at + 1], text[at + 1]), at + 2
