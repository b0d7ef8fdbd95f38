"""Where a fault may happen: each request, SSH connection and remote command of each step of an undisturbed walkthrough."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure_sandbox import faults, process

from . import stage
from .children import Forker, Order
from .walkthrough import CLOUD, Known, Step

METADATA = "169.254.169.254"
# What differs from run to run: names of operations, of jobs on a VM.
_CHANGING = [
    (re.compile(r"/(operations|operationresults|operationstatuses)/[^/]+", re.IGNORECASE), r"/\1/*"),
    (re.compile(r"(azure-acr-runbook/jobs/)[0-9a-f]{16}"), r"\1*"),
]
_APT = re.compile(r"guest\.apt INFO [^:]+: (apt-get .+)")


@dataclass(frozen=True)
class Point:
    """One place, in one step."""

    kind: str
    """request, connection or command."""
    number: int
    """Of the step."""
    step: Step
    nth: int
    """How many-th of its kind it is in the step, from 1."""
    who: str = ""
    """operator or vm."""
    method: str = ""
    host: str = ""
    path: str = ""
    status: int = 0
    operation: bool = False
    """Whether the request starts a long-running operation."""
    command: str = ""

    @property
    def what(self) -> str:
        if self.kind == "request":
            return f"{self.who} {self.method} {self.host}{_short(self.path)} {self.status} #{self.nth}"
        return f"{self.kind} {_short(self.command)} #{self.nth}".replace("  ", " ")

    @property
    def signature(self) -> tuple[object, ...]:
        """What makes it another place than one of the same verb in an earlier notebook."""
        verb = self.step.title.split()[0]
        return (verb, self.kind, self.who, self.method, self.host, self.path, self.status, self.command, self.nth)

    @property
    def writes(self) -> bool:
        return self.host.startswith("management.") and self.method in ("PUT", "PATCH", "DELETE", "POST")


@dataclass(frozen=True)
class Recorded:
    """A step of the undisturbed walkthrough: how the sandbox was before it and after it, what it was given."""

    step: Step
    before: Path
    after: Path
    known: Known
    """What the steps before it had kept."""
    added: Known
    points: list[Point]
    apt: Counter[str]
    """How often apt-get ran on the VM, by what it was to do."""


def commands_run(sandbox: Path) -> Counter[str]:
    """How often apt-get ran on the simulated VMs since this sandbox began, by what it was to do."""
    log = sandbox / "log"
    return Counter(_APT.findall(log.read_text(errors="replace"))) if log.exists() else Counter()


def glob(text: str) -> str:
    """A glob that matches a text, whatever changes in it from run to run."""
    text = re.sub(r"[\[*?]", lambda found: f"[{found[0]}]", text)
    for pattern, replacement in _CHANGING:
        text = pattern.sub(replacement, text)
    return text


def record(forker: Forker, folder: Path, steps: list[Step], exercises: bool, last: int | None = None) -> list[Recorded]:
    """Go through the walkthrough once, undisturbed."""
    sandbox = folder / "undisturbed"
    running = stage.begin(sandbox, forker)
    try:
        # It changes nothing, and has each command written down.
        faults.add(sandbox, faults.CommandDelay("*", 0.001, times=0))
        stage.keep(sandbox, folder / "0")
        known: Known = {}
        recorded = []
        for number, step in enumerate(steps[:last]):
            before = process.traffic(running, CLOUD)
            commands, apt = len(faults.hits(sandbox)), commands_run(sandbox)
            ending = forker.run(sandbox, Order(number, number + 1, known, exercises)).wait()
            assert ending.ok, f"{step.name}: {ending.status} {ending.result.get('error')}\n{ending.output[-3000:]}"
            after = folder / str(number + 1)
            stage.keep(sandbox, after)
            points = [
                *_requests(number, step, process.traffic(running, CLOUD)[len(before) :]),
                *_commands(number, step, faults.hits(sandbox)[commands:]),
            ]
            added = {key: value for key, value in ending.result["known"].items() if known.get(key) != value}
            recorded.append(
                Recorded(step, folder / str(number), after, known, added, points, commands_run(sandbox) - apt)
            )
            known = ending.result["known"]
    finally:
        stage.end(sandbox)
    return recorded


def distinct(recorded: Iterable[Recorded]) -> list[Point]:
    """The points, without those that an earlier step of the same verb had in just the same way, and with the operator's
    sign-in once a verb only where nothing else is asked."""
    found: dict[tuple[object, ...], Point] = {}
    for each in recorded:
        for point in each.points:
            found.setdefault(_sign_in(point) or point.signature, point)
    return list(found.values())


def _sign_in(point: Point) -> tuple[object, ...] | None:
    """The operator signs in at the beginning of each notebook, in the same way each time: once is one point."""
    if point.who == "operator" and point.host.startswith("login."):
        return (point.method, point.path, point.nth)
    return None


def _requests(number: int, step: Step, traffic: list[dict[str, Any]]) -> Iterable[Point]:
    counts: Counter[tuple[str, ...]] = Counter()
    connections = 0
    polled: set[str] = set()
    for place, each in enumerate(traffic):
        who = "vm" if each["vm"] else "operator"
        path = glob(each["path"])
        counts[(each["method"], each["host"], path)] += 1
        nth = counts[(each["method"], each["host"], path)]
        if path != each["path"] and each["host"].startswith("management."):  # of an operation
            # How often it is asked about depends on how busy the machine is: only the first time is a point.
            if each["path"] in polled:
                continue
            polled.add(each["path"])
        following = glob(traffic[place + 1]["path"]) if place + 1 < len(traffic) else ""
        writes = each["host"].startswith("management.") and each["method"] not in ("GET", "HEAD")
        operation = writes and re.search("operations|operationresults|operationstatuses", following, re.I) is not None
        yield Point("request", number, step, nth, who, each["method"], each["host"], path, each["status"], operation)
        # Before each connection the VM's address is looked up.
        looks_up = who == "operator" and each["method"] == "GET" and "/publicipaddresses/" in path.lower()
        if looks_up and step.title not in ("public_ip_address", "create_vm"):
            connections += 1
            yield Point("connection", number, step, connections)


def _commands(number: int, step: Step, hits: list[dict[str, Any]]) -> Iterable[Point]:
    counts: Counter[str] = Counter()
    for hit in hits:
        command = glob(hit["command"])
        counts[command] += 1
        yield Point("command", number, step, counts[command], command=command)


def _short(text: str) -> str:
    job = re.search(r"sh -c \S*?((?:sudo|docker|bash) .+?) >\.cache", text)
    if job:
        return f"job: {job[1]}"[:100]
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+", "…", text)
    text = re.sub(r"(sha256:[0-9a-f]{6})[0-9a-f]+", r"\1…", text)
    return text if len(text) < 150 else f"{text[:70]} … {text[-70:]}"
