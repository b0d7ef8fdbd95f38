"""Microsoft.ManagedIdentity: user-assigned identities, and the service principals behind all managed identities."""

from __future__ import annotations

import re

from starlette.responses import JSONResponse, Response

from ..faults.rules import Hide
from ..resource import IDENTITY, Json, Resource, ResourceId
from ..tenant import Tenant
from ..topology import at_resource
from . import errors, names
from .call import Call


async def put(call: Call) -> Response:
    name = call.parameters["name"]
    if not names.is_valid(IDENTITY, name):
        raise errors.invalid_identity_name(name=name)
    # The provider writes resourcegroups in lower case in the id of its resources.
    resource_id = re.sub("/resourceGroups/", "/resourcegroups/", str(call.id))
    resource = call.tenant.store.get(resource_id)
    status = 200 if resource else 201
    if resource is None:
        location = call.location()
        principal = call.tenant.create_principal(resource_id, name, "ManagedIdentity", resource_id)
        resource = Resource(
            {
                "location": location,
                "tags": {},
                "id": resource_id,
                "name": name,
                "type": IDENTITY,
                "properties": {
                    "tenantId": call.tenant.tenant_id,
                    "principalId": principal["objectId"],
                    "clientId": principal["appId"],
                },
            }
        )
    resource["tags"] = call.body.get("tags", resource["tags"])
    call.tenant.store.put(resource)
    if fault := call.fault(Hide):
        call.tenant.pending.hide(fault, resource.properties["principalId"])
    headers = {"Location": resource_id} if status == 201 else {}
    return JSONResponse(resource, status_code=status, headers=headers)


async def get_all(call: Call) -> Json:
    return {"value": call.readable()}


async def get(call: Call) -> Json:
    return call.existing()


async def patch(call: Call) -> Json:
    resource = call.existing()
    resource["tags"] = call.body.get("tags", resource["tags"])
    call.tenant.store.put(resource)
    return resource


async def delete(call: Call) -> Response:
    resource = call.stored()
    if resource is None:
        return Response(status_code=204)
    await remove(call.tenant, resource)
    return Response(status_code=200)


async def remove(tenant: Tenant, resource: Resource) -> None:
    """Delete an identity: its service principal goes with it, its role assignments stay as orphans."""
    with tenant.store.transaction():
        tenant.delete_principal(str(resource.id))
        tenant.delete_resource(resource.id)


def apply_identity(call: Call, resource: Resource, wanted: Json, *, merge: bool) -> None:
    """Give a resource the identities that a PUT (all of them) or a PATCH (a merge) asks for."""
    kinds = {kind.strip().lower() for kind in str(wanted.get("type", "")).split(",")}
    if kinds != {"none"} and not kinds <= {"systemassigned", "userassigned"}:
        given_type = wanted.get("type")
        raise errors.invalid_identity_type(type=given_type) if given_type else errors.missing_identity_type()
    current = resource.get("identity", {})
    given = wanted.get("userAssignedIdentities") or {}
    if given and "userassigned" not in kinds:
        raise errors.unexpected_identities(type=wanted.get("type"))
    attached = _attached(call, resource, current, given, merge=merge) if "userassigned" in kinds else {}
    if "userassigned" in kinds and not attached:
        raise errors.missing_identities()
    identity: Json = {}
    had_system = "SystemAssigned" in current.get("type", "")
    if "systemassigned" in kinds:
        principal_id = current.get("principalId")
        if not had_system:
            created = call.tenant.create_principal(resource["id"], resource["name"], "ManagedIdentity", resource["id"])
            principal_id = created["objectId"]
        identity = {"principalId": principal_id, "tenantId": call.tenant.tenant_id}
    elif had_system:
        call.tenant.delete_principal(resource["id"])
    before = _principals(current)
    names = [name for name in ("SystemAssigned", "UserAssigned") if name.lower() in kinds]
    if names:
        resource["identity"] = {"type": ", ".join(names), **identity}
        if attached:
            resource["identity"]["userAssignedIdentities"] = attached
    else:
        resource.pop("identity", None)
    new = _principals(resource.get("identity", {})) - before
    if new and (fault := call.fault(Hide)):
        call.tenant.pending.hide(fault, *(at_resource(resource, principal_id) for principal_id in new))


def _principals(identity: Json) -> set[str]:
    attached = identity.get("userAssignedIdentities", {}).values()
    return {each["principalId"] for each in (identity, *attached) if "principalId" in each}


def _attached(call: Call, resource: Resource, current: Json, given: Json, *, merge: bool) -> Json:
    """The user-assigned identities after the change; null detaches one.

    What is attached stays as it was shown, also where the identity was made anew since: it has to be detached first. One
    that is gone lets no change pass that would keep it.
    """
    kept = {ResourceId(key): (key, value) for key, value in current.get("userAssignedIdentities", {}).items()}
    result = dict(kept) if merge else {}
    for identity_id, value in given.items():
        wanted = ResourceId(identity_id)
        if value is None:
            result.pop(wanted, None)
        else:
            result[wanted] = kept.get(wanted) or (identity_id, {})
    for wanted, (identity_id, shown) in result.items():
        found = call.tenant.store.get(identity_id)
        if found is None or found.type != IDENTITY:
            raise errors.identity_not_found(resource=resource.id, identity=identity_id)
        if wanted not in kept:
            call.require(f"{IDENTITY}/assign/action", found.id)
            shown |= {key: found.properties[key] for key in ("principalId", "clientId")}
    return dict(result.values())
