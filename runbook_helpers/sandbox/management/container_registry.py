"""Microsoft.ContainerRegistry: registries, their names, and the import of images."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from starlette.responses import JSONResponse, Response

from ..images import PUBLIC_REGISTRY, ImageNotFound, copy_image
from ..played_cloud import PlayedCloud
from .arm import ArmError, Call, Json, Operation, answer, new_operation_id, not_found

NAMESPACE = "Microsoft.ContainerRegistry"
TYPE = f"{NAMESPACE}/registries"
_NAME = re.compile(r"[A-Za-z0-9]{5,50}")
_SKUS = {"basic": "Basic", "standard": "Standard", "premium": "Premium"}
_MODES = ("LegacyRegistryPermissions", "AbacRepositoryPermissions")


def _login_server(played: PlayedCloud, name: str) -> str:
    return name.lower() + played.cloud.registry_suffix


def _owner(played: PlayedCloud, name: str) -> Json | None:
    """The registry that has the login server; it is one name space for the whole cloud."""
    server = _login_server(played, name)
    return next((r for r in played.state.resources(type=TYPE) if r["properties"]["loginServer"] == server), None)


async def check_name(call: Call) -> Response:
    name = str(call.body.get("name", ""))
    if not _NAME.fullmatch(name):
        message = "The registry name must have 5 to 50 letters and digits."
        return JSONResponse({"nameAvailable": False, "reason": "Invalid", "message": message})
    if _owner(call.played, name):
        message = f"The registry {name} is already in use."
        return JSONResponse({"nameAvailable": False, "reason": "AlreadyExists", "message": message})
    return JSONResponse({"nameAvailable": True})


async def put(call: Call) -> Response:
    name = call.parameters["name"]
    if not _NAME.fullmatch(name):
        message = f"Resource name {name} is invalid. It must have 5 to 50 letters and digits and nothing else."
        raise ArmError(400, "InvalidResourceName", message)
    existing = call.played.state.get(call.request.url.path)
    if existing is None and _owner(call.played, name):
        message = (
            f"The registry DNS name {_login_server(call.played, name)} is already in use. You can check if the name is "
            "already claimed using following API: "
            "https://docs.microsoft.com/en-us/rest/api/containerregistry/registries/checknameavailability"
        )
        raise ArmError(409, "AlreadyInUse", message)
    registry = existing or _created(call)
    _change(call, registry)
    call.played.state.put(registry)
    if existing:
        return JSONResponse(registry)
    response = answer(registry, status=201, state="Creating")
    operation = f"{registry['id']}/operationStatuses/registries-{new_operation_id()}"
    response.headers["Azure-AsyncOperation"] = call.start_operation(operation)
    response.headers["Retry-After"] = "10"
    return response


def _created(call: Call) -> Json:
    sku = str((call.body.get("sku") or {}).get("name", ""))
    if not call.body.get("location") or sku.lower() not in _SKUS:
        message = "A registry needs a location and a sku.name: Basic, Standard or Premium."
        raise ArmError(400, "InvalidRequestContent", message)
    moment = datetime.fromtimestamp(call.played.clock.now(), UTC).isoformat()
    name = _SKUS[sku.lower()]
    author = {"lastModifiedBy": call.claims["appid"], "lastModifiedByType": "Application", "lastModifiedAt": moment}
    registry: Json = {
        "sku": {"name": name, "tier": name},
        "type": TYPE,
        "id": call.resource_id,
        "name": call.parameters["name"],
        "location": call.body["location"],
        "tags": {},
        "systemData": {
            "createdBy": call.claims["appid"],
            "createdByType": "Application",
            "createdAt": moment,
            **author,
        },
        "properties": {
            "loginServer": _login_server(call.played, call.parameters["name"]),
            "creationDate": call.played.clock.timestamp(),
            "provisioningState": "Succeeded",
            "adminUserEnabled": False,
            "policies": {
                "quarantinePolicy": {"status": "disabled"},
                "trustPolicy": {"type": "Notary", "status": "disabled"},
                "retentionPolicy": {"days": 7, "lastUpdatedTime": moment, "status": "disabled"},
                "exportPolicy": {"status": "enabled"},
                "azureADAuthenticationAsArmPolicy": {"status": "enabled"},
                "softDeletePolicy": {"retentionDays": 7, "lastUpdatedTime": moment, "status": "disabled"},
            },
            "encryption": {"status": "disabled"},
            "dataEndpointEnabled": False,
            "dataEndpointHostNames": [],
            "privateEndpointConnections": [],
            "publicNetworkAccess": "Enabled",
            "networkRuleBypassOptions": "AzureServices",
            "zoneRedundancy": "Disabled",
            "anonymousPullEnabled": False,
            "metadataSearch": "Disabled",
            "roleAssignmentMode": _MODES[0],
        },
    }
    if name == "Premium":
        registry["properties"]["networkRuleSet"] = {"defaultAction": "Allow", "ipRules": []}
    return registry


async def patch(call: Call) -> Response:
    registry = call.existing()
    _change(call, registry)
    call.played.state.put(registry)
    return JSONResponse(registry)


def _change(call: Call, registry: Json) -> None:
    """What a PUT or PATCH may set; everything else that is asked for is refused, not dropped."""
    given = dict(call.body.get("properties") or {})
    properties = registry["properties"]
    if given.pop("adminUserEnabled", False):
        message = "The sandbox does not emulate the admin user: it exists to show that no password is needed."
        raise ArmError(501, "NotImplementedInSandbox", message)
    for key, allowed in (("publicNetworkAccess", ("Enabled", "Disabled")), ("roleAssignmentMode", _MODES)):
        value = given.pop(key, None)
        if value is not None and value not in allowed:
            message = f"The value '{value}' of {key} is invalid: use {' or '.join(allowed)}."
            raise ArmError(400, "InvalidParameter", message, target=key)
        properties[key] = value or properties[key]
    anonymous = given.pop("anonymousPullEnabled", None)
    if anonymous and registry["sku"]["name"] == "Basic":
        message = "The Anonymous Pull feature is not supported for SKU Basic."
        raise ArmError(400, "UnsupportedSkuFeature", message)
    if anonymous is not None:
        properties["anonymousPullEnabled"] = anonymous
    arm_policy = (given.pop("policies", None) or {}).get("azureADAuthenticationAsArmPolicy")
    if arm_policy:
        properties["policies"]["azureADAuthenticationAsArmPolicy"] = {"status": arm_policy["status"]}
    unknown = {key for key, value in given.items() if value not in (None, properties.get(key))}
    if unknown:
        message = f"The sandbox does not emulate these properties of a registry: {', '.join(sorted(unknown))}."
        raise ArmError(501, "NotImplementedInSandbox", message)
    registry["tags"] = call.body.get("tags") or registry["tags"]


async def get(call: Call) -> Response:
    return JSONResponse(call.existing())


async def list_in_group(call: Call) -> Response:
    under = call.resource_id.partition("/providers/")[0] + "/"
    return JSONResponse({"value": call.played.state.resources(under=under, type=TYPE)})


async def delete(call: Call) -> Response:
    registry = call.played.state.get(call.request.url.path)
    if registry is None:
        return Response(status_code=204)
    await remove(call.played, registry)
    return Response(status_code=200)


async def remove(played: PlayedCloud, registry: Json) -> None:
    with played.state.transaction():
        played.state.delete_registry(registry["properties"]["loginServer"])
        played.state.delete(registry["id"])


async def import_image(call: Call) -> Response:
    """Copy an image from a public registry, or from another registry of this cloud that the caller may pull from."""
    registry_id = call.resource_id.rpartition("/")[0]
    registry = call.played.state.get(registry_id)
    if registry is None:
        raise not_found(registry_id)
    source = call.body.get("source") or {}
    image, targets = str(source.get("sourceImage", "")), call.body.get("targetTags") or []
    repository, separator, reference = _split(image)
    if source.get("registryUri") != PUBLIC_REGISTRY:
        message = f"The sandbox imports images from {PUBLIC_REGISTRY} only, not from {source.get('registryUri')}."
        raise ArmError(501, "NotImplementedInSandbox", message)
    server, played = registry["properties"]["loginServer"], call.played
    wanted = [_split(target) for target in targets] or [(repository, separator, reference)]
    for name, _, tag in wanted:
        if call.body.get("mode", "NoForce") != "Force" and played.state.tag(server, name, tag):
            message = (
                f"Tag {name}:{tag} already exists in target registry. Please provide the force option to override."
            )
            raise ArmError(409, "Conflict", message)
    try:
        for name, _, tag in wanted:
            copy_image(
                played.public_images, PUBLIC_REGISTRY, repository, reference,
                played.state, server, name, [tag], now=played.clock.timestamp(),
            )  # fmt: skip
    except ImageNotFound as error:
        message = f"The image {PUBLIC_REGISTRY}/{image} was not found: {error}"
        raise ArmError(400, "InvalidParameter", message, target="source.sourceImage") from error
    location = registry["location"].upper()
    path = f"/subscriptions/{played.subscription_id}/providers/{NAMESPACE}/locations/{location}/operationResults"
    url = call.start_operation(f"{path}/registries-{new_operation_id()}")
    return Response(status_code=202, headers={"Location": url})


def _split(image: str) -> tuple[str, str, str]:
    """Repository, separator and reference of an image name."""
    if "@" in image:
        return image.partition("@")
    name, separator, tag = image.partition(":")
    return name, separator or ":", tag or "latest"


async def list_credentials(call: Call) -> Response:
    registry_id = call.resource_id.rpartition("/")[0]
    if call.played.state.get(registry_id) is None:
        raise not_found(registry_id)
    message = f"Cannot perform credential operations for {registry_id} as admin user is disabled."
    raise ArmError(400, "UnAuthorizedForCredentialOperations", message)


async def get_operation(call: Call) -> Response:
    document = call.played.state.read("operation", call.request.url.path)
    if document is None:
        raise ArmError(404, "NotFound", "The operation was not found.")
    return JSONResponse({"status": document["status"]})


_SUBSCRIPTION = "/subscriptions/{subscription}"
_PATH = f"{_SUBSCRIPTION}/resourceGroups/{{group}}/providers/{TYPE}"
_LOCATION = f"{_SUBSCRIPTION}/providers/{NAMESPACE}/locations/{{location}}"
OPERATIONS = [
    Operation("POST", f"{_SUBSCRIPTION}/providers/{NAMESPACE}/checkNameAvailability", None, check_name),
    Operation("GET", _PATH, f"{TYPE}/read", list_in_group),
    Operation("PUT", f"{_PATH}/{{name}}", f"{TYPE}/write", put),
    Operation("PATCH", f"{_PATH}/{{name}}", f"{TYPE}/write", patch),
    Operation("GET", f"{_PATH}/{{name}}", f"{TYPE}/read", get),
    Operation("DELETE", f"{_PATH}/{{name}}", f"{TYPE}/delete", delete),
    Operation("POST", f"{_PATH}/{{name}}/importImage", f"{TYPE}/importImage/action", import_image),
    Operation("POST", f"{_PATH}/{{name}}/listCredentials", f"{TYPE}/listCredentials/action", list_credentials),
    Operation("GET", f"{_PATH}/{{name}}/operationStatuses/{{id}}", f"{TYPE}/operationStatuses/read", get_operation),
    Operation("GET", f"{_LOCATION}/operationResults/{{id}}", None, get_operation),
]
