"""The gateway of Resource Manager: who asks, may they, is the request well-formed; then its handler.

Hosts: management.chinacloudapi.cn, management.azure.com, management.usgovcloudapi.net.
"""

from __future__ import annotations

import logging
import re
import uuid
from datetime import UTC, datetime

import starlette.routing
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from .. import members
from ..clouds import plain
from ..errors import StateError
from ..limits import ARM_LIMITS
from ..requests import bearer_token, note, otherwise, parse_json, parse_lax_json
from ..resource import DEPLOYMENT, Json, ResourceId
from ..tenant import Tenant
from ..tokens import TokenError
from . import authorization, compute, deny_assignments, errors, locks, resources
from .call import Call, Route
from .errors import ArmError

logger = logging.getLogger(__name__)
_FILTERED = (
    resources.list_resources,
    resources.list_groups,
    authorization.list_definitions,
    authorization.list_assignments,
    deny_assignments.get_all,
    locks.get_all,
)
"""The handlers that do what $filter asks for."""
_PAGES = {"$top", "$skiptoken", "$orderby"}
_API_VERSION = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(-\w+)?")


class _CaseInsensitiveRoute(starlette.routing.Route):
    """Resource Manager takes a path in any case; clients do write resourcegroups and resourceGroups."""

    def __init__(self, gateway: Gateway, route: Route) -> None:
        async def endpoint(request: Request) -> Response:
            return await gateway.answer(route, request)

        super().__init__(route.path, endpoint, methods=[route.method])
        self.path_regex = route.pattern
        self._only = route.method

    def matches(self, scope: Scope) -> tuple[starlette.routing.Match, Scope]:
        # Starlette would let GET answer HEAD, and answer 405 itself where only the path matches.
        # az resource show writes two slashes where a resource has no parent.
        path = re.sub("/{2,}", "/", scope["path"]).rstrip("/")
        match, child = super().matches({**scope, "path": path})
        if match == starlette.routing.Match.FULL and scope["method"] == self._only:
            return match, {**child, "path": path, "query_string": _lower_names(scope["query_string"])}
        return starlette.routing.Match.NONE, {}


def _lower_names(query: bytes) -> bytes:
    """A query whose parameters have their names in lower case: Resource Manager takes them in any."""
    return re.sub(rb"(^|&)[^=&]+", lambda match: match[0].lower(), query)


def _providers(routes: list[Route]) -> dict[str, list[str]]:
    """The types that the routes name, by provider."""
    providers: dict[str, list[str]] = {}
    for path in sorted({route.path for route in routes}):
        if match := re.search(r"/providers/(Microsoft\.\w+)/(\w+)(?:/\{name\})?$", path):
            types = providers.setdefault(match[1], [])
            types += [match[2]] if match[2] not in types else []
    return providers


