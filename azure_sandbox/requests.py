"""Requests as every host of the sandbox reads them: tokens, forms, JSON, and notes for the traffic log."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


class _Otherwise:
    """An ASGI application, since a route to a function would take the methods only that it lists."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._answer(Request(scope, receive)))(scope, receive, send)


def otherwise(answer: Callable[[Request], Awaitable[Response]]) -> Route:
    """The last route of a host: it answers what no other one does, whatever the path and the method."""
    return Route("/{path:path}", _Otherwise(answer))


def not_emulated(request: Request) -> str:
    """The sentence for a request that no route answers."""
    return (
        f"The sandbox does not emulate {request.method} {request.url.path} at {request.url.hostname}: what it emulates is "
        "in its documentation (docs/sandbox/operations.md)."
    )


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of an application/x-www-form-urlencoded body; a field may come several times."""
    body = (await request.body()).decode("utf-8", "replace")
    return parse_qs(body, keep_blank_values=True)


def parse_json(content: bytes, *, strict: bool = True) -> Any:
    """The value of a JSON text. Raises ValueError also for what Python's reader takes but no answer could repeat.

    Args:
        strict: strings have no line ends in them.
    """
    try:
        value = json.loads(content, strict=strict)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # NaN, 1e999, half of a surrogate pair
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return value


# Text that runs to the end belongs to a match too, so that no place of the text is looked at twice.
_COMMENT = re.compile(r'("(?:[^"\\]|\\.?)*(?:"|\Z))|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_LAX = re.compile(r'("(?:[^"\\]|\\.?)*(?:"|\Z))|(?<!\w)([A-Za-z_$]\w*)\b(?=\s*:)|,(?=\s*[}\]])', re.DOTALL)


def parse_lax_json(content: bytes) -> Any:
    """As parse_json, with what Resource Manager takes in a template, and azure-cli sends: comments, names without quotes,
    commas behind the last member, strings of several lines.
    """
    text = _COMMENT.sub(lambda match: match[1] or " ", content.decode())
    text = _LAX.sub(lambda match: match[1] or (f'"{match[2]}"' if match[2] else ""), text)
    return parse_json(text.encode(), strict=False)


def bearer_token(request: Request) -> str | None:
    """The token of the Authorization header, where it is a bearer token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def basic_credentials(request: Request) -> tuple[str, str] | None:
    """User and password of the Authorization header, where it is a Basic one. Raises ValueError where that is broken."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    return user, password


# The claims of a token that say who may do what, where and for how long.
_CLAIMS = ("aud", "oid", "sub", "xms_mirid", "access", "nbf", "exp")


def note(request: Request, **facts: Any) -> None:
    """Let the traffic log know what a request was about: names and ids, never a token or another secret.

    The facts are `principal` (who asked: an object id), `resource` and `identity` (what the metadata service was asked
    for), `issued` (the claims of the token that was answered) and `found` (how many entries a list had).
    """
    request.state.noted = {**getattr(request.state, "noted", {}), **facts}


def note_token(request: Request, token: str) -> None:
    """Let the traffic log know what the token says that is answered. Neither it nor its signature is kept."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    note(request, issued={name: claims[name] for name in _CLAIMS if name in claims})
