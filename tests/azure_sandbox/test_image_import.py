"""`az acr import`: from mcr.microsoft.com, from another registry by its id or by its login server; whose rights count."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from azure_sandbox.clouds import REGISTRY_AUDIENCE

from .conftest import bearer
from .groups import (
    CONTRIBUTOR,
    PULL,
    READER,
    REPOSITORY_READER,
    TOKEN_USER,
    Group,
    code,
    exchange,
    server_of,
    vm_token,
)
from .replay import CLOUD, PublicCloud
from .test_registry_locks import Images
from .test_registry_sign_in import application

IMAGE = "azuredocs/aci-helloworld:latest"
IMPORTER = "577a9874-89fd-4f24-9dbd-b5034d0ad23a"
VERSION = "2025-11-01"


class Registries:
    """Two registries of a test's own: one that holds the image team/app/web:v1, and one to import to."""

    def __init__(self, public: PublicCloud, group: Group, other: Group) -> None:
        self.public, self.group = public, group
        self.source, self.target = other.registry("Premium"), group.registry("Premium")
        image = {"registryUri": "mcr.microsoft.com", "sourceImage": IMAGE}
        assert self.add(image, self.source).status_code == 202

    def add(self, source: dict[str, Any], registry: str = "", as_vm: Any = None, **body: Any) -> requests.Response:
        """An import of the operator's, or of a VM's; of the source's image where nothing else is said."""
        body = {"source": {"sourceImage": "team/app/web:v1", **source}, "targetTags": ["team/app/web:v1"], **body}
        path = f"{registry or self.target}/importImage"
        if as_vm is None:
            return self.public.arm("POST", path, body, VERSION)
        headers = bearer(vm_token(as_vm, CLOUD.audiences[0]))
        answer: requests.Response = as_vm.post(
            f"{CLOUD.resource_manager_url}{path}?api-version={VERSION}", json=body, headers=headers
        )
        return answer

    def digest(self, reference: str, registry: str = "") -> str:
        found = Images(self.public, registry or self.target).ask("GET", f"/v2/team/app/web/manifests/{reference}")
        return found.headers.get("Docker-Content-Digest", "")


@pytest.fixture
def registries(public: PublicCloud, group: Group) -> Registries:
    return Registries(public, group, Group(public))


def unauthorized(answer: requests.Response) -> bool:
    text = answer.json()["error"]["message"]
    return code(answer) == "InvalidParameters" and 'Invalid message Unauthorized Unauthorized {"errors":[{"code":"UNAUTHORIZED"' in text  # fmt: skip


def test_from_another_registry(registries: Registries) -> None:
    for number, source in enumerate(({"resourceId": registries.source}, {"registryUri": server_of(registries.source)})):
        started = registries.add(source, targetTags=[f"team/app/web:{number}"])
        assert started.status_code == 202
        result = registries.public.arm("GET", started.headers["Location"].removeprefix(CLOUD.resource_manager_url))
        assert result.json() == {"status": "Succeeded"}
        assert registries.digest(str(number)) == registries.digest("v1", registries.source) != ""


def test_by_digest_and_without_a_tag(registries: Registries) -> None:
    source, digest = {"resourceId": registries.source}, registries.digest("v1", registries.source)
    by_digest = {**source, "sourceImage": f"team/app/web@{digest}"}
    assert registries.add(by_digest, targetTags=[], untaggedTargetRepositories=["team/app/web"]).status_code == 202
    assert (registries.digest(digest), registries.digest("latest")) == (digest, "")
    assert registries.add(by_digest, targetTags=["team/app/web"]).status_code == 202  # what az sends
    assert registries.digest("latest") == digest
    assert registries.add({**source, "sourceImage": f"team/app/web:v1@{digest}"}).status_code == 202
    assert registries.add(source, targetTags=["team/app/web"], mode="Force").status_code == 202
    assert registries.digest("v1") == digest  # a target without a tag has that of the source


