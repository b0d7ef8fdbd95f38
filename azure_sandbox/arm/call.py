"""What all resource providers share: one request's context, the error envelope, and long-running operations."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path

from ..access.decide import decide
from ..faults.active import F
from ..faults.rules import FailedOperation, StuckOperation
from ..requests import bearer_token, note, parse_json
from ..resource import Json, Resource, ResourceId
from ..tenant import Tenant
from ..tokens import TokenError
from . import errors
from .errors import ArmError

_ALLOCATION = (
    "AllocationFailed",
    "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more about "
    "improving likelihood of allocation success at http://aka.ms/allocation-guidance",
)
_INTERNAL = ("InternalServerError", "An error occurred.")


@dataclass
class Call:
    """One authenticated and authorised request to Resource Manager."""

    tenant: Tenant
    request: Request
    claims: Json
    parameters: dict[str, str]
    perform: Callable[[Tenant, Request], Awaitable[Response]]
    """Answers another request, one that a deployment makes, as if the client had sent it."""
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
    def api_version(self) -> str:
        return self.request.query_params["api-version"]

    @property
    def base_url(self) -> str:
        return f"https://{self.request.url.hostname}"

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

    def require(self, action: str, scope: ResourceId) -> None:
        """Refuse the call where its caller may not do a further action, on a linked resource."""
        oid = self.claims["oid"]
        if not decide(self.tenant, oid, action, scope):
            raise errors.not_authorized_on_linked(
                client=self.claims["appid"],
                principal=oid,
                own=self.parameters["action"],
                scope=self.request.url.path,
                action=action,
                linked=scope,
            )

    def fault(self, kind: type[F]) -> F | None:
        """The fault of a kind, such as Hide, that affects this request."""
        url = self.request.url
        return self.tenant.faults.take(kind, host=url.hostname or "", method=self.request.method, path=url.path)

    def start_operation(
        self, path: str, *, word: str = "InProgress", result: Json | None = None, state: str = "Updating"
    ) -> str:
        """Note a long-running operation under `path` and return the URL that clients poll.

        What it does is done already; it is only shown as in progress, by the provider's `word` for that, as long as
        the sandbox's operation_seconds say. `result` is what it ends with. A fault may let it be stuck, with the
        resource in the provisioning state `state`, or fail.
        """
        clock = self.tenant.clock
        document = {
            "name": path.rpartition("/")[2],
            "startTime": clock.offset_timestamp(),
            "done": clock.now() + clock.settings.operation_seconds,
            "word": word,
            "result": result,
            **self._faulty_operation(state),
        }
        self.tenant.store.write("operation", path, document)
        return f"{self.base_url}{path}?api-version={self.api_version}"

    def _faulty_operation(self, state: str) -> Json:
        """What a fault makes of the operation that the request starts, and of its resource."""
        pending = self.tenant.pending
        fault = self.fault(StuckOperation) or self.fault(FailedOperation)
        leaves = self.request.method in ("PUT", "PATCH")
        if fault is None:
            pending.done(str(self.id))
            return {}
        if isinstance(fault, StuckOperation):
            if leaves:
                pending.leave(str(self.id), state, fault.id)
            return {"stuck": fault.id}
        self.failed = True
        if leaves:
            pending.leave(str(self.id), "Failed", None)
        compute = self.id.provider.lower() == "microsoft.compute"
        code, message = _ALLOCATION if compute and leaves else _INTERNAL
        return {"error": {"code": fault.code or code, "message": fault.message or message}}

    def operation(self) -> Json:
        """The operation that is polled: its document, with `status` and, when it has ended, `endTime`.

        Where it has failed it has `error` too.
        """
        document = self.tenant.store.read("operation", self.request.url.path)
        if document is None:
            raise errors.operation_not_found()
        error = document.pop("error", None)
        stuck = "stuck" in document and self.tenant.faults.has(document["stuck"])
        if stuck or document["done"] > self.tenant.clock.now():
            return {**document, "status": document["word"]}
        ended = {**document, "endTime": self.tenant.clock.offset_timestamp()}
        return {**ended, "status": "Failed", "error": error} if error else {**ended, "status": "Succeeded"}

    def operation_result(self) -> Json:
        """As `operation`, for the address that answers with the result; raises what a failed operation ends with."""
        operation = self.operation()
        if "error" in operation:
            raise errors.operation_failed(operation["error"])
        return operation

    def may(self, action: str, resource: Resource) -> bool:
        return bool(decide(self.tenant, self.claims["oid"], action, resource.id))

    def readable(self, kind: str) -> list[Resource]:
        """The resources of a type, below the group or subscription that is asked for, which the caller may read."""
        found = self.tenant.store.resources(under=self.id.scope, type=kind)
        return [resource for resource in found if self.may(f"{kind}/read", resource)]


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

    @property
    def pattern(self) -> re.Pattern[str]:
        """The path, which Resource Manager takes in any case."""
        return re.compile(compile_path(self.path)[0].pattern, re.IGNORECASE)


def lists(kind: str, show: Callable[[Call, Resource], Json] = lambda call, resource: resource) -> list[Operation]:
    """The operations that list a type's resources: of a group, and of the whole subscription."""

    async def list_them(call: Call) -> Response:
        return JSONResponse({"value": [show(call, resource) for resource in call.readable(kind)]})

    subscription = "/subscriptions/{subscription}"
    return [
        Operation("GET", f"{subscription}/resourceGroups/{{group}}/providers/{kind}", None, list_them),
        Operation("GET", f"{subscription}/providers/{kind}", None, list_them),
    ]


