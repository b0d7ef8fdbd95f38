"""The guard: refuses foreign pages, doubtful framing and what has no end, before anybody looks at who asks for what.

A page in a browser may send requests to a port of loopback, also under a name of its own that it lets point there (DNS
rebinding). It can neither choose the Host nor leave its Origin away, and none of the clients that the sandbox is for
sends a foreign one. A request whose end two readers could see at different places is refused as well.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import NoReturn
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_HEAD = 16 * 1024  # bytes of a request's head
MAX_BODY = 8 * 1024 * 1024  # bytes of a request that is not a layer of an image
MAX_UPLOAD = 16 * 1024**3  # bytes of one that is
MAX_DEPTH = 100  # arrays and objects in each other
HEAD_TIMEOUT = 30.0  # seconds a client has to send a head
BODY_TIMEOUT = 60.0  # seconds it has for a body; for a layer, from one part to the next

_AUTHORITY = re.compile(r"([a-z0-9_.-]{1,253})(?::(\d{1,5}))?", re.IGNORECASE)
# What two readers of a path would understand differently: ? # \ and control characters, written as %xx.
_DOUBTFUL = re.compile(rb"%(?:[01][0-9a-f]|7f|23|3f|5c)", re.IGNORECASE)

Fields = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values."""


class RequestRefused(Exception):
    """A request, a destination or a caller the proxy does not let through; `code` is for the error in the answer."""

    def __init__(self, status: int, message: str, code: str = "Refused") -> None:
        super().__init__(message)
        self.status, self.code = status, "BadRequest" if status == 400 else code


def check_source(method: str, target: str, fields: Fields, serves: Callable[[str], bool]) -> None:
    """Refuse a request to a host that the sandbox does not serve, and one that comes from another site's page.

    Args:
        serves: whether a host name, in lower case, is one of the sandbox's.
    """
    hosts = [value.decode("latin-1") for name, value in fields if name == b"host"]
    if len(hosts) > 1:
        raise RequestRefused(400, "the request has more than one Host")
    asked = host_of(hosts[0]) if hosts else None
    if method == "CONNECT":  # who may be reached so is decided afterwards
        if hosts and asked != host_of(target):
            raise RequestRefused(421, "Host and destination differ")
    elif asked is None or not serves(asked):
        raise RequestRefused(421, "the sandbox does not serve this host")
    elif target.lower().startswith("http://") and host_of(target[7:].partition("/")[0].partition("?")[0]) != asked:
        raise RequestRefused(421, "Host and destination differ")
    for name, value in fields:
        text = value.decode("latin-1").strip().lower()
        if (
            (name == b"origin" and text not in (f"https://{asked}", f"http://{asked}"))
            or (name == b"referer" and not serves(_host_of_url(text)))
            or (name == b"sec-fetch-site" and text not in ("none", "same-origin"))
        ):
            raise RequestRefused(403, "a page of another site has made this request")


def host_of(text: str) -> str | None:
    """The host name of an authority, in lower case; None where it is malformed or has a port."""
    matched = _AUTHORITY.fullmatch(text)
    return matched[1].lower() if matched else None


def _host_of_url(url: str) -> str:
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


class Guard:
    """Stands before the application: each request is looked at here first."""

    def __init__(
        self,
        app: ASGIApp,
        serves: Callable[[str], bool],
        refusal: Callable[[str, RequestRefused], Response],
        body_timeout: float = BODY_TIMEOUT,
    ) -> None:
        """`refusal` is the answer to a request that is refused, in the form of the host that it was for."""
        self._app, self._serves, self._refusal, self._body_timeout = app, serves, refusal, body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
            if not _has_body(scope["headers"]):
                await self._app(scope, receive, send)
            elif b"/blobs/uploads/" in scope["raw_path"]:
                await self._app_with_limits(scope, receive, send)
            else:
                await self._app(scope, await self._whole(scope, receive), send)
        except RequestRefused as refused:
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            response = self._refusal(host_of(host) or "", refused)
            if refused.status == 408:
                response.headers["Connection"] = "close"
            await response(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        fields, path = scope["headers"], scope["raw_path"]
        check_source(scope["method"], path.decode("ascii"), fields, self._serves)
        # A registry reads its paths by rules of its own, and names what is wrong with them.
        doubtful = _DOUBTFUL.search(path) or any(part in (".", "..") for part in scope["path"].split("/"))
        if doubtful and not scope["path"].startswith(("/v2/", "/acr/v1/")):
            raise RequestRefused(400, "the path has control characters, encoded ?, # or \\, or dot segments")
        if dict(fields).get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
            raise RequestRefused(415, "the body of a request must not be compressed")

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
            raise RequestRefused(408, "the body took too long", "RequestTimeout") from error
        body = b"".join(parts)
        if body.lstrip()[:1] in (b"{", b"[") and too_deep(body):
            raise RequestRefused(400, f"the JSON is nested in more than {MAX_DEPTH} levels")
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
        failure: RequestRefused | None = None

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
                failure = RequestRefused(408, "the body took too long", "RequestTimeout")
            except RequestRefused as error:
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
    raise RequestRefused(413, f"the body may have {limit} bytes", "RequestEntityTooLarge")
