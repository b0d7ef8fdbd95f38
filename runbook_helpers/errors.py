"""What goes wrong, in words. Errors of Resource Manager are not wrapped: they name the resource already."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .jobs import Completed


class RunbookError(Exception):
    """Every error of this package."""

    def _render_traceback_(self) -> list[str]:
        # IPython shows this in place of a traceback: the sentence is what the reader needs.
        return [f"{type(self).__name__}: {self}"]


class ParameterError(RunbookError):
    """One or more parameters break a rule; nothing has been called yet."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class SandboxError(RunbookError):
    """The sandbox cannot be started, found or stopped."""


class OperationTimeout(RunbookError):
    """A long-running operation of Azure did not end in time."""


class OperationFailed(RunbookError):
    """A long-running operation of Azure ended badly: no capacity, no quota, or an error inside Azure."""


class CloudUnavailable(RunbookError):
    """A service of the cloud did not answer, or answered that it cannot now; also after the SDK has tried again."""


class NotFound(RunbookError):
    """Something an operation needs is not there."""


class NotOurs(RunbookError):
    """Something would be deleted or changed that this runbook did not make."""


class AccessDenied(RunbookError):
    """The VM's identity has no permission, and waiting will not give it one."""


class ConnectionFailed(RunbookError):
    """No SSH connection to a VM."""


class ConnectionLost(RunbookError):
    """An SSH connection ended before the command did: whether it finished is not known."""


class CommandFailed(RunbookError):
    """A command on a VM ended with another exit status than 0."""

    def __init__(self, completed: Completed) -> None:
        self.completed = completed
        output = (completed.stderr.strip() or completed.stdout.strip())[-2000:]
        super().__init__(f"`{completed.command}` ended with exit status {completed.exit_status}:\n{output}")
