"""Bring a sandbox into the state of a recorded exchange, send the recorded request, and compare the answers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from azure_sandbox import Sandbox
from azure_sandbox.arm.compute import IMAGE_VERSIONS
from azure_sandbox.clouds import CLOUDS, REGISTRY_AUDIENCE
from runbook_helpers.ssh.keys import KeyStore

Json = dict[str, Any]
ZERO = "00000000-0000-0000-0000-000000000000"
CLOUD = CLOUDS["AzureCloud"]
TEXT = "text"  # in a fact of recorded_facts.json: any words
SLOW = 1000.0  # seconds that an operation takes where the recording shows it in progress

# Headers that clients act on, as they are compared: whether they are there, or their value.
PRESENT = ("azure-asyncoperation", "location", "azure-asyncnotification", "link", "docker-upload-uuid", "etag")
EQUAL = ("x-ms-failure-cause", "retry-after", "docker-distribution-api-version", "oci-filters-applied", "range")
# Members whose values are enumerations.
ENUMERATIONS = {
    "code", "status", "provisioningState", "type", "principalType", "roleAssignmentMode", "publicNetworkAccess",
    "reason", "tier", "osType", "createOption", "level", "displayStatus", "state", "error",
    "token_type", "privateIPAllocationMethod", "publicIPAllocationMethod", "access", "direction", "mediaType", "Action",
}  # fmt: skip


def differences(recording: Json, answer: requests.Response) -> list[str]:
    """What is different between a recorded answer and the sandbox's, in words; nothing where they agree."""
    wanted = recording["response"]
    found = []
    if answer.status_code != wanted["status"]:
        return [f"status {answer.status_code} in place of {wanted['status']}: {answer.text[:300]}"]
    headers = {name.lower(): value for name, value in (wanted.get("headers") or {}).items()}
    removed = {name.lower() for name in recording.get("headers_removed_by_recorder") or []}
    pasted = recording.get("kind") == "pasted-log"
    for name in PRESENT + EQUAL:
        if name in removed or pasted:
            continue
        if (name in headers) != (name in answer.headers):
            found.append(f"header {name} {'is missing' if name in headers else 'is too much'}")
        elif name == "retry-after" and _is_poll(recording):
            continue  # how long is left is the service's estimate
        elif name in EQUAL and headers.get(name) != answer.headers.get(name):
            found.append(f"header {name} is {answer.headers[name]!r} in place of {headers[name]!r}")
    if "www-authenticate" in headers:
        shapes = [_challenge(text) for text in (headers["www-authenticate"], answer.headers["www-authenticate"])]
        if f'"{TEXT}"' in shapes[0]:
            shapes[1] = re.sub('error_description="[^"]+"', f'error_description="{TEXT}"', shapes[1])
        if shapes[0] != shapes[1]:
            found.append(f"challenge {shapes[1]} in place of {shapes[0]}")
    body = wanted.get("body")
    if isinstance(body, (dict, list)):
        found += _shape("", body, answer.json())
    elif body is None and answer.content:
        found.append(f"a body in place of none: {answer.text[:80]}")
    elif isinstance(body, str) and body and answer.text != body and not (body == TEXT and answer.text):
        found.append(f"body {answer.text[:80]!r} in place of {body[:80]!r}")
    return found


def _challenge(text: str) -> str:
    return re.sub(r"[\w-]+\.azurecr\.io", "SERVER", re.sub(r"[0-9a-f-]{36}", "GUID", text))


def _shape(where: str, wanted: Any, got: Any) -> list[str]:
    if isinstance(wanted, dict) and isinstance(got, dict):
        wanted, got = ({_member(key): value for key, value in each.items()} for each in (wanted, got))
        missing, extra = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
        found = [f"{where}.{key} is missing" for key in missing] + [f"{where}.{key} is too much" for key in extra]
        for key in set(wanted) & set(got) - {"tags"}:
            found += _shape(f"{where}.{key}", wanted[key], got[key])
        return found
    if isinstance(wanted, list) and isinstance(got, list):
        if wanted and got:
            return _shape(f"{where}[0]", wanted[0], got[0])
        return [f"{where} is {'empty' if wanted else 'not empty'}"] if bool(wanted) != bool(got) else []
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}
    names = [kinds.get(type(each), type(each).__name__) for each in (wanted, got)]
    if names[0] != names[1]:
        return [f"{where} is a {names[1]} in place of a {names[0]}"]
    if where.rpartition(".")[2] in ENUMERATIONS and wanted != got:
        return [f"{where} is {got!r} in place of {wanted!r}"]
    return []


