"""What is not done is not answered with yes: each writable member that the SDKs know is shown as it was sent, or refused."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from typing import Any

import pytest
from azure.mgmt.authorization import models as authorization
from azure.mgmt.compute import models as compute
from azure.mgmt.containerregistry import models as registries
from azure.mgmt.msi import models as msi
from azure.mgmt.network import models as network
from azure.mgmt.resource.resources import models as resources

from ..conftest import SUBSCRIPTION
from .raw_http import ARM_HOST
from .test_fuzz_requests import GROUP, HERE, VALID, InProcessSandbox, provider

REGISTRY = (provider("ContainerRegistry", "registries/never12345"), "2025-11-01", {**HERE, "sku": {"name": "Premium"}})
MODELS: dict[str, tuple[Any, Any]] = {
    "virtualMachines": (compute, compute.VirtualMachine),
    "extensions": (compute, compute.VirtualMachineExtension),
    "networkInterfaces": (network, network.NetworkInterface),
    "publicIPAddresses": (network, network.PublicIPAddress),
    "virtualNetworks": (network, network.VirtualNetwork),
    "networkSecurityGroups": (network, network.NetworkSecurityGroup),
    "registries": (registries, registries.Registry),
    "userAssignedIdentities": (msi, msi.Identity),
    "roleAssignments": (authorization, authorization.RoleAssignmentCreateParameters),
    "resourceGroups": (resources, resources.ResourceGroup),
}
NEVER_SHOWN = {
    "adminPassword",
    "customData",
    "userData",
    "protectedSettings",
}  # taken, and not answered by Azure either
READ_ONLY = {"id", "name", "type", "etag", "provisioningState", "resourceGuid", "exactVersion", "fqdn", "ipAddress"}
"""Written by Azure whatever is sent; some of the models do not say so."""


REFERENCES = {"networkSecurityGroup", "subnet", "publicIPAddress"}
"""Where another resource is named: its id counts, for Azure too."""


def fields(models: Any, model: Any) -> Iterator[tuple[str, str]]:
    """JSON path and type of a model's writable fields, of both generations of models."""
    for attribute, entry in getattr(model, "_attribute_map", {}).items():
        if not getattr(model, "_validation", {}).get(attribute, {}).get("readonly"):
            yield entry["key"], entry["type"]
    if not hasattr(model, "_attribute_map"):
        for attribute, field in model()._attr_to_rest_field.items():
            if field._visibility != ["read"]:
                annotation = next(c.__annotations__[attribute] for c in model.__mro__ if attribute in c.__annotations__)
                yield field._rest_name, str(annotation)


def probes(models: Any, model: Any, depth: int = 0) -> Iterator[tuple[list[str], Any]]:
    """Paths of leaves with a value to send there; "0" is the first item of an array."""
    for name, kind in fields(models, model):
        path = name.split(".")
        if path[-1] in READ_ONLY | NEVER_SHOWN | REFERENCES:
            continue
        found = re.search(r"_models\.(\w+)|^\[?\{?(\w+)\}?\]?$", kind)
        inner = getattr(models, (found[1] or found[2]) if found else "", None)
        item = ["0"] if re.search(r"list\[|^\[", kind, re.IGNORECASE) else []
        if isinstance(inner, type) and not issubclass(inner, Enum) and depth < 5:
            yield from ((path + item + rest, value) for rest, value in probes(models, inner, depth + 1))
        elif not re.search(r"dict|Mapping|^\{", kind, re.IGNORECASE):
            value: Any = True if "bool" in kind else 7 if "int" in kind else "probe"
            yield path, [value] if item else value


def put(document: Any, path: list[str], value: Any) -> None:
    for name, following in pairwise(path):
        empty: Any = [] if following == "0" else {}
        if name == "0":
            document[:] = document or [empty]
            document = document[0]
        else:
            document = document.setdefault(name, empty)
    document[path[-1]] = value


def at(document: Any, path: list[str]) -> Any:
    for name in path:
        document = (
            (document or [None])[0] if name == "0" else document.get(name) if isinstance(document, dict) else None
        )
    return document


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessSandbox]:
    sandbox = InProcessSandbox(tmp_path_factory.mktemp("never") / "sandbox")
    status, answered = sandbox.ask("PUT", ARM_HOST, REGISTRY[0], f"api-version={REGISTRY[1]}", REGISTRY[2])
    assert status in (200, 201), answered
    yield sandbox
    sandbox.server.close()


