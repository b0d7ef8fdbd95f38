"""``python -m runbook_helpers.sandbox FOLDER [PORT]``: one sandbox, in the foreground. process.py starts it so."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path

from filelock import FileLock, Timeout


def main() -> int:
    folder = Path(sys.argv[1])
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    os.umask(0o077)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / "lock").acquire(timeout=0)
    except Timeout:
        print(f"a sandbox is running already in {folder}", file=sys.stderr)
        return 1
    with lock:
        from .server import IDLE_SECONDS, Server, logging_to

        with logging_to(folder / "log"):
            idle = float(os.environ.get("RUNBOOK_SANDBOX_IDLE", IDLE_SECONDS))
            try:
                server = Server(folder, port)
            except OSError as error:
                logging.getLogger(__name__).error("cannot start: %s", error)
                print(f"cannot listen on 127.0.0.1:{port}: {error.strerror}", file=sys.stderr)
                return 1
            asyncio.run(server.run(idle))
    return 0


sys.exit(main())
