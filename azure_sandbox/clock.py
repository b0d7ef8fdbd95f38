"""The sandbox's time. Every part asks here, so that all of them agree on what is expired."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from .settings import Settings, Values, seconds


class Clock:
    """Real time, which can be moved forward; and the delays that count on it."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings

    @property
    def settings(self) -> Values:
        return self._settings.values if self._settings else Values()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.settings.clock_offset

    def advance(self, duration: float | str) -> float:
        """Make it later for all parts of the sandbox, by seconds or by 5m, 3h, 1h30m.

        Returns:
            How many seconds it is ahead of the machine's clock.
        """
        assert self._settings
        later = seconds(duration) if isinstance(duration, str) else duration
        return self._settings.change(clock_offset=self.settings.clock_offset + later).clock_offset

    def timestamp(self) -> str:
        """Now as Resource Manager writes it: 2026-11-24T08:00:00.0000000Z."""
        return _write(self.now()) + "Z"

    def offset_timestamp(self) -> str:
        """Now as some providers write it: 2026-11-24T08:00:00.0000000+00:00."""
        return _write(self.now()) + "+00:00"


def _write(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0"


def parse(timestamp: str) -> float:
    """Seconds since the epoch of what `Clock.timestamp` wrote."""
    return datetime.fromisoformat(timestamp[:26]).replace(tzinfo=UTC).timestamp()
