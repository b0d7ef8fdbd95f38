"""The errors of this package, each with the outcome that it stands for.

What an answer of Azure refuses is in `refusals`.
"""

from __future__ import annotations

from typing import ClassVar

from .foreign_text import shown_text
from .outcome import Outcome
from .ssh.completed import Completed

AGAIN = "Run this step again: what is done already is not done anew."


class RunbookError(Exception):
    """Every error of this package."""

    outcome: ClassVar[Outcome] = Outcome.FAILED

    def __str__(self) -> str:
        # Of a VM's output, Azure's words, a file's name.
        return shown_text(super().__str__())

    def _render_traceback_(self) -> list[str]:
        # IPython shows this in place of a traceback: the sentence is what the reader needs.
        return [f"{type(self).__name__}: {self}"]


class ParameterError(RunbookError):
    """One or more parameters break a rule; nothing has been called yet."""

    outcome = Outcome.BAD_PARAMETERS

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class SandboxError(RunbookError):
    """The sandbox cannot be started, found or stopped."""


class OperationTimeout(RunbookError):
    """A long-running operation of Azure, or a command on a VM, did not end in time; or a change did not take effect."""

    outcome = Outcome.CLOUD_REFUSED


class OperationFailed(RunbookError):
    """A long-running operation of Azure ended badly: no capacity, no quota, or an error inside Azure."""

    outcome = Outcome.CLOUD_REFUSED


class CloudUnavailable(RunbookError):
    """A service of the cloud did not answer, or answered that it cannot now; also after the SDK has tried again."""

    outcome = Outcome.CLOUD_REFUSED


class SignInRefused(RunbookError):
    """A service of the cloud does not accept our own sign-in, or not from this machine's address."""

    outcome = Outcome.CLOUD_REFUSED

    def __init__(self, message: str, *, no_role_helps: bool = False) -> None:
        self.no_role_helps = no_role_helps
        super().__init__(message)


class NotFound(RunbookError):
    """Something that an operation needs does not exist."""


class NotOurs(RunbookError):
    """Something would be deleted or changed that this runbook did not make."""


class CleanUpRefused(RunbookError):
    """Something stands against the deletion of what this runbook made: a lock, a missing role, a deny assignment, a policy."""

    outcome = Outcome.CLOUD_REFUSED


class AccessDenied(RunbookError):
    """The VM's identity has no permission, and waiting will not give it one."""

    outcome = Outcome.PULL_DENIED

    @property
    def words(self) -> str:
        """As of a `CommandFailed`."""
        return str(self)


class NotReady(RunbookError):
    """The subscription is not ready for the walkthrough; nothing has been made yet."""

    outcome = Outcome.CLOUD_REFUSED

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class PermissionsMissing(NotReady):
    """Permissions are missing of who is signed in; nothing has been made yet."""

    def __init__(self, scope: str, actions: list[str], problems: list[str]) -> None:
        self.scope, self.actions = scope, actions
        super().__init__(problems)


class ConnectionFailed(RunbookError):
    """No SSH connection to a VM."""

    outcome = Outcome.VM_UNREACHABLE


class ConnectionLost(RunbookError):
    """An SSH connection ended before the command did: whether it finished is not known."""

    outcome = Outcome.VM_UNREACHABLE


class CommandFailed(RunbookError):
    """A command on a VM ended with another exit status than 0.

    Args:
        advice: what is known to be the matter, in place of the advice of its kind.
    """

    def __init__(self, completed: Completed, vm_name: str, advice: str = "") -> None:
        self.completed = completed
        self.failure = completed.failure
        output = shown_text(completed.stderr.strip() or completed.stdout.strip())[
            -2000:
        ]  # a key cut in two is not known
        self.words = f"`{completed.command}` ended with exit status {completed.exit_status}:\n{output}"
        """The command and what it printed, and the advice that was given."""
        if advice:
            self.words += f"\n{advice}"
        super().__init__(self.words if advice else f"{self.words}\n{self.failure.value.format(vm=vm_name)}")


class CommandRefused(CommandFailed):
    """A command on a VM ended because Azure or a registry refuses the VM's identity."""

    outcome = Outcome.PULL_DENIED


def command_failed(completed: Completed, vm_name: str) -> CommandFailed:
    """The error of a command that failed, by the kind of its failure."""
    kind = CommandRefused if completed.failure.is_refusal else CommandFailed
    return kind(completed, vm_name)


def outcome_of(kind: type[BaseException]) -> Outcome:
    """The outcome that a class of exceptions stands for: our own say it, the SDKs' have one in common."""
    own: Outcome | None = getattr(kind, "outcome", None)
    if own is not None:
        return own
    if issubclass(kind, KeyboardInterrupt):
        return Outcome.INTERRUPTED
    from azure.core.exceptions import AzureError

    return Outcome.CLOUD_REFUSED if issubclass(kind, AzureError) else Outcome.FAILED
