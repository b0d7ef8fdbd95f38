"""The advisory locks of a simulated machine's files (flock): they are gone when the machine is."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(eq=False)
class Held:
    """A lock that somebody has: the program that took it, and what that program has left running."""

    path: str
    holders: int = 1


class Locks:
    """Those of one machine."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._changed = threading.Condition()

    def take(self, path: str, deadline: float | None, interrupt: threading.Event) -> Held | None:
        """Take the lock of a file; None where it is not free in time, or the program is interrupted.

        Args:
            deadline: as `time.monotonic` counts; None waits as long as it takes.
        """
        with self._changed:
            while path in self._held:
                left = 1.0 if deadline is None else deadline - time.monotonic()
                if left <= 0 or interrupt.is_set():
                    return None
                self._changed.wait(min(left, 0.2))  # an interrupt does not wake it
            held = self._held[path] = Held(path)
            return held

    def share(self, held: Held) -> None:
        """One more has it."""
        with self._changed:
            held.holders += 1

    def drop(self, held: Held) -> None:
        """One less has it; the last one frees it."""
        with self._changed:
            held.holders -= 1
            if held.holders == 0:
                del self._held[held.path]
                self._changed.notify_all()
