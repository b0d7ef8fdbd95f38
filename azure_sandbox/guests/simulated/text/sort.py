"""sort and uniq."""

from __future__ import annotations

import itertools
import re

from ..program import Process, Unsupported, program
from .reading import by_letter, exit_status, lines_of, texts


@program("sort")
def _sort(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(
        arguments,
        "nrufk:t:bVs",
        ["numeric-sort", "reverse", "unique", "ignore-case", "key=", "field-separator=", "version-sort"],
    )
    long = {"numeric_sort": "n", "reverse": "r", "unique": "u", "ignore_case": "f", "key": "k", "field_separator": "t"}
    given = by_letter(pairs, **long, version_sort="V")
    options, keys = dict(given), [value for name, value in given if name == "k"]
    lines = [line for _, text in texts(process, names) for line in lines_of(text)]

    def key_of(line: str) -> list[object]:
        return [_sort_key(process, line, key, options) for key in keys or [""]]

    ordered = sorted(lines) if "s" not in options and "u" not in options else lines
    ordered = sorted(ordered, key=key_of)
    if "r" in options:
        ordered = sorted(sorted(lines, reverse=True), key=key_of, reverse=True) if "s" not in options else ordered[::-1]
    if "u" in options:
        ordered = [next(group) for _, group in itertools.groupby(ordered, key_of)]
    process.stdout("".join(f"{line}\n" for line in ordered))
    return 2 if process.failed else 0


def _sort_key(process: Process, line: str, key: str, options: dict[str, str]) -> object:
    letters = set(options)
    if key:
        matched = re.fullmatch(r"(\d+)([nfr]*)(?:,(\d+)([nfr]*))?", key)
        if matched is None or "r" in f"{matched[2]}{matched[4]}":
            raise Unsupported("sort", f"key {key}: it has N, N,N, and n and f behind them")
        letters |= set(f"{matched[2]}{matched[4] or ''}")
        first, last = int(matched[1]) - 1, int(matched[3]) if matched[3] else None
        separator = options.get("t")
        fields = line.split(separator) if separator else re.findall(r"\s*\S+", line)
        line = (separator or "").join(fields[first:last])
    if "V" in letters:
        return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", line)]
    if "n" in letters:
        found = re.match(r"\s*(-?\d*\.?\d+)", line)
        return float(found[1]) if found else 0.0
    return line.upper() if "f" in letters else line


@program("uniq")
def _uniq(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "cdui", ["count", "repeated", "unique", "ignore-case"])
    flags = {name for name, _ in by_letter(pairs, count="c", repeated="d", unique="u", ignore_case="i")}
    if len(names) > 1:
        raise Unsupported("uniq", "output file")
    for _, text in texts(process, names):
        for _, group in itertools.groupby(lines_of(text), str.lower if "i" in flags else None):
            lines = list(group)
            if (len(lines) > 1 and "u" in flags) or (len(lines) == 1 and "d" in flags):
                continue
            process.print(f"{len(lines):>7} {lines[0]}" if "c" in flags else lines[0])
    return exit_status(process)
