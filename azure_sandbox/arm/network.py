"""Microsoft.Network: what a VM's connection needs: virtual networks, subnets, security groups, addresses, interfaces."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response

from .. import members, topology
from ..clouds import plain
from ..resource import (
    ADDRESS,
    INTERFACE,
    NETWORK,
    SECURITY_GROUP,
    SUBNET,
    Json,
    Resource,
    ResourceId,
    reference,
    spelled,
)
from ..store import Store
from ..tenant import Tenant
from . import errors, names, operations
from .call import Call, answer

NAMESPACE = "Microsoft.Network"

# The public addresses of VMs come from the ranges that are reserved for documentation, one range a cloud.
ADDRESS_RANGES = {
    "AzureChinaCloud": ipaddress.ip_network("203.0.113.0/24"),
    "AzureCloud": ipaddress.ip_network("198.51.100.0/24"),
    "AzureUSGovernment": ipaddress.ip_network("192.0.2.0/25"),
}
_DNS_SUFFIXES = {
    "AzureChinaCloud": "cloudapp.chinacloudapi.cn",
    "AzureCloud": "cloudapp.azure.com",
    "AzureUSGovernment": "cloudapp.usgovcloudapi.net",
}


def _child(parent: Resource, collection: str, name: str, properties: Json) -> Resource:
    """A resource that is stored inside another one."""
    child = {
        "name": name,
        "id": str(parent.id.child(collection, name)),
        "etag": parent["etag"],
        "type": f"{parent.type}/{collection}",
        "properties": {"provisioningState": "Succeeded", **properties},
    }
    return Resource(child)


def _require_reference(call: Call, reference: Json | None, what: str) -> Resource:
    """The resource another one refers to by id; 400 where it does not exist."""
    reference_id = (reference or {}).get("id", "")
    found = call.tenant.store.get(reference_id) or topology.find_subnet(call.tenant.store, ResourceId(reference_id))
    home = found and (found.location or topology.location_of_subnet(call.tenant.store, found.id))
    if found is None or plain(str(home)) != plain(call.location()):
        raise errors.invalid_reference(id=reference_id, user=call.id, member=what)
    call.require(f"{found.type}/join/action", found.id)
    return found


def _references(call: Call, given: Json, member: str) -> Json:
    """The member that refers to another resource, where it is given."""
    return {member: {"id": str(_require_reference(call, given[member], member).id)}} if given.get(member) else {}


def _named(parent: ResourceId, children: list[Json], collection: str) -> list[Json]:
    """The children in a body, which must have names, each its own."""
    if not all(child.get("name") for child in children):
        raise errors.missing_names(collection=collection)
    seen: set[str] = set()
    for child in children:
        _check_name(SUBNET, child["name"])
        if child["name"].lower() in seen:
            raise errors.duplicate_name(id=parent, name=child["name"])
        seen.add(child["name"].lower())
    return children


def _check_name(resource_type: str, name: str) -> None:
    if not names.is_valid(resource_type, name):
        raise errors.invalid_network_name(name=name, longest=64 if resource_type == NETWORK else 80)


def _fill_network(call: Call, resource: Resource, given: Json) -> None:
    space = given.get("addressSpace") or {"addressPrefixes": []}
    for prefix in space.get("addressPrefixes", []):
        _range(prefix, resource.id)
    defaults: Json = {"dhcpOptions": {"dnsServers": []}, "encryption": {"enforcement": "AllowUnencrypted"}}
    resource.properties.update(
        {
            "addressSpace": space,
            **{key: {**default, **given[key]} for key, default in defaults.items() if key in given},
            **{key: given[key] for key in ("flowTimeoutInMinutes",) if key in given},
            "virtualNetworkPeerings": [],
            "enableDdosProtection": False,
            "privateEndpointVNetPolicies": given.get("privateEndpointVNetPolicies", "Disabled"),
        }
    )
    before = call.stored()
    resource.properties["subnets"] = []
    for subnet in _named(resource.id, given.get("subnets", []), "subnets"):
        made = _child(resource, "subnets", subnet["name"], _subnet_properties(call, resource, subnet["name"], subnet))
        resource.properties["subnets"].append(made)
    for gone in before.children("subnets") if before else []:
        if gone.id not in [each.id for each in resource.children("subnets")]:
            _refuse_where_used(call.tenant, gone)


def _subnet_properties(call: Call, network: Resource, name: str, subnet: Json) -> Json:
    given = subnet.get("properties", {})
    prefixes = given.get("addressPrefixes") or [given.get("addressPrefix") or ""]
    prefix = given.get("addressPrefix") or prefixes[0]
    if prefixes != [prefix]:
        raise errors.subnet_prefixes_not_emulated()
    subnet_id = network.id.child("subnets", name)
    wanted = _range(prefix, subnet_id)
    spaces = network.properties["addressSpace"].get("addressPrefixes", [])
    if not any(_contains(_range(space, network.id), wanted) for space in spaces):
        raise errors.subnet_outside_network(name=name, prefix=prefix, network=network.name)
    for other in network.children("subnets"):
        if other.id != subnet_id and wanted.overlaps(ipaddress.ip_network(other.properties["addressPrefix"])):
            raise errors.subnets_overlap(name=name, other=other.name, network=network.name)
    before = topology.find_subnet(call.tenant.store, subnet_id)
    was = before.properties["addressPrefix"] if before else prefix
    if was != prefix and topology.configurations_using(call.tenant.store, subnet_id):
        raise errors.prefix_in_use(prefix=was, name=name)
    properties: Json = {
        "addressPrefix": prefix,
        **_service_endpoints(network, given),
        "delegations": [
            _delegation(network, name, each) for each in _named(subnet_id, given.get("delegations", []), "delegations")
        ],
        "privateEndpointNetworkPolicies": "Disabled",
        "privateLinkServiceNetworkPolicies": "Enabled",
    }
    return {**properties, **_references(call, given, "networkSecurityGroup")}


def _service_endpoints(network: Resource, given: Json) -> Json:
    if "serviceEndpoints" not in given:
        return {}
    endpoints = [
        {
            "provisioningState": "Succeeded",
            "service": each.get("service", ""),
            "locations": each.get("locations") or [network.location],
        }
        for each in given["serviceEndpoints"]
    ]
    return {"serviceEndpoints": endpoints}


def _delegation(network: Resource, subnet: str, given: Json) -> Json:
    """A subnet that is handed over to a service."""
    parent = Resource({"id": f"{network.id}/subnets/{subnet}", "type": SUBNET, "etag": network["etag"]})
    properties = {
        "serviceName": (given.get("properties") or {}).get("serviceName", ""),
        "actions": [f"{SUBNET}/join/action"],
    }
    return _child(parent, "delegations", given["name"], properties)


def _range(prefix: str, resource_id: ResourceId) -> Any:
    """The addresses of a prefix in CIDR notation."""
    try:
        if "/" not in prefix:
            raise ValueError(prefix)
        found = ipaddress.ip_network(prefix, strict=False)
    except ValueError as error:
        raise errors.invalid_prefix(prefix=prefix, id=resource_id) from error
    if str(found.network_address) != prefix.partition("/")[0]:
        raise errors.invalid_cidr(prefix=prefix, id=resource_id, right=found)
    return found


def _contains(space: Any, wanted: Any) -> bool:
    return bool(space.version == wanted.version and wanted.subnet_of(space))


def _fill_security_group(call: Call, resource: Resource, given: Json) -> None:
    resource.properties["securityRules"] = []
    for rule in _named(resource.id, given.get("securityRules", []), "securityRules"):
        made = _child(resource, "securityRules", rule["name"], _rule(rule["name"], rule.get("properties", {})))
        _refuse_conflict(resource, made)
        resource.properties["securityRules"].append(made)
    resource.properties["defaultSecurityRules"] = [
        _child(
            resource,
            "defaultSecurityRules",
            name,
            _rule(name, dict(zip(_DEFAULT_MEMBERS, values, strict=True)), default=True),
        )
        for name, *values in _DEFAULT_RULES
    ]


_DEFAULT_MEMBERS = (
    "priority", "access", "direction", "sourceAddressPrefix", "destinationAddressPrefix", "description", "protocol",
    "sourcePortRange", "destinationPortRange",
)  # fmt: skip
_DEFAULT_RULES: list[tuple[Any, ...]] = [  # the last three say: any protocol, any ports
    ("AllowVnetInBound", 65000, "Allow", "Inbound", "VirtualNetwork", "VirtualNetwork",
     "Allow inbound traffic from all VMs in VNET", *"***"),
    ("AllowAzureLoadBalancerInBound", 65001, "Allow", "Inbound", "AzureLoadBalancer", "*",
     "Allow inbound traffic from azure load balancer", *"***"),
    ("DenyAllInBound", 65500, "Deny", "Inbound", "*", "*", "Deny all inbound traffic", *"***"),
    ("AllowVnetOutBound", 65000, "Allow", "Outbound", "VirtualNetwork", "VirtualNetwork",
     "Allow outbound traffic from all VMs to all VMs in VNET", *"***"),
    ("AllowInternetOutBound", 65001, "Allow", "Outbound", "*", "Internet",
     "Allow outbound traffic from all VMs to Internet", *"***"),
    ("DenyAllOutBound", 65500, "Deny", "Outbound", "*", "*", "Deny all outbound traffic", *"***"),
]  # fmt: skip


def _rule(name: str, given: Json, *, default: bool = False) -> Json:
    for key in ("priority", "access", "direction", "protocol"):
        if key not in given:
            raise errors.incomplete_security_rule(name=name, member=key)
    lists = ("sourcePortRanges", "destinationPortRanges", "sourceAddressPrefixes", "destinationAddressPrefixes")
    rule: Json = {key: [] for key in lists}
    rule |= {key: value for key, value in given.items() if value is not None}
    choices = {"access": ("Allow", "Deny"), "direction": ("Inbound", "Outbound"), "protocol": _PROTOCOLS}
    for key, known in choices.items():  # taken in any case, and shown in one
        rule[key] = _choice(key, rule[key], known)
    highest = 65500 if default else 4096
    if type(rule["priority"]) is not int or not 100 <= rule["priority"] <= highest:
        raise errors.invalid_priority(name=name, priority=rule["priority"])
    for member, is_valid, refusal in _RANGES:
        values = [*filter(None, [rule.get(member)]), *rule[f"{member}{'es' if member.endswith('x') else 's'}"]]
        if not values:
            raise errors.incomplete_security_rule(name=name, member=member)
        for value in values:
            if not is_valid(value):
                raise refusal(value=value, name=name)
    return rule


def _is_port_range(text: str) -> bool:
    first, dash, last = text.partition("-")
    ports = [first, last] if dash else [first]
    if text == "*" or not all(re.fullmatch("[0-9]{1,5}", port) for port in ports):
        return text == "*"
    return int(first) <= int(ports[-1]) <= 65535


_SERVICE_TAGS = {  # that may stand in a rule; most also with a region behind a dot. (azure-docs, service-tags-overview)
    "Internet", "VirtualNetwork", "AzureLoadBalancer", "AzureCloud", "AzureActiveDirectory", "AzureContainerRegistry",
    "MicrosoftContainerRegistry", "AzureFrontDoor", "AzureKeyVault", "AzureMonitor", "AzureResourceManager",
    "AzureTrafficManager", "AzureBackup", "AzureDevOps", "AzureCosmosDB", "AzureEventHub", "AppService", "EventHub",
    "GatewayManager", "GuestAndHybridManagement", "LogicApps", "ServiceBus", "Sql", "Storage", "ApiManagement",
    "AzureKubernetesService", "AzurePlatformDNS", "AzurePlatformIMDS", "AzurePlatformLKM", "AzureSiteRecovery",
}  # fmt: skip


def _is_rule_prefix(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return text == "*" or spelled(text.partition(".")[0], _SERVICE_TAGS) is not None
    return re.fullmatch(r"[^/]+(/(0|[1-9][0-9]{0,2}))?", text) is not None  # Python takes /255.255.255.0 too


_RANGES: tuple[tuple[str, Callable[[str], bool], Any], ...] = (
    ("sourcePortRange", _is_port_range, errors.invalid_port_range),
    ("destinationPortRange", _is_port_range, errors.invalid_port_range),
    ("sourceAddressPrefix", _is_rule_prefix, errors.invalid_rule_prefix),
    ("destinationAddressPrefix", _is_rule_prefix, errors.invalid_rule_prefix),
)


def _refuse_conflict(group: Resource, rule: Resource) -> None:
    """Two rules of one direction have two priorities."""
    for other in group.children("securityRules"):
        same = all(other.properties[key] == rule.properties[key] for key in ("priority", "direction"))
        if same and other.id != rule.id:
            raise errors.rules_conflict(name=rule.name, other=other.name)


_PROTOCOLS = ("Tcp", "Udp", "Icmp", "Esp", "Ah", "*")


def _choice(member: str, value: object, known: tuple[str, ...]) -> str:
    """A word of an enumeration as Azure spells it."""
    found = spelled(str(value), known)
    if found is None:
        raise errors.no_such_value(member=member, value=value, known=", ".join(known))
    return found


_LABEL = "^[a-z][a-z0-9-]{1,61}[a-z0-9]$"


def _fill_address(call: Call, resource: Resource, given: Json) -> None:
    store = call.tenant.store
    allocated = {address.properties.get("ipAddress") for address in store.resources(type=ADDRESS)}
    before = store.get(resource.id)
    free = (str(host) for host in ADDRESS_RANGES[call.tenant.cloud.name].hosts() if str(host) not in allocated)
    sku = _choice("sku.name", (call.body.get("sku") or {}).get("name", "Basic"), ("Basic", "Standard"))
    method = _choice(
        "publicIPAllocationMethod", given.get("publicIPAllocationMethod", "Dynamic"), ("Static", "Dynamic")
    )
    if sku == "Basic" and not before:  # Azure makes none any more; one that is there stays
        raise errors.no_basic_address()
    if sku != "Basic" and method != "Static":
        raise errors.address_must_be_static(id=call.id)
    ip_address = before.properties["ipAddress"] if before else next(free, None)
    if ip_address is None:
        raise errors.no_address_left()
    resource.properties.update(
        {
            "ipAddress": ip_address,
            "publicIPAddressVersion": "IPv4",
            "publicIPAllocationMethod": method,
            "idleTimeoutInMinutes": given.get("idleTimeoutInMinutes", 4),
            "ipTags": given.get("ipTags", []),
        }
    )
    label = (given.get("dnsSettings") or {}).get("domainNameLabel")
    if label:
        if not re.fullmatch(_LABEL, label):
            raise errors.invalid_label(label=label, pattern=_LABEL)
        name = f"{label}.{resource.location}.{_DNS_SUFFIXES[call.tenant.cloud.name]}"
        for other in store.resources(type=ADDRESS):
            if other.id != resource.id and other.properties.get("dnsSettings", {}).get("fqdn") == name:
                raise errors.label_in_use(name=name)
        resource.properties["dnsSettings"] = {"domainNameLabel": label, "fqdn": name}
    resource["sku"] = {"tier": "Regional", **(call.body.get("sku") or {}), "name": sku}
    if resource["sku"]["name"] == "Standard":
        resource.properties["ddosSettings"] = {"protectionMode": "VirtualNetworkInherited"}
    if call.body.get("zones"):
        resource["zones"] = call.body["zones"]


def _fill_interface(call: Call, resource: Resource, given: Json) -> None:
    configurations = []
    for position, configuration in enumerate(given.get("ipConfigurations", [])):
        wanted = configuration.get("properties", {})
        subnet = _require_reference(call, wanted.get("subnet"), "subnet")
        method = _choice(
            "privateIPAllocationMethod", wanted.get("privateIPAllocationMethod", "Dynamic"), ("Dynamic", "Static")
        )
        name = configuration.get("name", "ipconfig1")
        own = resource.id.child("ipConfigurations", name)
        if method == "Static" and wanted.get("privateIPAddress"):
            _check_private_address(call, own, wanted["privateIPAddress"], subnet)
        properties: Json = {
            "privateIPAddress": wanted.get("privateIPAddress") or _private_address(call, resource.id, subnet),
            "privateIPAllocationMethod": method,
            "subnet": {"id": str(subnet.id)},
            "primary": position == 0,
            "privateIPAddressVersion": "IPv4",
            **_references(call, wanted, "publicIPAddress"),
        }
        if address := reference(properties, "publicIPAddress"):
            for user in topology.configurations_using(call.tenant.store, address):
                if user != own:
                    raise errors.address_is_allocated(id=own, address=address, user=user)
        configurations.append(_child(resource, "ipConfigurations", name, properties))
    if not configurations:
        raise errors.missing_configurations(id=call.id)
    resource["kind"] = "Regular"
    # Most versions fill this in; the oldest and those since 2022 leave it out where it was not asked for.
    if "2016" < call.api_version < "2022" or "enableAcceleratedNetworking" in given:
        resource.properties["enableAcceleratedNetworking"] = bool(given.get("enableAcceleratedNetworking"))
    resource.properties.update(
        {
            "ipConfigurations": configurations,
            "dnsSettings": _dns_settings(resource, given.get("dnsSettings") or {}),
            "allowPort25Out": True,
            "disableTcpStateTracking": bool(given.get("disableTcpStateTracking")),
            "enableIPForwarding": bool(given.get("enableIPForwarding")),
            "vnetEncryptionSupported": False,
            "hostedWorkloads": [],
            "tapConfigurations": [],
            "nicType": "Standard",
        }
    )
    resource.properties.update(_references(call, given, "networkSecurityGroup"))


def _dns_settings(interface: Resource, given: Json) -> Json:
    suffix = f"{interface.properties['resourceGuid'][:23]}.internal.cloudapp.net"
    servers, label = given.get("dnsServers", []), given.get("internalDnsNameLabel")
    named = {"internalDnsNameLabel": label, "internalFqdn": f"{label}.{suffix}"} if label else {}
    return {"dnsServers": servers, "appliedDnsServers": [], "internalDomainNameSuffix": suffix, **named}


def _private_address(call: Call, interface_id: ResourceId, subnet: Resource) -> str:
    """The first address of the subnet that no other interface has; Azure keeps the first four for itself."""
    taken = set()
    for interface in call.tenant.store.resources(type=INTERFACE):
        for configuration in interface.children("ipConfigurations"):
            if interface.id == interface_id:
                return str(configuration.properties["privateIPAddress"])
            taken.add(configuration.properties["privateIPAddress"])
    hosts = list(ipaddress.ip_network(subnet.properties["addressPrefix"]).hosts())[3:]
    free = next((str(host) for host in hosts if str(host) not in taken), None)
    if free is None:
        raise errors.subnet_is_full(name=subnet.name)
    return free


def _check_private_address(call: Call, own: ResourceId, address: str, subnet: Resource) -> None:
    """A static address is one of the subnet's, none of the five that Azure keeps, and nobody else's."""
    prefix = subnet.properties["addressPrefix"]
    space = ipaddress.ip_network(prefix)
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError as error:
        raise errors.no_such_value(member="privateIPAddress", value=address, known="the addresses of IPv4") from error
    if wanted not in space:
        raise errors.address_not_in_subnet(address=address, prefix=prefix)
    if wanted in (*(space[position] for position in range(4)), space[-1]):
        raise errors.address_is_reserved(address=address, prefix=prefix)
    for user in topology.configurations_using(call.tenant.store, subnet.id):
        interface = call.tenant.store.get(user.parent)
        for each in interface.children("ipConfigurations") if interface else []:
            if each.id == user != own and each.properties["privateIPAddress"] == address:
                raise errors.private_address_is_allocated(id=own, address=address, user=user)


Fill = Callable[[Call, Resource, Json], None]
_FILLS: dict[str, tuple[Fill, int, int]] = {
    # By type: how its properties are filled, Retry-After of PUT and of DELETE in seconds (0: answered at once)
    NETWORK: (_fill_network, 3, 10),
    SECURITY_GROUP: (_fill_security_group, 1, 1),
    ADDRESS: (_fill_address, 1, 10),
    INTERFACE: (_fill_interface, 0, 4),
}


def _operation_url(call: Call, location: str, kind: str = "operations", name: str = "") -> str:
    return operations.start(call, operations.path(call, NAMESPACE, location, kind, name))


async def put(call: Call) -> Response:
    resource_type, existing, location = call.resource_type, call.stored(), call.location()
    fill, retry_after, _ = _FILLS[resource_type]
    _check_name(resource_type, call.parameters["name"])
    resource = Resource(
        {
            "name": call.parameters["name"],
            "id": str(existing.id if existing else call.id),
            "etag": f'W/"{uuid.uuid4()}"',
            "type": resource_type,
            "location": location,
            "properties": {
                "provisioningState": "Succeeded",
                "resourceGuid": call.tenant.stable_id(str(call.id)),
            },
        }
    )
    if "tags" in call.body:
        resource["tags"] = call.body["tags"]
    fill(call, resource, call.body.get("properties", {}))
    call.tenant.store.put(resource)
    shown = _shown(call, resource)
    status = 200 if existing else 201
    if not retry_after:
        return answer(shown, status=status)
    if resource_type == ADDRESS and not existing:  # it is allocated while the operation goes on
        shown["properties"].pop("ipAddress", None)
    return _under_way(call, shown, status, resource.location, retry_after, changed=_differs(existing, resource))


def _differs(before: Json | None, after: Json) -> bool:
    return before is None or _settings(before) != _settings(after)


def _settings(value: Any) -> Any:
    """The properties of a resource, without the marks that every write changes."""
    if isinstance(value, dict):
        kept = value["properties"] if "location" in value else value
        return {key: _settings(each) for key, each in kept.items() if key != "etag"}
    return [_settings(each) for each in value] if isinstance(value, list) else value


def _under_way(call: Call, shown: Json, status: int, location: str, retry_after: int, *, changed: bool) -> JSONResponse:
    """A PUT's answer: in progress where it changes a property; where it does not there is nothing to wait for."""
    response = answer(shown, status=status, state="Updating" if changed else None)
    response.headers["Azure-AsyncOperation"] = _operation_url(call, location)
    response.headers["Azure-AsyncNotification"] = "Enabled"
    if changed:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _shown(call: Call, resource: Resource) -> Json:
    """The resource with what refers to it, as the asked version of the API knows it."""
    store, shown = call.tenant.store, members.shown(resource, call.api_version)
    properties = shown["properties"]
    if resource.type == NETWORK:
        for subnet in properties["subnets"]:
            subnet["properties"] |= _users_of_subnet(store, subnet)
        if call.api_version < "2019":
            properties["enableVmProtection"] = False
    elif resource.type == SUBNET:
        properties |= _users_of_subnet(store, shown)
    elif resource.type == SECURITY_GROUP:
        properties |= topology.guarded_by(store, resource.id)
    elif resource.type == ADDRESS:
        users = topology.configurations_using(store, resource.id)
        if users:
            properties["ipConfiguration"] = {"id": str(users[0])}
        elif properties["publicIPAllocationMethod"] == "Dynamic":
            properties.pop("ipAddress", None)  # a dynamic address is there only while something uses it
    elif resource.type == INTERFACE and (vm := topology.vm_of_interface(store, resource.id)):
        machine = {"macAddress": topology.mac_address(vm), "virtualMachine": {"id": str(vm.id)}, "primary": True}
        properties |= machine
    return shown


