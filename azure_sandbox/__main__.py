"""The program ``python -m azure_sandbox FOLDER [PORT]``: one sandbox, in the foreground. process.py starts it so."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

from filelock import FileLock, Timeout


def main() -> None:
    folder = Path(sys.argv[1])
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    os.umask(0o077)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / "lock", mode=0o600).acquire(
            timeout=2
        )  # somebody may just be looking whether it is free
    except Timeout:
        sys.exit(f"a sandbox is running already in {folder}")
    with lock:
        from .server import IDLE_SECONDS, Server, logging_to

        with logging_to(folder / "log"):
            idle = float(os.environ.get("RUNBOOK_SANDBOX_IDLE", IDLE_SECONDS))
            try:
                server = Server(folder, port)
            except PermissionError as error:
                sys.exit(str(error))
            except OSError as error:
                sys.exit(f"port {port} of 127.0.0.1 cannot be used: {error.strerror}; choose another, or none")
            except (sqlite3.DatabaseError, ValueError) as error:
                sys.exit(f"what is in {folder} cannot be read: {error}")
            asyncio.run(server.run(idle))


main()
