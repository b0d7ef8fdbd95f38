"""Outcomes: how a notebook, a command and a run can end, and the exit status that stands for each."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """The way something ended; `exit_code` is what the command `runbook` ends with."""

    OK = "ok"
    FAILED = "failed"  # for another reason than those below
    BAD_PARAMETERS = "bad_parameters"
    CLOUD_REFUSED = "cloud_refused"  # or did not answer in time
    VM_UNREACHABLE = "vm_unreachable"
    PULL_DENIED = "pull_denied"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not_run"

    @property
    def exit_code(self) -> int:
        # A run whose first notebook was not run has failed before it.
        return _EXIT_CODES.get(self, 1)


_EXIT_CODES = {
    Outcome.OK: 0,
    Outcome.BAD_PARAMETERS: 2,
    Outcome.CLOUD_REFUSED: 3,
    Outcome.VM_UNREACHABLE: 4,
    Outcome.PULL_DENIED: 5,
    Outcome.INTERRUPTED: 130,
}
