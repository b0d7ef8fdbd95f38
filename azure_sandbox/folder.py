"""The folder of a sandbox: made for its user alone, and changed by one at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import SandboxError, state_error
from .files import check_owner, private_folder

LOCK_SECONDS = 60.0  # longer than a start takes, which holds the lock too


def make_folder(folder: Path) -> None:
    """Make the folder of a sandbox where it is missing, for its user alone.

    Raises:
        SandboxError: it cannot be made, has other files (which a reset would delete), or is another user's.
    """
    check_folder(folder)
    try:
        private_folder(folder)
    except OSError as error:
        message = (
            f"{folder} cannot be made: {error.strerror}: set RUNBOOK_SANDBOX to a new or empty folder of your own."
        )
        raise SandboxError(message) from error


def check_folder(folder: Path) -> None:
    """Refuse what is no folder of a sandbox of this user.

    Raises:
        SandboxError: it has other files, or is another user's.
    """
    if folder.exists() and not folder.is_dir():
        raise SandboxError(f"{folder} is not a folder: set RUNBOOK_SANDBOX to a new or empty one.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "start.lock").exists():
        message = f"{folder} holds files that are not a sandbox's: set RUNBOOK_SANDBOX to a new or empty folder."
        raise SandboxError(message)
    try:
        if folder.is_dir():
            check_owner(folder)
    except PermissionError as error:
        raise SandboxError(f"{error}: set RUNBOOK_SANDBOX to a new or empty folder of your own.") from error


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Start the sandbox of a folder, or change its files, alone; the lock marks the folder as a sandbox's.

    Raises:
        SandboxError: another command does so for too long, or the lock is broken.
    """
    make_folder(folder)
    path = folder / "start.lock"
    lock = FileLock(path, timeout=LOCK_SECONDS, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        message = f"{path} is held by another command for {LOCK_SECONDS:.0f} s: end that, and run this one again."
        raise SandboxError(message) from error
    except OSError as error:
        raise state_error(path, error) from error
    try:
        yield
    finally:
        lock.release()