CASES = {path: case for path, case in [(REGISTRY[0], REGISTRY[1:]), (GROUP, ("2022-09-01", HERE)), *VALID.items()]}


@pytest.mark.parametrize("resource_type", MODELS)
def test_a_member_is_shown_as_it_was_sent_or_refused(sandbox: InProcessSandbox, resource_type: str) -> None:
    path, (version, body) = next(
        (path, case) for path, case in CASES.items() if path.split("/")[-2].lower() == resource_type.lower()
    )
    silent, tried, query = [], 0, f"api-version={version}"
    for member, value in probes(*MODELS[resource_type]):
        asked = copy.deepcopy(body)
        put(asked, member, value)
        for method in ("PUT", "PATCH") if resource_type != "roleAssignments" else ("PUT",):
            sent = asked if method == "PUT" else {}
            if method == "PATCH":
                put(sent, member, value)
            with sandbox.undone():
                status, _ = sandbox.ask(method, ARM_HOST, path, query, sent)
                shown = json.loads(sandbox.ask("GET", ARM_HOST, path, query)[1])
            tried += 1
            if status < 400 and at(shown, member) != value:
                silent.append(f"{method} {'.'.join(member)}")
    assert tried > 2 and silent == [], silent


def machine(**changes: Any) -> dict[str, Any]:
    body = copy.deepcopy(VALID[provider("Compute", "virtualMachines/m")][1])
    for path, value in changes.items():
        put(body, ["properties", *path.split("__")], value)
    return body


IMAGE = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
NEW, THERE = provider("Compute", "virtualMachines/new"), provider("Compute", "virtualMachines/m")
KEYS = [{"path": "/home/azureuser/.ssh/authorized_keys", "keyData": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ== x"}]


@pytest.mark.parametrize(
    ("path", "changes", "status", "code"),
    [
        (NEW, {"storageProfile__imageReference": {**IMAGE, "sku": "strange"}}, 404, "PlatformImageNotFound"),
        (NEW, {"storageProfile__imageReference": {**IMAGE, "version": "1.2.3"}}, 404, "PlatformImageNotFound"),
        (NEW, {"storageProfile__imageReference": {"publisher": "MicrosoftWindowsServer", "offer": "WindowsServer",
               "sku": "2022-datacenter", "version": "latest"}}, 501, "NotImplementedInSandbox"),
        (NEW, {"hardwareProfile__vmSize": "Standard_Strange"}, 400, "InvalidParameter"),
        (NEW, {"hardwareProfile__vmSize": "Standard_D2ps_v5"}, 400, "InvalidParameter"),
        (NEW, {"osProfile__linuxConfiguration__ssh__publicKeys": KEYS}, 400, "InvalidParameter"),
        (NEW, {"storageProfile__osDisk__diskSizeGB": 64}, 501, "NotImplementedInSandbox"),
        (NEW, {"storageProfile__dataDisks": [{"lun": 0, "createOption": "Empty"}]}, 501, "NotImplementedInSandbox"),
        (THERE, {"osProfile__linuxConfiguration__ssh__publicKeys": KEYS}, 409, "PropertyChangeNotAllowed"),
        (THERE, {"storageProfile__imageReference": IMAGE}, 409, "PropertyChangeNotAllowed"),
        (THERE, {"storageProfile__osDisk__name": "other"}, 409, "PropertyChangeNotAllowed"),
    ],
)  # fmt: skip
def test_a_vm_that_is_not_made_so(
    sandbox: InProcessSandbox, path: str, changes: dict[str, Any], status: int, code: str
) -> None:
    with sandbox.undone():
        answered, body = sandbox.ask("PUT", ARM_HOST, path, "api-version=2024-03-01", machine(**changes))
    assert (answered, json.loads(body)["error"]["code"]) == (status, code)


def test_a_vm_is_put_as_it_was_shown(sandbox: InProcessSandbox) -> None:
    """As `az vm update` does; its members may come in another order."""
    shown = json.loads(sandbox.ask("GET", ARM_HOST, THERE, "api-version=2024-03-01")[1])
    key = shown["properties"]["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"][0]
    shown["properties"]["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"][0] = dict(reversed(key.items()))
    with sandbox.undone():
        status, answered = sandbox.ask("PUT", ARM_HOST, THERE, "api-version=2024-03-01", {**shown, "tags": {"a": "b"}})
    assert status == 200, answered


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "IPv4BasicSkuPublicIpCountLimitReached"),
        ({"sku": {"name": "Basic"}}, "IPv4BasicSkuPublicIpCountLimitReached"),
        ({"sku": {"name": "Standard"}}, "StandardAndStandardV2SkuPublicIPAddressesMustBeStatic"),
    ],
)
def test_an_address_that_azure_does_not_make(sandbox: InProcessSandbox, body: dict[str, Any], code: str) -> None:
    path = provider("Network", "publicIPAddresses/new")
    status, answered = sandbox.ask("PUT", ARM_HOST, path, "api-version=2023-09-01", {**HERE, **body})
    assert (status, json.loads(answered)["error"]["code"]) == (400, code)