def _users_of_subnet(store: Store, subnet: Json) -> Json:
    """The ipConfigurations of the interfaces in a subnet, their names in upper case as the provider writes them."""
    found = topology.configurations_using(store, ResourceId(subnet["id"]))
    return {"ipConfigurations": [{"id": _in_upper_case(each)} for each in found]} if found else {}


def _in_upper_case(resource_id: ResourceId) -> str:
    subscription = f"/subscriptions/{resource_id.subscription}"
    rest = str(resource_id).removeprefix(subscription)
    return subscription + re.sub("(/[^/]+/)([^/]+)", lambda match: match[1] + match[2].upper(), rest)


async def get_all(call: Call) -> Json:
    return {"value": [_shown(call, resource) for resource in call.readable()]}


async def get(call: Call) -> Response:
    resource = call.existing()
    return JSONResponse(_shown(call, resource), headers={"ETag": resource["etag"]})


async def patch(call: Call) -> Response:
    """Of these resources only the tags can be patched."""
    resource = call.existing()
    resource["tags"] = call.body.get("tags", resource.tags)
    call.tenant.store.put(resource)
    return JSONResponse(_shown(call, resource), headers={"Azure-AsyncNotification": "Enabled"})


async def delete(call: Call) -> Response:
    resource = call.stored()
    if resource is None:
        return Response(status_code=204)
    _refuse_where_used(call.tenant, resource)
    await remove(call.tenant, resource)
    return _deleting(call, resource.location, _FILLS[call.resource_type][2])


