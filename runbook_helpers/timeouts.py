"""Timeouts: how long this package waits for what, and how often it looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Seconds, each for one kind of waiting. `connect` takes them, so that a test can wait less."""

    sandbox_start: float = 30.0
    """Until the sandbox has opened its proxy."""
    answer: float = 120.0
    """Until a service of Azure answers a request, or goes on with its answer."""
    answer_total: float = 600.0
    """Until it has ended its answer."""
    backoff: float = 120.0
    """Between two tries of an SDK, at most."""
    throttled: float = 300.0
    """In which a request that Azure refuses for their number (429) is sent again."""
    throttled_pause: float = 5.0
    """Before it is sent again, where Azure does not say."""
    new_operation: float = 10.0
    """In which an operation that has just begun may be unknown to where it is looked up."""
    operation: float = 1800.0
    """Until a long-running operation ends."""
    polling_interval: float = 5
    """Between two looks at it, where Azure does not say: 45 looks at one VM's operations, and 15 more each minute, is what
    Azure takes."""
    connect: float = 300.0
    """Until the SSH server of a VM answers, which may still boot."""
    first_boot: float = 60.0
    """In which a new VM may refuse our key, since it has not got it yet."""
    new_vm: float = 600.0
    """In which a VM is new."""
    handshake: float = 30.0
    """For each part of an SSH connection's beginning."""
    command: float = 1800.0
    """Of a command on a VM, without any output."""
    command_total: float = 7200.0
    """Of a command on a VM, whatever it prints."""
    detached: float = 1800.0
    """Until a detached command ends."""
    command_response: float = 60.0
    """Until the VM has begun a command, or has reported its end."""
    detached_poll: float = 5
    """Of one look at a detached command."""
    role: float = 600.0
    """Until a role assignment has an effect."""
    transient: float = 60.0
    """In which a failure that is no refusal is taken for a passing one."""
    login_interval: float = 5.0
    """Between two sign-ins."""
    apt_interval: float = 5.0
    """Between two tries to install."""
    apt_lock: float = 300.0
    """In which another apt may be at work on the VM."""


DEFAULTS = Timeouts()
