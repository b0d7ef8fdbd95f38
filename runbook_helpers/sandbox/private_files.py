"""Folders and files that only their owner can read, whatever the umask is."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def private_folder(folder: Path) -> None:
    """Make a folder that nobody else may enter, and what is missing above it; close one that is open to others.

    Raises:
        PermissionError: it belongs to somebody else, who could put other files in the place of ours.
    """
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(exist_ok=True, mode=0o700)
    if not hasattr(os, "geteuid"):  # Windows: a folder in the user's profile is the user's alone
        return
    status = folder.stat()
    if status.st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{folder} belongs to another user")
    if status.st_mode & 0o077 and status.st_uid == os.geteuid():
        folder.chmod(0o700)


def private_file(path: Path, text: str) -> None:
    """Write a file that nobody else may read, in one step."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def touch_private(path: Path) -> None:
    """Make an empty file that nobody else may read, where there is none: for what others open by its name."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