COMPUTE = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/chinanorth3/publishers"
OFFERS = f"{COMPUTE}/canonical/artifacttypes/vmimage/offers"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (COMPUTE, ["Canonical"]),
        (OFFERS, None),
        (f"{OFFERS}/ubuntu-24_04-LTS/skus", None),
        (f"{OFFERS}/0001-com-ubuntu-server-jammy/skus/22_04-lts-gen2/versions", None),
        (f"{COMPUTE}/nobody/artifacttypes/vmimage/offers", "NotFound"),
        (f"{OFFERS}/nothing/skus", "NotFound"),
        (f"{OFFERS}/ubuntu-24_04-lts/skus/nothing/versions", "NotFound"),
        (f"{OFFERS}/ubuntu-24_04-lts/skus/server/versions/1.2.3", "NotFound"),
        (provider("Compute", "images/nothing"), "ResourceNotFound"),
    ],
)
def test_images_are_looked_up(sandbox: InProcessSandbox, path: str, wanted: Any) -> None:
    status, answered = sandbox.ask("GET", ARM_HOST, path, "api-version=2024-03-01")
    if isinstance(wanted, str):
        assert (status, json.loads(answered)["error"]["code"]) == (404, wanted)
    else:
        names = [each["name"] for each in json.loads(answered)]
        assert status == 200 and names and wanted in (None, names)


def test_each_listed_image_makes_a_vm(sandbox: InProcessSandbox) -> None:
    """What is listed is what there is: nothing more, nothing less."""
    tried = 0

    def ask(path: str) -> Any:
        return json.loads(sandbox.ask("GET", ARM_HOST, path, "api-version=2024-03-01")[1])

    for offer in ask(OFFERS):
        for sku in ask(f"{OFFERS}/{offer['name']}/skus"):
            arm = sku["name"].endswith("arm64")
            image = {"publisher": "Canonical", "offer": offer["name"], "sku": sku["name"], "version": "latest"}
            size = "Standard_D2ps_v5" if arm else "Standard_B1s"
            body = machine(storageProfile__imageReference=image, hardwareProfile__vmSize=size)
            other = copy.deepcopy(body)
            other["properties"]["networkProfile"]["networkInterfaces"] = [
                {"id": provider("Network", "networkInterfaces/o")}
            ]
            with sandbox.undone():
                interface = copy.deepcopy(VALID[provider("Network", "networkInterfaces/n")][1])
                del interface["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"]
                sandbox.ask(
                    "PUT", ARM_HOST, provider("Network", "networkInterfaces/o"), "api-version=2023-09-01", interface
                )
                status, answered = sandbox.ask("PUT", ARM_HOST, NEW, "api-version=2024-03-01", other)
            assert status == 201, answered
            tried += 1
    assert tried > 10


# Networks


GROUPS, ADDRESSES = (provider("Network", f"{name}/new") for name in ("networkSecurityGroups", "publicIPAddresses"))
NETWORK_PATH, INTERFACES = provider("Network", "virtualNetworks/v1"), provider("Network", "networkInterfaces/new")
RULE = VALID[provider("Network", "networkSecurityGroups/w")][1]["properties"]["securityRules"][0]["properties"]


def rules(*changes: dict[str, Any], names: str = "abcdef") -> dict[str, Any]:
    made = [
        {"name": name, "properties": {key: value for key, value in {**RULE, **change}.items() if value is not None}}
        for name, change in zip(names, changes, strict=False)
    ]
    return {**HERE, "properties": {"securityRules": made}}