def _member(key: str) -> str:
    """A member's name; that of a map by id or image is not compared."""
    return "ID" if key.startswith("/subscriptions/") or ":" in key else key


JAMMY = {"publisher": "Canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts", "version": "latest"}


def _image_of_today(path: str) -> str:
    """A path with an image that the sandbox has, in place of one that is out of support."""
    if "/offers/ubuntuserver/" not in path.lower():
        return path
    path = re.sub(
        "offers/UbuntuServer/skus/18.04-LTS", f"offers/{JAMMY['offer']}/skus/{JAMMY['sku']}", path, flags=re.I
    )
    return re.sub(r"versions/18[.0-9]+", f"versions/{IMAGE_VERSIONS['22.04']}", path, flags=re.I)


class PublicCloud(Sandbox):
    """A sandbox of AzureCloud, which can be brought into the state of a recording."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder, cloud=CLOUD.name)
        self._polls: dict[str, str] = {}

    # The state of each recording

    def replay(self, group: list[Json]) -> Iterator[tuple[Json, requests.Response]]:
        """The recorded steps and the sandbox's answers to them."""
        if not group:
            return
        first = group[0]["request"]
        path = (first or {}).get("path") or ""
        if path == "/v2/" or path.startswith(("/v2/", "/acr/v1/", "/oauth2/")):
            yield from self._replay_registry(group)
        elif path.startswith("/metadata/"):
            yield from self._replay_metadata(group)
        elif path.startswith("/v1.0/"):
            yield from self._replay_graph(group)
        else:
            yield from self._replay_management(group)

    # Resource Manager

    def _replay_management(self, group: list[Json]) -> Iterator[tuple[Json, requests.Response]]:
        names = self._groups(group)
        for name in names:
            if not any(_code(row) == "ResourceGroupNotFound" and name in row["request"]["path"] for row in group):
                self._make_group(name, group)
        try:
            self._polls, self._patch = {}, None
            for position, row in enumerate(group):
                if position == 0 or not _is_poll(row):
                    self._prepare(row, group[:position])
                self._set_time(group, position)
                yield row, self._send(row)
        finally:
            self.set(operation_seconds=0.0, directory_delay=0.0)
            for name in {*names, "elsewhere"}:
                self.arm("DELETE", f"/subscriptions/{ZERO}/resourcegroups/{name}")

    def _groups(self, group: list[Json]) -> set[str]:
        text = json.dumps([[row["request"].get("path"), row["request"].get("body"), row["response"].get("body")]
                           for row in group])  # fmt: skip
        return {name.lower() for name in re.findall(r"resource[gG]roups/([\w.()-]+)", text)}

    def _make_group(self, name: str, group: list[Json]) -> None:
        first = group[0]
        own = re.fullmatch(r"/subscriptions/[^/]+/resource[gG]roups/[^/?]+", first["request"]["path"].split("?")[0])
        new = first["request"]["method"] == "PUT" and first["response"]["status"] in (201, 400)
        absent = first["response"]["status"] == 404
        if not (own and (new or absent)):
            location = (first["request"].get("body") or {}).get("location") if own else None
            shown = first["response"].get("body") if own else None
            body = {key: shown[key] for key in ("tags", "managedBy") if key in shown} if isinstance(shown, dict) else {}
            location = location or (shown or {}).get("location") or "westus"
            made = self.arm("PUT", f"/subscriptions/{ZERO}/resourcegroups/{name}", {"location": location, **body})
            assert made.status_code in (200, 201), made.text

    def _prepare(self, row: Json, before: list[Json]) -> None:
        """Make what the recorded request found there."""
        path, method, status = _path(row), row["request"]["method"], row["response"]["status"]
        shown = row["response"].get("body")
        if before:
            if path.count("/subnets/") and (shown or {}).get("properties", {}).get("ipConfigurations"):
                self._make_inside(path)
            return
        if "/providers/Microsoft.Authorization/role" in path:
            self._prepare_authorization(row)
            return
        if _code(row) == "AuthorizationFailed":
            return
        if path.endswith(
            ("/checkNameAvailability", "/importImage", "/listCredentials", "/runCommand", "/instanceView")
        ):
            self._prepare_action(row)
            return
        if method == "GET" and isinstance(shown, dict) and "value" in shown and not path.endswith("/subscriptions"):
            for each in shown["value"]:
                self.make(each["id"], each)
            return
        if "/providers/" not in path or _is_poll(row) or "/locations/" in path:
            return
        if method == "PATCH" and isinstance(shown, dict):
            self._patch = row["request"]["body"]
            shown = {**shown, "identity": _identity_before(self._patch, shown.get("identity"))}
        exists = status not in (204, 404) and (method != "PUT" or status == 200 or _code(row) == "AlreadyInUse")
        if row["id"] == "acr-put-200-sync":
            exists = False
        if exists:
            self.make(path, shown if isinstance(shown, dict) and "error" not in shown else {})
        elif method == "PUT":
            self._make_references(path, row["request"].get("body") or {}, missing=_code(row) == "NotFound")
        if _code(row) == "AlreadyInUse":
            self._make_elsewhere(path)
        if status == 400 and method == "DELETE":
            self._make_user(path)

    def _prepare_action(self, row: Json) -> None:
        path, name = _path(row), row["request"].get("body") or {}
        if path.endswith("/checkNameAvailability"):
            if (row["response"]["body"] or {}).get("reason") == "AlreadyExists":
                self.arm("PUT", f"/subscriptions/{ZERO}/resourcegroups/elsewhere", {"location": "westus"})
                self.make(
                    f"/subscriptions/{ZERO}/resourceGroups/elsewhere/providers/Microsoft.ContainerRegistry/registries/"
                    f"{name['name']}", {},
                )  # fmt: skip
            else:
                self.arm("DELETE", f"/subscriptions/{ZERO}/resourcegroups/elsewhere")
            return
        shown: Json = {"properties": {"adminUserEnabled": True}} if path.endswith("/listCredentials") else {}
        self.make(path.rpartition("/")[0], shown)

    def _make_elsewhere(self, path: str) -> None:
        self.arm("DELETE", path)
        self.arm("PUT", f"/subscriptions/{ZERO}/resourcegroups/elsewhere", {"location": "westus"})
        self.make(re.sub(r"(resourceGroups)/[^/]+", r"\1/elsewhere", path), {})

    def _make_user(self, path: str) -> None:
        """Something that uses the resource, so that it cannot be deleted."""
        group, kind = path.partition("/providers/")[0], path.split("/")[-2]
        reference = {"id": path}
        if kind == "networkInterfaces":
            self.make(f"{group}/providers/Microsoft.Compute/virtualMachines/user", {}, interface=path)
            return
        properties: Json = {}
        subnet = f"{group}/providers/Microsoft.Network/virtualNetworks/other/subnets/s"
        if kind == "virtualNetworks":
            subnet = f"{path}/subnets/default"
        self.make(subnet.partition("/subnets/")[0], {"properties": {"subnets": [{"name": subnet.split("/")[-1]}]}})
        configuration: Json = {"subnet": {"id": subnet}}
        if kind == "publicIPAddresses":
            configuration["publicIPAddress"] = reference
        if kind == "networkSecurityGroups":
            properties["networkSecurityGroup"] = reference
        properties["ipConfigurations"] = [{"name": "a", "properties": configuration}]
        body = {"location": "westus", "properties": properties}
        made = self.arm("PUT", f"{group}/providers/Microsoft.Network/networkInterfaces/user", body)
        assert made.status_code == 201, made.text

    def _make_references(self, path: str, body: Json, *, missing: bool) -> None:
        """What the body of a PUT refers to, and the parent of a child."""
        if path.count("/", path.index("/providers/")) > 4:
            self.make(path.rpartition("/")[0].rpartition("/")[0], {})
        for reference in set(re.findall(r'"(/subscriptions/[^"]+/providers/[^"]+)"', json.dumps(body))):
            if not missing:
                self.make(reference, {"location": body.get("location")})

    def make(self, path: str, shown: Json, interface: str | None = None) -> None:
        """Make a resource that is like the one that the recording shows."""
        group, _, rest = path.partition("/providers/")
        namespace, kind, name = rest.split("/")[:3]
        base, child = f"{group}/providers/{namespace}/{kind}/{name}", rest.split("/")[3:]
        self.arm("PUT", f"/subscriptions/{ZERO}/resourcegroups/{group.rpartition('/')[2]}", {"location": "westus"})
        given = shown.get("properties") or {}
        if shown.get("location"):
            body: Json = {"location": shown["location"]}
        else:
            body = {"location": "westus"}
        if "tags" in shown:
            body["tags"] = shown["tags"]
        if kind == "registries":
            body["sku"] = shown.get("sku") or {"name": "Standard"}
            body["properties"] = {
                key: given[key]
                for key in ("adminUserEnabled", "anonymousPullEnabled", "roleAssignmentMode", "publicNetworkAccess")
                if key in given
            }
            # What a patch is to change must be different before it.
            if self._patch is not None:
                wanted = self._patch.get("properties") or {}
                if "anonymousPullEnabled" in wanted:
                    body["properties"]["anonymousPullEnabled"] = not wanted["anonymousPullEnabled"]
                body["properties"].pop("publicNetworkAccess", None)
        elif kind == "virtualNetworks":
            subnets = given.get("subnets") or ([{"name": child[1]}] if child else [])
            body["properties"] = {
                "addressSpace": given.get("addressSpace") or {"addressPrefixes": ["10.0.0.0/8"]},
                "subnets": [
                    {"name": each["name"], "properties": {"addressPrefix": f"10.0.{number}.0/24"}}
                    for number, each in enumerate(subnets)
                ],
            }
        elif kind == "publicIPAddresses":
            body["sku"] = shown.get("sku") or {"name": "Standard"}
            body["properties"] = {"publicIPAllocationMethod": given.get("publicIPAllocationMethod", "Static")}
        elif kind == "networkInterfaces":
            configuration = (given.get("ipConfigurations") or [{}])[0].get("properties") or {}
            subnet = (configuration.get("subnet") or {}).get("id") or (
                f"{group}/providers/Microsoft.Network/virtualNetworks/other/subnets/s"
            )
            self.make(subnet, {"location": body["location"]})
            body["properties"] = {"ipConfigurations": [{"name": "ipconfig1", "properties": {"subnet": {"id": subnet}}}]}
        elif kind == "virtualMachines":
            body["properties"] = self._vm(group, given, interface)
            body.update(self._identity(shown.get("identity")))
        elif kind == "networkSecurityGroups":
            body["properties"] = {}
        made = self.arm("PUT", base, body)
        assert made.status_code in (200, 201), f"{base}: {made.text}"

    def _make_inside(self, subnet: str) -> None:
        """A network interface in a subnet."""
        group = subnet.partition("/providers/")[0]
        configuration = {"subnet": {"id": subnet}}
        body = {"location": "westus", "properties": {"ipConfigurations": [{"name": "a", "properties": configuration}]}}
        made = self.arm("PUT", f"{group}/providers/Microsoft.Network/networkInterfaces/inside", body)
        assert made.status_code == 201, made.text

    _patch: Json | None = None

    def _vm(self, group: str, given: Json, interface: str | None) -> Json:
        nic = interface or f"{group}/providers/Microsoft.Network/networkInterfaces/nic{uuid.uuid4().hex[:6]}"
        self.make(nic, {})
        profile = given.get("osProfile") or {}
        user = profile.get("adminUsername") or "azureuser"
        public_key = KeyStore(self.folder / "ssh").public_key()
        keys = {"publicKeys": [{"path": f"/home/{user}/.ssh/authorized_keys", "keyData": public_key}]}
        linux: Json = {"linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": keys}}
        if profile and "ssh" not in profile["linuxConfiguration"]:
            linux = {"adminPassword": uuid.uuid4().hex}
        return {
            "hardwareProfile": {"vmSize": "Standard_DS1_v2"},
            "storageProfile": {
                "imageReference": JAMMY,
                "osDisk": {"createOption": "FromImage"},
            },
            "osProfile": {"computerName": "vm", "adminUsername": user, **linux},
            "networkProfile": {"networkInterfaces": [{"id": nic}]},
            **{key: given[key] for key in ("diagnosticsProfile",) if key in given},
        }  # fmt: skip

    def _identity(self, shown: Json | None) -> Json:
        if not shown:
            return {}
        identity: Json = {"type": shown["type"]}
        if shown.get("userAssignedIdentities"):
            identity["userAssignedIdentities"] = {each: {} for each in shown["userAssignedIdentities"]}
            for each in shown["userAssignedIdentities"]:
                self.make(each, {})
        return {"identity": identity}

    def _prepare_authorization(self, row: Json) -> None:
        path, status, method = _path(row), row["response"]["status"], row["request"]["method"]
        scope, _, name = path.partition("/providers/Microsoft.Authorization/")
        gone = _code(row) == "RoleAssignmentNotFound" or status == 204
        if "/providers/" in scope and _code(row) != "AuthorizationFailed":
            self.make(scope, {})
        body = row["request"].get("body") or {"properties": (row["response"].get("body") or {}).get("properties")}
        if name.startswith("roleAssignments/") and not gone and method in ("GET", "DELETE"):
            self.arm("PUT", path, {"properties": {**self._assignment(body), "principalType": "ServicePrincipal"}})
        if _code(row) == "RoleAssignmentExists":
            other = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
            self.arm("PUT", other, {"properties": {**self._assignment(body), "principalId": self.nobody()[1]}})
        if row["id"] == "roleassign-put-same-guid-201":
            self.arm("PUT", path, {"properties": {**body["properties"], "description": "before"}})

    @staticmethod
    def _assignment(body: Json) -> Json:
        return {key: body["properties"][key] for key in ("roleDefinitionId", "principalId")}

    def _set_time(self, group: list[Json], position: int) -> None:
        """Let operations take time where the recording shows one in progress; let the time pass after that."""
        running = [_in_progress(row) for row in group]
        if position == 0:
            self.set(operation_seconds=SLOW if any(running) else 0.0)
        elif running[position - 1] and not running[position] and _is_poll(group[position]):
            self.clock.advance(2 * SLOW)
        elif not any(running[position:]):
            self.set(operation_seconds=0.0)

    def _send(self, row: Json) -> requests.Response:
        request = row["request"]
        if _is_poll(row):
            answer = self._poll(row)
        else:
            body, path = request.get("body"), request["path"]
            path = path.replace("AZURE_SUBSCRIPTION_ID", ZERO)
            path = _image_of_today(path)
            if row["id"] in ("arm-authorizationfailed-403", "arm-authorizationfailed-403-read"):
                return self.as_nobody(request["method"], path, body)
            if row["id"] == "arm-invalid-token-401":
                url = f"{CLOUD.resource_manager_url}{path}"
                return self.session.put(url, json=body, headers={"Authorization": "Bearer invalid"})
            if _code(row) == "SubscriptionNotFound":
                path = path.replace(ZERO, str(uuid.uuid4()))
            if row["id"] == "subscriptions-list-empty-200":
                return self.as_nobody("GET", path, None)
            if row["id"] == "arm-expired-token-401":
                headers = {"Authorization": f"Bearer {self.token()}"}
                self.clock.advance(8000)
                return self.session.get(f"{CLOUD.resource_manager_url}{path}", headers=headers)
            if isinstance(body, dict):
                for each, value in ((body.get("identity") or {}).get("userAssignedIdentities") or {}).items():
                    if value is not None:
                        self.make(each, {})
                if path.partition("?")[0].endswith("/importImage"):  # an image that the sandbox has
                    body["source"]["sourceImage"] = "azuredocs/aci-helloworld:latest"
                image = ((body.get("properties") or {}).get("storageProfile") or {}).get("imageReference") or {}
                if image.get("offer") == "UbuntuServer":  # out of support: the same
                    image |= JAMMY
                body = self._translated(row, body)
            answer = self.arm(request["method"], path, body)
        self._remember(answer)
        return answer

    def _translated(self, row: Json, body: Json) -> Json:
        """The recorded body with principals that exist here."""
        properties = body.get("properties") or {}
        known = _code(row) not in ("InvalidPrincipalId", "PrincipalNotFound")
        if "principalId" in properties and known and properties.get("principalType") != "User":
            return {**body, "properties": {**properties, "principalId": self.nobody()[1]}}
        return body

    def _poll(self, row: Json) -> requests.Response:
        path = _path(row)
        monitor = "monitor=true" in row["request"]["path"]
        kind = "location" if monitor or "operationresults" in path.lower() else "azure-asyncoperation"
        return self.session.get(self._polls[kind], headers={"Authorization": f"Bearer {self.token()}"})

    def _remember(self, answer: requests.Response) -> None:
        for name in ("location", "azure-asyncoperation"):
            if answer.headers.get(name, "").startswith("https://"):
                self._polls[name] = answer.headers[name]

    # A VM whose identities have no role

    _standing: tuple[requests.Session, str, Json] | None = None

    def nobody(self) -> tuple[requests.Session, str, Json]:
        """A session as a VM, the object id of its system-assigned identity, and the VM."""
        if self._standing is None:
            group = f"/subscriptions/{ZERO}/resourceGroups/standing"
            identity = f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/standing-identity"
            vm = f"{group}/providers/Microsoft.Compute/virtualMachines/standing-vm"
            kinds = "SystemAssigned, UserAssigned"
            self.make(vm, {"identity": {"type": kinds, "userAssignedIdentities": {identity: {}}}})
            shown = self.arm("GET", vm).json()
            session = self.vm("standing-vm").session
            self._standing = session, shown["identity"]["principalId"], shown
        return self._standing

    def as_nobody(self, method: str, path: str, body: Any) -> requests.Response:
        """The request by an identity that has no role."""
        session = self.nobody()[0]
        url = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
        asked = session.get(f"{url}&resource={CLOUD.audiences[0]}", headers={"Metadata": "true"})
        headers = {"Authorization": f"Bearer {asked.json()['access_token']}"}
        return session.request(method, f"{CLOUD.resource_manager_url}{path}", json=body, headers=headers)

    # The metadata service, Graph

    def _replay_metadata(self, group: list[Json]) -> Iterator[tuple[Json, requests.Response]]:
        session, _, vm = self.nobody()
        client_id = next(iter(vm["identity"]["userAssignedIdentities"].values()))["clientId"]
        for row in group:
            path = row["request"]["path"].replace("client_id=client-id", f"client_id={client_id}")
            headers = {"Metadata": "true"} if "Metadata" in row["request"]["headers"] else {}
            yield row, session.get(f"http://169.254.169.254{path}", headers=headers)

    def _replay_graph(self, group: list[Json]) -> Iterator[tuple[Json, requests.Response]]:
        object_id = self.nobody()[1]
        for row in group:
            path, body = row["request"]["path"], row["request"].get("body")
            if row["response"]["body"].get("value"):
                path = re.sub(r"'[0-9a-f-]{36,}'", f"'{self.client_id}'", path)
            if body:
                body = {**body, "ids": [object_id]}
            headers = {"Authorization": f"Bearer {self.token(f'https://{CLOUD.graph}')}"}
            url = f"https://{CLOUD.graph}{path}"
            yield row, self.session.request(row["request"]["method"], url, json=body, headers=headers)

    # Registries

    def _replay_registry(self, group: list[Json]) -> Iterator[tuple[Json, requests.Response]]:
        registry = Registry(self, f"replay{uuid.uuid4().hex[:10]}")
        for row in group:
            yield row, registry.send(row)
        self.arm("DELETE", f"/subscriptions/{ZERO}/resourcegroups/{registry.name}")


