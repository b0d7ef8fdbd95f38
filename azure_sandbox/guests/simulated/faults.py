"""The faults of a simulated machine's operating system."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ...faults.active import Faults
from ...faults.rules import CommandFault, OperatingSystemFault
from ...faults.ssh import FaultyCommand

PAUSE = 0.05


@dataclass(frozen=True)
class GuestFault:
    """A fault that a program has met."""

    rule_id: str
    end: float
    """As `time.monotonic` counts; infinity where only clearing the rule ends it."""
    faults: Faults

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.end or not self.faults.has(self.rule_id)

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


class GuestFaults:
    """The faults of one machine."""

    def __init__(self, faults: Faults | None = None, vm_name: str = "") -> None:
        self._faults = faults or Faults()
        self._vm_name = vm_name
        self._lasting: dict[str, GuestFault] = {}

    def meet(self, kind: str) -> GuestFault | None:
        """The fault of a kind that a program meets now; the first one to do so begins its time."""
        lasting = self._lasting.get(kind)
        if lasting and not lasting.is_over:
            return lasting
        fault = self._faults.take(OperatingSystemFault, vm=self._vm_name, guest=kind)
        if fault is None:
            return None
        met = GuestFault(fault.id, time.monotonic() + (fault.seconds or math.inf), self._faults)
        if fault.seconds:
            self._lasting[kind] = met
        return met

    def of_command(self, command: str) -> FaultyCommand | None:
        """A command line that an SSH client runs, where a fault affects it."""
        fault = self._faults.take(CommandFault, vm=self._vm_name, command=command)
        return FaultyCommand(fault, self._faults) if fault else None