def _deleting(call: Call, location: str, retry_after: int) -> Response:
    name = operations.new_id()
    headers = {
        "Azure-AsyncOperation": _operation_url(call, location, name=name),
        "Azure-AsyncNotification": "Enabled",
        "Location": _operation_url(call, location, "operationResults", name),
        "Retry-After": str(retry_after),
    }
    return Response(status_code=202, headers=headers)


def _refuse_where_used(tenant: Tenant, resource: Resource) -> None:
    """Refuse to delete what is in use."""
    if resource.type == INTERFACE and (vm := topology.vm_of_interface(tenant.store, resource.id)):
        raise errors.interface_is_attached(id=resource.id, user=vm.id)
    store, users = tenant.store, ", ".join
    if resource.type == SECURITY_GROUP:
        if guarded := topology.guarded_by(store, resource.id):
            names = [each["id"] for kind in guarded.values() for each in kind]
            raise errors.security_group_in_use(id=resource.id, users=users(names))
        return
    for used in resource.children("subnets") if resource.type == NETWORK else [resource]:
        if found := topology.configurations_using(store, used.id):
            in_use = errors.address_in_use if resource.type == ADDRESS else errors.subnet_in_use
            raise in_use(id=used.id, name=used.name, users=users(map(str, found)))


async def remove(tenant: Tenant, resource: Resource) -> None:
    tenant.delete_resource(resource.id)


