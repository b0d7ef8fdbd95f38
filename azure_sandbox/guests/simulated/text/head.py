"""head and tail."""

from __future__ import annotations

import re

from ..program import Failure, Process, program
from .reading import by_letter, exit_status, texts


@program("head", "tail")
def _head(process: Process, arguments: list[str]) -> int:
    if arguments and re.fullmatch(r"-\d+", arguments[0]):
        arguments = ["-n", arguments[0][1:], *arguments[1:]]
    pairs, names = process.options(arguments, "n:c:qv", ["lines=", "bytes=", "quiet", "silent", "verbose"])
    options = dict(by_letter(pairs, lines="n", bytes="c", quiet="q", silent="q", verbose="v"))
    by_bytes, count = ("c" in options), options.get("c", options.get("n", "10"))
    if not re.fullmatch(r"[-+]?\d+", count):
        raise Failure(f"{process.name}: invalid number of {'bytes' if by_bytes else 'lines'}: ‘{count}’")
    titled = "v" in options or (len(names) > 1 and "q" not in options)
    for number, (name, text) in enumerate(texts(process, names)):
        if titled:
            process.print(f"{chr(10) if number else ''}==> {'standard input' if name == '-' else name} <==")
        data = text.encode("utf-8", "surrogateescape")
        pieces: list[bytes] = (
            [data[i : i + 1] for i in range(len(data))] if by_bytes else data.splitlines(keepends=True)
        )
        process.stdout(b"".join(_part_of(process.name, pieces, count)).decode("utf-8", "surrogateescape"))
    return exit_status(process)


def _part_of(name: str, pieces: list[bytes], count: str) -> list[bytes]:
    number = abs(int(count))
    if name == "head":
        return pieces[: max(0, len(pieces) - number)] if count[0] == "-" else pieces[:number]
    return pieces[max(0, number - 1) :] if count[0] == "+" else pieces[max(0, len(pieces) - number) :]
