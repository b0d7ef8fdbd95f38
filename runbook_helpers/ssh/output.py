"""What a command on a VM prints, kept up to a limit: its beginning and its end, since a stream may have none."""

from __future__ import annotations

from collections import deque

KEPT = 1 << 19
"""Bytes of the beginning of a stream that are kept, and as many of its end."""


class Output:
    """One stream of a command, of which what is in the middle may be left out."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._in_tail = 0
        self.left_out = 0
        """How many bytes are not kept."""

    def add(self, chunk: bytes) -> None:
        room = KEPT - len(self._head)
        self._head += chunk[:room]
        if rest := chunk[room:]:
            self._tail.append(rest)
            self._in_tail += len(rest)
        while self._tail and self._in_tail - len(self._tail[0]) >= KEPT:
            self._in_tail -= len(self._tail[0])
            self.left_out += len(self._tail.popleft())

    @property
    def text(self) -> str:
        """What is kept, with a line in place of what is not."""
        tail = b"".join(self._tail)
        if not self.left_out:
            return (bytes(self._head) + tail).decode("utf-8", "replace")
        between = f"\n[… {self.left_out} bytes are left out …]\n"
        return self._head.decode("utf-8", "replace") + between + tail.decode("utf-8", "replace")
