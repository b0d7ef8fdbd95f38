"""Folders and files that only their owner can read, whatever the umask is."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def private_folder(folder: Path) -> None:
    """Make a folder that nobody else may enter, and what is missing above it; close one that is open to others."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        with contextlib.suppress(FileExistsError):  # another process was quicker
            missing.mkdir(mode=0o700)
    # On Windows a folder in the user's profile is the user's alone.
    if os.name != "nt" and folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def check_owner(folder: Path) -> None:
    """Refuse a folder of somebody else, who could put other files in the place of ours.

    Raises:
        PermissionError: it is not ours.
    """
    if os.name != "nt" and folder.stat().st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user")


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file that only its owner may read, in one step: never seen empty or half written, or through a link."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
