"""How a network resource is shown: what its version of the API knows, and what refers to it."""

from __future__ import annotations

import re

from ..resource import Json, Resource, ResourceId
from ..store import Store
from ..topology import configurations_using, guarded_by
from . import versions
from .versions import Since

_INTERFACE: Since = {
    "kind": ("2021-05", "2021-05"),
    "properties.allowPort25Out": ("2021-05", "2021-05"),
    "properties.disableTcpStateTracking": ("2022-05", "2022-05"),
    "properties.nicType": ("2020-04", "2020-04"),
    "properties.vnetEncryptionSupported": ("2020-04", "2020-04"),
}
_ADDRESS: Since = {"properties.ddosSettings": ("2022-05", "2022-05")}
_SUBNET: Since = {
    "properties.privateEndpointNetworkPolicies": ("2019-04", "2019-04"),
    "properties.privateLinkServiceNetworkPolicies": ("2019-04", "2019-04"),
}
_NETWORK: Since = {
    "properties.privateEndpointVNetPolicies": ("2024-01", "2024-01"),
    **{f"properties.subnets.{path}": since for path, since in _SUBNET.items()},
}
_SINCE = {
    "networkinterfaces": _INTERFACE,
    "publicipaddresses": _ADDRESS,
    "virtualnetworks": _NETWORK,
    "subnets": _SUBNET,
}


def shown(store: Store, resource: Resource, version: str) -> Json:
    """The resource with what refers to it, as a version of the API knows it."""
    kind = resource.type.rpartition("/")[2].lower()
    answer = versions.known(resource, version, _SINCE.get(kind, {}))
    properties = answer["properties"]
    if kind == "virtualnetworks":
        for subnet in properties["subnets"]:
            subnet["properties"] |= _users_of_subnet(store, subnet)
        if version < "2019":
            properties["enableVmProtection"] = False
    elif kind == "subnets":
        properties |= _users_of_subnet(store, answer)
    elif kind == "networksecuritygroups":
        properties |= guarded_by(store, resource.id)
    elif kind == "publicipaddresses":
        users = configurations_using(store, resource.id)
        if users:
            properties["ipConfiguration"] = {"id": str(users[0])}
        elif properties["publicIPAllocationMethod"] == "Dynamic":
            properties.pop("ipAddress", None)  # a dynamic address is there only while something uses it
    return answer


def _users_of_subnet(store: Store, subnet: Json) -> Json:
    """The ipConfigurations of the interfaces in a subnet, their names in upper case as the provider writes them."""
    found = configurations_using(store, ResourceId(subnet["id"]))
    return {"ipConfigurations": [{"id": _in_upper_case(each)} for each in found]} if found else {}


def _in_upper_case(resource_id: ResourceId) -> str:
    subscription = f"/subscriptions/{resource_id.subscription}"
    rest = str(resource_id).removeprefix(subscription)
    return subscription + re.sub("(/[^/]+/)([^/]+)", lambda match: match[1] + match[2].upper(), rest)
