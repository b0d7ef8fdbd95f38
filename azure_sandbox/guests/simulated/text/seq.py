"""seq."""

from __future__ import annotations

import re

from ..program import Process, Unsupported, program
from .reading import usage


@program("seq")
def _seq(process: Process, arguments: list[str]) -> int:
    negative = next((at for at, word in enumerate(arguments) if re.match(r"-\.?\d", word)), len(arguments))
    pairs, words = process.options(arguments[:negative], "s:", ["separator="], anywhere=False)
    arguments = [*words, *arguments[negative:]]
    separator = pairs[-1][1] if pairs else "\n"
    for argument in arguments:
        if not re.fullmatch(r"-?\d+", argument):
            if re.fullmatch(r"-?\d*\.\d+", argument):
                raise Unsupported("seq", f"{argument}: it counts whole numbers")
            raise usage(process, f"invalid floating point argument: ‘{argument}’")
    if not 1 <= len(arguments) <= 3:
        raise usage(process, "missing operand" if not arguments else f"extra operand ‘{arguments[3]}’")
    numbers = [int(argument) for argument in arguments]
    first, step, last = (
        (1, 1, *numbers)[-3:]
        if len(numbers) == 1
        else (numbers[0], numbers[1] if len(numbers) == 3 else 1, numbers[-1])
    )
    if step == 0:
        raise usage(process, "invalid Zero increment value: ‘0’")
    values = range(first, last + (1 if step > 0 else -1), step)
    if len(values) > 1_000_000:
        raise Unsupported("seq", "more than a million numbers")
    process.stdout(separator.join(map(str, values)) + "\n" if values else "")
    return 0
