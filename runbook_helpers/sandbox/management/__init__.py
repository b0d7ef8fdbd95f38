"""Azure Resource Manager: one file a provider namespace, and here the table that finds the right one.

Hosts: management.chinacloudapi.cn, management.azure.com, management.usgovcloudapi.net.
"""

from __future__ import annotations

import re
import uuid

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from ..played_cloud import PlayedCloud
from . import authorization, compute, container_registry, managed_identity, network, resources
from .arm import ArmError, Call, Operation, authenticate, authorize, group_id, read_body

_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-\w+)?")


class _CaseInsensitiveRoute(Route):
    """Resource Manager takes a path in any case; clients do write resourcegroups and resourceGroups."""

    def __init__(self, operation: Operation, played: PlayedCloud) -> None:
        async def endpoint(request: Request) -> Response:
            return await _perform(played, operation, request)

        super().__init__(operation.path, endpoint, methods=[operation.method])
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)
        self._only = operation.method

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # Starlette would let GET answer HEAD, and answer 405 itself where only the path matches.
        match, child = super().matches(scope)
        return (match, child) if match == Match.FULL and scope["method"] == self._only else (Match.NONE, {})


class Management:
    """Resource Manager of one played cloud."""

    def __init__(self, played: PlayedCloud) -> None:
        self._played = played
        operations: list[Operation] = [
            operation
            for provider in (resources, network, compute, managed_identity, authorization, container_registry)
            for operation in provider.OPERATIONS
        ]
        self.routes: list[BaseRoute] = [_CaseInsensitiveRoute(operation, played) for operation in operations]
        self.routes.append(Route("/{path:path}", self.not_emulated, methods=["GET", "PUT", "POST", "PATCH", "DELETE"]))

    async def not_emulated(self, request: Request) -> Response:
        message = (
            f"The sandbox does not emulate {request.method} {request.url.path}: it plays the operations of the "
            "walkthrough only."
        )
        return ArmError(501, "NotImplementedInSandbox", message).response()


async def _perform(played: PlayedCloud, operation: Operation, request: Request) -> Response:
    try:
        response = await _answer(played, operation, request)
    except ArmError as error:
        response = error.response()
    request_id = str(uuid.uuid4())
    for name in ("x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id"):
        response.headers.setdefault(name, request_id)
    for name, value in (("Cache-Control", "no-cache"), ("Pragma", "no-cache"), ("Expires", "-1")):
        response.headers.setdefault(name, value)
    response.headers["x-content-type-options"] = "nosniff"
    return response


async def _answer(played: PlayedCloud, operation: Operation, request: Request) -> Response:
    parameters: dict[str, str] = dict(request.path_params)
    version = request.query_params.get("api-version")
    if version is None and operation.action is not None:
        message = "The api-version query parameter (?api-version=) is required for all requests."
        raise ArmError(400, "MissingApiVersionParameter", message, gateway=True)
    if version is not None and not _API_VERSION.fullmatch(version):
        message = f"The api-version '{version}' is invalid. The expected format is yyyy-mm-dd[-preview]."
        raise ArmError(400, "InvalidApiVersionParameter", message, gateway=True)
    if operation.path.startswith("/metadata/"):
        return await operation.handler(Call(played, request, {}, parameters))
    claims = authenticate(played, request)
    subscription = parameters.get("subscription", played.subscription_id)
    if subscription.lower() != played.subscription_id:
        message = f"The subscription '{subscription}' could not be found."
        raise ArmError(404, "SubscriptionNotFound", message, gateway=True)
    if operation.action is not None:
        authorize(played, claims, operation.action, request.url.path.rstrip("/"))
        parameters["action"] = operation.action
    group = parameters.get("group")
    if group is not None and operation.needs_group and played.state.get(group_id(played, group)) is None:
        message = f"Resource group '{group}' could not be found."
        raise ArmError(404, "ResourceGroupNotFound", message, gateway=True)
    return await operation.handler(Call(played, request, claims, parameters, await read_body(request)))
