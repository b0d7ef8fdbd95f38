"""What the proxy refuses before anybody looks at who asks for what: foreign pages, doubtful framing, what has no end.

A page in a browser may send requests to a port of loopback, also under a name of its own that it lets point there (DNS
rebinding). It can neither choose the Host nor leave its Origin away, and none of the clients that the sandbox is for
sends a foreign one. A request whose end two readers could see at different places is refused as well.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_HEAD = 16 * 1024  # bytes of a request's head
MAX_BODY = 8 * 1024 * 1024  # bytes of a request that is not a layer of an image
MAX_UPLOAD = 16 * 1024**3  # bytes of one that is
MAX_DEPTH = 100  # arrays and objects in each other
HEAD_TIMEOUT = 30.0  # seconds a client has to send a head
BODY_TIMEOUT = 60.0  # seconds it has for a body; for a layer, from one part to the next

_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t \x21-\x7e\x80-\xff]*?)[ \t]*")
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]+) HTTP/1\.[01]")
_AUTHORITY = re.compile(r"([a-z0-9_.-]{1,253})(?::(\d{1,5}))?", re.IGNORECASE)
# What two readers of a path would understand differently: ? # \ and control characters, written as %xx.
_DOUBTFUL = re.compile(rb"%(?:[01][0-9a-f]|7f|23|3f|5c)", re.IGNORECASE)

Fields = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values."""


class Refused(Exception):
    """A request, a destination or a caller the proxy does not let through."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Head:
    """The first lines of a request."""

    method: str
    target: str
    fields: Fields


def read_head(raw: bytes) -> Head:
    """A request's head, up to its blank line. Raises Refused where another reader could take it for another one."""
    request_line, *lines = _lines(raw)
    matched = _REQUEST_LINE.fullmatch(request_line)
    if matched is None:
        raise Refused("400 Bad Request", "the request line is malformed")
    return Head(matched[1].decode(), matched[2].decode(), _fields(lines))


def check_fields(raw: bytes) -> None:
    """Refuse a trailer as `read_head` refuses a head."""
    if raw.strip(b"\r\n"):
        _fields(_lines(raw))


def _lines(raw: bytes) -> list[bytes]:
    """The lines of a head or trailer, where each ends as it must and none goes on in the next."""
    if len(raw) > MAX_HEAD:
        raise Refused("431 Request Header Fields Too Large", "the request head is too long")
    lines = raw.split(b"\r\n")
    while lines and not lines[-1]:
        lines.pop()
    if any(b"\n" in line or b"\r" in line or line[:1] in b" \t" for line in lines):
        raise Refused("400 Bad Request", "a line of the request head is empty, folded or does not end in CR LF")
    return lines or [b""]


def _fields(lines: Iterable[bytes]) -> Fields:
    fields = []
    for line in lines:
        matched = _FIELD.fullmatch(line)
        if matched is None:
            raise Refused("400 Bad Request", "a field of the request head is malformed")
        fields.append((matched[1].lower(), matched[2]))
    check_framing(fields)
    return fields


def check_framing(fields: Fields) -> None:
    """Refuse a head that says more than once how long its body is."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Refused("400 Bad Request", "the length of the request is said more than once")
    if lengths and not re.fullmatch(rb"\d{1,18}", lengths[0]):
        raise Refused("400 Bad Request", "Content-Length is no number")
    if codings and codings[0].lower() != b"chunked":
        raise Refused("501 Not Implemented", "Transfer-Encoding can only be chunked")


def check_source(method: str, target: str, fields: Fields, plays: Callable[[str], bool]) -> None:
    """Refuse a request to a host that is not played, and one that comes from another site's page.

    Args:
        plays: whether a host name, in lower case, is one of the sandbox's.
    """
    hosts = [value.decode("latin-1") for name, value in fields if name == b"host"]
    if len(hosts) > 1:
        raise Refused("400 Bad Request", "the request has more than one Host")
    asked = authority(hosts[0]) if hosts else None
    if method == "CONNECT":  # who may be reached so is decided afterwards
        if hosts and asked != authority(target):
            raise Refused("421 Misdirected Request", "Host and destination differ")
    elif asked is None or not plays(asked):
        raise Refused("421 Misdirected Request", "the sandbox does not play this host")
    elif target.lower().startswith("http://") and authority(target[7:].partition("/")[0].partition("?")[0]) != asked:
        raise Refused("421 Misdirected Request", "Host and destination differ")
    for name, value in fields:
        text = value.decode("latin-1").strip().lower()
        if (
            (name == b"origin" and text not in (f"https://{asked}", f"http://{asked}"))
            or (name == b"referer" and not plays(_host_of(text)))
            or (name == b"sec-fetch-site" and text not in ("none", "same-origin"))
        ):
            raise Refused("403 Forbidden", "a page of another site has made this request")


def authority(text: str) -> str | None:
    """The host name of an authority, in lower case; None where it is malformed or has a port that is not played."""
    matched = _AUTHORITY.fullmatch(text)
    return matched[1].lower() if matched else None


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def too_deep(body: bytes) -> bool:
    """Whether more than MAX_DEPTH arrays and objects of a JSON text stand in each other, without reading it."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    outside = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body, flags=re.DOTALL)
    brackets = re.sub(rb"[^][{}]+", b"", outside).replace(b"{", b"[").replace(b"}", b"]")
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    return len(brackets) > 0


