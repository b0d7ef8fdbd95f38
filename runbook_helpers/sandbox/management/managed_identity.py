"""Microsoft.ManagedIdentity: user-assigned identities, and the service principals behind all managed identities."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import JSONResponse, Response

from ..played_cloud import PlayedCloud
from .arm import ArmError, Call, Operation, lists

TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}")


async def put(call: Call) -> Response:
    name = call.parameters["name"]
    if not _NAME.fullmatch(name):
        message = (
            f"The resource name '{name}' is invalid: it must begin with a letter or number and have between 3 and "
            "128 letters, numbers, hyphens and underscores."
        )
        raise ArmError(400, "InvalidResourceName", message)
    # The provider writes resourcegroups in lower case in the id of its resources.
    resource_id = re.sub("/resourceGroups/", "/resourcegroups/", call.resource_id)
    resource = call.played.state.get(resource_id)
    status = 200 if resource else 201
    if resource is None:
        if not call.body.get("location"):
            message = "The location property is required for this definition."
            raise ArmError(400, "LocationRequired", message, gateway=True)
        principal = call.played.create_principal(resource_id, name, "ManagedIdentity", resource_id)
        resource = {
            "location": call.body["location"],
            "tags": {},
            "id": resource_id,
            "name": name,
            "type": TYPE,
            "properties": {
                "tenantId": call.played.tenant_id,
                "principalId": principal["objectId"],
                "clientId": principal["appId"],
            },
        }
    resource["tags"] = call.body.get("tags", resource["tags"])
    call.played.state.put(resource)
    headers = {"Location": resource_id} if status == 201 else {}
    return JSONResponse(resource, status_code=status, headers=headers)


async def get(call: Call) -> Response:
    return JSONResponse(call.existing())


async def patch(call: Call) -> Response:
    resource = call.existing()
    resource["tags"] = call.body.get("tags", resource["tags"])
    call.played.state.put(resource)
    return JSONResponse(resource)


async def delete(call: Call) -> Response:
    resource = call.played.state.get(call.request.url.path)
    if resource is None:
        return Response(status_code=204)
    await remove(call.played, resource)
    return Response(status_code=200)


async def remove(played: PlayedCloud, resource: dict[str, Any]) -> None:
    """Delete an identity: its service principal goes with it, its role assignments stay as orphans."""
    with played.state.transaction():
        played.delete_principal(resource["id"])
        played.delete_resource(resource["id"])


_PATH = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{TYPE}"
OPERATIONS = [
    *lists(TYPE),
    Operation("PUT", f"{_PATH}/{{name}}", f"{TYPE}/write", put),
    Operation("PATCH", f"{_PATH}/{{name}}", f"{TYPE}/write", patch),
    Operation("GET", f"{_PATH}/{{name}}", f"{TYPE}/read", get),
    Operation("DELETE", f"{_PATH}/{{name}}", f"{TYPE}/delete", delete),
]