def test_an_image_of_several_platforms_is_imported_with_all_of_them(registries: Registries) -> None:
    images = Images(registries.public, registries.source)
    children = []
    for architecture in ("amd64", "arm64"):
        pushed = images.push(architecture, architecture)
        digest = pushed.headers["Docker-Content-Digest"]
        size = len(images.ask("GET", f"/v2/app/web/manifests/{digest}").content)
        platform = {"architecture": architecture, "os": "linux"}
        media = "application/vnd.oci.image.manifest.v1+json"
        children.append({"mediaType": media, "digest": digest, "size": size, "platform": platform})
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": children}
    headers = {"Content-Type": index["mediaType"]}
    assert images.ask("PUT", "/v2/app/web/manifests/all", json=index, headers=headers).status_code == 201
    source = {"resourceId": registries.source, "sourceImage": "app/web:all"}
    assert registries.add(source, targetTags=["app/web:all"]).status_code == 202
    target = Images(registries.public, registries.target)
    assert target.ask("GET", "/v2/app/web/manifests/all").json() == index
    for child in children:
        assert target.ask("GET", f"/v2/app/web/manifests/{child['digest']}").status_code == 200


def test_the_callers_rights_count(registries: Registries) -> None:
    """With an id Resource Manager wants to read the source (Azure/acr issue 237), and the source wants a pull."""
    vm, session = registries.group.vm()
    principal = registries.group.principal(vm)
    registries.group.assign(CONTRIBUTOR, principal, registries.target)
    by_id, by_name = {"resourceId": registries.source}, {"registryUri": server_of(registries.source)}
    refused = registries.add(by_id, as_vm=session)
    assert (refused.status_code, code(refused)) == (403, "LinkedAuthorizationFailed")
    assert "Microsoft.ContainerRegistry/registries/importImage/action" in refused.text
    assert unauthorized(registries.add(by_name, as_vm=session))
    registries.group.assign(PULL, principal, registries.source)
    assert code(registries.add(by_id, as_vm=session)) == "LinkedAuthorizationFailed"
    assert registries.add(by_name, as_vm=session).status_code == 202
    registries.group.assign(IMPORTER, principal, registries.source)
    assert registries.add(by_id, as_vm=session, mode="Force").status_code == 202
    mode = {"properties": {"roleAssignmentMode": "AbacRepositoryPermissions"}}
    registries.public.arm("PATCH", registries.source, mode, VERSION)
    assert registries.add(by_id, as_vm=session, mode="Force").status_code == 202


def test_in_a_source_with_repository_permissions_an_owner_may_not_pull(registries: Registries) -> None:
    mode = {"properties": {"roleAssignmentMode": "AbacRepositoryPermissions"}}
    registries.public.arm("PATCH", registries.source, mode, VERSION)
    for source in ({"resourceId": registries.source}, {"registryUri": server_of(registries.source)}):
        assert unauthorized(registries.add(source))
    vm, session = registries.group.vm()
    principal = registries.group.principal(vm)
    registries.group.assign(CONTRIBUTOR, principal, registries.target)
    for role in (READER, REPOSITORY_READER):
        registries.group.assign(role, principal, registries.source)
    assert registries.add({"resourceId": registries.source}, as_vm=session).status_code == 202


def test_with_credentials(registries: Registries) -> None:
    public, server = registries.public, server_of(registries.source)
    object_id, client_id, secret = application(public)

    def status(username: str | None, password: str) -> int:
        given = {"username": username, "password": password} if username else {"password": password}
        answer = registries.add({"registryUri": server, "credentials": given}, mode="Force")
        assert answer.status_code == 202 or unauthorized(answer), answer.text
        return answer.status_code

    assert status(client_id, secret) == 400  # no role
    registries.group.assign(PULL, object_id, registries.source)
    assert status(client_id, secret) == 202
    assert status(client_id, "wrong") == 400
    assert status(None, public.token(REGISTRY_AUDIENCE)) == 202
    assert status(None, public.token()) == 202
    assert status(None, "no token") == 400
    refresh = exchange(public.session, server, public.token(REGISTRY_AUDIENCE)).json()["refresh_token"]
    assert status(TOKEN_USER, refresh) == 202
    assert status(TOKEN_USER, public.token()) == 400
    public.arm("PATCH", registries.source, {"properties": {"adminUserEnabled": True}})
    password = public.arm("POST", f"{registries.source}/listCredentials").json()["passwords"][0]["value"]
    assert status(registries.source.rpartition("/")[2], password) == 202


def test_from_a_registry_that_everybody_may_pull_from(registries: Registries) -> None:
    vm, session = registries.group.vm()
    registries.group.assign(CONTRIBUTOR, registries.group.principal(vm), registries.target)
    source = {"registryUri": server_of(registries.source)}
    assert unauthorized(registries.add(source, as_vm=session))
    registries.public.arm("PATCH", registries.source, {"properties": {"anonymousPullEnabled": True}})
    assert registries.add(source, as_vm=session).status_code == 202


