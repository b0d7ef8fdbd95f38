"""kill -9 at a point of the walkthrough, of the run or of the sandbox, and the run that takes up again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure_sandbox import faults, process

from . import stage
from .children import Child, Ending, Forker, Order
from .points import Point, Recorded, commands_run, glob
from .walkthrough import CLOUD

REACH_SECONDS = 60.0
RERUN_SECONDS = 240.0
TO_THE_END = 11  # so many-th of the crashes is followed to the end of the walkthrough
VICTIMS = ("run", "sandbox")


@dataclass(frozen=True)
class Crash:
    """What is killed, where."""

    point: Point
    victim: str
    """run or sandbox."""
    after: bool
    """Whether the sandbox has done the work, and only its answer is outstanding."""
    to_the_end: bool = False
    """Whether the next run goes on to the end of the walkthrough; else to the end of the notebook, where all must be as
    in the undisturbed run, so that what follows is the same."""

    @property
    def name(self) -> str:
        moment = "after" if self.after else "before"
        return f"{self.point.step.name} | {self.point.what} | kill -9 of the {self.victim} {moment}"

    @property
    def fault(self) -> faults.Fault:
        if self.point.kind == "command":
            return faults.CommandStall(self.point.command, nth=self.point.nth, after=self.after)
        place: dict[str, Any] = {"host": self.point.host, "method": self.point.method, "path": self.point.path}
        return faults.Stall(nth=self.point.nth, after=self.after, **place)


@dataclass(frozen=True)
class CrashOutcome:
    """What became of it."""

    crash: Crash
    what: str
    """"as undisturbed", or what is bad."""
    seconds: float
    error: str = ""
    """What the run said whose sandbox was killed."""
    details: str = ""
    repeated: tuple[str, ...] = ()
    """Writes that had been answered and were made again, and commands on the VM that ran once too often."""

    @property
    def good(self) -> bool:
        return self.what == "as undisturbed"


def crashes(points: Iterable[Point], every: int) -> list[Crash]:
    """All writes and remote commands, before and after; and each `every`-th of the reads."""
    found: list[Crash] = []
    reads = 0

    def add(victim: str, after: bool) -> None:
        found.append(Crash(point, victim, after, len(found) % TO_THE_END == 0))

    for point in points:
        if point.kind == "connection" or (point.kind == "request" and point.who == "vm"):
            continue
        if point.kind == "request" and not point.writes:
            reads += 1
            if reads % every == 0:
                for victim in VICTIMS:
                    add(victim, False)
            continue
        for victim in VICTIMS:
            for after in (False, True):
                add(victim, after)
    return found


def try_crash(crash: Crash, recorded: Sequence[Recorded], forker: Forker, sandbox: Path) -> CrashOutcome:
    """Kill at a point and run again from the beginning of that notebook.

    Args:
        recorded: the undisturbed walkthrough, without exercises and clean-up.
    """
    number = crash.point.number
    notebook = [place for place, each in enumerate(recorded) if each.step.notebook == crash.point.step.notebook]
    first, last = notebook[0], len(recorded) if crash.to_the_end else notebook[-1] + 1
    began = time.monotonic()
    stage.put_back(recorded[number].before, sandbox, forker)
    rule = faults.add(sandbox, crash.fault)
    order = Order(number, last, recorded[number].known, False, False)
    child = forker.run(sandbox, order, RERUN_SECONDS)
    reached = _reached(child, sandbox, rule)
    if crash.victim == "run":
        ending = child.kill()
        faults.clear(sandbox)
    else:
        stage.end(sandbox)
        faults.clear(sandbox)
        ending = child.wait()

    def outcome(what: str, details: str = "", repeated: tuple[str, ...] = ()) -> CrashOutcome:
        error = (ending.result.get("error") or {}) if crash.victim == "sandbox" else {}
        text = f"{error['type']}: {error['text']}" if error else ""
        return CrashOutcome(crash, what, round(time.monotonic() - began, 1), text, details, repeated)

    if not reached:
        return outcome("the point was not reached", ending.output[-1000:])
    if crash.victim == "sandbox" and not _ended_well(ending):
        return outcome("the run did not end in a clear error", f"{ending.status} {ending.output[-1500:]}")
    again = Order(first, last, recorded[first].known, False, False)
    rerun = forker.run(sandbox, again, RERUN_SECONDS).wait()
    if not rerun.ok:
        error = rerun.result.get("error")
        return outcome("the re-run does not succeed", f"{rerun.status} {error} {rerun.output[-1500:]}")
    until = recorded[:last]
    repeated = (*_repeated_writes(crash, sandbox, until), *_repeated_commands(crash, sandbox, until))
    differences = stage.differences(stage.state(sandbox), stage.state(until[-1].after))
    if differences:
        return outcome("another state than undisturbed", "\n".join(differences[:10]), repeated)
    return outcome("done twice" if repeated else "as undisturbed", "\n".join(repeated), repeated)


def _reached(child: Child, sandbox: Path, rule: str) -> bool:
    deadline = time.monotonic() + REACH_SECONDS
    while time.monotonic() < deadline:
        if any(hit["rule"] == rule for hit in faults.hits(sandbox)):
            time.sleep(0.1)  # with `after`: until the work is done
            return True
        if child.ended:
            return False
        time.sleep(0.02)
    return False


def _ended_well(ending: Ending) -> bool:
    error = ending.result.get("error")
    return ending.ok or bool(error and error["typed"] and "Traceback" not in ending.output)


def answered_writes(folder: Path) -> Counter[str]:
    """The writes to Resource Manager that were answered well, by method and path; a status of 0 is no answer."""
    running = process.find(folder) or process.Running(folder, 0, 0)
    return Counter(
        f"{each['method']} {glob(each['path'])}"
        for each in process.traffic(running, CLOUD)
        if each["host"].startswith("management.")
        and each["method"] not in ("GET", "HEAD")
        and 200 <= each["status"] < 300
    )


def _repeated_writes(crash: Crash, sandbox: Path, recorded: Sequence[Recorded]) -> list[str]:
    allowed = answered_writes(recorded[-1].after)
    if crash.after:
        allowed[f"{crash.point.method} {crash.point.path}"] += 1  # its answer did not come: it may be made again
    return [f"{write} × {count}" for write, count in answered_writes(sandbox).items() if count > allowed[write]]


def _repeated_commands(crash: Crash, sandbox: Path, recorded: Sequence[Recorded]) -> list[str]:
    undisturbed: Counter[str] = Counter()
    for each in recorded[crash.point.number :]:
        undisturbed += each.apt
    # A killed sandbox is a VM without power: what was running there has to be done again.
    interrupted = crash.victim == "sandbox" and crash.point.kind == "command"
    return [
        f"{what} × {count}"
        for what, count in commands_run(sandbox).items()
        if count > undisturbed[what] * (2 if interrupted else 1)
    ]
