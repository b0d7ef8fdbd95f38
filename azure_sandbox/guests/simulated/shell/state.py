"""What one shell knows while it runs: its process, variables, parameters and options; and what ends a part of a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..program import Process


class Exit(Exception):
    """The script ends here."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class LoopControl(Exception):
    """`break` or `continue`, and how many loops it is for."""

    def __init__(self, kind: str, levels: int) -> None:
        super().__init__(kind)
        self.kind, self.levels = kind, levels


@dataclass
class State:
    """The state of one shell."""

    process: Process
    name: str
    parameters: list[str]
    """$0, $1, …"""
    variables: dict[str, str]
    exported: set[str]
    options: set[str] = field(default_factory=set)
    status: int = 0
    """$?"""
    loops: int = 0

    @classmethod
    def new(cls, process: Process, name: str = "bash", parameters: Sequence[str] = ()) -> State:
        """The state of a shell that begins: its variables are the environment's."""
        environment = process.environment
        return cls(process, name, list(parameters) or [name], dict(environment), set(environment))

    def copy(self, process: Process) -> State:
        """The state of a subshell."""
        return State(
            process,
            self.name,
            list(self.parameters),
            dict(self.variables),
            set(self.exported),
            set(self.options),
            self.status,
        )

    def complain(self, message: str) -> None:
        self.process.warn(f"{self.name}: {message}")

    def own(self, process: Process) -> Process:
        """The process with the shell's own name and folder, so that paths and messages are the shell's."""
        return replace(process, name=self.name, directory=self.process.directory)
