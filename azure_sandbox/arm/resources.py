"""Microsoft.Resources: subscriptions, resource groups, the list of resources, and the cloud's endpoints."""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable

from starlette.responses import JSONResponse, Response

from .. import resource as types
from ..access.decide import assignments, scope_of
from ..clouds import plain
from ..requests import note
from ..resource import Json, Resource, spelled
from ..tenant import SUBSCRIPTION_ID, Tenant
from . import compute, container_registry, errors, managed_identity, names, network, operations
from .call import Call

SUBSCRIPTION_ACTIONS = "Microsoft.Resources/subscriptions"
GROUP_ACTIONS = f"{SUBSCRIPTION_ACTIONS}/resourceGroups"  # not below the name of their type

_LISTED = ("id", "name", "type", "location", "tags", "sku", "identity", "systemData")

# What deleting a resource takes with it; in this order when a whole group goes.
REMOVERS: dict[str, Callable[[Tenant, Resource], Awaitable[None]]] = {
    types.VIRTUAL_MACHINE: compute.remove,
    types.INTERFACE: network.remove,
    types.ADDRESS: network.remove,
    types.NETWORK: network.remove,
    types.SECURITY_GROUP: network.remove,
    types.REGISTRY: container_registry.remove,
    types.IDENTITY: managed_identity.remove,
}


