"""The settings of a running sandbox: its time, and how long a change takes to be seen everywhere.

The values stand in a file of the sandbox's folder, so that a command in another process changes them for all parts
at once, and a sandbox that is started again goes on with them.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from .errors import reading
from .files import write_atomic
from .folder import changing


@dataclass(frozen=True)
class Values:
    """The values of the settings, all in seconds; with none set, the sandbox is as fast as it can be."""

    clock_offset: float = 0.0
    """How far the sandbox's clock is ahead of the machine's."""
    role_delay: float = 0.0
    """How long until a new role assignment works, and until a removed one does not. On Azure up to ten minutes."""
    directory_delay: float = 0.0
    """How long a new identity is unknown to the directory: PrincipalNotFound, where principalType is not given."""
    operation_seconds: float = 0.0
    """How long a long-running operation of Resource Manager is in progress."""


NAMES = tuple(field.name for field in fields(Values))
_LONGEST = 100 * 366 * 86400.0
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """A duration as people write it: 90, 90s, 5m, 3h, 1h30m. Raises ValueError where it is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration: write 90, 90s, 5m, 3h or 1h30m")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if total > _LONGEST:
        raise ValueError(f"{text[:20]!r} is longer than a hundred years")
    return total


def read(folder: Path) -> Values:
    """The settings of a sandbox's folder.

    Raises:
        StateError: their file is broken.
    """
    path = folder / "settings.json"
    try:
        with reading(path):
            values = Values(**json.loads(path.read_text(encoding="utf-8")))
            if not all(type(value) in (int, float) and 0 <= value <= _LONGEST for value in asdict(values).values()):
                raise ValueError("a setting is no number of seconds")
            return values
    except (FileNotFoundError, NotADirectoryError):
        return Values()


def write(folder: Path, values: Values) -> None:
    """Set them all, in one step: a sandbox that is just reading sees the old ones or the new."""
    write_atomic(folder / "settings.json", json.dumps(asdict(values)))


class Settings:
    """The settings as a running sandbox sees them: always those that the file has now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: tuple[int, int] | None = None
        self._values = Values()

    @property
    def values(self) -> Values:
        try:
            status = (self._folder / "settings.json").stat()
            stamp = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            stamp = None
        if stamp != self._stamp:
            self._stamp, self._values = stamp, read(self._folder)
        return self._values

    def change(self, **values: float | str) -> Values:
        """Set some of them, each in seconds or as people write a duration, which takes effect at once.

        Raises:
            SandboxError: the folder is not a sandbox's.
            ValueError: there is no such setting, or it is no duration.
        """
        unknown = set(values) - set(NAMES)
        if unknown:
            raise ValueError(f"there is no setting {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
        given = {name: seconds(value) if isinstance(value, str) else value for name, value in values.items()}
        with changing(self._folder):
            changed = replace(read(self._folder), **given)
            write(self._folder, changed)
        return changed
