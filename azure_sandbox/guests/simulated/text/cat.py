"""cat and tac."""

from __future__ import annotations

import itertools

from ..program import Process, program
from .reading import exit_status, texts


@program("cat")
def _cat(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "nu", ["number"])
    numbered = any(name != "-u" for name, _ in pairs)
    count = itertools.count(1)
    for _, text in texts(process, names):
        process.stdout(
            "".join(f"{next(count):>6}\t{line}" for line in text.splitlines(keepends=True)) if numbered else text
        )
    return exit_status(process)


@program("tac")
def _tac(process: Process, arguments: list[str]) -> int:
    for _, text in texts(process, process.options(arguments)[1]):
        process.stdout("".join(reversed(text.splitlines(keepends=True))))
    return exit_status(process)
