"""The progress of a long step: one line that counts the seconds in JupyterLab, one plain line at its end elsewhere.

In both cases the same text stays in the notebook, so that a kept output can be compared with a new one. A headless run
reads what the step does from a file, and counts the seconds itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

from ..errors import AccessDenied
from ..files import write_atomic

LIVE = "JPY_SESSION_NAME"  # Jupyter's server sets it for the kernels that a person has opened; papermill does not
FILE = "RUNBOOK_PROGRESS"  # `runbook run` sets it for its kernels: the file in which it looks for what the step does
TICK = 1.0  # seconds between two updates of the line


class Progress:
    """A step that goes on; `waits_for` says what it is waiting for now."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._reason = ""
        self._started = time.monotonic()
        self._width = 0
        self._writing = threading.Lock()
        self._write_file(subject)
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        if os.environ.get(LIVE):
            # By the context ipykernel knows which cell the thread writes to.
            self._ticker = threading.Thread(target=copy_context().run, args=(self._tick,), daemon=True)
            self._show()
            self._ticker.start()

    def waits_for(self, reason: str) -> None:
        """Say what the step is waiting for, for instance "Azure makes it"."""
        self._reason = reason
        self._write_file(f"{self._subject}: {reason}")
        if self._ticker:
            self._show()

    def end(self, outcome: str) -> None:
        self._ended.set()
        if self._ticker:
            self._ticker.join()
        self._write_file("")
        self._write(f"{self._subject}: {outcome}", end="\n")

    @staticmethod
    def _write_file(text: str) -> None:
        path = os.environ.get(FILE)
        if path:
            with contextlib.suppress(OSError):  # the step is what counts
                write_atomic(Path(path), text)

    def _tick(self) -> None:
        while not self._ended.wait(TICK):
            self._show()

    def _show(self) -> None:
        seconds = time.monotonic() - self._started
        self._write(f"{self._subject}: {seconds:.0f} s" + (f", {self._reason}" if self._reason else ""))

    def _write(self, text: str, end: str = "") -> None:
        # A carriage return lets the next text stand in this one's place; the blanks cover a longer one.
        with self._writing:
            blanks = " " * (self._width - len(text))
            back = "\r" if self._width else ""
            sys.stdout.write(f"{back}{text}{blanks}{end}")
            sys.stdout.flush()
            self._width = max(self._width, len(text))


@contextmanager
def step(subject: str, outcome: str = "ready") -> Iterator[Progress]:
    """A step that may take long: prints `subject: outcome` at its end, or `subject: failed` or `refused`."""
    progress = Progress(subject)
    try:
        yield progress
    except BaseException as error:
        progress.end("refused" if isinstance(error, AccessDenied) else "failed")
        raise
    progress.end(outcome)
