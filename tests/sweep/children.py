"""Children that run steps of the walkthrough, and that may be killed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from azure_sandbox import process

from ..conftest import clean_environment
from .walkthrough import Known, Names


@dataclass(frozen=True)
class Order:
    """Steps to run: those from `first` to before `last` of a walkthrough."""

    first: int
    last: int
    known: Known
    exercises: bool = True
    clean_up: bool = True
    names: Names = field(default_factory=Names)


@dataclass(frozen=True)
class Ending:
    """How a child ended."""

    status: int | None
    """Its exit status, minus a signal's number; None where its time was up and it was killed."""
    result: dict[str, Any]
    output: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.status == 0 and self.result.get("error") is None


class Child:
    """A child that runs."""

    def __init__(self, forker: Forker, pid: int, folder: Path, limit: float) -> None:
        self._forker = forker
        self.pid = pid
        self._folder = folder
        self._began = time.monotonic()
        self._limit = limit

    @property
    def result(self) -> dict[str, Any]:
        """What it has written so far."""
        path = self._folder / "result.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    @property
    def ended(self) -> bool:
        self._forker.listen(0)
        return self.pid in self._forker.ended

    def kill(self) -> Ending:
        """kill -9."""
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> Ending:
        while not self.ended and time.monotonic() < self._began + self._limit:
            self._forker.listen(0.2)
        in_time = self.ended
        if not in_time:
            os.kill(self.pid, signal.SIGKILL)
            while not self.ended:
                self._forker.listen(0.2)
        status = self._forker.ended[self.pid]
        output = self._folder / "output"
        text = output.read_text(errors="replace") if output.exists() else ""
        return Ending(status if in_time else None, self.result, text, time.monotonic() - self._began)


class Forker:
    """The process that has everything imported. One worker has one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._count = 0
        self._rest = b""
        self._answers: list[dict[str, int]] = []
        self.ended: dict[int, int] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sweep.forker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], env=clean_environment(),
        )  # fmt: skip

    def __enter__(self) -> Forker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, sandbox: Path, order: Order, limit: float = 90.0) -> Child:
        """Begin to run steps in a sandbox's folder.

        Args:
            limit: seconds after which the child is killed.
        """
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        options = {
            "environment": {"RUNBOOK_SANDBOX": str(sandbox)},
            "first": order.first, "last": order.last, "known": order.known, "names": asdict(order.names),
            "which": {"exercises": order.exercises, "clean_up": order.clean_up},
            "log": str(folder / "output"), "result": str(folder / "result.json"),
        }  # fmt: skip
        return Child(self, self._begin(options), folder, limit)

    def start_sandbox(self, folder: Path) -> process.Running:
        """Start the sandbox of a folder in which none runs."""
        (folder / "start.lock").touch(mode=0o600)
        pid = self._begin({"sandbox": str(folder), "log": str(folder / "start.log")})
        while True:
            self.listen(0.01)
            # Who looks for a sandbox holds its lock for a moment, which one that just starts waits for only so long.
            running = process.find(folder) if (folder / "address.json").exists() else None
            if running and running.pid == pid:
                return running
            if pid in self.ended:
                raise RuntimeError(f"the sandbox did not start: {(folder / 'start.log').read_text()[-2000:]}")

    def _begin(self, order: dict[str, Any]) -> int:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        while not self._answers:
            self.listen(1)
        return self._answers.pop(0)["pid"]

    def listen(self, seconds: float) -> None:
        """Take in what the forker says within some seconds."""
        assert self._process.stdout
        descriptor = self._process.stdout.fileno()
        if not select.select([descriptor], [], [], seconds)[0]:
            return
        chunk = os.read(descriptor, 65536)
        if not chunk:
            raise RuntimeError("the forker has ended")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "ended" in answer:
                self.ended[answer["ended"]] = answer["status"]
            else:
                self._answers.append(answer)
                # In a long sweep the machine gives the number of an earlier child again.
                self.ended.pop(answer["pid"], None)
