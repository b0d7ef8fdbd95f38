"""What goes wrong, in words. Errors of Resource Manager are not wrapped: they name the resource already."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .refusals import is_refusal

if TYPE_CHECKING:
    from .ssh.jobs import Completed


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
    """A long-running operation of Azure, or a command on a VM, did not end in time; or a change did not take effect."""


class OperationFailed(RunbookError):
    """A long-running operation of Azure ended badly: no capacity, no quota, or an error inside Azure."""


class CloudUnavailable(RunbookError):
    """A service of the cloud did not answer, or answered that it cannot now; also after the SDK has tried again."""


class SignInRefused(RunbookError):
    """A service of the cloud does not accept our own sign-in."""


class NotFound(RunbookError):
    """Something an operation needs is not there."""


class NotOurs(RunbookError):
    """Something would be deleted or changed that this runbook did not make."""


class AccessDenied(RunbookError):
    """The VM's identity has no permission, and waiting will not give it one."""


class NotReady(RunbookError):
    """The subscription is not ready for the walkthrough; nothing has been made yet."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class PermissionsMissing(NotReady):
    """Who is signed in lacks permissions; nothing has been made yet."""

    def __init__(self, scope: str, actions: list[str], problems: list[str]) -> None:
        self.scope, self.actions = scope, actions
        super().__init__(problems)


class ConnectionFailed(RunbookError):
    """No SSH connection to a VM."""


class ConnectionLost(RunbookError):
    """An SSH connection ended before the command did: whether it finished is not known."""


class CommandFailed(RunbookError):
    """A command on a VM ended with another exit status than 0."""

    def __init__(self, completed: Completed, vm_name: str) -> None:
        self.completed = completed
        output = (completed.stderr.strip() or completed.stdout.strip())[-2000:]
        self.words = f"`{completed.command}` ended with exit status {completed.exit_status}:\n{output}"
        """What was run and what it said."""
        super().__init__(f"{self.words}\n{_advice(completed, vm_name)}")


def _advice(completed: Completed, vm_name: str) -> str:
    said = completed.stderr + completed.stdout
    if is_refusal(completed.stderr):
        return _REFUSED.format(vm=vm_name)
    for pattern, advice in _ADVICE.items():
        if re.search(pattern, said, re.IGNORECASE):
            return advice.format(vm=vm_name)
    return _ELSE.format(vm=vm_name)


_ADVICE = {
    "no space left on device|enough free space": "The disk of the VM {vm} is full: free space on it (`df -h` shows where), then run this step "
    "again.",
    "could not get lock|unable to acquire the dpkg": "Another apt is at work on the VM {vm}: run this step again when it has "
    "ended.",
    "cannot connect to the docker daemon": "Docker does not run on the VM {vm}: `sudo systemctl status docker` there says "
    "why; then run this step again.",
    "too ?many ?requests|internal server error|bad gateway|service ?unavailable|gateway time-?out|did not issue a challenge": "A "
    "service that the VM {vm} asked does not answer as it should: run this step again, later if it stays.",
    "failed to fetch|hash sum mismatch|could not resolve": "The VM {vm} did not get what it asked the network for: run this "
    "step again; if it stays, look at the VM's network and its sources.",
}
_REFUSED = (
    "Look at the roles of the identity that the VM {vm} signs in with, on the registry: a new one may take Azure ten minutes; "
    "then run this step again."
)
_ELSE = "That was on the VM {vm}: mend the cause, then run this step again."
