"""The registry's data plane through the proxy: what the distribution API promises, and what the role decides."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from azure_sandbox import Sandbox
from azure_sandbox.clouds import REGISTRY_AUDIENCE
from azure_sandbox.registry.images import ImageNotFound, copy_image, program, publish
from azure_sandbox.store import Blobs, Store
from runbook_helpers import Azure, assign_identity, assign_role, create_registry, create_vm, import_image

from ..conftest import SSH_SOURCE
from .conftest import ARM, TOKEN, bearer

SOURCE = "mcr.microsoft.com/azuredocs/aci-helloworld:latest"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Account:
    """Somebody who is signed in to a registry."""

    def __init__(self, client: requests.Session, server: str, entra_token: str) -> None:
        self.client, self.server = client, server
        form = {"grant_type": "access_token", "service": server, "access_token": entra_token}
        self.exchanged = client.request("POST", f"https://{server}/oauth2/exchange", data=form)
        self.refresh_token = self.exchanged.json().get("refresh_token", "")

    def token(self, *scopes: str) -> str:
        form = {"grant_type": "refresh_token", "service": self.server, "refresh_token": self.refresh_token}
        answer = self.client.request(
            "POST", f"https://{self.server}/oauth2/token", data={**form, "scope": list(scopes)}
        )
        return str(answer.json()["access_token"])

    def ask(self, method: str, path: str, actions: str = "pull,push,delete", **options: Any) -> requests.Response:
        repository = path.removeprefix("/v2/").partition("/")[0]
        headers = bearer(self.token(f"repository:{repository}:{actions}")) | options.pop("headers", {})
        return self.client.request(method, f"https://{self.server}{path}", headers=headers, **options)

    def push_blob(self, content: bytes, algorithm: str = "sha256", repository: str = "app") -> str:
        digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        done = self.ask("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data=content)
        assert done.status_code == 201, done.text
        return digest

    def push_manifest(self, reference: str, **members: Any) -> requests.Response:
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": self.push_blob(b"{}")}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": [], **members}
        headers = {"Content-Type": MANIFEST}
        return self.ask("PUT", f"/v2/app/manifests/{reference}", data=json.dumps(manifest), headers=headers)


@pytest.fixture
def owner(azure: Azure, sandbox: Sandbox, name: str) -> Account:
    """The operator, at a registry of the test's own."""
    registry = create_registry(azure, name, sku="Standard")
    return Account(sandbox.session, str(registry.login_server), sandbox.token(REGISTRY_AUDIENCE))


def change(azure: Azure, name: str, **members: str | bool) -> None:
    """Set properties of a registry."""
    from azure.mgmt.containerregistry import models

    update: Any = models.RegistryUpdateParameters
    azure.registries.registries.begin_update(name, name, update(**members)).result()


def sign_in_as_vm(azure: Azure, sandbox: Sandbox, vm_name: str, server: str, audience: str) -> Account:
    vm = sandbox.vm(vm_name).session
    answer = vm.request("GET", f"{TOKEN}?api-version=2018-02-01&resource={audience}", headers={"Metadata": "true"})
    return Account(vm, server, answer.json()["access_token"])


def test_the_role_decides(azure: Azure, sandbox: Sandbox, owner: Account, name: str) -> None:
    create_vm(azure, name, ssh_source=SSH_SOURCE)
    principal = str(assign_identity(azure, name).identity.principal_id)
    import_image(azure, name, "app:v1", SOURCE)
    scope = str(azure.registries.registries.get(name, name).id)

    def sign_in(audience: str = REGISTRY_AUDIENCE) -> Account:
        return sign_in_as_vm(azure, sandbox, name, owner.server, audience)

    refused = sign_in().exchanged
    assert refused.status_code == 401
    assert refused.json()["errors"][0]["message"].startswith("authentication required, visit https://aka.ms/acr/")
    grant = assign_role(azure, "AcrPull", assignee=principal, scope=scope)
    vm = sign_in()
    assert vm.ask("GET", "/v2/app/manifests/v1").status_code == 200
    push = vm.ask("POST", "/v2/app/blobs/uploads/")
    assert push.status_code == 401 and 'error="insufficient_scope"' in push.headers["Www-Authenticate"]
    assert vm.ask("DELETE", "/v2/app/manifests/v1").status_code == 401
    assert sign_in(ARM).exchanged.status_code == 200  # the policy for Resource Manager's tokens is on
    azure.authorization.role_assignments.delete(scope, str(grant.name))
    assert vm.ask("GET", "/v2/app/manifests/v1").status_code == 401  # the next token has no action any more
    assign_role(azure, "AcrPush", assignee=principal, scope=scope)
    assert sign_in().push_blob(b"mine")


