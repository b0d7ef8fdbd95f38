"""Kept SSH connections: a verb leaves its connection to the next one, since a handshake costs more than most commands."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import paramiko


@dataclass
class _Idle:
    """A connection that nobody uses now, and the timer that closes it."""

    client: paramiko.SSHClient
    timer: threading.Timer


class KeptConnections:
    """The SSH connections that nobody uses now: one for each key, that is for each VM.

    Whoever takes one has it alone, as paramiko loses the end of a channel now and then where many threads share a
    connection. They are closed after `idle` seconds, and when the process ends.
    """

    def __init__(self, idle: float = 300.0) -> None:
        self.idle = idle
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._idle: dict[Hashable, _Idle] = {}
        weakref.finalize(self, _close_all, self._idle, self._process)

    def take(self, key: Hashable) -> paramiko.SSHClient | None:
        """The connection that was kept; None where there is none that lives."""
        if self._process != os.getpid():  # what is here belongs to the process that forked
            self._begin()
        with self._lock:
            kept = self._idle.pop(key, None)
        if kept is None:
            return None
        kept.timer.cancel()
        if lives(kept.client):
            return kept.client
        kept.client.close()
        return None

    def give(self, key: Hashable, client: paramiko.SSHClient) -> None:
        """Keep a connection, where it lives and none is kept yet; otherwise it is closed."""
        if not lives(client):
            client.close()
            return
        timer = threading.Timer(self.idle, self._expire, (key, client))
        timer.daemon = True
        with self._lock:
            if key not in self._idle:
                self._idle[key] = _Idle(client, timer)
                timer.start()
                return
        client.close()

    def _expire(self, key: Hashable, client: paramiko.SSHClient) -> None:
        with self._lock:
            if key not in self._idle or self._idle[key].client is not client:
                return
            del self._idle[key]
        client.close()


def lives(client: paramiko.SSHClient) -> bool:
    """Whether a connection has not ended, as far as this process has seen."""
    transport = client.get_transport()
    return transport is not None and transport.is_active() and transport.is_alive()  # no thread survives a fork


def _close_all(connections: dict[Hashable, _Idle], process: int) -> None:
    for kept in connections.values() if process == os.getpid() else ():
        kept.timer.cancel()
        kept.client.close()
