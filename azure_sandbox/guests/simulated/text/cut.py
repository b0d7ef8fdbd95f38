"""cut."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..program import Process, program
from .reading import by_letter, exit_status, lines_of, texts, usage


@program("cut")
def _cut(process: Process, arguments: list[str]) -> int:
    names = ["only-delimited", "delimiter=", "fields=", "characters=", "bytes=", "complement", "output-delimiter="]
    pairs, operands = process.options(arguments, "sd:f:c:b:n", names)
    long = {"only_delimited": "s", "delimiter": "d", "fields": "f", "characters": "c", "bytes": "b"}
    options = dict(by_letter(pairs, **long, complement="C", output_delimiter="o"))
    kinds = [kind for kind in "fcb" if kind in options]
    if len(kinds) != 1:
        text = "only one list may be specified" if kinds else "you must specify a list of bytes, characters, or fields"
        raise usage(process, text)
    kind = kinds[0]
    delimiter = options.get("d", "\t")
    if "d" in options and kind != "f":
        raise usage(process, "an input delimiter may be specified only\n\twhen operating on fields")
    if len(delimiter) != 1:
        raise usage(process, "the delimiter must be a single character")
    wanted = _ranges(process, options[kind], kind)
    between = options.get("o", delimiter if kind == "f" else "")
    for _, text in texts(process, operands):
        for line in lines_of(text):
            # As GNU's cut, -c counts bytes.
            pieces = (
                line.split(delimiter)
                if kind == "f"
                else [chr(byte) for byte in line.encode("utf-8", "surrogateescape")]
            )
            if kind == "f" and len(pieces) == 1:
                if "s" not in options:
                    process.print(line)
                continue
            chosen = [piece for number, piece in enumerate(pieces, 1) if wanted(number) != ("C" in options)]
            joined = between.join(chosen)
            process.print(joined if kind == "f" else joined.encode("latin-1").decode("utf-8", "surrogateescape"))
    return exit_status(process)


def _ranges(process: Process, text: str, kind: str) -> Callable[[int], bool]:
    """The numbers of a list such as 1,3-5,7-."""
    ranges = []
    what = "field" if kind == "f" else "byte/character position"
    for entry in text.split(","):
        matched = re.fullmatch(r"(\d*)(-?)(\d*)", entry)
        if matched is None or entry in ("", "-"):
            if entry == "-":
                raise usage(process, "invalid range with no endpoint: -")
            if entry == "":
                raise usage(process, f"{what}s are numbered from 1")
            raise usage(process, f"invalid {what.replace('position', 'position')} value ‘{entry}’")
        first, last = int(matched[1] or 1), int(matched[3]) if matched[3] else None
        if first == 0 or last == 0:
            raise usage(
                process,
                f"{what}s are numbered from 1" if kind == "f" else "byte/character positions are numbered from 1",
            )
        last = last if matched[2] else first
        if last is not None and last < first:
            raise usage(process, "invalid decreasing range")
        ranges.append((first, last))
    return lambda number: any(first <= number and (last is None or number <= last) for first, last in ranges)