def test_registry_in_abac_mode_ignores_acrpull(azure: Azure, sandbox: Sandbox, owner: Account, name: str) -> None:
    create_vm(azure, name, ssh_source=SSH_SOURCE)
    principal = str(assign_identity(azure, name).identity.principal_id)
    import_image(azure, name, "app:v1", SOURCE)
    scope = str(azure.registries.registries.get(name, name).id)
    change(azure, name, role_assignment_mode="AbacRepositoryPermissions")
    assign_role(azure, "AcrPull", assignee=principal, scope=scope)
    assert sign_in_as_vm(azure, sandbox, name, owner.server, REGISTRY_AUDIENCE).exchanged.status_code == 401
    assign_role(azure, "Container Registry Repository Reader", assignee=principal, scope=scope)
    vm = sign_in_as_vm(azure, sandbox, name, owner.server, REGISTRY_AUDIENCE)
    assert vm.ask("GET", "/v2/app/manifests/v1").status_code == 200


def test_tokens_are_for_one_registry_and_one_use(azure: Azure, owner: Account, name: str) -> None:
    other = str(create_registry(azure, name + "b").login_server)
    ping = f"https://{other}/v2/"
    assert owner.client.request("GET", ping, headers=bearer(owner.token())).status_code == 401
    own = f"https://{owner.server}/v2/"
    assert owner.client.request("GET", own, headers=bearer(owner.token())).status_code == 200
    assert owner.client.request("GET", own, headers=bearer(owner.refresh_token)).status_code == 401
    arm = f"{ARM}/subscriptions?api-version=2022-12-01"
    assert owner.client.request("GET", arm, headers=bearer(owner.refresh_token)).status_code == 401


def test_tampered_refresh_token_and_wrong_tenant(owner: Account) -> None:
    form = {"grant_type": "refresh_token", "service": owner.server, "refresh_token": owner.refresh_token[:-4] + "AAAA"}
    assert owner.client.request("POST", f"https://{owner.server}/oauth2/token", data=form).status_code == 401
    form = {"grant_type": "access_token", "service": owner.server, "access_token": "x", "tenant": "elsewhere"}
    assert owner.client.request("POST", f"https://{owner.server}/oauth2/exchange", data=form).status_code == 401


def test_anonymous_pull_only_where_it_is_on(azure: Azure, owner: Account, name: str) -> None:
    import_image(azure, name, "app:v1", SOURCE)
    url = f"https://{owner.server}/oauth2/token?service={owner.server}&scope=repository:app:pull,push"
    assert owner.client.request("GET", url).status_code == 401
    change(azure, name, anonymous_pull_enabled=True)
    token = owner.client.request("GET", url).json()["access_token"]
    manifest = f"https://{owner.server}/v2/app/manifests/v1"
    assert owner.client.request("GET", manifest, headers=bearer(token)).status_code == 200
    assert owner.client.request("DELETE", manifest, headers=bearer(token)).status_code == 401


def test_public_access_off(azure: Azure, owner: Account, name: str) -> None:
    change(azure, name, public_network_access="Disabled")
    refused = owner.client.request("GET", f"https://{owner.server}/v2/")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "DENIED")


def test_push_in_chunks_and_pull_back(owner: Account) -> None:
    content = bytes(range(256)) * 4096
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    location = owner.ask("POST", "/v2/app/blobs/uploads/").headers["Location"]
    half = len(content) // 2
    first = {"Content-Range": f"0-{half - 1}"}
    assert owner.ask("PATCH", location, data=content[:half], headers=first).headers["Range"] == f"0-{half - 1}"
    again = owner.ask("PATCH", location, data=content[:half], headers=first)
    assert again.status_code == 416 and again.headers["Range"] == f"0-{half - 1}"
    assert owner.ask("GET", location).status_code == 204
    done = owner.ask("PUT", f"{location}?digest={digest}", data=iter([content[half:]]))
    assert (done.status_code, done.headers["Docker-Content-Digest"]) == (201, digest)
    assert owner.ask("GET", f"/v2/app/blobs/{digest}").content == content
    part = owner.ask("GET", f"/v2/app/blobs/{digest}", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(content)}"
    assert owner.ask("GET", f"/v2/app/blobs/{digest}", headers={"Range": "bytes=9999999-"}).status_code == 416


def test_wrong_digest_keeps_nothing(owner: Account, shared_folder: Path) -> None:
    wrong = f"sha256:{hashlib.sha256(b'what was promised').hexdigest()}"
    refused = owner.ask("POST", f"/v2/app/blobs/uploads/?digest={wrong}", data=b"what came")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert owner.ask("HEAD", f"/v2/app/blobs/{wrong}").status_code == 404