async def put_subnet(call: Call) -> Response:
    network, name = call.parent(), call.parameters["name"]
    _check_name(SUBNET, name)
    subnet = _child(network, "subnets", name, _subnet_properties(call, network, name, call.body))
    return _put_child(call, network, "subnets", subnet, retry_after=3)


async def put_security_rule(call: Call) -> Response:
    group, name = call.parent(), call.parameters["name"]
    _check_name(SUBNET, name)
    rule = _child(group, "securityRules", name, _rule(name, call.body.get("properties") or {}))
    _refuse_conflict(group, rule)
    return _put_child(call, group, "securityRules", rule, retry_after=1)


def _put_child(call: Call, parent: Resource, collection: str, child: Resource, *, retry_after: int) -> Response:
    children = parent.children(collection)
    before = next((each for each in children if each.id == child.id), None)
    parent.properties[collection] = [*(each for each in children if each is not before), child]
    call.tenant.store.put(parent)
    changed = before is None or _settings(before) != _settings(child)
    status = 200 if before else 201
    return _under_way(call, _shown(call, child), status, parent.location, retry_after, changed=changed)


async def list_children(call: Call) -> Json:
    parent = call.parent()
    return {"value": [_shown(call, child) for child in parent.children(_collection(call, parent))]}


def _collection(call: Call, parent: Resource) -> str:
    """The member of the parent that holds the children whose id is asked for, in whatever case."""
    return spelled(call.id.collection, parent.properties) or ""


