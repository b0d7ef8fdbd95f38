"""One request to Resource Manager, as its handler gets it, and the route by which it came."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path

from .. import members
from ..access.decide import decide, scope_of
from ..faults.active import F
from ..resource import Json, Resource, ResourceId, spelled
from ..tenant import Tenant
from . import errors


@dataclass
class Call:
    """One authenticated and authorised request to Resource Manager."""

    tenant: Tenant
    request: Request
    claims: Json
    parameters: dict[str, str]
    perform: Callable[[Request], Awaitable[Response]]
    """Answers another request, one that a deployment makes, as if the client had sent it."""
    check: Callable[[Request], Awaitable[None]]
    """Refuses what would be refused of such a request before its handler is called."""
    providers: Mapping[str, list[str]]
    """The provider namespaces that there are, and their types."""
    body: Json = field(default_factory=dict)
    failed: bool = False
    """Whether a fault lets the long-running operation fail that the call has started."""

    @cached_property
    def id(self) -> ResourceId:
        """The request's path, with the resource group as it was first written."""
        group = self.parameters.get("group")
        path = self.request.url.path
        if group is None:
            return ResourceId(path)
        stored = self.tenant.store.get(self.tenant.group(group))
        name = stored.name if stored else group
        return ResourceId(
            re.sub("/resourcegroups/[^/]+", f"/resourceGroups/{name}", path, count=1, flags=re.IGNORECASE)
        )

    @property
    def resource_type(self) -> str:
        """The type of the resource, or of the resources, that the request is about, as Azure's reference writes it."""
        found = spelled(self.id.type, members.TYPES)
        assert found, self.id
        return found

    @property
    def api_version(self) -> str:
        return self.request.query_params["api-version"]

    @property
    def base_url(self) -> str:
        return f"https://{self.request.url.hostname}"

    def stored(self) -> Resource | None:
        """The resource that the request names, where there is one."""
        return self.tenant.store.get(self.id)

    def existing(self) -> Resource:
        """The resource that the request names; 404 where there is none."""
        return self._existing(self.id)

    def parent(self) -> Resource:
        """The resource whose child or action the request names; 404 where there is none."""
        return self._existing(self.id.parent)

    def _existing(self, resource_id: ResourceId) -> Resource:
        resource = self.tenant.store.get(resource_id)
        if resource is None:
            raise errors.resource_not_found(id=resource_id)
        return resource

    def location(self) -> str:
        """The location in the body, which must have one."""
        location = self.body.get("location")
        if not location:
            raise errors.location_required()
        return str(location)

    def may(self, action: str, scope: ResourceId) -> bool:
        return bool(decide(self.tenant, self.claims["oid"], action, scope))

    def authorize(self, action: str, scope: ResourceId) -> None:
        """Refuse the call where its caller may not do the action on the scope."""
        decision = decide(self.tenant, self.claims["oid"], action, scope)
        client, principal = self.claims["appid"], self.claims["oid"]
        if denial := decision.denial:
            name, denial_id = denial.properties["denyAssignmentName"], denial.name.replace("-", "")
            raise errors.denied(
                client=client,
                principal=principal,
                action=action,
                scope=scope,
                name=name,
                id=denial_id,
                at=scope_of(denial),
            )
        if not decision:
            raise errors.not_authorized(client=client, principal=principal, action=action, scope=scope)

    def require(self, action: str, scope: ResourceId) -> None:
        """Refuse the call where its caller may not do a further action, on a linked resource."""
        if not self.may(action, scope):
            raise errors.not_authorized_on_linked(
                client=self.claims["appid"],
                principal=self.claims["oid"],
                own=self.parameters["action"],
                scope=self.request.url.path,
                action=action,
                linked=scope,
            )

    def readable(self) -> list[Resource]:
        """The resources of the type, below the group or subscription that is asked for, which the caller may read."""
        found = self.tenant.store.resources(under=self.id.scope, type=self.resource_type)
        return [resource for resource in found if self.may(f"{self.resource_type}/read", resource.id)]

    def fault(self, fault_type: type[F]) -> F | None:
        """The fault of a type, such as Hide, that affects this request."""
        url = self.request.url
        return self.tenant.faults.take(fault_type, host=url.hostname or "", method=self.request.method, path=url.path)


Handler = Callable[[Call], Awaitable[Response | Json | list[Json]]]
"""Answers a call, with a response or, where that is all of it, with the JSON of a 200."""


@dataclass(frozen=True)
class Route:
    """One operation of Resource Manager: its address, what it needs to be allowed, and who answers it."""

    method: str
    path: str
    """As in Azure's reference: /subscriptions/{subscription}/resourceGroups/{group}/providers/…"""
    action: str | None
    """The permission it needs, on the resource; None where everybody who is authenticated may ask."""
    handler: Handler

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The path, which Resource Manager takes in any case."""
        return re.compile(compile_path(self.path)[0].pattern, re.IGNORECASE)


def answer(resource: Json, *, status: int = 200, state: str | None = None, **headers: str) -> JSONResponse:
    """A resource as an answer; `state` shows another provisioningState than the stored one."""
    if state:
        resource = _in_state(resource, state)
    return JSONResponse(resource, status_code=status, headers={k.replace("_", "-"): v for k, v in headers.items()})


def _in_state(resource: Any, state: str) -> Any:
    """The resource, and what is stored inside it, with this provisioningState."""
    if isinstance(resource, list):
        return [_in_state(each, state) for each in resource]
    if not isinstance(resource, dict):
        return resource
    return {key: state if key == "provisioningState" else _in_state(each, state) for key, each in resource.items()}
