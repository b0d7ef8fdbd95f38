"""A JupyterLab for tests: its configuration, its files and its sandbox are its own; nothing of the user's counts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure_sandbox import process

from .conftest import clean_environment

START_SECONDS = 60.0
STOP_SECONDS = 30.0  # it ends its kernels first

# No news and no updates are asked for, and all cells are in the page, not only those that are seen.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}


@dataclass(frozen=True)
class Lab:
    """A JupyterLab that runs."""

    url: str
    token: str
    pid: int


@contextmanager
def lab_server(command: list[str], folder: Path) -> Iterator[Lab]:
    """Run a command that starts JupyterLab, and end it; `folder` keeps all that it writes, its log too."""
    runtime, sandbox = folder / "runtime", folder / "sandbox"
    overrides = folder / "config" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(json.dumps(SETTINGS))
    own = {
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": runtime,
        "IPYTHONDIR": folder / "ipython",
        "RUNBOOK_SANDBOX": sandbox,
    }
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with open(folder / "lab.log", "wb") as log:
        server = subprocess.Popen(
            [*command, "--no-browser", "--ip=127.0.0.1", "--port=0", *root],
            env=clean_environment() | {name: str(value) for name, value in own.items()},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        found = _address(server, runtime / f"jpserver-{server.pid}.json", folder / "lab.log")
        yield Lab(f"http://127.0.0.1:{found['port']}", found["token"], server.pid)
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        finally:
            server.kill()
            server.wait()
            process.reset(sandbox)


def _address(server: subprocess.Popen[bytes], file: Path, log: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            found: dict[str, Any] = json.loads(file.read_text())
            socket.create_connection(("127.0.0.1", found["port"]), timeout=5).close()
            return found
        except (OSError, json.JSONDecodeError):  # not there yet, half written, or it does not listen yet
            time.sleep(0.05)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
