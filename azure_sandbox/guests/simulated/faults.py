"""What a simulated machine suffers from, where the sandbox was told so."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ...faults.active import Faults

PAUSE = 0.05


@dataclass(frozen=True)
class Trouble:
    """One that was noticed."""

    rule_id: str
    end: float
    """As `time.monotonic` counts; infinity where only clearing the rule ends it."""
    faults: Faults

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.end or not self.faults.stands(self.rule_id)

    def outlast(self, seconds: float, interrupt: threading.Event, say: Callable[[], None] = lambda: None) -> bool:
        """Wait for its end, but not longer than that, nor after an interrupt; whether it is over.

        Args:
            say: called once a second.
        """
        began = time.monotonic()
        said = 0
        while not self.is_over and (waited := time.monotonic() - began) < seconds:
            if interrupt.is_set():
                return False
            if waited >= said:
                said += 1
                say()
            time.sleep(PAUSE)
        return self.is_over


class Troubles:
    """Those of one machine."""

    def __init__(self, faults: Faults | None = None, vm_name: Callable[[], str] = str) -> None:
        self._faults = faults or Faults()
        self._vm_name = vm_name
        self._lasting: dict[str, Trouble] = {}

    def notice(self, kind: str) -> Trouble | None:
        """The trouble of a kind that a program runs into now; the first one to do so begins its time."""
        if not self._faults.exist:
            return None
        lasting = self._lasting.get(kind)
        if lasting and not lasting.is_over:
            return lasting
        rule = self._faults.take(lambda fault: fault.guest == kind, vm=self._vm_name(), guest=kind)
        if rule is None:
            return None
        seconds = rule.fault.seconds
        trouble = Trouble(rule.id, time.monotonic() + seconds if seconds else math.inf, self._faults)
        if seconds:
            self._lasting[kind] = trouble
        return trouble
