"""How a network resource is shown: what its version of the API knows, and what refers to it."""

from __future__ import annotations

from ..store import Store
from . import versions
from .versions import Json, Since

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


def shown(store: Store, resource: Json, version: str) -> Json:
    """The resource with what refers to it, as a version of the API knows it."""
    kind = resource["type"].rpartition("/")[2].lower()
    answer = versions.known(resource, version, _SINCE.get(kind, {}))
    properties = answer["properties"]
    if kind == "virtualnetworks":
        for subnet in properties["subnets"]:
            subnet["properties"] |= users_of_subnet(store, subnet)
        if version < "2019":
            properties["enableVmProtection"] = False
    elif kind == "subnets":
        properties |= users_of_subnet(store, answer)
    elif kind == "networksecuritygroups":
        properties |= _users_of_group(store, resource["id"])
    elif kind == "publicipaddresses":
        user = _user_of_address(store, resource["id"])
        properties |= user
        if not user and properties["publicIPAllocationMethod"] == "Dynamic":
            properties.pop("ipAddress", None)  # a dynamic address is there only while something uses it
    return answer


def _interfaces(store: Store) -> list[Json]:
    return list(store.resources(type="Microsoft.Network/networkInterfaces"))


def users_of_subnet(store: Store, subnet: Json) -> Json:
    """The ipConfigurations of the interfaces in a subnet, in the upper case that the provider writes them in."""
    found = [
        {"id": "/".join([*ids[:4], *(part.upper() if odd % 2 == 0 else part for odd, part in enumerate(ids[4:]))])}
        for interface in _interfaces(store)
        for configuration in interface["properties"]["ipConfigurations"]
        if configuration["properties"]["subnet"]["id"].lower() == subnet["id"].lower()
        for ids in [configuration["id"].split("/")]
    ]
    return {"ipConfigurations": found} if found else {}


def _users_of_group(store: Store, group_id: str) -> Json:
    def guarded(resource: Json) -> bool:
        group = resource["properties"].get("networkSecurityGroup") or {"id": ""}
        return bool(group["id"].lower() == group_id.lower())

    networks = store.resources(type="Microsoft.Network/virtualNetworks")
    subnets = [subnet for network in networks for subnet in network["properties"]["subnets"]]
    users = {"networkInterfaces": _interfaces(store), "subnets": subnets}
    found = {key: [{"id": each["id"]} for each in each_kind if guarded(each)] for key, each_kind in users.items()}
    return {key: value for key, value in found.items() if value}


def _user_of_address(store: Store, address_id: str) -> Json:
    for interface in _interfaces(store):
        for configuration in interface["properties"]["ipConfigurations"]:
            used = configuration["properties"].get("publicIPAddress") or {"id": ""}
            if used["id"].lower() == address_id.lower():
                return {"ipConfiguration": {"id": configuration["id"]}}
    return {}
