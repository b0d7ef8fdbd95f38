"""Detached commands: those on a VM that outlive the connection that began them, and the scripts that do it.

Each is a folder in the admin user's home: its output, its exit status once it has ended, and a lock that it holds while
it runs. Who begins it asks under that lock, so that it runs once, however many ask; and the kernel lets go of the lock
when the command ends in any way, so that nobody waits for one that is gone.
"""

from __future__ import annotations

import hashlib
import shlex
import uuid
from dataclasses import dataclass

from .completed import Completed

RUNNING = 75  # what `Detached.look` ends with while the command runs; 75 is EX_TEMPFAIL
FOLDER = ".cache/azure-acr-runbook/jobs"


@dataclass(frozen=True)
class Detached:
    """One detached command: the scripts that begin it, look at it and end it."""

    command: str
    name: str
    poll_seconds: float
    """Seconds that one look waits for the end."""

    @classmethod
    def of(cls, command: str, once: bool, poll_seconds: float) -> Detached:
        """The detached form of a command; with `once` the same one each time."""
        name = hashlib.sha256(command.encode()).hexdigest() if once else uuid.uuid4().hex
        return cls(command, name[:16], poll_seconds)

    @property
    def _folder(self) -> str:
        return f"{FOLDER}/{self.name}"

    @property
    def begin(self) -> str:
        """Begin it where it does not run and has not ended well; then as `look`."""
        folder = self._folder
        work = f"{self.command} >{folder}/out 2>{folder}/err; echo $? >{folder}/new && mv {folder}/new {folder}/status"
        # Its streams are none of the connection's, which would stay open for them.
        start = (
            f"grep -qsx 0 {folder}/status || rm -f {folder}/status; "
            f"test -e {folder}/status || setsid -f sh -c {shlex.quote(work)} </dev/null >/dev/null 2>&1"
        )
        # The command inherits the lock from flock, which itself ends at once.
        return f"mkdir -p -m 700 {folder}; flock -n {folder}/lock sh -c {shlex.quote(start)}; {self.look}"

    @property
    def look(self) -> str:
        """Wait a while for its end: status and output, or exit status RUNNING; another one where it is gone."""
        folder = self._folder
        # Without a status it is gone; what it printed last may show why (a full disk, for instance).
        show = f"cat {folder}/err >&2; test -s {folder}/status && cat {folder}/status {folder}/out"
        return f"flock -w {self.poll_seconds:g} -E {RUNNING} {folder}/lock sh -c {shlex.quote(show)}"

    @property
    def end(self) -> str:
        """Forget it, once its result is known; not where another run has begun it again meanwhile."""
        return f"flock -n {self._folder}/lock rm -rf {self._folder}"

    def result(self, answer: Completed) -> Completed:
        """The result of the command itself, from what `look` printed. Raises ValueError where that is no result."""
        status, _, stdout = answer.stdout.partition("\n")
        return Completed(self.command, int(status), stdout, answer.stderr, answer.left_out)
