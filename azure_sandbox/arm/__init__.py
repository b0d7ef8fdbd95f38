"""Azure Resource Manager: one file a provider namespace, and here the table that finds the right one.

Hosts: management.chinacloudapi.cn, management.azure.com, management.usgovcloudapi.net.
"""

from __future__ import annotations

import logging
import re
import uuid

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from ..limits import ARM_LIMITS
from ..resource import Json, ResourceId
from ..tenant import Tenant
from . import authorization, compute, container_registry, deployments, errors, managed_identity, network, resources
from .call import Call, Operation, authenticate, authorize, read_body
from .errors import ArmError

logger = logging.getLogger(__name__)
_METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
_API_VERSION = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(-\w+)?")


OPERATIONS: list[Operation] = [
    operation
    for provider in (resources, deployments, network, compute, managed_identity, authorization, container_registry)
    for operation in provider.OPERATIONS
]
"""All that the sandbox emulates of Resource Manager."""

for _path in sorted({operation.path for operation in OPERATIONS}):
    if _match := re.search(r"/providers/(Microsoft\.\w+)/(\w+)(?:/\{name\})?$", _path):
        _types = resources.PROVIDERS.setdefault(_match[1], [])
        if _match[2] not in _types:
            _types.append(_match[2])


class _CaseInsensitiveRoute(Route):
    """Resource Manager takes a path in any case; clients do write resourcegroups and resourceGroups."""

    def __init__(self, operation: Operation, tenant: Tenant) -> None:
        async def endpoint(request: Request) -> Response:
            return await _perform(tenant, operation, request)

        super().__init__(operation.path, endpoint, methods=[operation.method])
        self.path_regex = operation.pattern
        self._only = operation.method

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # Starlette would let GET answer HEAD, and answer 405 itself where only the path matches.
        # az resource show writes two slashes where a resource has no parent.
        path = re.sub("/{2,}", "/", scope["path"]).rstrip("/")
        match, child = super().matches({**scope, "path": path})
        if match == Match.FULL and scope["method"] == self._only:
            return match, {**child, "path": path, "query_string": _lower_names(scope["query_string"])}
        return Match.NONE, {}


def _lower_names(query: bytes) -> bytes:
    """A query whose parameters have their names in lower case: Resource Manager takes them in any."""
    return re.sub(rb"(^|&)[^=&]+", lambda match: match[0].lower(), query)


class Management:
    """Resource Manager of one emulated cloud."""

    def __init__(self, tenant: Tenant) -> None:
        self.routes: list[BaseRoute] = [_CaseInsensitiveRoute(operation, tenant) for operation in OPERATIONS]
        self._tenant = tenant
        self.routes.append(Route("/{path:path}", self.not_emulated, methods=_METHODS))

    async def not_emulated(self, request: Request) -> Response:
        """Nobody learns anything without a token and a subscription; then what is missing is said."""
        try:
            authenticate(self._tenant, request)
            match = re.match(r"/subscriptions/([^/]+)", request.url.path, re.IGNORECASE)
            _check_subscription(self._tenant, match[1] if match else self._tenant.subscription_id)
        except ArmError as error:
            return _finished(self._tenant, request, error.response(), {})
        return _finished(self._tenant, request, _not_emulated(request), {})


def _check_subscription(tenant: Tenant, subscription: str) -> None:
    if subscription.lower() != tenant.subscription_id:
        raise errors.subscription_not_found(subscription=subscription)


def _not_emulated(request: Request) -> Response:
    return errors.request_not_emulated(method=request.method, path=request.url.path).response()


async def perform(tenant: Tenant, request: Request) -> Response:
    """Answer a request that a deployment makes for its template, as if the client had sent it."""
    for operation in OPERATIONS:
        if operation.method == request.method and (match := operation.pattern.fullmatch(request.url.path)):
            request.scope["path_params"] = match.groupdict()
            return await _perform(tenant, operation, request)
    return _not_emulated(request)


async def _perform(tenant: Tenant, operation: Operation, request: Request) -> Response:
    headers: dict[str, str] = {}
    tenant.pending.settle()
    try:
        response = await _answer(tenant, operation, request, headers)
    except ArmError as error:
        response = error.response()
    except Exception:
        logger.exception("%s %s", request.method, request.url.path)
        response = errors.sandbox_failed().response()
    return _finished(tenant, request, response, headers)


def _finished(tenant: Tenant, request: Request, response: Response, headers: dict[str, str]) -> Response:
    """The answer with what every answer of Resource Manager has: the ids of the request, and no caching."""
    request_id = str(uuid.uuid4())
    headers |= {
        "x-ms-request-id": request_id,
        "x-ms-correlation-request-id": request_id,
        "x-ms-routing-request-id": f"SANDBOX:{tenant.clock.timestamp()[:19]}Z:{request_id}".replace("-", "", 2),
        "Cache-Control": "no-cache",
        "Pragma": "no-cache",
        "Expires": "-1",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "x-content-type-options": "nosniff",
    }
    if "x-ms-client-request-id" in request.headers:
        headers["x-ms-client-request-id"] = request.headers["x-ms-client-request-id"]
    for name, value in headers.items():
        response.headers.setdefault(name, value)
    if response.media_type == "application/json":
        response.headers["Content-Type"] = "application/json; charset=utf-8"
    return response


def _count(tenant: Tenant, claims: Json, method: str, headers: dict[str, str]) -> None:
    """Take the request from the caller's bucket, and tell what is left of it; 429 where nothing is."""
    kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method, "writes")
    limit = ARM_LIMITS[kind]
    left, wait = tenant.buckets.take(("arm", claims["oid"], kind), limit, tenant.clock.now())
    if wait:
        error = errors.throttled(
            kind=kind[:-1],
            subscription=tenant.subscription_id,
            principal=claims["oid"],
            capacity=limit.capacity,
            seconds=wait,
        )
        raise error.with_headers(Retry_After=str(wait), Connection="close")
    headers[f"x-ms-ratelimit-remaining-subscription-{kind}"] = str(left)


async def _answer(tenant: Tenant, operation: Operation, request: Request, headers: dict[str, str]) -> Response:
    parameters: dict[str, str] = dict(request.path_params)
    version = request.query_params.get("api-version")
    if version is None and not operation.path.startswith("/metadata/"):
        raise errors.missing_version()
    if version is not None and not _API_VERSION.fullmatch(version):
        raise errors.invalid_version(version=version)
    if operation.path.startswith("/metadata/"):
        return await operation.handler(Call(tenant, request, {}, parameters, perform))
    claims = authenticate(tenant, request)
    _count(tenant, claims, request.method, headers)
    _check_subscription(tenant, parameters.get("subscription", tenant.subscription_id))
    if operation.action is not None:
        action = operation.action.format(**parameters)
        authorize(tenant, claims, action, ResourceId(request.url.path))
        parameters["action"] = action
    group = parameters.get("group")
    if group is not None and operation.needs_group and tenant.store.get(tenant.group(group)) is None:
        raise errors.group_not_found(group=group)
    body = await read_body(request)
    kind = (operation.action or "").rpartition("/")[0]
    namespace = kind.partition("/")[0]
    if request.method == "PUT" and group and not resources.is_registered(tenant, namespace):
        raise errors.provider_not_registered(provider=namespace)
    location = str(body.get("location") or "").replace(" ", "").lower()
    if request.method == "PUT" and group and location and location not in (*tenant.cloud.locations, "global"):
        raise errors.location_not_available(
            location=body["location"], kind=kind, regions=",".join(tenant.cloud.locations)
        )
    return await operation.handler(Call(tenant, request, claims, parameters, perform, body))