def network_of(*prefixes: str, space: str = "10.0.0.0/16", names: str = "stuvw") -> dict[str, Any]:
    made = [{"name": n, "properties": {"addressPrefix": p}} for n, p in zip(names, prefixes, strict=False)]
    return {**HERE, "properties": {"addressSpace": {"addressPrefixes": [space]}, "subnets": made}}


def interface_at(address: str = "10.0.0.9", method: str = "Static", public: str | None = None) -> dict[str, Any]:
    subnet = {"id": f"{NETWORK_PATH}/subnets/s"}
    configuration = {"subnet": subnet, "privateIPAddress": address, "privateIPAllocationMethod": method}
    more = {"publicIPAddress": {"id": public}} if public else {}
    return {**HERE, "properties": {"ipConfigurations": [{"name": "c", "properties": {**configuration, **more}}]}}


def public(**properties: Any) -> dict[str, Any]:
    return {**HERE, "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static", **properties}}


def tagged(tags: Any) -> dict[str, Any]:
    return {**HERE, "tags": tags}


IDENTITIES = provider("ManagedIdentity", "userAssignedIdentities/new")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (GROUPS, rules({}, {}), "SecurityRuleConflict"),
        (GROUPS, rules({}, {"priority": 200}, names="aA"), "DuplicateResourceName"),
        *((GROUPS, rules({"destinationPortRange": port}), "SecurityRuleInvalidPortRange")
          for port in ("80,443", "x", "65536", "90-80", "-1", "22-", "２２")),
        (GROUPS, rules({"destinationPortRange": None, "destinationPortRanges": ["22", "x"]}), "SecurityRuleInvalidPortRange"),
        *((GROUPS, rules({"sourceAddressPrefix": prefix}), "SecurityRuleInvalidAddressPrefix")
          for prefix in ("x", "20.20.20.20/16", "1.2.3", "AzureBastionSubnet", "10.0.0.0/33")),
        (GROUPS, rules({"sourceAddressPrefix": None}), "SecurityRuleInvalidParameter"),
        *((GROUPS, rules({"priority": priority}), "SecurityRuleInvalidPriority") for priority in (99, 4097, "100", 100.5, True)),
        *((GROUPS, rules({key: "x"}), "InvalidRequestFormat") for key in ("access", "direction", "protocol")),
        (NETWORK_PATH, network_of("10.0.0.0/24", "10.0.0.128/25"), "NetcfgSubnetRangesOverlap"),
        (NETWORK_PATH, network_of("10.0.0.0/24", "10.1.0.0/24"), "NetcfgInvalidSubnet"),
        (NETWORK_PATH, network_of("10.0.0.0/24", "10.0.1.0/24", names="sS"), "DuplicateResourceName"),
        (NETWORK_PATH, network_of("10.0.0.0/24", "10.0.1.1/24"), "InvalidCIDRNotation"),
        (NETWORK_PATH, network_of("10.0.0.0/24", "10.0.1.0"), "InvalidAddressPrefixFormat"),
        (NETWORK_PATH, network_of("10.0.0.0/24", space="ten"), "InvalidAddressPrefixFormat"),
        (NETWORK_PATH, network_of("10.0.0.0/25"), "InUsePrefixCannotBeDeleted"),
        (NETWORK_PATH, network_of(), "InUseSubnetCannotBeDeleted"),
        (f"{NETWORK_PATH}/subnets/t", {"properties": {"addressPrefix": "10.0.0.0/28"}}, "NetcfgSubnetRangesOverlap"),
        (INTERFACES, interface_at("10.1.0.9"), "PrivateIPAddressNotInSubnet"),
        (INTERFACES, interface_at("10.0.0.3"), "PrivateIPAddressInReservedRange"),
        (INTERFACES, interface_at("10.0.0.4"), "PrivateIPAddressIsAllocated"),
        (INTERFACES, interface_at(public=provider("Network", "publicIPAddresses/i")), "PublicIPAddressInUse"),
        (INTERFACES, {**interface_at(), "location": "chinaeast2"}, "InvalidResourceReference"),
        (ADDRESSES, public(dnsSettings={"domainNameLabel": "Not a label"}), "InvalidDomainNameLabel"),
        (ADDRESSES, {**public(), "sku": {"name": "Strange"}}, "InvalidRequestFormat"),
        (IDENTITIES, tagged({f"t{number}": "x" for number in range(51)}), "TooManyTags"),
        (IDENTITIES, tagged({"a/b": "x"}), "InvalidTagNameCharacters"),
        (IDENTITIES, tagged({"a" * 513: "x"}), "InvalidTagName"),
        (IDENTITIES, tagged({"a": "x" * 257}), "InvalidTagValueLength"),
        (IDENTITIES, tagged({"a": 1}), "InvalidRequestContent"),
        (IDENTITIES, {"location": "global"}, "LocationNotAvailableForResourceType"),
        (provider("ManagedIdentity", "userAssignedIdentities/uuu"), {"location": "chinaeast2"}, "InvalidResourceLocation"),
        (NEW, {**HERE, "tags": {"a?": "x"}}, "InvalidTagNameCharacters"),
    ],
)  # fmt: skip
def test_a_value_that_azure_does_not_take(
    sandbox: InProcessSandbox, path: str, body: dict[str, Any], code: str
) -> None:
    with sandbox.undone():
        status, answered = sandbox.ask("PUT", ARM_HOST, path, "api-version=2023-09-01", body)
    assert json.loads(answered)["error"]["code"] == code and status in (400, 409), answered


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (GROUPS, rules({"destinationPortRange": "0-65535"}, {"priority": 101, "sourceAddressPrefix": "storage.ChinaNorth3"},
                       {"priority": 102, "sourceAddressPrefix": "10.0.0.1"}, {"direction": "Outbound"})),
        (NETWORK_PATH, network_of("10.0.0.0/24", "10.0.1.0/24")),
        (INTERFACES, interface_at()),
        (INTERFACES, interface_at("", "Dynamic")),
        (ADDRESSES, public(dnsSettings={"domainNameLabel": "a-label"})),
        (IDENTITIES, tagged({f"t{number}": "x" * 256 for number in range(50)})),
    ],
)  # fmt: skip
def test_a_value_that_azure_takes(sandbox: InProcessSandbox, path: str, body: dict[str, Any]) -> None:
    with sandbox.undone():
        status, answered = sandbox.ask("PUT", ARM_HOST, path, "api-version=2023-09-01", body)
    assert status in (200, 201), answered


