"""The sandbox's time. Every part asks here, so that all of them agree on what is expired."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Real time, which can be moved forward."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset  # seconds ahead of real time

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.offset

    def timestamp(self) -> str:
        """Now as Resource Manager writes it: 2026-11-24T08:00:00.0000000Z."""
        moment = datetime.fromtimestamp(self.now(), UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
