"""The program ``python -m azure_sandbox FOLDER [PORT]``: one sandbox, in the foreground. process.py starts it so."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import SandboxError, using


def main() -> None:
    folder = Path(sys.argv[1])
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    os.umask(0o077)
    try:
        with using(folder):
            folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", mode=0o600)
        with using(folder / "lock"):
            lock.acquire(timeout=2)  # one that is just ending may hold it
        with lock, using(folder):
            _serve(folder, port)
    except Timeout:
        sys.exit(f"a sandbox is running already in {folder}")
    except SandboxError as error:
        sys.exit(str(error))


def _serve(folder: Path, port: int) -> None:
    from .server import IDLE_SECONDS, PortInUse, Server, logging_to

    with logging_to(folder / "log"):
        idle = float(os.environ.get("RUNBOOK_SANDBOX_IDLE", IDLE_SECONDS))
        try:
            server = Server(folder, port)
        except PortInUse as error:
            sys.exit(f"port {port} of 127.0.0.1 cannot be used: {error}; choose another, or none")
        asyncio.run(server.run(idle))


main()
