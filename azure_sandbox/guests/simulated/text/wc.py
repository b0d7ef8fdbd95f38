"""wc."""

from __future__ import annotations

from ..program import Process, program
from .reading import by_letter, exit_status, texts


@program("wc")
def _wc(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "lwcm", ["lines", "words", "bytes", "chars"])
    chosen = "".join(name for name, _ in by_letter(pairs, lines="l", words="w", bytes="c", chars="m")) or "lwc"
    rows = []
    for name, text in texts(process, names):
        size = len(text.encode("utf-8", "surrogateescape"))
        counts = {"l": text.count("\n"), "w": len(text.split()), "m": len(text), "c": size}
        rows.append((name if name != "-" or names else "", [counts[key] for key in "lwmc" if key in chosen]))
    if len(names) > 1:
        rows.append(("total", [sum(values) for values in zip(*(row[1] for row in rows), strict=True)]))
    # Columns are as wide as the size of the files; of standard input it is not known.
    alone = len(rows) == 1 and len(rows[0][1]) == 1
    sizes = (
        [len(text.encode("utf-8", "surrogateescape")) for _, text in texts(process, [n for n in names if n != "-"])]
        if names
        else []
    )
    width = 1 if alone else 7 if not names or "-" in names else len(str(sum(sizes)))
    for name, values in rows:
        process.print(" ".join(f"{value:>{width}}" for value in values) + (f" {name}" if name else ""))
    return exit_status(process)
