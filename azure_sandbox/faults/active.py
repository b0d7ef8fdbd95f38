"""The fault rules as a running sandbox sees them: which one, if any, happens to what it is about to do."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from . import rules
from .rules import Fault, Rule

POLL_SECONDS = 0.05  # how often what is held looks whether its rule is still there
Place = dict[str, str]
"""What a rule's fields are compared with: host, method and path; vm; command."""


@dataclass
class _Counted:
    """A rule, how many matches it has seen, and how often it has happened."""

    rule: Rule
    matches: int = 0
    happened: int = 0
    chance: random.Random = field(default_factory=random.Random)

    def is_due(self) -> bool:
        """Count a match; whether it happens to this one."""
        fault = self.rule.fault
        self.matches += 1
        if self.matches < fault.nth or (fault.times and self.happened >= fault.times):
            return False
        if fault.probability < 1 and self.chance.random() >= fault.probability:
            return False
        self.happened += 1
        return True


class Faults:
    """Those of one sandbox; of none where there is no folder. Used by the loop and by the guests' threads."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._stamp: tuple[int, int] | None = None
        self._counted: list[_Counted] = []
        self._lock = threading.Lock()

    @property
    def exist(self) -> bool:
        """Whether there is a rule. Where there is none, nothing more is asked."""
        return bool(self._current())

    def take(self, kinds: Callable[[Fault], bool], **place: str) -> Rule | None:
        """The first rule of a kind that happens here, now; it is counted and written down."""
        for counted in self._current():
            fault = counted.rule.fault
            if not kinds(fault) or not _matches(fault, place):
                continue
            with self._lock:
                due = counted.is_due()
            if due:
                self._note(counted.rule, place)
                return counted.rule
        return None

    def stands(self, rule_id: str) -> bool:
        """Whether a rule has not been cleared."""
        return any(counted.rule.id == rule_id for counted in self._current())

    async def held(self, rule: Rule, gone: Callable[[], bool] = lambda: False) -> None:
        """Wait until a rule is cleared, or who waits for the answer is gone."""
        while self.stands(rule.id) and not gone():
            await asyncio.sleep(POLL_SECONDS)

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
                self._counted = self._read() if stamp else []
                self._stamp = stamp
        return self._counted

    def _read(self) -> list[_Counted]:
        assert self._folder
        known = {counted.rule.id: counted for counted in self._counted}
        return [known.get(rule.id) or self._counted_before(rule) for rule in rules.read(self._folder)]

    def _counted_before(self, rule: Rule) -> _Counted:
        """A rule that this process has not seen yet: one that a killed sandbox had may have happened already."""
        assert self._folder
        happened = sum(hit["rule"] == rule.id for hit in rules.hits(self._folder))
        matches = rule.fault.nth - 1 + happened if happened else 0
        chance = random.Random(rule.fault.seed)
        return _Counted(rule, matches, happened, chance)

    def _note(self, rule: Rule, place: Place) -> None:
        assert self._folder
        line = json.dumps({"rule": rule.id, "what": rule.fault.what, "time": time.time(), **place}) + "\n"
        # One write of one line: what is killed in the middle of it leaves no half of a line behind.
        descriptor = os.open(self._folder / "faults.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def _matches(fault: Fault, place: Place) -> bool:
    return (
        (not fault.host or fnmatchcase(place.get("host", "").lower(), fault.host.lower()))
        and (not fault.method or place.get("method") == fault.method.upper())
        and (not fault.path or fnmatchcase(place.get("path", "").lower(), fault.path.lower()))
        and (not fault.vm or place.get("vm", "").lower() == fault.vm.lower())
        and (not fault.command or fnmatchcase(place.get("command", ""), fault.command))
    )