class _Unending(Exception):
    """A body is longer, or takes longer, than it may."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Guard:
    """Stands before the application: each request is looked at here first."""

    def __init__(self, app: ASGIApp, plays: Callable[[str], bool], body_timeout: float = BODY_TIMEOUT) -> None:
        self._app, self._plays, self._body_timeout = app, plays, body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
            if not _has_body(scope["headers"]):
                await self._app(scope, receive, send)
            elif b"/blobs/uploads/" in scope["raw_path"]:
                await self._app_with_limits(scope, receive, send)
            else:
                await self._app(scope, await self._whole(scope, receive), send)
        except Refused as refused:
            status = int(refused.status.split(" ")[0])
            await _answer(send, status, "BadRequest" if status == 400 else "Refused", str(refused))
        except _Unending as error:
            await _answer(send, error.status, error.code, str(error), close=error.status == 408)

    def _check(self, scope: Scope) -> None:
        fields, path = scope["headers"], scope["raw_path"]
        check_framing(fields)
        check_source(scope["method"], path.decode("ascii"), fields, self._plays)
        # A registry reads its paths by rules of its own, and names what is wrong with them.
        doubtful = _DOUBTFUL.search(path) or any(part in (".", "..") for part in scope["path"].split("/"))
        if doubtful and not scope["path"].startswith(("/v2/", "/acr/v1/")):
            raise Refused("400 Bad Request", "the path has control characters, encoded ?, # or \\, or dot segments")
        if dict(fields).get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
            raise Refused("415 Unsupported Media Type", "the body of a request must not be compressed")

    async def _whole(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body, and give it to the application in one piece."""
        _check_length(scope["headers"], MAX_BODY)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._body_timeout):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        break
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > MAX_BODY:
                        _too_large(MAX_BODY)
                    if not message.get("more_body", False):
                        break
        except TimeoutError as error:
            raise _Unending(408, "RequestTimeout", "the body took too long") from error
        body = b"".join(parts)
        if body.lstrip()[:1] in (b"{", b"[") and too_deep(body):
            raise Refused("400 Bad Request", f"the JSON is nested in more than {MAX_DEPTH} levels")
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        if message["type"] != "http.request":
            pending = [message]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        return replay

    async def _app_with_limits(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application read a layer as it comes; where that has no end it sees a client that went away."""
        _check_length(scope["headers"], MAX_UPLOAD)
        size, reading = 0, True
        failure: _Unending | None = None

        async def limited() -> Message:
            nonlocal size, reading, failure
            if not reading:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._body_timeout)
                size += len(message.get("body", b""))
                reading = bool(message.get("more_body", False))
                if size > MAX_UPLOAD:
                    _too_large(MAX_UPLOAD)
            except TimeoutError:
                failure = _Unending(408, "RequestTimeout", "the body took too long")
            except _Unending as error:
                failure = error
            if failure is None:
                return message
            reading = False
            return {"type": "http.disconnect"}

        async def answer(message: Message) -> None:
            if failure is None:
                await send(message)

        await self._app(scope, limited, answer)
        if failure is not None:
            raise failure


def _has_body(fields: Fields) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in fields)


def _check_length(fields: Fields, limit: int) -> None:
    if int(dict(fields).get(b"content-length", b"0")) > limit:
        _too_large(limit)


def _too_large(limit: int) -> NoReturn:
    raise _Unending(413, "RequestEntityTooLarge", f"the body may have {limit} bytes")


async def _answer(send: Send, status: int, code: str, message: str, *, close: bool = False) -> None:
    """An error in the forms of Resource Manager and of a registry at once: who asked is not looked at yet."""
    error = {"code": code, "message": message}
    body = json.dumps({"error": error, "errors": [error]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
