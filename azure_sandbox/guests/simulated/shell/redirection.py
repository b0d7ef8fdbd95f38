"""The redirections of a shell: where a command's input comes from and its output goes to."""

from __future__ import annotations

from dataclasses import replace

from ..disk import DiskError
from ..program import Failure, Input, Output, Process, Unsupported
from .commands import Redirection
from .expansion import Expansion
from .state import State

Written = list[tuple[str, list[str]]]
"""Files, and what was written to them until now."""


def write_files(written: Written, process: Process) -> None:
    for path, text in written:
        process.disk.write(path, "".join(text), process.user, append=True)


def redirected(
    state: State, expansion: Expansion, redirections: list[Redirection], process: Process, written: Written, before: int
) -> Process:
    """The process with the inputs and outputs that its redirections name; what goes to files is kept in `written`."""
    for redirection in redirections:
        target = expansion.text(redirection.target, before)
        if redirection.operator == "<":
            if redirection.descriptor != 0:
                raise Unsupported(state.name, f"redirection of descriptor {redirection.descriptor}")
            process = replace(process, stdin=Input(state.own(process).read_file(target)), terminal=False)
            continue
        if redirection.operator in ("<<", "<<<"):
            text = f"{target}\n" if redirection.operator == "<<<" else target
            process = replace(process, stdin=Input(text), terminal=False)
            continue
        if redirection.operator == ">&":
            outputs = {"1": process.stdout, "2": process.stderr}
            if target not in outputs:
                raise Unsupported(state.name, f">&{target}")
            output = outputs[target]
        else:
            output = _open(state, target, process, written, append=redirection.operator.endswith(">>"))
        if redirection.operator.startswith("&"):
            process = replace(process, stdout=output, stderr=output)
        elif redirection.descriptor == 1:
            process = replace(process, stdout=output)
        elif redirection.descriptor == 2:
            process = replace(process, stderr=output)
        else:
            raise Unsupported(state.name, f"redirection of descriptor {redirection.descriptor}")
    return process


def _open(state: State, target: str, process: Process, written: Written, *, append: bool) -> Output:
    special = {"/dev/null": lambda text: None, "/dev/stdout": process.stdout, "/dev/stderr": process.stderr}
    if target in special:
        return special[target]
    shell = state.own(process)
    try:
        process.disk.write(shell.path(target), "", process.user, append=append)
    except DiskError as error:
        raise Failure(f"{state.name}: {target}: {error}") from error
    collected: list[str] = []
    written.append((shell.path(target), collected))
    return collected.append