def _subscription(tenant: Tenant) -> Json:
    return {
        "id": str(tenant.subscription),
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": tenant.subscription_id,
        "tenantId": tenant.tenant_id,
        "displayName": "Sandbox" if tenant.subscription_id == SUBSCRIPTION_ID else "Sandbox 2",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def _sees_subscription(call: Call, tenant: Tenant | None = None) -> bool:
    """Any role anywhere in a subscription makes it visible: in the one of the call, or as another is seen."""
    subscription = (tenant or call.tenant).subscription
    scopes = [scope_of(each) for each in assignments(call.tenant, call.claims["oid"])]
    return any(scope.covers(subscription) or subscription.covers(scope) for scope in scopes)


def _listed_subscriptions(call: Call) -> list[Tenant]:
    """The subscriptions that are listed: the second one only where something is in it, since few need two."""
    return [
        each
        for each in call.tenant.subscriptions()
        if (
            each.subscription_id == SUBSCRIPTION_ID
            or call.tenant.store.resources(under=each.subscription, type=types.GROUP)
        )
        and _sees_subscription(call, each)
    ]


async def list_subscriptions(call: Call) -> Json:
    value = [_subscription(each) for each in _listed_subscriptions(call)]
    note(call.request, found=len(value))
    if call.api_version < "2019":  # the older versions did not tell these
        old = [{key: each[key] for key in each if key not in ("tenantId", "managedByTenants")} for each in value]
        return {"value": old}
    return {"value": value, "count": {"type": "Total", "value": len(value)}}


async def get_subscription(call: Call) -> Json:
    if not _sees_subscription(call):
        call.authorize(f"{SUBSCRIPTION_ACTIONS}/read", call.id)
    return _subscription(call.tenant)


async def list_tenants(call: Call) -> Json:
    tenant = {"id": f"/tenants/{call.tenant.tenant_id}", "tenantId": call.tenant.tenant_id, "tenantCategory": "Home"}
    if call.api_version >= "2020":
        tenant["displayName"] = "Sandbox"
    return {"value": [tenant]}


async def put_group(call: Call) -> Response:
    name = call.parameters["name"]
    if not names.is_valid(types.GROUP, name):
        raise errors.invalid_group_name(name=name)
    location = call.location()
    if plain(location) not in call.tenant.cloud.locations:
        raise errors.location_not_available_for_group(location=location, regions=",".join(call.tenant.cloud.locations))
    existing = call.tenant.store.get(call.tenant.group(name))
    if existing and plain(existing.location) != plain(location):
        raise errors.group_in_other_location(location=location, existing=existing.location)
    resource = existing or Resource(
        {
            "id": str(call.tenant.group(name)),
            "name": name,
            "type": types.GROUP,
            "location": plain(location),
            "properties": {"provisioningState": "Succeeded"},
        }
    )
    if "tags" in call.body:
        resource["tags"] = call.body["tags"]
    if call.body.get("managedBy"):
        resource["managedBy"] = call.body["managedBy"]
    call.tenant.store.put(resource)
    return JSONResponse(resource, status_code=200 if existing else 201)


def _group(call: Call) -> Resource:
    group = call.tenant.store.get(call.tenant.group(call.parameters["name"]))
    if group is None:
        raise errors.group_not_found(group=call.parameters["name"])
    return group


async def get_group(call: Call) -> Json:
    group = _group(call)
    return group


async def patch_group(call: Call) -> Json:
    group = _group(call)
    if "tags" in call.body:
        group["tags"] = call.body["tags"]
    call.tenant.store.put(group)
    return group


async def list_locations(call: Call) -> Json:
    """The regions, with their plain names for display."""
    base = f"{call.tenant.subscription}/locations"
    value = [
        {
            "id": f"{base}/{name}",
            "name": name,
            "type": "Region",
            "displayName": name,
            "regionalDisplayName": name,
            "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
        }
        for name in call.tenant.cloud.locations
    ]
    return {"value": value}


_VERSIONS = ["2025-04-01", "2024-11-01"]  # any version is taken; clients want to choose one


def _provider(call: Call, namespace: str) -> Json:
    resource_types = [
        {
            "resourceType": each,
            "locations": list(call.tenant.cloud.locations),
            "apiVersions": _VERSIONS,
            "capabilities": "None",
        }
        for each in call.providers[namespace]
    ]
    return {
        "id": f"{call.tenant.subscription}/providers/{namespace}",
        "namespace": namespace,
        "resourceTypes": resource_types,
        "registrationState": "Registered" if is_registered(call.tenant, namespace) else "NotRegistered",
        "registrationPolicy": "RegistrationRequired",
    }


_UNREGISTERED = "unregistered-provider"


def is_registered(tenant: Tenant, namespace: str) -> bool:
    """Whether the subscription may use a provider: all are registered, but for those that a client has unregistered."""
    return not (tenant.store.read(_UNREGISTERED, namespace) or {}).get("unregistered", False)


async def register_provider(call: Call) -> Json:
    namespace = spelled(call.parameters["namespace"], call.providers)
    if namespace:
        document = {"unregistered": call.parameters["action"].endswith("/unregister/action")}
        call.tenant.store.write(_UNREGISTERED, namespace, document)
    return await get_provider(call)


async def list_providers(call: Call) -> Json:
    return {"value": [_provider(call, namespace) for namespace in call.providers]}


async def get_provider(call: Call) -> Json:
    wanted = call.parameters["namespace"]
    found = spelled(wanted, call.providers)
    if found is None:
        raise errors.invalid_provider(provider=wanted)
    return _provider(call, found)


async def head_group(call: Call) -> Response:
    return (
        Response(status_code=204)
        if call.tenant.store.get(call.tenant.group(call.parameters["name"]))
        else Response(status_code=404, headers={"x-ms-failure-cause": "gateway"})
    )


async def list_groups(call: Call) -> Json:
    if not _sees_subscription(call):
        call.authorize(f"{GROUP_ACTIONS}/read", call.tenant.subscription)
    wanted = _wanted(call)
    found = call.tenant.store.resources(under=call.tenant.subscription, type=types.GROUP)
    groups = [group for group in found if _matches(group, wanted)]
    return {"value": [group for group in groups if call.may(f"{GROUP_ACTIONS}/read", group.id)]}


async def delete_group(call: Call) -> Response:
    group = _group(call)
    store = call.tenant.store
    for resource_type, remove in REMOVERS.items():
        for resource in store.resources(under=group.id, type=resource_type):
            await remove(call.tenant, resource)
    for deployment in store.resources(under=group.id, type=types.DEPLOYMENT):
        store.delete(deployment.id)
    for resource_type in (types.ASSIGNMENT, types.DENIAL):
        for assignment in store.resources(under=group.id, type=resource_type):
            store.delete(assignment.id)
    store.delete(group.id)
    job = base64.urlsafe_b64encode(f"RESOURCEGROUPDELETIONJOB-{group.name}-{group.location}".encode())
    path = f"{call.tenant.subscription}/operationresults/{job.decode().rstrip('=')}"
    return Response(status_code=202, headers={"Location": operations.start(call, path), "Retry-After": "15"})


async def get_operation_result(call: Call) -> Response:
    operation = operations.polled_result(call)
    if "endTime" in operation:
        result = operation["result"] or {}
        return JSONResponse(result["body"]) if "body" in result else Response(status_code=result.get("status", 200))
    return Response(status_code=202, headers={"Location": str(call.request.url), "Retry-After": "15"})


_CONDITION = re.compile(r"(resourceType|resourceGroup|name|location|tagName|tagValue) eq '([^']*)'", re.IGNORECASE)


def _wanted(call: Call) -> dict[str, str]:
    """The conditions of $filter, which must all hold; 501 where there is one that the sandbox does not emulate."""
    given = call.request.query_params.get("$filter", "")
    if re.sub(r"\band\b|\s", "", _CONDITION.sub("", given), flags=re.IGNORECASE):
        fields = "resourceType, resourceGroup, name, location, tagName and tagValue"
        raise errors.filter_not_emulated(filter=given, known=f"'<field> eq <value>' of {fields}")
    return {field.lower(): value.lower() for field, value in _CONDITION.findall(given)}


def _matches(resource: Resource, wanted: dict[str, str]) -> bool:
    tags = {key.lower(): str(value).lower() for key, value in resource.tags.items()}
    has = {
        "resourcetype": resource.type.lower(),
        "resourcegroup": resource.id.group.lower(),
        "name": resource.name.lower(),
        "location": plain(resource.location),
    }
    tag_name, tag_value = wanted.get("tagname"), wanted.get("tagvalue")
    tagged = tag_name is None or (tag_name in tags and tag_value in (None, tags[tag_name]))
    return tagged and all(has[field] == value for field, value in wanted.items() if field in has)


async def list_resources(call: Call) -> Json:
    """All resources the caller may read, those that $filter wants."""
    wanted = _wanted(call)
    group = call.parameters.get("group")
    value = [
        {key: resource[key] for key in _LISTED if key in resource}
        for resource in call.tenant.store.resources(
            under=call.tenant.group(group) if group else call.tenant.subscription
        )
        if resource.type in REMOVERS and _matches(resource, wanted) and call.may(f"{resource.type}/read", resource.id)
    ]
    return {"value": value}


async def endpoints(call: Call) -> Json | list[Json]:
    """What a client reads to learn about an unknown cloud; a list of clouds in the older versions."""
    cloud = call.tenant.cloud
    document = {
        "name": cloud.name,
        "portal": "https://portal.azure.cn" if cloud.name == "AzureChinaCloud" else "https://portal.azure.com",
        "resourceManager": f"{cloud.resource_manager_url}/",
        "authentication": {
            "loginEndpoint": f"{cloud.authority}/",
            "audiences": [cloud.audiences[1], cloud.audiences[0]],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "graph": f"https://{cloud.graph}/",
        "graphAudience": f"https://{cloud.graph}/",
        "microsoftGraphResourceId": f"https://{cloud.graph}/",
        "suffixes": {"acrLoginServer": cloud.registry_suffix.lstrip(".")},
    }
    version = call.request.query_params.get("api-version", "")
    return [document] if version in ("2019-05-01", "2020-06-01") else document
