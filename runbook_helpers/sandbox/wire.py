"""Small things that every host of the sandbox reads the same way."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of an application/x-www-form-urlencoded body; a field may come several times."""
    body = (await request.body()).decode("utf-8", "replace")
    return parse_qs(body, keep_blank_values=True)


def bearer_token(request: Request) -> str | None:
    """The token of the Authorization header, where it is a bearer token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
