"""What all resource providers share: one request's context, the error envelope, and long-running operations."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..access import decide
from ..played_cloud import PlayedCloud
from ..tokens import TokenError
from ..wire import bearer_token

Json = dict[str, Any]
GROUP = "Microsoft.Resources/resourceGroups"


class ArmError(Exception):
    """An error answer of Resource Manager or of a provider."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        headers: dict[str, str] | None = None,
        gateway: bool = False,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.target = status, code, target
        # Resource Manager's own errors carry this header, those of the providers behind it do not.
        self.headers = {**(headers or {}), **({"x-ms-failure-cause": "gateway"} if gateway else {})}

    def response(self) -> JSONResponse:
        error: Json = {"code": self.code, "message": str(self)}
        if self.target:
            error["target"] = self.target
        return JSONResponse({"error": error}, status_code=self.status, headers=self.headers)


def not_found(resource_id: str) -> ArmError:
    """The 404 of a resource in a resource group that exists."""
    match = re.search(r"/resourcegroups/([^/]+)/providers/([^/]+)/(.+)$", resource_id, re.IGNORECASE)
    assert match, resource_id
    group, namespace, rest = match.groups()
    parts = rest.split("/")
    kind, name = "/".join([namespace, *parts[0::2]]), "/".join(parts[1::2])
    message = (
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    )
    return ArmError(404, "ResourceNotFound", message, gateway=True)


@dataclass
class Call:
    """One authenticated and authorised request to Resource Manager."""

    played: PlayedCloud
    request: Request
    claims: Json
    parameters: dict[str, str]
    body: Json = field(default_factory=dict)

    @property
    def resource_id(self) -> str:
        """The request's path, with the resource group as it was first written."""
        group = self.parameters.get("group")
        path = self.request.url.path.rstrip("/")
        if group is None:
            return path
        stored = self.played.state.get(group_id(self.played, group))
        name = stored["name"] if stored else group
        return re.sub(r"/resourcegroups/[^/]+", f"/resourceGroups/{name}", path, count=1, flags=re.IGNORECASE)

    @property
    def api_version(self) -> str:
        return self.request.query_params["api-version"]

    @property
    def base_url(self) -> str:
        return f"https://{self.request.url.hostname}"

    def existing(self) -> Json:
        """The resource that the request names; 404 where there is none."""
        resource = self.played.state.get(self.request.url.path)
        if resource is None:
            raise not_found(self.resource_id)
        return resource

    def require(self, action: str, scope: str) -> None:
        """Refuse the call where its caller may not do a further action, on a linked resource."""
        oid = self.claims["oid"]
        if not decide(self.played.state, oid, action, scope):
            message = (
                f"The client '{self.claims['appid']}' with object id '{oid}' has permission to perform action "
                f"'{self.parameters['action']}' on scope '{self.request.url.path}'; however, it does not have "
                f"permission to perform action '{action}' on the linked scope(s) '{scope}' or the linked scope(s) "
                "are invalid."
            )
            raise ArmError(403, "LinkedAuthorizationFailed", message, gateway=True)

    def start_operation(self, path: str, *, result: Json | None = None) -> str:
        """Note a finished operation under `path` and return the URL that clients poll."""
        name = path.rpartition("/")[2]
        now = self.played.clock.timestamp()
        document = {"name": name, "status": "Succeeded", "startTime": now, "endTime": now, "result": result}
        self.played.state.write("operation", path, document)
        return f"{self.base_url}{path}?api-version={self.api_version}"


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class Operation:
    """One route of Resource Manager: what it needs to be allowed, and who answers it."""

    method: str
    path: str
    """As in Azure's reference: /subscriptions/{subscription}/resourceGroups/{group}/providers/…"""
    action: str | None
    """The permission it needs, on the resource; None where everybody who is authenticated may ask."""
    handler: Handler
    needs_group: bool = True
    """Whether a resource group that is gone answers before the handler."""


def new_operation_id() -> str:
    return str(uuid.uuid4())


def group_id(played: PlayedCloud, name: str) -> str:
    return f"/subscriptions/{played.subscription_id}/resourceGroups/{name}"


def answer(resource: Json, *, status: int = 200, state: str | None = None, **headers: str) -> JSONResponse:
    """A resource as an answer; `state` shows another provisioningState than the stored one."""
    if state:
        resource = {**resource, "properties": {**resource["properties"], "provisioningState": state}}
    return JSONResponse(resource, status_code=status, headers={k.replace("_", "-"): v for k, v in headers.items()})


def authenticate(played: PlayedCloud, request: Request) -> Json:
    """The claims of the caller's token; 401 as Resource Manager says it."""
    token = bearer_token(request)
    if token is None:
        message = "Authentication failed. The 'Authorization' header is missing."
        raise _unauthorized("AuthenticationFailed", message, "The access token is missing.")
    try:
        return played.verify_token(token, played.cloud.audiences)
    except TokenError as error:
        if error.reason == TokenError.EXPIRED:
            message = f"The access token has expired; the current time is '{played.clock.timestamp()}'."
            raise _unauthorized("ExpiredAuthenticationToken", message, "The access token has expired.") from error
        if error.reason == TokenError.AUDIENCE:
            allowed = ",".join(f"{audience}/" for audience in played.cloud.audiences)
            message = (
                "The access token has been obtained for wrong audience or resource "
                f"'{error}'. It should exactly match with one of the allowed audiences '{allowed}'."
            )
            raise _unauthorized("InvalidAuthenticationTokenAudience", message, message) from error
        if error.reason == TokenError.ISSUER:
            message = f"The access token is from the wrong issuer '{error}'. It must match '{played.issuer}'."
            raise _unauthorized("InvalidAuthenticationTokenTenant", message, message) from error
        raise _unauthorized(
            "InvalidAuthenticationToken", "The access token is invalid.", "The access token is invalid."
        ) from error


def _unauthorized(code: str, message: str, description: str) -> ArmError:
    challenge = (
        f'Bearer authorization_uri="https://login.windows.net/", error="invalid_token", '
        f'error_description="{description}"'
    )
    return ArmError(401, code, message, headers={"WWW-Authenticate": challenge}, gateway=True)


def authorize(played: PlayedCloud, claims: Json, action: str, scope: str) -> None:
    """403 where the caller may not do the action on the scope."""
    if decide(played.state, claims["oid"], action, scope):
        return
    message = (
        f"The client '{claims['appid']}' with object id '{claims['oid']}' does not have authorization to perform "
        f"action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please "
        "refresh your credentials."
    )
    raise ArmError(403, "AuthorizationFailed", message, gateway=True)


async def read_body(request: Request) -> Json:
    """The JSON object of a request; empty where there is no body."""
    content = await request.body()
    if not content:
        return {}
    try:
        body = json.loads(content)
    except ValueError as error:
        message = f"The request content was invalid and could not be deserialized: '{error}'."
        raise ArmError(400, "InvalidRequestContent", message, gateway=True) from error
    if not isinstance(body, dict):
        message = "The request content was invalid and could not be deserialized: a JSON object was expected."
        raise ArmError(400, "InvalidRequestContent", message, gateway=True)
    return body
