"""The errors of the sandbox's own management: starting, finding and stopping it, and the files of its folder."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

UNREADABLE = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a parser runs into where a file has other content than it should have."""


class SandboxError(Exception):
    """The sandbox cannot be started, found or stopped, or a file of its folder is broken."""


class StateError(SandboxError):
    """A file of a sandbox's folder is broken, or cannot be written."""


def state_error(path: Path | str, error: BaseException) -> StateError:
    """The error of a file of the sandbox's folder: which one, why, and what to do."""
    reason = (isinstance(error, OSError) and error.strerror) or str(error).partition("\n")[0] or type(error).__name__
    number = error.errno if isinstance(error, OSError) else None
    full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "disk is full" in reason
    if full or "disk I/O error" in reason:
        why = "there is no space left" if full else "there is no space left, or the disk is broken"
        return StateError(f"{path} cannot be written: {why}: make room there, and run this step again.")
    if number in (errno.EROFS, errno.EACCES, errno.EPERM) or "readonly database" in reason:
        advice = "make it yours to write to, or set RUNBOOK_SANDBOX to another folder."
        return StateError(f"{path} cannot be used: {reason}: {advice}")
    return StateError(f"{path} cannot be read: {reason[:200]}: `runbook sandbox reset` begins anew.")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Read a file of the sandbox's folder, of which any other content than the expected is an error that names it.

    Raises:
        FileNotFoundError, NotADirectoryError: it is not there.
        StateError: it is broken.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, sqlite3.Error, *UNREADABLE) as error:
        raise state_error(path, error) from error


@contextlib.contextmanager
def using(folder: Path) -> Iterator[None]:
    """Work with a sandbox's folder; what the system refuses is an error that names the file."""
    try:
        yield
    except TimeoutError:  # no matter of the file: somebody else has its lock
        raise
    except OSError as error:
        raise state_error(error.filename2 or error.filename or folder, error) from error
