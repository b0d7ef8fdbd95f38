"""The faults of HTTP exchanges, as a middleware between the proxy and the hosts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from http.client import responses

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..proxy import Connection
from .active import Faults
from .rules import Delay, HttpFault, InvertedByte, Reset, Stall, Status, TruncatedBody


class FaultMiddleware:
    """An application, with the faults of its exchanges."""

    def __init__(self, app: ASGIApp, faults: Faults, vm_name: Callable[[str | None], str]) -> None:
        self._app = app
        self._faults = faults
        self._vm_name = vm_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        fault = self._faults.take(
            HttpFault,
            host=request.url.hostname or "",
            method=request.method,
            path=request.url.path,
            vm=self._vm_name(request.state.caller.vm_id),
        )
        if fault is None:
            await self._app(scope, receive, send)
            return
        await self._carry_out(fault, scope, receive, send)
        if request.state.connection.is_gone():  # closed by the fault: the server is to know it before we return
            while (await receive())["type"] != "http.disconnect":
                pass

    async def _carry_out(self, fault: HttpFault, scope: Scope, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"]["connection"]
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        match fault:
            case TruncatedBody():
                await self._app(scope, receive, _Cut(send, fault.cut, connection))
            case InvertedByte():
                await self._app(scope, receive, _Flip(send, fault.flip))
            case Status() | Reset():
                await (self._app(scope, receive, keep) if fault.after else _read_all(receive))
                if isinstance(fault, Reset):
                    connection.reset()
                else:
                    await _answer(fault, scope["path"])(scope, receive, send)
            case Stall() | Delay():
                if fault.after:
                    await self._app(scope, receive, keep)
                gone = await self._faults.wait(fault, connection.is_gone)
                if not fault.after and not gone:  # else the request has never arrived
                    await self._app(scope, receive, send)
                for message in answer:
                    await send(message)


async def _read_all(receive: Receive) -> None:
    """Take the request's body, so that the client has sent it before it has an answer."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return


def _answer(fault: Status, path: str) -> Response:
    """The answer of a fault; without a body of its own it has an error in the form of the host's errors."""
    content = fault.body
    if not content and fault.status >= 400:
        phrase = responses.get(fault.status, "Error")
        message = f"A fault rule of the sandbox gives this answer ({fault.id})."
        if path.startswith("/v2/"):
            content = json.dumps({"errors": [{"code": phrase.upper().replace(" ", ""), "message": message}]})
        else:
            content = json.dumps({"error": {"code": phrase.title().replace(" ", ""), "message": message}})
    response = Response(content, fault.status)
    if content:
        response.headers["Content-Type"] = "application/json; charset=utf-8"
    response.headers["x-ms-request-id"] = response.headers["x-ms-correlation-request-id"] = str(uuid.uuid4())
    response.headers.update(fault.headers)
    return response


class _Cut:
    """A send that lets so many bytes of the body through and closes the connection then."""

    def __init__(self, send: Send, left: int, connection: Connection) -> None:
        self._send = send
        self._left = left
        self._connection = connection

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body = message.get("body", b"")
        ends_here = len(body) >= self._left and (len(body) > self._left or not message.get("more_body"))
        if self._connection.is_gone():
            return
        await self._send({**message, "body": body[: self._left], "more_body": True})
        self._left = max(0, self._left - len(body))
        if ends_here or not message.get("more_body"):
            self._connection.close()


class _Flip:
    """A send that inverts one byte of the body; its digest in the headers stays as it was."""

    def __init__(self, send: Send, place: int) -> None:
        self._send = send
        self._place = place

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            body = bytearray(message.get("body", b""))
            if 0 <= self._place < len(body):
                body[self._place] ^= 0xFF
            self._place -= len(body)
            message = {**message, "body": bytes(body)}
        await self._send(message)
