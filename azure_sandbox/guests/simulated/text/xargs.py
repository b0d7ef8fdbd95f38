"""xargs."""

from __future__ import annotations

import re

from ..program import Failure, Process, UnknownProgram, Unsupported, program
from .reading import by_letter, lines_of


@program("xargs")
def _xargs(process: Process, arguments: list[str]) -> int:
    pairs, words = process.options(arguments, "n:I:rt0d:", ["no-run-if-empty", "max-args=", "null"], anywhere=False)
    options = dict(by_letter(pairs, no_run_if_empty="r", max_args="n", null="0"))
    if options.keys() & {"0", "d", "t"}:
        raise Unsupported("xargs", f"option -{min(options.keys() & {'0', 'd', 't'})}")
    text = process.stdin.read()
    command = words or ["echo"]
    if "I" in options:
        lines = [
            [word.replace(options["I"], line.strip()) for word in command] for line in lines_of(text) if line.strip()
        ]
    else:
        items = [re.sub(r"\\(.)|'([^']*)'|\"([^\"]*)\"", lambda m: m[1] or m[2] or m[3] or "", item)
                 for item in re.findall(r"(?:\\.|'[^']*'|\"[^\"]*\"|[^\s\\'\"])+", text)]  # fmt: skip
        count = int(options["n"]) if options.get("n", "").isdigit() else len(items) or 1
        lines = [[*command, *items[i : i + count]] for i in range(0, len(items), count)]
        lines = lines or ([] if "r" in options else [command])
    status = 0
    for line in lines:
        try:
            status = 123 if process.run(line) else status
        except UnknownProgram as unknown:
            raise Failure(f"xargs: {unknown.name}: No such file or directory", 127) from unknown
    return status
