"""uvicorn's HTTP protocol, made strict about where a request ends, and with an end to waiting for one."""

from __future__ import annotations

import asyncio

import h11
from h11._receivebuffer import ReceiveBuffer
from uvicorn.protocols.http.h11_impl import H11Protocol

from .guard import HEAD_TIMEOUT, Refused, check_fields, read_head


class _StrictBuffer(ReceiveBuffer):
    """h11's buffer; h11 itself takes lines that end in LF alone, folded lines, and a length that is said twice."""

    def __init__(self, connection: h11.Connection) -> None:
        super().__init__()
        self._connection = connection

    @property
    def in_body(self) -> bool:
        return self._connection.their_state is h11.SEND_BODY

    def maybe_extract_lines(self) -> list[bytearray] | None:
        before = bytes(self)
        lines = super().maybe_extract_lines()
        if lines is None:
            return None
        raw = before[: len(before) - len(self)]
        try:
            # h11 asks for lines in two places: at the head of a request, and at the trailer behind the last chunk.
            check_fields(raw) if self.in_body else read_head(raw)
        except Refused as refused:
            raise h11.RemoteProtocolError(str(refused)) from refused
        return lines


class StrictProtocol(H11Protocol):
    """One connection, whose requests come one after the other."""

    patience = HEAD_TIMEOUT
    """Seconds for a head, and for what is left of a body that nobody waits for."""
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._buffer = self.conn._receive_buffer = _StrictBuffer(self.conn)
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        their, ours = self.conn.their_state, self.conn.our_state
        head_begun = their is h11.IDLE and len(self._buffer) > 0
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
