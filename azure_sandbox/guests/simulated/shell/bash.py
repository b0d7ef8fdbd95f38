"""bash, and sh: the shell as a program."""

from __future__ import annotations

from ..program import Failure, Process, program
from .interpreter import Interpreter
from .session import Session
from .state import State


@program("bash", "sh")
def _shell(process: Process, arguments: list[str]) -> int:
    """bash [-e -u] [-c SCRIPT [NAME ARG…] | FILE ARG…]; without these it reads standard input."""
    pairs, operands = process.options(arguments, "ceusl", ["login"], anywhere=False)
    flags = {name for name, _ in pairs}
    if "-c" in flags:
        if not operands:
            raise Failure(f"{process.name}: -c: option requires an argument", 2)
        script: str | None = operands[0]
        shell = Interpreter(State.new(process, process.name, operands[1:]))
    elif operands and "-s" not in flags:
        script = process.read_file(operands[0])
        shell = Interpreter(State.new(process, process.name, operands))
    else:
        script = None
        shell = Interpreter(State.new(process, process.name))
    shell.state.options |= {flag[1:] for flag in flags} & {"e", "u"}
    return Session(shell).interact() if script is None else shell.main(script)
