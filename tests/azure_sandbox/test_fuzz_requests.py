"""Whatever an authenticated caller asks for, in whatever form: an answer below 500, or 501 in words, and no exception."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_sandbox import members
from azure_sandbox.arm import ROUTES
from azure_sandbox.clouds import REGISTRY_AUDIENCE
from azure_sandbox.guests.simulated.guest import SimulatedGuests
from azure_sandbox.limits import Buckets
from azure_sandbox.proxy import Caller
from azure_sandbox.server import Server
from azure_sandbox.tenant import Tenant

from ..conftest import SUBSCRIPTION
from .fuzz import fuzzed
from .raw_http import ARM_HOST
from .test_fuzz_parsers import pieces

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g"
REGISTRY = "fuzz12345.azurecr.cn"
LAYER = b"0123456789"
DIGEST = f"sha256:{hashlib.sha256(LAYER).hexdigest()}"
VERSION = "api-version=2022-09-01"


IMAGE = {
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": len(LAYER), "digest": DIGEST},
}  # fmt: skip


def provider(kind: str, name: str) -> str:
    return f"{GROUP}/providers/Microsoft.{kind}/{name}"


HERE = {"location": "chinanorth3"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f x"
SUBNET, INTERFACE = provider("Network", "virtualNetworks/v1/subnets/s"), provider("Network", "networkInterfaces/n")
ASSIGNED, DEFINED = (f"00000000-0000-0000-0000-00000000000{digit}" for digit in (1, 2))
PULL = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
VALID: dict[str, tuple[str, dict[str, Any]]] = {
    provider("Network", "virtualNetworks/v1"): ("2023-09-01", {**HERE, "properties": {
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [{"name": "s", "properties": {"addressPrefix": "10.0.0.0/24"}}]}}),
    provider("Network", "networkSecurityGroups/w"): ("2023-09-01", {**HERE, "properties": {"securityRules": [{"name": "r", "properties": {
        "priority": 1000, "protocol": "Tcp", "access": "Allow", "direction": "Inbound", "sourceAddressPrefix": "*", "sourcePortRange": "*",
        "destinationAddressPrefix": "*", "destinationPortRange": "22"}}]}}),
    provider("Network", "publicIPAddresses/i"): ("2023-09-01", {**HERE, "sku": {"name": "Standard"}, "properties": {
        "publicIPAllocationMethod": "Static"}}),
    INTERFACE: ("2023-09-01", {**HERE, "properties": {
        "networkSecurityGroup": {"id": provider("Network", "networkSecurityGroups/w")}, "ipConfigurations": [{"name": "c", "properties": {
            "subnet": {"id": SUBNET}, "publicIPAddress": {"id": provider("Network", "publicIPAddresses/i")}}}]}}),
    provider("ManagedIdentity", "userAssignedIdentities/uuu"): ("2023-01-31", {**HERE, "tags": {"a": "b"}}),
    provider("Compute", "virtualMachines/m"): ("2024-03-01", {**HERE, "identity": {
        "type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {provider("ManagedIdentity", "userAssignedIdentities/uuu"): {}}},
        "properties": {"hardwareProfile": {"vmSize": "Standard_B1s"}, "storageProfile": {"imageReference": {
            "publisher": "Canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts-gen2", "version": "latest"},
            "osDisk": {"createOption": "FromImage", "managedDisk": {"storageAccountType": "Standard_LRS"}}},
            "osProfile": {"computerName": "m", "adminUsername": "azureuser", "customData": "I2Nsb3VkLWNvbmZpZwo=", "linuxConfiguration": {
                "disablePasswordAuthentication": True, "ssh": {"publicKeys": [{
                    "path": "/home/azureuser/.ssh/authorized_keys", "keyData": KEY}]}}},
            "networkProfile": {"networkInterfaces": [{"id": INTERFACE, "properties": {"primary": True}}]}}}),
    provider("Compute", "virtualMachines/m/extensions/e"): ("2024-03-01", {**HERE, "properties": {
        "publisher": "Microsoft.OSTCExtensions", "type": "VMAccessForLinux", "typeHandlerVersion": "1.5", "settings": {},
        "autoUpgradeMinorVersion": True, "protectedSettings": {"username": "azureuser", "ssh_key": KEY}}}),
    f"{provider('ContainerRegistry', 'registries/fuzz12345')}": ("2023-07-01", {**HERE, "sku": {"name": "Premium"}, "properties": {
        "adminUserEnabled": True, "publicNetworkAccess": "Enabled", "networkRuleSet": {"defaultAction": "Allow", "ipRules": []}}}),
    f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{ASSIGNED}": ("2022-04-01", {"properties": {
        "roleDefinitionId": PULL, "principalId": DEFINED, "principalType": "ServicePrincipal", "conditionVersion": "2.0",
        "condition": "(!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'}))"}}),
    f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{DEFINED}": ("2022-04-01", {"properties": {
        "roleName": "mine", "description": "x", "type": "CustomRole", "assignableScopes": [f"/subscriptions/{SUBSCRIPTION}"],
        "permissions": [{"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}]}}),
    f"{provider('Resources', 'deployments/d')}": ("2022-09-01", {"properties": {"mode": "Incremental", "parameters": {"x": {"value": "y"}},
        "template": {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0", "parameters": {"x": {"type": "string"}}, "variables": {"v": "[concat('abc', parameters('x'))]"},
            "outputs": {"o": {"type": "string", "value": "[variables('v')]"}},
            "resources": [{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31",
                "name": "[variables('v')]", "location": "chinanorth3", "tags": {"t": "[parameters('x')]"}}]}}}),
}  # fmt: skip
"""What may be put where, and is there."""


class InProcessSandbox:
    """A sandbox in this process, whose application is called without the proxy."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder, 0)
        self.cloud: Tenant = self.server.clouds[0]
        operator = self.cloud.ensure_operator()
        self.token = self.cloud.issue_token(operator, f"https://{ARM_HOST}/", 3600, {})
        self.graph = self.cloud.issue_token(operator, f"https://{self.cloud.cloud.graph}", 3600, {})
        self.ask("PUT", ARM_HOST, GROUP, VERSION, {"location": "chinanorth3"})
        registry = {"location": "chinanorth3", "sku": {"name": "Premium"}, "properties": {"adminUserEnabled": True}}
        path = f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/fuzz12345"
        self.ask("PUT", ARM_HOST, path, "api-version=2023-07-01", registry)
        entra = self.cloud.issue_token(operator, REGISTRY_AUDIENCE, 3600, {})
        form = f"grant_type=access_token&service={REGISTRY}&access_token={entra}".encode()
        refresh = json.loads(self.ask("POST", REGISTRY, "/oauth2/exchange", "", form, token="")[1])["refresh_token"]
        scopes = "&".join(f"scope={quote(each)}" for each in ("repository:app:*", "registry:catalog:*"))
        form = f"grant_type=refresh_token&service={REGISTRY}&refresh_token={refresh}&{scopes}".encode()
        self.registry = json.loads(self.ask("POST", REGISTRY, "/oauth2/token", "", form, token="")[1])["access_token"]
        self.ask("POST", REGISTRY, "/v2/app/blobs/uploads/", f"digest={DIGEST}", LAYER, token=self.registry)
        assert self.ask("PUT", REGISTRY, "/v2/app/manifests/v1", "", IMAGE, token=self.registry)[0] == 201
        for path, (version_, body) in VALID.items():
            status, answered = self.ask("PUT", ARM_HOST, path, f"api-version={version_}", body)
            assert status in (200, 201, 202), (path, answered)

    def ask(
        self,
        method: str,
        host: str,
        path: str,
        query: str = "",
        body: Any = b"",
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of an answer."""
        content: bytes = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"host": host, "metadata": "true", **({"content-length": str(len(content))} if content else {})}
        if token != "":
            fields["authorization"] = f"Bearer {token or self.token}"
        fields |= headers or {}
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "https", "root_path": "", "path": path,
            "raw_path": quote(path, errors="replace").encode(), "query_string": quote(query, safe="%&=/:;,+'() ", errors="replace").encode(),
            "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in fields.items()],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {"caller": Caller()},
        }  # fmt: skip
        answered: list[Any] = []
        incoming = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> Any:
            return incoming.pop() if incoming else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            answered.append(message)

        asyncio.run(self.server.app(scope, receive, send))
        return answered[0]["status"], b"".join(message.get("body", b"") for message in answered[1:])

    def undone(self) -> Any:
        """A block whose changes to the state are undone after it."""
        return _Undone(self.cloud)


class _Undone:
    def __init__(self, cloud: Tenant) -> None:
        self._cloud = cloud

    def __enter__(self) -> None:
        self._cloud.buckets = Buckets()
        self._cloud.store._db.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        self._cloud.store._db.execute("ROLLBACK")
        assert isinstance(self._cloud.guests, SimulatedGuests)
        self._cloud.guests._running.clear()


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessSandbox]:
    opened = InProcessSandbox(tmp_path_factory.mktemp("fuzz") / "sandbox")
    yield opened
    opened.server.close()


# Bodies whose members have the names that the sandbox reads, and any values.
def _names(member: members.Member) -> set[str]:
    return set(member.members).union(*(_names(inner) for inner in member.members.values()))


MEMBERS = sorted({name for kind in members.TYPES.values() for name in _names(kind)} | {"resources", "x", "value"})
TEXTS = [
    "", "x", GROUP, f"{GROUP}/providers/Microsoft.Network/virtualNetworks/v1/subnets/s", "SystemAssigned", "UserAssigned", "None",
    "chinanorth3", "10.0.0.0/16", "10.0.0.0/99", "0-65535", "22", "*", "Allow", "Inbound", "Tcp", "Premium", "Enabled", "Standard_B1s",
    "Ubuntu2204", "mcr.microsoft.com/azuredocs/aci-helloworld:latest", "[parameters('x')]", "[resourceId('a','b')]", "[concat(", "\ud800",
    "\x00", "é" * 300, "Microsoft.Compute/virtualMachines", "Static", "Dynamic", "ssh-rsa AAAA", "2.0",
]  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(TEXTS), st.text(max_size=4))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from(MEMBERS), values, max_size=4).map(
    lambda body: {"location": "chinanorth3", **body}
)
names = st.sampled_from(
    [
        "v",
        "w",
        "i",
        "n",
        "u",
        "m",
        "d",
        "s",
        "fuzz12345",
        ASSIGNED,
        DEFINED,
        "x",
        "g",
        "fuzz12345",
        SUBSCRIPTION,
        "a.b",
        "_",
        "X" * 300,
        "é",
        "%",
        "default",
        "{x}",
    ]
)


def acceptable(answer: tuple[int, bytes]) -> None:
    status, body = answer
    assert status < 500 or (status == 501 and b"NotImplementedInSandbox" in body), (status, body[:500])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a JSON value something stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def changed(value: Any, place: tuple[Any, ...], into: Any) -> Any:
    if not place:
        return into
    copy = value.copy()
    copy[place[0]] = changed(value[place[0]], place[1:], into)
    return copy


@fuzzed(120)
@given(st.data())
def test_resource_manager_with_one_member_changed(tenant: InProcessSandbox, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(VALID)))
    version, body = VALID[path]
    body = changed(body, data.draw(st.sampled_from(places(body)[1:])), data.draw(values))
    target = path if data.draw(st.booleans()) else f"{path}9"
    with tenant.undone():
        method = data.draw(st.sampled_from(["PUT", "PUT", "PUT", "PATCH"]))
        acceptable(tenant.ask(method, ARM_HOST, target, f"api-version={version}", body))
        for other, (version_, body_) in VALID.items():  # what was kept must not break the others
            acceptable(tenant.ask("GET", ARM_HOST, other, f"api-version={version_}"))
            if other == path or "virtualMachines" in other:
                acceptable(tenant.ask("PUT", ARM_HOST, other, f"api-version={version_}", body_))
        acceptable(tenant.ask("GET", ARM_HOST, f"{GROUP}/resources", VERSION))
        acceptable(tenant.ask("GET", REGISTRY, "/v2/app/tags/list", "", token=tenant.registry))
        acceptable(tenant.ask("DELETE", ARM_HOST, path, f"api-version={version}"))


@fuzzed(75)
@given(st.data())
def test_resource_manager(tenant: InProcessSandbox, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from(ROUTES))
    filled = {"subscription": SUBSCRIPTION, "group": "g"}
    path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: filled.get(match[1]) or data.draw(names), route.path)
    version = data.draw(st.sampled_from(["2022-09-01", "2023-07-01", "2018-06-01", "2024-03-01-preview"]))
    query = (
        f"api-version={version}{data.draw(st.sampled_from(['', '&$expand=instanceView', '&$skipToken=x', '&$top=x']))}"
    )
    with tenant.undone():
        acceptable(tenant.ask(route.method, ARM_HOST, path, query, data.draw(bodies)))
        acceptable(tenant.ask("GET", ARM_HOST, path, query))
        acceptable(tenant.ask("GET", ARM_HOST, f"{GROUP}/resources", VERSION))


FILTER = ["roleName", "principalId", " eq ", "'", "''", "atScope()", "assignedTo('x')", " and ", "name", "tagName", "(", ")", "type",
          "x", "resourceType", "servicePrincipalNames/any(c:c eq 'x')", "%00", "\\", SUBSCRIPTION]  # fmt: skip


@fuzzed(75)
@given(pieces(*FILTER))
def test_filters(tenant: InProcessSandbox, text: str) -> None:
    written = quote(text, safe="", errors="replace")
    for path in (
        "/providers/Microsoft.Authorization/roleAssignments",
        "/providers/Microsoft.Authorization/roleDefinitions",
        "/resources",
    ):
        acceptable(tenant.ask("GET", ARM_HOST, f"/subscriptions/{SUBSCRIPTION}{path}", f"{VERSION}&$filter={written}"))
    graph = tenant.cloud.cloud.graph
    acceptable(tenant.ask("GET", graph, "/v1.0/servicePrincipals", f"$filter={written}", token=tenant.graph))


@fuzzed(50)
@given(st.one_of(values, st.dictionaries(st.just("ids"), values)))
def test_graph(tenant: InProcessSandbox, body: Any) -> None:
    host, path = tenant.cloud.cloud.graph, "/v1.0/directoryObjects/getByIds"
    acceptable(tenant.ask("POST", host, path, "", body, token=tenant.graph))


part = st.one_of(
    st.sampled_from(["app", "v1", DIGEST, "sha256:x", "..", "v1", DIGEST, "uploads", "\x00", "é", "A"]),
    st.text(max_size=4),
)
manifests = st.fixed_dictionaries(
    {"schemaVersion": st.sampled_from([2, 1, "2"])},
    optional={
        "mediaType": scalars, "config": values | st.just({"digest": DIGEST, "mediaType": "x", "size": 10}), "layers": values,
        "manifests": values, "subject": values, "annotations": values, "artifactType": scalars,
    },
)  # fmt: skip


@fuzzed(100)
@given(st.data())
def test_registry(tenant: InProcessSandbox, data: st.DataObject) -> None:
    form = data.draw(
        st.sampled_from(
            ["/v2/{}/tags/list", "/v2/{}/manifests/{}", "/v2/{}/blobs/{}", "/v2/{}/blobs/uploads/", "/v2/{}/blobs/uploads/{}",
             "/v2/{}/referrers/{}", "/v2/_catalog", "/acr/v1/_catalog", "/acr/v1/{}", "/acr/v1/{}/_tags", "/acr/v1/{}/_tags/{}",
             "/acr/v1/{}/_manifests", "/acr/v1/{}/_manifests/{}", "/oauth2/token", "/oauth2/exchange", "/{}"]
        )
    )  # fmt: skip
    path = (
        form.format("app", data.draw(part))
        if data.draw(st.booleans())
        else form.format(data.draw(part), data.draw(part))
    )
    query = data.draw(
        pieces(
            "n=", "last=", "digest=", DIGEST, "mount=", "from=", "&", "1", "app", "scope=", "service=", "artifactType="
        )
    )
    method = data.draw(st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"]))
    headers = {
        "range": data.draw(pieces("bytes=", "0", "5", "-", ",", "9" * 30)),
        "content-type": data.draw(st.sampled_from(["", "x", "application/json"])),
    }
    headers["content-range"] = data.draw(pieces("bytes ", "0", "9", "-", "/", "*"))
    body = data.draw(st.one_of(manifests, values, st.binary(max_size=20)))
    with tenant.undone():
        acceptable(tenant.ask(method, REGISTRY, path, query, body, token=tenant.registry, headers=headers))
        for shown in ("/v2/app/tags/list", "/acr/v1/app/_manifests", "/acr/v1/app/_tags"):
            acceptable(tenant.ask("GET", REGISTRY, shown, "", token=tenant.registry))


LOGIN = [
    "grant_type=",
    "client_credentials",
    "&",
    "client_id=",
    "client_secret=",
    "scope=",
    "resource=",
    ".default",
    "%",
    "%00",
    "=",
    "é",
    ";",
]


@fuzzed(75)
@given(pieces(*LOGIN), st.sampled_from(["Basic !", "Basic OjpA", "Basic /w==", "Bearer x", ""]))
def test_sign_in(tenant: InProcessSandbox, form: str, authorization: str) -> None:
    for path in ("/common/oauth2/token", "/common/oauth2/v2.0/token"):
        headers = {"authorization": authorization}
        answered = tenant.ask(
            "POST", "login.chinacloudapi.cn", path, "", form.encode("utf-8", "replace"), token="", headers=headers
        )
        acceptable(answered)
        assert answered[0] in (400, 401)


@fuzzed(50)
@given(
    pieces("api-version=", "2018-02-01", "&", "resource=", "https://x/", "client_id=", "format=", "text", "%00", "é"),
    part,
)
def test_metadata(tenant: InProcessSandbox, query: str, name: str) -> None:
    for path in (
        "/metadata/identity/oauth2/token",
        "/metadata/instance",
        f"/metadata/instance/{name}",
        "/metadata/versions",
    ):
        acceptable(tenant.ask("GET", "169.254.169.254", path, query, token=""))