class Registry:
    """A registry with a repository in it, and the credentials for it."""

    USER = "00000000-0000-0000-0000-000000000000"

    def __init__(self, public: PublicCloud, name: str) -> None:
        self.name, self._player = name, public
        self._server = f"{name}.azurecr.io"
        group = f"/subscriptions/{ZERO}/resourceGroups/{name}"
        public.make(
            f"{group}/providers/Microsoft.ContainerRegistry/registries/{name}",
            {"properties": {"anonymousPullEnabled": True}},
        )
        form = {"grant_type": "access_token", "service": self._server, "access_token": public.token(REGISTRY_AUDIENCE)}
        self._refresh = self._call("POST", "/oauth2/exchange", data=form).json()["refresh_token"]
        self._contents = {"config": b'{"architecture": "amd64", "os": "linux"}', "layer": b"layer"}
        self._blobs = {kind: self._push_blob(content) for kind, content in self._contents.items()}

    def _call(self, method: str, path: str, *, signed: bool = True, **options: Any) -> requests.Response:
        session = self._player.session
        auth = (self.USER, self._refresh) if signed and hasattr(self, "_refresh") else None
        url = f"https://{self._server}{path}"
        return session.request(method, url, auth=auth, allow_redirects=False, **options)

    def _push_blob(self, content: bytes, repository: str = "library/hello-world") -> Json:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        url = self._call("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        url = url.removeprefix(f"https://{self._server}")
        done = self._call("PUT", f"{url}{'&' if '?' in url else '?'}digest={digest}", data=content)
        assert done.status_code == 201, done.text
        return {"size": len(content), "digest": digest}

    def _manifest(self, oci: bool, stated: bool = True) -> tuple[bytes, str, str]:
        """A manifest's content, media type and digest."""
        family = "vnd.oci.image" if oci else "vnd.docker.distribution"
        kind = f"application/{family}.manifest.v{1 if oci else 2}+json"
        config = "application/vnd.oci.image.config.v1+json" if oci else "application/vnd.docker.container.image.v1+json"
        layer = "application/vnd.oci.image.layer.v1.tar" if oci else "application/vnd.docker.image.rootfs.diff.tar.gzip"
        content = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {"mediaType": config, **self._blobs["config"]},
            "layers": [{"mediaType": layer, **self._blobs["layer"]}],
        }
        if oci:
            del content["mediaType"]
            content["layers"][0]["annotations"] = {"org.opencontainers.image.title": "artifact.txt"}  # type: ignore[index]
        data = json.dumps(content).encode()
        return data, kind, "sha256:" + hashlib.sha256(data).hexdigest()

    def _push_image(self, repository: str, tag: str, *, oci: bool = False) -> str:
        for content in self._contents.values():
            self._push_blob(content, repository)
        data, kind, digest = self._manifest(oci)
        path = f"/v2/{repository}/manifests/{tag}"
        done = self._call("PUT", path, data=data, headers={"Content-Type": kind})
        assert done.status_code == 201, done.text
        return digest

    def send(self, row: Json) -> requests.Response:
        """Prepare what the recorded request found, and send it with this registry's names and digests."""
        request, name = row["request"], row["id"]
        path, method = urllib.parse.unquote(request["path"].partition("?")[0]), request["method"]
        query = request["path"].partition("?")[2]
        status = row["response"]["status"]
        signed = status != 401
        unknown = status == 404 and name != "manifest-unknown-404"
        headers = {key: value for key, value in request["headers"].items() if key in ("Accept", "Content-Type")}
        if path.startswith("/oauth2/"):
            return self._send_token(row, path, query)
        body: Any = None
        digest = ""
        repository = re.sub(r"^/(v2|acr/v1)/|/(manifests|blobs|_tags|_manifests|referrers)(/.*)?$", "", path)
        if status in (200, 202, 307) or name == "manifest-put-201" or (status == 404 and not unknown):
            oci = "oci" in repository or "oci" in name
            if name.startswith("catalog"):
                self._push_image("library/busybox", "latest")
                self._push_image("library/hello-world", "latest")
            elif "/" in path.removeprefix("/v2/").removeprefix("/acr/v1/") or path.startswith("/acr/v1/"):
                tags = ["azure-cli"] if "azure-cli" in path else ["demo", "test-delete"]
                if name == "manifests-list-200":
                    tags = []
                    self._push_image(repository, self._manifest(oci)[2], oci=oci)
                for tag in tags:
                    digest = self._push_image(repository, tag, oci=oci)
                if name == "manifest-delete-202":
                    self._push_image(repository, "again", oci=oci)
                if status != 404:
                    path = re.sub(r"(manifests/|referrers/)sha256:[0-9a-f]+", rf"\1{digest}", path)
                path = re.sub(r"blobs/sha256:[0-9a-f]+", f"blobs/{self._blobs['layer']['digest']}", path)
        if method == "PUT" and "/manifests/" in path:
            body, _, digest = self._manifest(False)
            path = re.sub(r"sha256:[0-9a-f]+", digest, path)
        if "/blobs/uploads/" in path and method in ("PATCH", "PUT"):
            return self._send_upload(row, path)
        if request.get("body") and body is None:
            body = json.dumps(request["body"])
        if "Authorization" in request["headers"] and status == 401:  # a token that is not enough
            self._push_image(repository, "demo")
            form = {"grant_type": "password", "service": self._server, "scope": f"repository:{repository}:pull"}
            token = self._call("POST", "/oauth2/token", data=form, signed=False).json()["access_token"]
            headers["Authorization"] = f"Bearer {token}"
            signed = False
        url = path + ("?" + query if query else "")
        return self._call(method, url, data=body, headers=headers, signed=signed)

    def _send_token(self, row: Json, path: str, query: str) -> requests.Response:
        form = {key: values[0] for key, values in urllib.parse.parse_qs(row["request"]["body"] or "").items()}
        session, resource = self._player.session, REGISTRY_AUDIENCE
        if "ARM audience" in row.get("note", ""):
            resource = CLOUD.audiences[1]
        form = {"grant_type": "access_token", **form, "service": self._server}
        if "tenant" in form:
            form["tenant"] = self._player.tenant_id
        if path == "/oauth2/exchange":
            form["access_token"] = self._player.token(resource)
        elif form["grant_type"] == "refresh_token":
            form["refresh_token"] = self._refresh
        if row["id"] == "exchange-401-no-permission":
            session = self._player.nobody()[0]
            url = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
            asked = session.get(f"{url}&resource={REGISTRY_AUDIENCE}", headers={"Metadata": "true"})
            form["access_token"] = asked.json()["access_token"]
        if row["response"]["status"] == 403:
            group = f"/subscriptions/{ZERO}/resourceGroups/{self.name}"
            registry = f"{group}/providers/Microsoft.ContainerRegistry/registries/{self.name}"
            self._player.arm("PATCH", registry, {"properties": {"publicNetworkAccess": "Disabled"}})
        return session.post(f"https://{self._server}{path}{'?' if query else ''}{query}", data=form)

    def _send_upload(self, row: Json, path: str) -> requests.Response:
        repository = path.partition("/blobs/")[0].removeprefix("/v2/")
        url = self._call("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        content = base64.b64decode("//5oAGUAbABsAG8AIAB3AG8AcgBsAGQADQAKAA==")
        patched = self._call("PATCH", url, data=content)
        if row["request"]["method"] == "PATCH":
            return patched
        url = patched.headers["Location"]
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        return self._call("PUT", f"{url}{'&' if '?' in url else '?'}digest={digest}")


def _identity_before(patch: Json, after: Json | None) -> Json | None:
    """The identity a VM had before a recorded PATCH: with what it takes away, without what it adds."""
    wanted = patch.get("identity")
    if wanted is None:
        return after
    given = wanted.get("userAssignedIdentities") or {}
    detached = [each for each, value in given.items() if value is None]
    if detached:
        kept = list((after or {}).get("userAssignedIdentities") or {})
        return {"type": (after or {})["type"], "userAssignedIdentities": {each: {} for each in [*kept, *detached]}}
    if wanted["type"] == "None":
        return {"type": "SystemAssigned"}
    if any(value is not None for value in given.values()):
        kept = [each for each in (after or {}).get("userAssignedIdentities") or {} if each not in given]
        kinds = wanted["type"] if kept else "SystemAssigned"
        return {"type": kinds, **({"userAssignedIdentities": {each: {} for each in kept}} if kept else {})}
    return None


def _path(row: Json) -> str:
    return urllib.parse.unquote(row["request"]["path"].partition("?")[0]).replace("AZURE_SUBSCRIPTION_ID", ZERO)


def _code(row: Json) -> str:
    body = row["response"].get("body")
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("code", "")) if isinstance(error, dict) else ""


def _is_poll(row: Json) -> bool:
    return bool(re.search(r"/(operations|operationStatuses|operationresults)/", row["request"]["path"], re.IGNORECASE))


def _in_progress(row: Json) -> bool:
    body = row["response"].get("body")
    if row["response"]["status"] == 202 and row["request"]["method"] == "GET":
        return True
    return _is_poll(row) and isinstance(body, dict) and body.get("status") in ("Creating", "Updating", "InProgress")
