"""What the programs for text have in common: the files that they read, and their lines."""

from __future__ import annotations

from collections.abc import Iterator

from ..disk import DiskError
from ..program import Failure, Process


def texts(process: Process, names: list[str]) -> Iterator[tuple[str, str]]:
    """The files that are named, or standard input, and their texts; what cannot be read is said, and left out."""
    for name in names or ["-"]:
        if name == "-":
            yield name, process.stdin.read()
            continue
        try:
            yield name, process.disk.read(process.path(name), process.user)
        except DiskError as error:
            process.failed = True
            process.warn(f"{process.name}: {_unreadable(process.name, name, str(error))}")


def _unreadable(program: str, name: str, reason: str) -> str:
    if program in ("head", "tail"):
        return (
            f"cannot open '{name}' for reading: {reason}"
            if reason != "Is a directory"
            else f"error reading '{name}': {reason}"
        )
    if program == "sed":
        return (
            f"can't read {name}: {reason}"
            if reason != "Is a directory"
            else f"couldn't edit {name}: not a regular file"
        )
    if program == "sort":
        return f"cannot read: {name}: {reason}"
    return f"{name}: {reason}"


def lines_of(text: str) -> list[str]:
    """Lines without their ends; only a line feed ends one."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def usage(process: Process, message: str, status: int = 1) -> Failure:
    return Failure(f"{process.name}: {message}\nTry '{process.name} --help' for more information.", status)


def by_letter(pairs: list[tuple[str, str]], **long: str) -> list[tuple[str, str]]:
    """Options by their letters."""
    return [
        (long.get(name[2:].replace("-", "_"), name[1:]) if name[:2] == "--" else name[1:], value)
        for name, value in pairs
    ]


def exit_status(process: Process) -> int:
    return int(process.failed)