def test_a_source_behind_a_firewall(registries: Registries) -> None:
    by_id, by_name = {"resourceId": registries.source}, {"registryUri": server_of(registries.source)}

    def answers(**properties: Any) -> list[str]:
        registries.public.arm("PATCH", registries.source, {"properties": properties}, VERSION)
        tried = [registries.add(source, mode="Force") for source in (by_id, by_name)]
        return ["" if answer.status_code == 202 else answer.json()["error"]["message"] for answer in tried]

    assert answers(networkRuleSet={"defaultAction": "Deny"}) == ["", ""]  # an import is a trusted service
    assert ["DENIED" in text for text in answers(networkRuleBypassOptions="None")] == [True, True]
    denied = answers(networkRuleBypassOptions="AzureServices", publicNetworkAccess="Disabled")
    assert ["DENIED" in text for text in denied] == [False, True]
    closed = {"networkRuleBypassOptions": "None", "publicNetworkAccess": "Disabled"}
    registries.public.arm("PATCH", registries.target, {"properties": closed}, VERSION)
    refused = registries.add({"registryUri": "mcr.microsoft.com", "sourceImage": IMAGE})
    assert "DENIED" in refused.text and server_of(registries.target) in refused.text


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ({"registryUri": "docker.io"}, 501, "imports images from mcr.microsoft.com and from its own registries"),
        ({"registryUri": "quay.io", "credentials": {"username": "u", "password": "p"}}, 501, "not from quay.io"),
        ({"registryUri": "nobodyhasthis.azurecr.io"}, 400, "no registry nobodyhasthis.azurecr.io"),
        ({}, 400, "either resourceId"),
        ({"registryUri": "mcr.microsoft.com", "resourceId": "/subscriptions/x"}, 400, "either resourceId"),
        ({"resourceId": "myregistry"}, 400, "'myregistry' is not the id of a container registry"),
        ({"resourceId": "/subscriptions/x/resourceGroups/y"}, 400, "is not the id of a container registry"),
        ({"registryUri": "mcr.microsoft.com", "sourceImage": "no/such:image"}, 400, "no/such:image was not found"),
        ({"registryUri": "mcr.microsoft.com", "sourceImage": ""}, 400, "source.sourceImage"),
        ({"registryUri": "MCR.Microsoft.com:443", "sourceImage": IMAGE}, 202, ""),
    ],
)
def test_sources_that_are_none(group: Group, source: dict[str, Any], status: int, words: str) -> None:
    body = {"source": {"sourceImage": IMAGE, **source}, "targetTags": ["a:b"]}
    answer = group.public.arm("POST", f"{group.registry()}/importImage", body, VERSION)
    assert answer.status_code == status, answer.text
    assert words in answer.text


def test_a_source_that_is_not_there(group: Group) -> None:
    registry = group.registry()
    body = {"source": {"sourceImage": IMAGE, "resourceId": f"{registry}x"}, "targetTags": ["a:b"]}
    assert code(group.public.arm("POST", f"{registry}/importImage", body, VERSION)) == "ResourceNotFound"


@pytest.mark.parametrize(
    "target", ["App:v1", "a//b:v1", "a:v 1", "-a", ":v1", "a@sha256:" + "0" * 64, "a:" + "t" * 129]
)
def test_targets_that_are_none(registries: Registries, target: str) -> None:
    """Nothing is imported then, to the good ones neither."""
    refused = registries.add({"resourceId": registries.source}, targetTags=["team/app/web:v1", target])
    assert (refused.status_code, code(refused)) == (400, "InvalidParameter")
    assert registries.digest("v1") == ""


def test_a_tag_that_is_there_is_kept_unless_forced(registries: Registries) -> None:
    source = {"resourceId": registries.source}
    assert registries.add(source).status_code == 202
    tags = ["team/app/web:new", "team/app/web:v1"]
    for mode in ({}, {"mode": "noforce"}):
        assert code(registries.add(source, targetTags=tags, **mode)) == "Conflict"
        assert registries.digest("new") == ""
    assert registries.add(source, targetTags=tags, mode="Perhaps").status_code == 400
    assert registries.add(source, targetTags=tags, mode="force").status_code == 202
