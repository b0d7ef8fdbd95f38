"""basename and dirname."""

from __future__ import annotations

import posixpath

from ..program import Process, program
from .reading import usage


@program("basename", "dirname")
def _basename(process: Process, arguments: list[str]) -> int:
    _, names = process.options(arguments)
    if not names:
        raise usage(process, "missing operand")
    if process.name == "dirname":
        for name in names:
            process.print(posixpath.dirname(name.rstrip("/") or "/") or ".")
        return 0
    if len(names) > 2:
        raise usage(process, f"extra operand ‘{names[2]}’")
    base = posixpath.basename(names[0].rstrip("/")) or "/"
    end = names[1] if len(names) > 1 else ""
    process.print(base.removesuffix(end) if base != end else base)
    return 0
