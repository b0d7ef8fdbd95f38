"""A terminal for tests: a process that has one, what it prints, and keys that are pressed in it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select

from ..conftest import clean_environment

_RUNBOOK = "from runbook_helpers.commands.main import main; main()"


class Terminal:
    """A process in a terminal of its own."""

    def __init__(self, keyboard: int, process: subprocess.Popen[bytes]) -> None:
        self._keyboard, self._process = keyboard, process
        self.printed = ""

    def type(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    def wait_for(self, pattern: str, seconds: float = 60.0) -> re.Match[str]:
        """The first match in what was printed since the last one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(pattern, self.printed)
            if found:
                self.printed = self.printed[found.end() :]
                return found
            if not self._read():
                break
        raise AssertionError(f"{pattern!r} is not in {self.printed!r}")

    def end(self, seconds: float = 60.0) -> int:
        """Read until the process has ended; its exit status."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._read():
            pass
        return self._process.wait(max(1.0, deadline - time.monotonic()))

    def _read(self) -> bool:
        if not select([self._keyboard], [], [], 0.2)[0]:
            return self._process.poll() is None
        data = b""
        with suppress(OSError):  # Linux: the other side is closed
            data = os.read(self._keyboard, 65536)
        self.printed += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def terminal(*arguments: str | Path, variables: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """The command `runbook` in a terminal."""
    keyboard, screen = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _RUNBOOK, *map(str, arguments)],
        stdin=screen, stdout=screen, stderr=screen, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # a shell wants to control its terminal
        env=clean_environment() | {"TERM": "xterm", **(variables or {})},
    )  # fmt: skip
    os.close(screen)
    try:
        yield Terminal(keyboard, process)
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)
