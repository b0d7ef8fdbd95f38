"""The folder of a sandbox: made for its user alone, and changed by one at a time."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from .errors import SandboxError
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


def changing(folder: Path) -> FileLock:
    """The lock of who starts the sandbox of a folder or changes its files; it marks the folder as a sandbox's."""
    make_folder(folder)
    return FileLock(folder / "start.lock", timeout=LOCK_SECONDS, mode=0o600)