class Gateway:
    """Resource Manager of one emulated cloud."""

    def __init__(self, tenant: Tenant, routes: list[Route]) -> None:
        self._tenant, self._routes = tenant, routes
        self._providers = _providers(routes)
        self.routes: list[starlette.routing.BaseRoute] = [_CaseInsensitiveRoute(self, route) for route in routes]
        self.routes.append(otherwise(self.not_emulated))

    async def not_emulated(self, request: Request) -> Response:
        """The refusal of a request without a route; without a token and a subscription nobody learns that it has none."""
        try:
            _authenticate(self._tenant, request)
            match = re.match(r"/subscriptions/([^/]+)", request.url.path, re.IGNORECASE)
            _in_subscription(self._tenant, match[1] if match else self._tenant.subscription_id)
            refusal = errors.request_not_emulated(method=request.method, path=request.url.path)
        except ArmError as error:
            refusal = error
        return self._finished(request, refusal.response(), {})

    async def perform(self, request: Request) -> Response:
        """Answer a request that a deployment makes for its template, as if the client had sent it."""
        route = self._route(request)
        return (
            errors.request_not_emulated(method=request.method, path=request.url.path).response()
            if route is None
            else await self.answer(route, request)
        )

    async def check(self, request: Request) -> None:
        """Refuse what would be refused of a request before its handler is called."""
        route = self._route(request)
        if route is None:
            raise errors.request_not_emulated(method=request.method, path=request.url.path)
        await self._checked(route, request, {})

    def _route(self, request: Request) -> Route | None:
        """The route of a request, which gets the parameters in its path."""
        for route in self._routes:
            if route.method == request.method and (match := route.pattern.fullmatch(request.url.path)):
                request.scope["path_params"] = match.groupdict()
                return route
        return None

    async def answer(self, route: Route, request: Request) -> Response:
        headers: dict[str, str] = {}
        self._tenant.pending.settle()
        try:
            answered = await route.handler(await self._checked(route, request, headers))
            response = answered if isinstance(answered, Response) else JSONResponse(answered)
        except ArmError as error:
            response = error.response()
        except StateError:  # said for every host in one place
            raise
        except Exception:
            logger.exception("%s %s", request.method, request.url.path)
            response = errors.sandbox_failed().response()
        return self._finished(request, response, headers)

    async def _checked(self, route: Route, request: Request, headers: dict[str, str]) -> Call:
        """The request as a call, after all that Resource Manager looks at itself."""
        tenant = self._tenant
        call = Call(tenant, request, {}, dict(request.path_params), self.perform, self.check, self._providers)
        anonymous = route.path.startswith("/metadata/")
        _check_version(request.query_params.get("api-version"), needed=not anonymous)
        if anonymous:
            return call
        call.claims = _authenticate(tenant, request)
        headers |= _count(call)
        call.tenant = tenant = _in_subscription(tenant, call.parameters.get("subscription", tenant.subscription_id))
        if route.action is not None:
            call.parameters["action"] = route.action.format(**call.parameters)
            call.authorize(call.parameters["action"], ResourceId(request.url.path))
        filtered = request.query_params.get("$filter")
        if filtered and route.handler not in _FILTERED:
            raise errors.filter_not_emulated(
                filter=filtered, known="that of groups, resources, roles and their assignments"
            )
        pages = sorted(_PAGES & {each.lower() for each in request.query_params})
        if pages and route.handler is not compute.list_image_versions:  # of which there is one
            raise errors.pages_not_emulated(option=pages[0])
        group = call.parameters.get("group")
        if group is not None and tenant.store.get(tenant.group(group)) is None:
            raise errors.group_not_found(group=group)
        if request.method not in ("GET", "HEAD") and not (route.action or "").endswith("/read"):
            locks.refuse(call)
        resource_type = (route.action or "").rpartition("/")[0]
        if request.method in ("PUT", "PATCH", "POST"):
            call.body = await _read_body(request, resource_type)
            _check_tags(call.body.get("tags") or {})
        if request.method == "PUT" and group:
            _check_new(call, resource_type)
        return call

    def _finished(self, request: Request, response: Response, headers: dict[str, str]) -> Response:
        """The answer with what every answer of Resource Manager has: the ids of the request, and no caching."""
        request_id = str(uuid.uuid4())
        headers |= {
            "x-ms-request-id": request_id,
            "x-ms-correlation-request-id": request_id,
            "x-ms-routing-request-id": f"SANDBOX:{self._tenant.clock.timestamp()[:19]}Z:{request_id}".replace(
                "-", "", 2
            ),
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


def _check_version(version: str | None, *, needed: bool) -> None:
    if version is None and needed:
        raise errors.missing_version()
    if version is not None and not _API_VERSION.fullmatch(version):
        raise errors.invalid_version(version=version)


def _in_subscription(tenant: Tenant, subscription: str) -> Tenant:
    """The tenant as it is seen in a subscription."""
    for there in tenant.subscriptions():
        if there.subscription_id == subscription.lower():
            return there
    raise errors.subscription_not_found(subscription=subscription)


def _check_new(call: Call, resource_type: str) -> None:
    """What a resource that is made needs: a provider that is registered, and a region that there is."""
    tenant, location = call.tenant, call.body.get("location")
    provider = resource_type.partition("/")[0]
    if not resources.is_registered(tenant, provider):
        raise errors.provider_not_registered(provider=provider)
    region = plain(str(location or ""))
    if region and region not in tenant.cloud.locations:
        regions = ",".join(tenant.cloud.locations)
        raise errors.location_not_available(location=location, resource_type=resource_type, regions=regions)

    existing = call.stored()
    if region and existing and existing.location and region != plain(existing.location):
        raise errors.other_location(
            name=existing.name, existing=existing.location, group=existing.id.group, location=location
        )


_NOT_IN_TAGS = re.compile(r"[<>%&\\?/\x00-\x1f\x7f]")


def _check_tags(tags: Json) -> None:
    """The limits of tags, which hold for resources of all types."""
    if not isinstance(tags, dict):  # of a request that the table of members does not have
        raise errors.invalid_body(reason="'tags must be an object'")
    if len(tags) > 50:
        raise errors.too_many_tags(count=len(tags))
    if bad := [name for name in tags if _NOT_IN_TAGS.search(name)]:
        raise errors.invalid_tag_characters(names=", ".join(bad))
    for name, value in tags.items():
        if value is not None and not isinstance(value, str):
            raise errors.invalid_body(reason=f"'tags.{name} must be a string'")
        if len(name) > 512:
            raise errors.tag_name_too_long(name=name)
        if len(value or "") > 256:
            raise errors.tag_value_too_long(value=value)


def _count(call: Call) -> dict[str, str]:
    """Take the request from the caller's bucket, and tell what is left of it; 429 where nothing is."""
    kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(call.request.method, "writes")
    principal, limit = call.claims["oid"], ARM_LIMITS[kind]
    left, wait = call.tenant.buckets.take(("arm", principal, kind), limit, call.tenant.clock.now())
    if wait:
        error = errors.throttled(
            kind=kind[:-1],
            subscription=call.tenant.subscription_id,
            principal=principal,
            capacity=limit.capacity,
            seconds=wait,
        )
        raise error.with_headers(Retry_After=str(wait), Connection="close")
    return {f"x-ms-ratelimit-remaining-subscription-{kind}": str(left)}


def _authenticate(tenant: Tenant, request: Request) -> Json:
    """The claims of the caller's token; 401 as Resource Manager says it."""
    token = bearer_token(request)
    if token is None:
        raise _unauthorized(errors.missing_token(), "The access token is missing.")
    try:
        claims = tenant.verify_token(token, tenant.cloud.audiences)
        note(request, principal=claims["oid"])
        return claims
    except TokenError as error:
        if error.reason == TokenError.EXPIRED:
            refusal = errors.expired_token(expiry=_us_date_time(error.moment), now=_us_date_time(tenant.clock.now()))
            raise _unauthorized(refusal, "The access token has expired.") from error
        if error.reason == TokenError.AUDIENCE:
            allowed = ",".join(f"{audience}/" for audience in tenant.cloud.audiences)
            raise _unauthorized(errors.wrong_audience(audience=error, allowed=allowed)) from error
        if error.reason == TokenError.ISSUER:
            authority = f"https://login.windows.net/{tenant.tenant_id}"
            refusal = errors.wrong_issuer(issuer=error, expected=tenant.issuer, authority=authority)
            raise _unauthorized(refusal, authority=authority) from error
        raise _unauthorized(errors.invalid_token()) from error


def _us_date_time(moment: float) -> str:
    """A moment as Resource Manager puts it in a sentence: 10/16/2018 6:09:32 PM."""
    time = datetime.fromtimestamp(moment, UTC)
    return f"{time.month}/{time.day}/{time.year} {time.hour % 12 or 12}:{time:%M:%S} {time:%p}"


def _unauthorized(refusal: ArmError, description: str = "", authority: str = "https://login.windows.net/") -> ArmError:
    """The refusal with its challenge, which describes it as it does itself where there is no other description."""
    description = description or str(refusal)
    challenge = f'Bearer authorization_uri="{authority}", error="invalid_token", error_description="{description}"'
    return refusal.with_headers(WWW_Authenticate=challenge, Connection="close")


async def _read_body(request: Request, resource_type: str) -> Json:
    """The JSON object of a request, as the table of members wants it; empty where there is no body."""
    content = await request.body()
    if not content:
        return {}
    try:
        body = parse_lax_json(content) if resource_type.startswith(DEPLOYMENT) else parse_json(content)
        if isinstance(body, dict):
            return members.checked(body, resource_type, patch=request.method == "PATCH")
    except ValueError as error:
        raise errors.invalid_body(reason=f"'{error}'") from error
    except members.NotEmulated as error:
        raise errors.member_not_emulated(member=error, resource_type=resource_type) from error
    raise errors.invalid_body(reason="a JSON object was expected")