def new_operation_id() -> str:
    return str(uuid.uuid4())


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


def authenticate(tenant: Tenant, request: Request) -> Json:
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
            refusal = errors.expired_token(expiry=_spoken(error.moment), now=_spoken(tenant.clock.now()))
            raise _unauthorized(refusal, "The access token has expired.") from error
        if error.reason == TokenError.AUDIENCE:
            allowed = ",".join(f"{audience}/" for audience in tenant.cloud.audiences)
            raise _unauthorized(errors.wrong_audience(audience=error, allowed=allowed)) from error
        if error.reason == TokenError.ISSUER:
            authority = f"https://login.windows.net/{tenant.tenant_id}"
            refusal = errors.wrong_issuer(issuer=error, expected=tenant.issuer, authority=authority)
            raise _unauthorized(refusal, authority=authority) from error
        raise _unauthorized(errors.invalid_token()) from error


def _spoken(moment: float) -> str:
    """A moment as Resource Manager puts it in a sentence: 10/16/2018 6:09:32 PM."""
    time = datetime.fromtimestamp(moment, UTC)
    return f"{time.month}/{time.day}/{time.year} {time.hour % 12 or 12}:{time:%M:%S} {time:%p}"


def _unauthorized(refusal: ArmError, description: str = "", authority: str = "https://login.windows.net/") -> ArmError:
    """The refusal with its challenge, which describes it as it does itself where there is no other description."""
    description = description or str(refusal)
    challenge = f'Bearer authorization_uri="{authority}", error="invalid_token", error_description="{description}"'
    return refusal.with_headers(WWW_Authenticate=challenge, Connection="close")


def authorize(tenant: Tenant, claims: Json, action: str, scope: ResourceId) -> None:
    """403 where the caller may not do the action on the scope."""
    if decide(tenant, claims["oid"], action, scope):
        return
    raise errors.not_authorized(client=claims["appid"], principal=claims["oid"], action=action, scope=scope)


# What a member of a request's body must be, wherever it stands. The handlers rely on it.
_OBJECT = {
    "properties", "tags", "identity", "userAssignedIdentities", "networkRuleSet", "policies",
    "azureADAuthenticationAsArmPolicy", "source", "addressSpace", "networkSecurityGroup", "subnet",
    "publicIPAddress", "hardwareProfile", "storageProfile", "imageReference", "osDisk", "managedDisk", "osProfile",
    "linuxConfiguration", "ssh", "networkProfile", "template",
}  # fmt: skip
_OBJECTS = {
    "subnets", "securityRules", "ipConfigurations", "ipRules", "networkInterfaces", "publicKeys", "permissions",
    "resources",
}  # fmt: skip
_STRINGS = {
    "addressPrefixes", "targetTags", "script", "assignableScopes", "actions", "notActions", "dataActions",
    "notDataActions", "dependsOn", "sourceAddressPrefixes", "destinationAddressPrefixes", "sourcePortRanges",
    "destinationPortRanges",
}  # fmt: skip
_STRING = {
    "id", "name", "location", "type", "sourceImage", "registryUri", "mode", "commandId",
    "autoGeneratedDomainNameLabelScope", "adminUsername", "adminPassword", "computerName", "customData", "keyData",
    "path", "publisher", "offer", "version", "vmSize", "addressPrefix", "principalId", "principalType",
    "roleDefinitionId", "condition", "conditionVersion", "roleName", "description", "status", "apiVersion",
    "protocol", "access", "direction", "defaultAction", "publicNetworkAccess", "roleAssignmentMode",
    "publicIPAllocationMethod", "privateIPAllocationMethod", "managedBy", "destinationPortRange", "sourcePortRange",
    "sourceAddressPrefix", "destinationAddressPrefix", "storageAccountType", "caching", "createOption",
    "deleteOption",
}  # fmt: skip


def _checked(value: Any, path: str = "") -> Any:
    """The body without members that are null; 400 where a member is not what it must be.

    Null means the same as absent, except for an identity of a VM, where it detaches.
    """
    if isinstance(value, list):
        return [_checked(each, f"{path}[{position}]") for position, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    checked: Json = {}
    for key, member in value.items():
        where = f"{path}.{key}" if path else key
        if member is None:
            if path.endswith("userAssignedIdentities"):
                checked[key] = None
            continue
        wanted = (
            "an object" if (key in _OBJECT or where == "sku") and not isinstance(member, dict)
            else "an array" if key in _OBJECTS | _STRINGS and not isinstance(member, list)
            else "an array of objects" if key in _OBJECTS and not all(isinstance(each, dict) for each in member)
            else "an array of strings" if key in _STRINGS and not all(isinstance(each, str) for each in member)
            else "a string" if key in _STRING and not isinstance(member, str)
            else ""
        )  # fmt: skip
        if wanted:
            raise errors.invalid_body(reason=f"'{where} must be {wanted}'")
        # A template's members may be expressions, and its parameters have any name: they are looked at when evaluated.
        free = key in ("template", "parameters", "tags")
        checked[key] = member if free else _checked(member, where)
    return checked


async def read_body(request: Request) -> Json:
    """The JSON object of a request; empty where there is no body."""
    content = await request.body()
    if not content:
        return {}
    try:
        body = parse_json(content)
    except ValueError as error:
        raise errors.invalid_body(reason=f"'{error}'") from error
    if not isinstance(body, dict):
        raise errors.invalid_body(reason="a JSON object was expected")
    checked: Json = _checked(body)
    return checked
