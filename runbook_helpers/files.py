"""Files and folders that only their owner can read, whatever the umask is."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path


def private_folder(folder: Path) -> None:
    """Make a folder that nobody else may enter, and what is missing above it; close one that is open to others."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        with contextlib.suppress(FileExistsError):  # another process was quicker
            missing.mkdir(mode=0o700)
    # On Windows a folder in the user's profile is the user's alone.
    if os.name != "nt" and folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def why_unwritable(path: Path) -> str:
    """Why a file cannot be made at a path, whose folder need not exist; empty where it can. Nothing is left behind."""
    folder = next(each for each in path.absolute().parents if each.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"{folder}: {error.strerror}"


def write_atomic(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write a file in one step: it is never seen empty or half written, and a link in its place is not followed.

    Args:
        mode: the file's permissions, less the umask.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