async def get_child(call: Call) -> Response:
    parent = call.parent()
    for child in parent.children(_collection(call, parent)):
        if child.id == call.id:
            return JSONResponse(_shown(call, child), headers={"ETag": child["etag"]})
    raise errors.linked_resource_not_found(id=call.id)


async def delete_child(call: Call) -> Response:
    parent = call.parent()
    collection = _collection(call, parent)
    children = parent.children(collection)
    child = next((each for each in children if each.id == call.id), None)
    if child is None:
        return Response(status_code=204)
    _refuse_where_used(call.tenant, child)
    parent.properties[collection] = [each for each in children if each is not child]
    call.tenant.store.put(parent)
    return _deleting(call, parent.location, 10)


async def get_operation(call: Call) -> Response:
    if "/operationresults/" not in call.request.url.path.lower():
        operation = operations.polled(call)
        headers = {"Retry-After": "10"} if "endTime" not in operation else {}
        return JSONResponse(operations.status(operation), headers=headers)
    running = "endTime" not in operations.polled_result(call)
    url = str(call.request.url)
    if running:
        return Response(status_code=202, headers={"Location": url, "Retry-After": "10"})
    status_url = re.sub("/operationresults/", "/operations/", url, flags=re.IGNORECASE)
    headers = {"Location": url, "Azure-AsyncOperation": status_url, "Azure-AsyncNotification": "Enabled"}
    return Response(status_code=204, headers=headers)
