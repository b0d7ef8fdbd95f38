"""The topology of a cloud: which VM has an interface, who is at an address, who is admitted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .resource import (
    ADDRESS,
    INTERFACE,
    NETWORK,
    REGISTRY,
    VIRTUAL_MACHINE,
    Json,
    Resource,
    ResourceId,
    reference,
)
from .store import Store

if TYPE_CHECKING:
    from .tenant import Tenant

OPERATOR_ADDRESS = "192.0.2.200"
"""The address that the operator's machine has towards the VMs of the sandbox."""


def vms(store: Store) -> list[Resource]:
    return store.resources(type=VIRTUAL_MACHINE)


def vm_with_id(clouds: Iterable[Tenant], vm_id: str | None) -> tuple[Tenant, Resource] | None:
    """The VM that has a vmId, and its cloud."""
    found = ((tenant, vm) for tenant in clouds if vm_id for vm in vms(tenant.store))
    return next(((tenant, vm) for tenant, vm in found if vm.properties["vmId"] == vm_id), None)


def interfaces_of(vm: Resource) -> list[ResourceId]:
    return [ResourceId(each["id"]) for each in vm.properties["networkProfile"]["networkInterfaces"]]


def vm_of_interface(store: Store, interface: ResourceId) -> Resource | None:
    return next((vm for vm in vms(store) if interface in interfaces_of(vm)), None)


def mac_address(vm: Resource) -> str:
    digits = "000D3A" + vm.properties["vmId"].replace("-", "")[:6].upper()
    return "-".join(digits[at : at + 2] for at in range(0, 12, 2))


def at_resource(resource: Json, principal_id: str) -> str:
    """What an identity that is attached to a resource is hidden by."""
    return f"{resource['id']}/{principal_id}"


# What refers to what


def find_subnet(store: Store, subnet: ResourceId) -> Resource | None:
    network = store.get(subnet.parent)
    return next((each for each in network.children("subnets") if each.id == subnet), None) if network else None


def location_of_subnet(store: Store, subnet: ResourceId) -> str:
    """Where a subnet is: where its network is."""
    network = store.get(subnet.parent)
    return network.location if network else ""


def _references(interface: Resource) -> list[ResourceId]:
    found = [reference(interface.properties, "networkSecurityGroup")]
    for configuration in interface.children("ipConfigurations"):
        found += [reference(configuration.properties, member) for member in ("subnet", "publicIPAddress")]
    return [each for each in found if each]


def configurations_using(store: Store, resource: ResourceId) -> list[ResourceId]:
    """The ipConfigurations of interfaces that are in a subnet, or have a public address."""
    return [
        configuration.id
        for interface in store.resources(type=INTERFACE)
        for configuration in interface.children("ipConfigurations")
        if resource in (reference(configuration.properties, each) for each in ("subnet", "publicIPAddress"))
    ]


def guarded_by(store: Store, group: ResourceId) -> Json:
    """The interfaces and the subnets that a security group stands before, where there are any."""
    subnets = [subnet for network in store.resources(type=NETWORK) for subnet in network.children("subnets")]
    kinds = {"networkInterfaces": store.resources(type=INTERFACE), "subnets": subnets}
    found = {
        kind: [{"id": each["id"]} for each in resources if reference(each.properties, "networkSecurityGroup") == group]
        for kind, resources in kinds.items()
    }
    return {kind: users for kind, users in found.items() if users}


# Who is at an address


def vm_at(store: Store, ip_address: str) -> tuple[Resource, Resource] | None:
    """The VM and its network interface behind a public address."""
    addresses = [each.id for each in store.resources(type=ADDRESS) if each.properties["ipAddress"] == ip_address]
    for interface in store.resources(type=INTERFACE) if addresses else []:
        if addresses[0] in _references(interface) and (vm := vm_of_interface(store, interface.id)):
            return vm, interface
    return None


def source_address(store: Store, vm_id: str | None) -> str:
    """The address that a VM, or the operator's machine (None), is seen with from outside."""
    if vm_id is None:
        return OPERATOR_ADDRESS
    for address in store.resources(type=ADDRESS):
        ip_address = str(address.properties["ipAddress"])
        target = vm_at(store, ip_address)
        if target and target[0].properties["vmId"] == vm_id:
            return ip_address
    return "0.0.0.0"


def registry_at(store: Store, login_server: str) -> Resource | None:
    """The registry that has a login server, or one for a region."""
    return next((each for each in store.resources(type=REGISTRY) if login_server in login_servers(each)), None)


def login_servers(registry: Resource) -> list[str]:
    """The host names that a registry answers at: its own, and one for each region where it has regional endpoints."""
    return [registry.properties["loginServer"], *registry.properties.get("regionalEndpointHostNames", [])]


# Who is admitted


def _in(address: str, prefix: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(prefix, strict=False)


def registry_admits(registry: Resource, client: str) -> bool:
    """Whether the registry's network rules let a client with this address in."""
    if registry.properties["publicNetworkAccess"] == "Disabled":
        return False
    rules = registry.properties.get("networkRuleSet") or {"defaultAction": "Allow", "ipRules": []}
    return rules["defaultAction"] == "Allow" or any(_in(client, rule["value"]) for rule in rules["ipRules"])


def admits_services(registry: Resource, *, by_name: bool = False) -> bool:
    """Whether Azure's own services, such as an import, get past the registry's network rules.

    Where public access is off they do, but the registry must not be asked for by its public name.
    """
    is_open = registry_admits(registry, "0.0.0.0")
    is_private = registry.properties["publicNetworkAccess"] == "Disabled"
    trusted = registry.properties["networkRuleBypassOptions"] == "AzureServices"
    return is_open or (trusted and not (is_private and by_name))


def admits(store: Store, interface: Resource, source: str, port: int) -> bool:
    """Whether the security groups of an interface and of its subnet let TCP from `source` in on `port`.

    Without any security group a Basic address is open and a Standard one closed; ours have a group or are closed.
    """
    subnets = [
        find_subnet(store, ResourceId(configuration.properties["subnet"]["id"]))
        for configuration in interface.children("ipConfigurations")
    ]
    found = [reference(each.properties, "networkSecurityGroup") for each in (interface, *subnets) if each]
    groups = [group for group in (store.get(each) for each in found if each) if group]
    return bool(groups) and all(_group_admits(group, source, port) for group in groups)


def _group_admits(group: Resource, source: str, port: int) -> bool:
    rules = [rule.properties for kind in ("securityRules", "defaultSecurityRules") for rule in group.children(kind)]
    inbound = [rule for rule in rules if rule["direction"].lower() == "inbound"]
    for rule in sorted(inbound, key=lambda rule: int(rule["priority"])):
        if rule["protocol"].lower() in ("tcp", "*") and _source_in(rule, source) and _port_in(rule, port):
            return bool(rule["access"].lower() == "allow")
    return False


def _source_in(rule: Json, source: str) -> bool:
    prefixes = [rule.get("sourceAddressPrefix"), *rule.get("sourceAddressPrefixes", [])]
    for prefix in filter(None, prefixes):
        if prefix in ("*", "Internet"):
            return True
        try:
            if _in(source, prefix):
                return True
        except ValueError:  # a service tag; the operator's machine is in none but Internet
            continue
    return False


def _port_in(rule: Json, port: int) -> bool:
    ranges = [rule.get("destinationPortRange"), *rule.get("destinationPortRanges", [])]
    for text in filter(None, ranges):
        first, _, last = text.partition("-")
        if text == "*" or int(first) <= port <= int(last or first):
            return True
    return False
