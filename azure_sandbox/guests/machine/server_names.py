"""Names of servers: what a DNS query, a TLS greeting and an HTTP request ask for."""

from __future__ import annotations

import struct
from collections.abc import Callable

_A, _ANY_CLASS = 1, 1
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME = 22, 1, 0


def answer(query: bytes, knows: Callable[[str], bool], address: str) -> bytes:
    """The answer to a DNS query: one address for every known name, and no such name for all others.

    Raises ValueError, IndexError or struct.error where it is no query.
    """
    identity, flags, questions = struct.unpack(">HHH", query[:6])
    if flags & 0x8000 or questions != 1:
        raise ValueError("no query")
    labels, place = [], 12
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]])
        place += 1 + query[place]
    kind, kind_class = struct.unpack(">HH", query[place + 1 : place + 5])
    question = query[12 : place + 5]
    known = knows(b".".join(labels).decode("ascii", "replace").lower())
    records = b""
    if known and kind == _A and kind_class == _ANY_CLASS:
        packed = bytes(int(part) for part in address.split("."))
        records = struct.pack(">HHHLH", 0xC00C, _A, _ANY_CLASS, 60, 4) + packed
    # A response, with recursion as it was desired and available; code 3 is "no such name".
    header = struct.pack(">HHHHHH", identity, 0x8080 | flags & 0x0100 | (0 if known else 3), 1, bool(records), 0, 0)
    return header + question + records


def is_complete(head: bytes) -> bool:
    """Whether `asked_for` can tell from this much."""
    if head[:1] == bytes([_HANDSHAKE]):
        return len(head) >= 5 and len(head) >= 5 + struct.unpack(">H", head[3:5])[0]
    return b"\r\n\r\n" in head


def asked_for(head: bytes) -> tuple[str, bool]:
    """The name that a TLS greeting or an HTTP request is for, and whether it is TLS. Raises ValueError."""
    if head[:1] == bytes([_HANDSHAKE]):
        try:
            return _server_name(head), True
        except (IndexError, struct.error) as error:
            raise ValueError("a damaged TLS greeting") from error
    for line in head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"host":
            return value.decode("ascii", "replace").strip().lower().partition(":")[0], False
    raise ValueError("no Host header")


def _server_name(hello: bytes) -> str:
    """The extension server_name of a ClientHello (RFC 8446 4.1.2, RFC 6066 3)."""
    if hello[5] != _CLIENT_HELLO:
        raise ValueError("no TLS greeting")
    place = 5 + 4 + 2 + 32  # record and handshake heads, version, random
    place += 1 + hello[place]  # session id
    place += 2 + struct.unpack(">H", hello[place : place + 2])[0]  # cipher suites
    place += 1 + hello[place]  # compression methods
    end = place + 2 + struct.unpack(">H", hello[place : place + 2])[0]
    place += 2
    while place < end:
        kind, length = struct.unpack(">HH", hello[place : place + 4])
        if kind == _SERVER_NAME:
            size = struct.unpack(">H", hello[place + 7 : place + 9])[0]
            return hello[place + 9 : place + 9 + size].decode("ascii", "replace").lower()
        place += 4 + length
    raise ValueError("the TLS greeting names no server")