def test_two_addresses_with_one_label(sandbox: InProcessSandbox) -> None:
    body = public(dnsSettings={"domainNameLabel": "a-label"})
    with sandbox.undone():
        sandbox.ask("PUT", ARM_HOST, ADDRESSES, "api-version=2023-09-01", body)
        status, answered = sandbox.ask("PUT", ARM_HOST, f"{ADDRESSES}2", "api-version=2023-09-01", body)
    assert (status, json.loads(answered)["error"]["code"]) == (400, "DnsRecordInUse")


@pytest.mark.parametrize(
    ("path", "code", "sentence"),
    [
        (provider("Network", "networkSecurityGroups/w"), "InUseNetworkSecurityGroupCannotBeDeleted",
         r"^Network security group \S+/w cannot be deleted because it is in use by the following resources: \S+/networkInterfaces/n\. In order to"),
        (provider("Network", "publicIPAddresses/i"), "PublicIPAddressCannotBeDeleted",
         r"^Public IP address \S+/i can not be deleted since it is still allocated to resource \S+/ipConfigurations/c\. In order to"),
        (NETWORK_PATH, "InUseSubnetCannotBeDeleted", r"^Subnet s is in use by \S+/ipConfigurations/c and cannot be deleted\. In order to"),
        (f"{NETWORK_PATH}/subnets/s", "InUseSubnetCannotBeDeleted", r"^Subnet s is in use by \S+/ipConfigurations/c and cannot be"),
        (provider("Network", "networkInterfaces/n"), "NicInUse", r"^Network Interface \S+/n is used by existing resource \S+/m\. In order to"),
    ],
)  # fmt: skip
def test_what_is_in_use_is_not_deleted(sandbox: InProcessSandbox, path: str, code: str, sentence: str) -> None:
    """In the words of recorded answers."""
    status, answered = sandbox.ask("DELETE", ARM_HOST, path, "api-version=2023-09-01")
    error = json.loads(answered)["error"]
    assert (status, error["code"]) == (400, code) and re.match(sentence, error["message"]), error


