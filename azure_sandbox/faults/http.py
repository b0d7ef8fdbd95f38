"""Carries out the faults of HTTP requests, between the proxy and what answers."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from http.client import responses

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..proxy import Connection
from .active import Faults
from .rules import Fault, Rule

_KINDS = {"status", "reset", "stall", "delay", "cut", "flip"}


def _of_requests(fault: Fault) -> bool:
    return not fault.command and fault.what in _KINDS


class Faulty:
    """An application, with the faults that somebody asked for."""

    def __init__(self, app: ASGIApp, faults: Faults, vm_name: Callable[[str | None], str]) -> None:
        self._app = app
        self._faults = faults
        self._vm_name = vm_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = self._due(Request(scope)) if self._faults.exist else None
        if rule is None:
            await self._app(scope, receive, send)
            return
        if rule.fault.after:
            answer: list[Message] = []

            async def keep(message: Message) -> None:
                answer.append(message)

            await self._app(scope, receive, keep)
            await self._misbehave(rule, scope, send, answer)
        else:
            await self._before(rule, scope, receive, send)
        if _connection(scope).is_gone():  # by our own doing: the server is to know it before we return
            while (await receive())["type"] != "http.disconnect":
                pass

    def _due(self, request: Request) -> Rule | None:
        return self._faults.take(
            _of_requests,
            host=request.url.hostname or "",
            method=request.method,
            path=request.url.path,
            vm=self._vm_name(request.state.caller.vm_id),
        )

    async def _before(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        """What happens instead of the work, or before it, or to its answer on the way."""
        fault = rule.fault
        if fault.status or fault.reset:
            await _read_all(receive)
            await self._misbehave(rule, scope, send, [])
        elif fault.cut is not None:
            await self._app(scope, receive, _Cut(send, fault.cut, _connection(scope)))
        elif fault.flip is not None:
            await self._app(scope, receive, _Flip(send, fault.flip))
        else:
            await self._wait(rule, _connection(scope))
            if fault.stall and _connection(scope).is_gone():  # it was never more than on its way
                return
            await self._app(scope, receive, send)

    async def _misbehave(self, rule: Rule, scope: Scope, send: Send, answer: list[Message]) -> None:
        """What happens to an answer that is there."""
        fault, connection = rule.fault, _connection(scope)
        if fault.reset:
            connection.reset()
        elif fault.status:
            await _answer(rule, Request(scope))(scope, _nothing, send)
        else:
            await self._wait(rule, connection)
            for message in answer:
                await send(message)

    async def _wait(self, rule: Rule, connection: Connection) -> None:
        if rule.fault.stall:
            await self._faults.held(rule, connection.is_gone)
        await asyncio.sleep(rule.fault.delay)


def _connection(scope: Scope) -> Connection:
    connection: Connection = scope["state"]["connection"]
    return connection


async def _read_all(receive: Receive) -> None:
    """Take the request's body, so that the client has sent it before it learns what became of it."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _answer(rule: Rule, request: Request) -> Response:
    """The answer that a rule gives, in the form of errors of the host where it gives no body."""
    fault = rule.fault
    content = fault.body
    if not content and fault.status >= 400:
        phrase = responses.get(fault.status, "Error")
        message = f"The sandbox was told to answer so (fault {rule.id})."
        error = {"code": phrase.title().replace(" ", ""), "message": message}
        if request.url.path.startswith("/v2/"):
            content = json.dumps({"errors": [{**error, "code": phrase.upper().replace(" ", "")}]})
        else:
            content = json.dumps({"error": error})
    response = Response(content, fault.status)
    if content:
        response.headers["Content-Type"] = "application/json; charset=utf-8"
    response.headers["x-ms-request-id"] = response.headers["x-ms-correlation-request-id"] = str(uuid.uuid4())
    for name, value in fault.headers.items():
        response.headers[name] = value
    return response


class _Cut:
    """Lets so many bytes of the body through and closes the connection then."""

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
    """Lets the body through with one byte of it changed; what vouches for it stays as it was."""

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
