"""HTTP/1.1 as the sandbox reads it: h11 and uvicorn, strict about where a request ends, and with an end to waiting."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .guard import HEAD_TIMEOUT, MAX_HEAD

_LENGTH = re.compile(rb"\r\n(?:content-length|transfer-encoding):", re.IGNORECASE)
_FOLDED_OR_CONTROL = re.compile(rb"\r\n[ \t]|\r(?!\n)|(?<!\r)\n|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class StrictConnection(h11.Connection):
    """The server's side of a connection.

    h11 itself takes lines that end in LF alone, folded lines, and a length that is said twice: another reader could see
    the end of the request at a different place.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD)

    def next_event(self) -> Any:
        """The next event, as h11 says. Raises h11.RemoteProtocolError also for a head or trailer in doubtful lines."""
        before = self.trailing_data[0]
        event = super().next_event()
        if isinstance(event, h11.Request | h11.EndOfMessage):
            _check_lines(before[: len(before) - len(self.trailing_data[0])])
        if isinstance(event, h11.Request) and event.http_version not in (b"1.0", b"1.1"):
            raise h11.RemoteProtocolError("the version of HTTP is not 1.0 or 1.1")
        return event


def _check_lines(raw: bytes) -> None:
    if len(raw) > MAX_HEAD:
        raise h11.RemoteProtocolError("the request head is too long", 431)
    if _FOLDED_OR_CONTROL.search(raw):
        raise h11.RemoteProtocolError("a line of the request head is folded, or does not end in CR LF")
    if len(_LENGTH.findall(raw)) > 1:
        raise h11.RemoteProtocolError("the length of the request is said more than once")


class StrictProtocol(H11Protocol):
    """One connection, whose requests come one after the other."""

    patience = HEAD_TIMEOUT
    """Seconds for a head, and for what is left of a body that nobody waits for."""
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.conn = StrictConnection()
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        their, ours = self.conn.their_state, self.conn.our_state
        head_begun = their is h11.IDLE and self.conn.trailing_data[0] != b""
        body_unread = their is h11.SEND_BODY and ours in (h11.DONE, h11.MUST_CLOSE)
        if not (head_begun or body_unread):
            self._stop_waiting()
        elif self._waiting is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._stop_waiting()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:  # an answer is on its way already
            self.transport.close()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.patience, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