def test_a_security_group_of_a_subnet_is_in_use(sandbox: InProcessSandbox) -> None:
    body = network_of("10.0.0.0/24")
    with sandbox.undone():
        sandbox.ask("PUT", ARM_HOST, GROUPS, "api-version=2023-09-01", HERE)
        body["properties"]["subnets"][0]["properties"]["networkSecurityGroup"] = {"id": GROUPS}
        sandbox.ask("PUT", ARM_HOST, NETWORK_PATH, "api-version=2023-09-01", body)
        status, answered = sandbox.ask("DELETE", ARM_HOST, GROUPS, "api-version=2023-09-01")
    assert status == 400 and f"{NETWORK_PATH}/subnets/s" in json.loads(answered)["error"]["message"]


@pytest.mark.parametrize("path", [path for path, (_, body) in VALID.items() if "location" in body])
def test_what_is_there_stays_in_its_region(sandbox: InProcessSandbox, path: str) -> None:
    version, body = VALID[path]
    for location, code in ("chinaeast2", "InvalidResourceLocation"), ("China North 3", None):
        with sandbox.undone():
            asked = {**body, "location": location}
            status, answered = sandbox.ask("PUT", ARM_HOST, path, f"api-version={version}", asked)
        assert (status, json.loads(answered)["error"]["code"]) == (409, code) if code else status == 200, answered


def test_a_resource_group_stays_in_its_region(sandbox: InProcessSandbox) -> None:
    status, answered = sandbox.ask("PUT", ARM_HOST, GROUP, "api-version=2022-09-01", {"location": "chinaeast2"})
    assert (status, json.loads(answered)["error"]["code"]) == (409, "InvalidResourceGroupLocation")


@pytest.mark.parametrize(
    "path",
    [f"{GROUP}/providers/{each}" for each in ("Microsoft.Compute/virtualMachines", "Microsoft.Resources/deployments")],
)
def test_a_filter_is_not_passed_over(sandbox: InProcessSandbox, path: str) -> None:
    status, answered = sandbox.ask("GET", ARM_HOST, path, "api-version=2022-09-01&$filter=name eq 'x'")
    assert (status, json.loads(answered)["error"]["code"]) == (501, "NotImplementedInSandbox")


@pytest.mark.parametrize("option", ["$top=1", "$skiptoken=x", "$skipToken=x", "$orderby=name"])
@pytest.mark.parametrize(
    "path", [f"/subscriptions/{SUBSCRIPTION}/resourcegroups", f"{GROUP}/resources", "/subscriptions"]
)
def test_a_page_of_a_list_is_not_passed_over(sandbox: InProcessSandbox, path: str, option: str) -> None:
    status, answered = sandbox.ask("GET", ARM_HOST, path, f"api-version=2022-09-01&{option}")
    assert (status, json.loads(answered)["error"]["code"]) == (501, "NotImplementedInSandbox")


def test_the_newest_version_of_an_image(sandbox: InProcessSandbox) -> None:
    """As azure-cli asks for it: there is one."""
    offer = "Canonical/artifacttypes/vmimage/offers/0001-com-ubuntu-server-jammy/skus/22_04-lts-gen2"
    path = (
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/chinanorth3/publishers/{offer}/versions"
    )
    status, answered = sandbox.ask("GET", ARM_HOST, path, "api-version=2024-07-01&$top=1&$orderby=name desc")
    assert (status, len(json.loads(answered))) == (200, 1)


def test_groups_by_their_tags(sandbox: InProcessSandbox) -> None:
    groups = f"/subscriptions/{SUBSCRIPTION}/resourcegroups"
    with sandbox.undone():
        sandbox.ask("PATCH", ARM_HOST, GROUP, "api-version=2022-09-01", {"tags": {"a": "b"}})
        for value, found in ("b", ["g"]), ("c", []):
            query = f"api-version=2022-09-01&$filter=tagname eq 'a' and tagvalue eq '{value}'"
            listed = json.loads(sandbox.ask("GET", ARM_HOST, groups, query)[1])["value"]
            assert [each["name"] for each in listed] == found


def test_a_vm_is_not_hibernated(sandbox: InProcessSandbox) -> None:
    status, answered = sandbox.ask("POST", ARM_HOST, f"{THERE}/deallocate", "api-version=2024-03-01&hibernate=true")
    assert (status, json.loads(answered)["error"]["code"]) == (501, "NotImplementedInSandbox")