def test_mount_cancel_and_delete(owner: Account) -> None:
    digest = owner.push_blob(b"shared")
    token = owner.token("repository:app:pull", "repository:other:pull,push")
    url = f"https://{owner.server}/v2/other/blobs/uploads/"
    mounted = owner.client.request("POST", f"{url}?mount={digest}&from=app", headers=bearer(token))
    assert mounted.status_code == 201
    assert owner.ask("GET", f"/v2/other/blobs/{digest}").content == b"shared"
    location = owner.ask("POST", "/v2/app/blobs/uploads/").headers["Location"]
    assert owner.ask("DELETE", location).status_code == 204
    assert owner.ask("GET", location).status_code == 404
    assert owner.ask("DELETE", f"/v2/app/blobs/{digest}").status_code == 202
    assert owner.ask("GET", f"/v2/app/blobs/{digest}").status_code == 404


def test_manifests_tags_and_referrers(owner: Account) -> None:
    pushed = [owner.push_manifest(tag, annotations={"tag": tag}) for tag in ("a", "b", "c")]
    assert [each.status_code for each in pushed] == [201] * 3
    page = owner.ask("GET", "/v2/app/tags/list?n=2")
    assert page.json()["tags"] == ["a", "b"] and 'rel="next"' in page.headers["Link"]
    assert owner.ask("GET", "/v2/app/tags/list?n=2&last=b").json()["tags"] == ["c"]
    subject = {"mediaType": MANIFEST, "size": 2, "digest": pushed[0].headers["Docker-Content-Digest"]}
    signed = owner.push_manifest("sig", subject=subject, artifactType="application/x.signature")
    assert signed.headers["OCI-Subject"] == subject["digest"]
    found = owner.ask("GET", f"/v2/app/referrers/{subject['digest']}?artifactType=application/x.signature")
    assert [each["artifactType"] for each in found.json()["manifests"]] == ["application/x.signature"]
    assert owner.ask("DELETE", f"/v2/app/manifests/{subject['digest']}").status_code == 202
    assert owner.ask("GET", "/v2/app/manifests/a").json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"


def test_manifest_without_its_blob_is_refused(owner: Account) -> None:
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 1, "digest": "sha256:" + "0" * 64}
    refused = owner.push_manifest("v1", layers=[layer])
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "MANIFEST_BLOB_UNKNOWN")
    for body in (b"", b"{", b"[]", b'{"schemaVersion": 1}', b'{"layers": 3}'):
        refused = owner.ask("PUT", "/v2/app/manifests/v1", data=body, headers={"Content-Type": MANIFEST})
        assert refused.json()["errors"][0]["code"] == "MANIFEST_INVALID"


def test_sha512(owner: Account) -> None:
    digest = owner.push_blob(b"long", "sha512")
    assert owner.ask("GET", f"/v2/app/blobs/{digest}").content == b"long"


@pytest.mark.parametrize("repository", ["Upper", "a%2F..%2Fb", "..%2F..%2Fetc", "-a", "a" * 256, "a%00b"])
def test_bad_repository_names(owner: Account, repository: str) -> None:
    answer = owner.client.request(
        "GET", f"https://{owner.server}/v2/{repository}/tags/list", headers=bearer(owner.token())
    )
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] in ("NAME_INVALID", "OPERATION_UNKNOWN")


@pytest.mark.parametrize("digest", ["sha256:..%2F..%2Fca.pem", "sha256:abc", "md5:" + "0" * 32])
def test_bad_digests(owner: Account, digest: str) -> None:
    assert owner.ask("GET", f"/v2/app/blobs/{digest}").status_code in (400, 404)


def test_public_registry_is_for_pulling(owner: Account) -> None:
    url = "https://mcr.microsoft.com/v2/hello-world"
    assert owner.client.request("GET", f"{url}/manifests/latest").status_code == 200
    assert owner.client.request("POST", f"{url}/blobs/uploads/").status_code == 405


# The images


def public_images(folder: Path) -> Store:
    store = Store(folder / "public.sqlite", Blobs(folder / "blobs"))
    publish(store)
    return store


def test_images_are_the_same_everywhere(tmp_path: Path) -> None:
    first, second = public_images(tmp_path / "a"), public_images(tmp_path / "b")
    tag = ("mcr.microsoft.com", "hello-world", "latest")
    assert first.tag(*tag) == second.tag(*tag) is not None
    with pytest.raises(ImageNotFound):
        copy_image(first, tag[0], "nothing", "v1", second, "r", "n", [], now="")
    first.close()
    second.close()


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="the images' programs are for Linux on amd64 and arm64",
)
def test_the_images_program_runs(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(program("Hello, 世界\n", "amd64" if platform.machine() == "x86_64" else "arm64"))
    path.chmod(0o755)
    done = subprocess.run([path], capture_output=True)
    assert (done.returncode, done.stdout.decode()) == (0, "Hello, 世界\n")


def test_the_program_for_the_other_processor_stays_as_it_was_tried() -> None:
    """Its bytes for arm64 were executed by an emulator once: they write the text, and exit with 0."""
    digest = hashlib.sha256(program("Hello, 世界\n", "arm64")).hexdigest()
    assert digest == "996216d4d566167dae52d72cc748e565ee9ba0dab7b54d4fd8537634e7c7c63e"
