"""The fault rules as a running sandbox applies them: which one, if any, affects a request, connection or command."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from ..errors import SandboxError
from . import file
from .rules import CommandDelay, CommandStall, Delay, Fault, Stall

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.05  # how often what is held looks whether its rule is still there
F = TypeVar("F", bound=Fault)


@dataclass
class _Counted:
    """A rule, how many matches it has seen, and how many of them it has affected."""

    fault: Fault
    matches: int = 0
    affected: int = 0
    chance: random.Random = field(default_factory=random.Random)

    def is_due(self) -> bool:
        """Count a match; whether the rule affects it."""
        fault = self.fault
        self.matches += 1
        if self.matches < fault.nth or (fault.times and self.affected >= fault.times):
            return False
        if fault.probability < 1 and self.chance.random() >= fault.probability:
            return False
        self.affected += 1
        return True


class Faults:
    """The rules of one sandbox; none where there is no folder. Used by the loop and by the guests' threads."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._stamp: tuple[int, int] | None = None
        self._counted: list[_Counted] = []
        self._lock = threading.Lock()

    def take(self, kind: type[F], **place: str) -> F | None:
        """The first fault of a kind that is due at a place; it is counted and logged.

        Args:
            place: the texts that the fields of these names match.
        """
        for counted in self._current():
            fault = counted.fault
            if not isinstance(fault, kind) or not _matches(fault, place):
                continue
            with self._lock:
                due = counted.is_due()
            if due:
                self._log(fault, place)
                return fault
        return None

    def has(self, rule_id: str) -> bool:
        """Whether a rule has not been cleared."""
        return any(counted.fault.id == rule_id for counted in self._current())

    async def wait(self, fault: Delay | Stall | CommandDelay | CommandStall, is_gone: Callable[[], bool]) -> bool:
        """Wait as a fault says; a stall ends when its rule is cleared. Whether the client was gone before that."""
        if isinstance(fault, Delay | CommandDelay):
            await asyncio.sleep(fault.delay)
            return False
        while self.has(fault.id):
            if is_gone():
                return True
            await asyncio.sleep(POLL_SECONDS)
        return is_gone()

    def _current(self) -> list[_Counted]:
        if self._folder is None:
            return []
        try:
            status = (self._folder / "faults.json").stat()
            stamp = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            stamp = None
        if stamp != self._stamp:
            with self._lock:
                self._counted = self._read(self._folder) if stamp else []
                self._stamp = stamp
        return self._counted

    def _read(self, folder: Path) -> list[_Counted]:
        known = {counted.fault.id: counted for counted in self._counted}
        try:
            return [known.get(fault.id) or _restored(fault, folder) for fault in file.read(folder)]
        except SandboxError as error:
            logger.error("No fault rules: %s", error)
            return []

    def _log(self, fault: Fault, place: dict[str, str]) -> None:
        assert self._folder
        hit = {"rule": fault.id, "kind": type(fault).__name__, "time": time.time(), **place}
        # One write of one line: a kill in the middle of it leaves no half of a line behind.
        descriptor = os.open(self._folder / "faults.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, f"{json.dumps(hit)}\n".encode())
        finally:
            os.close(descriptor)


def _restored(fault: Fault, folder: Path) -> _Counted:
    """A rule that is new to this process: a sandbox that was killed may have counted it already."""
    affected = sum(hit["rule"] == fault.id for hit in file.hits(folder))
    matches = fault.nth - 1 + affected if affected else 0
    return _Counted(fault, matches, affected, random.Random(fault.seed))


def _matches(fault: Fault, place: dict[str, str]) -> bool:
    """Whether the globs of a fault match the texts of a place: without regard to case, but for commands."""
    for name, text in place.items():
        pattern: str = getattr(fault, name, "")
        if name != "command":
            pattern, text = pattern.lower(), text.lower()
        if pattern and not fnmatchcase(text, pattern):
            return False
    return True
