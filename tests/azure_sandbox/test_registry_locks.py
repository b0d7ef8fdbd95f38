"""Locks on repositories, tags and manifests, as `az acr repository update` sets them, and what each of them blocks."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import requests

from azure_sandbox.clouds import REGISTRY_AUDIENCE

from .groups import TOKEN_USER, Group, exchange, server_of
from .replay import PublicCloud

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EVERY = {"deleteEnabled": True, "writeEnabled": True, "readEnabled": True, "listEnabled": True}
REFUSAL = {  # Azure/azure-sdk-for-net issue 22827
    "code": "REGISTRY_DISALLOWED_OPERATION",
    "message": "The operation is disallowed on this registry, repository or image. View troubleshooting steps at "
    "https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation",
    "detail": {},
}


class Images:
    """The owner's view of the repository app/web of a registry."""

    def __init__(self, public: PublicCloud, registry: str) -> None:
        self.session, self.server = public.session, server_of(registry)
        answer = exchange(self.session, self.server, public.token(REGISTRY_AUDIENCE))
        self.credentials = (TOKEN_USER, answer.json()["refresh_token"])

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, f"https://{self.server}{path}", auth=self.credentials, **options)

    def push(self, reference: str, text: str = "") -> requests.Response:
        """An image without layers, whose digest depends on the text."""
        digest = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
        self.ask("POST", f"/v2/app/web/blobs/uploads/?digest={digest}", data=b"{}")
        config = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": digest}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
        content = json.dumps({**manifest, "annotations": {"text": text}})
        return self.ask("PUT", f"/v2/app/web/manifests/{reference}", data=content, headers={"Content-Type": MANIFEST})

    def lock(self, part: str = "", **attributes: Any) -> requests.Response:
        """What `az acr repository update` does with a repository, a tag or a manifest."""
        return self.ask("PATCH", f"/acr/v1/app/web{part}", json=attributes)


@pytest.fixture
def images(public: PublicCloud, group: Group) -> Images:
    return Images(public, group.registry())


def is_refused(answer: requests.Response) -> bool:
    return answer.status_code == 405 and answer.json() == {"errors": [REFUSAL]}


def test_a_tag_that_may_not_be_written_may_not_be_deleted(images: Images) -> None:
    digest = images.push("V1").headers["Docker-Content-Digest"]
    images.push("v1", "another tag: their case counts")
    changed = images.lock("/_tags/V1", writeEnabled=False)
    assert changed.json()["tag"]["changeableAttributes"] == {**EVERY, "writeEnabled": False}
    assert images.ask("GET", "/acr/v1/app/web/_tags/v1").json()["tag"]["changeableAttributes"] == EVERY
    assert is_refused(images.push("V1", "changed"))
    for path in ("/v2/app/web/manifests/V1", "/acr/v1/app/web/_tags/V1", f"/v2/app/web/manifests/{digest}"):
        assert is_refused(images.ask("DELETE", path))
    assert is_refused(images.ask("DELETE", "/acr/v1/app/web"))
    assert images.push("v2").status_code == 201  # another tag of the same image is not locked
    assert images.ask("GET", "/v2/app/web/manifests/V1").headers["Docker-Content-Digest"] == digest
    assert images.lock("/_tags/V1", writeEnabled=True).json()["tag"]["changeableAttributes"] == EVERY
    assert images.push("V1", "changed").status_code == 201


def test_a_tag_that_may_be_updated_but_not_deleted(images: Images) -> None:
    images.push("v1")
    images.lock("/_tags/v1", deleteEnabled=False, writeEnabled=True)
    digest = images.push("v1", "changed").headers["Docker-Content-Digest"]
    for path in ("/v2/app/web/manifests/v1", f"/v2/app/web/manifests/{digest}"):  # the lock has stayed on the tag
        assert is_refused(images.ask("DELETE", path))


def test_a_manifest_has_locks_of_its_own(images: Images) -> None:
    digest = images.push("v1").headers["Docker-Content-Digest"]
    locked = images.lock(f"/_manifests/{digest}", deleteEnabled=False)
    assert locked.json()["manifest"]["changeableAttributes"] == {**EVERY, "deleteEnabled": False}
    assert images.ask("GET", "/acr/v1/app/web/_tags/v1").json()["tag"]["changeableAttributes"] == EVERY
    assert is_refused(images.ask("DELETE", f"/v2/app/web/manifests/{digest}"))
    assert images.push("v1").status_code == 201
    assert images.ask("DELETE", "/acr/v1/app/web/_tags/v1").status_code == 202  # untag
    images.lock(f"/_manifests/{digest}", deleteEnabled=True)
    assert images.ask("DELETE", f"/v2/app/web/manifests/{digest}").status_code == 202
    images.push(digest)
    shown = images.ask("GET", f"/acr/v1/app/web/_manifests/{digest}").json()["manifest"]
    assert shown["changeableAttributes"] == EVERY


def test_a_locked_repository_is_locked_as_a_whole(images: Images) -> None:
    digest = images.push("v1").headers["Docker-Content-Digest"]
    assert images.lock(writeEnabled=False).json()["changeableAttributes"] == {**EVERY, "writeEnabled": False}
    assert is_refused(images.push("v2"))
    assert is_refused(images.ask("POST", "/v2/app/web/blobs/uploads/"))
    config = images.ask("GET", "/v2/app/web/manifests/v1").json()["config"]["digest"]
    paths = ("manifests/v1", f"manifests/{digest}", f"blobs/{config}")
    for path in (*(f"/v2/app/web/{path}" for path in paths), "/acr/v1/app/web/_tags/v1", "/acr/v1/app/web"):
        assert is_refused(images.ask("DELETE", path)), path
    images.lock(writeEnabled=True)
    assert images.ask("DELETE", "/acr/v1/app/web/_tags/v1").status_code == 202


def test_images_of_a_repository_that_may_not_be_deleted_may_be(images: Images) -> None:
    images.push("v1")
    digest = images.push("v2", "other").headers["Docker-Content-Digest"]
    images.lock(deleteEnabled=False, writeEnabled=True)
    assert is_refused(images.ask("DELETE", "/acr/v1/app/web"))
    assert images.push("v1", "changed").status_code == 201
    assert images.ask("DELETE", f"/v2/app/web/manifests/{digest}").status_code == 202


def test_a_lock_against_reading(images: Images) -> None:
    digest = images.push("v1").headers["Docker-Content-Digest"]
    images.push("v2")
    images.lock("/_tags/v1", readEnabled=False)
    assert is_refused(images.ask("GET", "/v2/app/web/manifests/v1"))
    assert images.ask("HEAD", "/v2/app/web/manifests/v1").status_code == 405
    assert images.ask("GET", "/v2/app/web/manifests/v2").status_code == 200
    blob = images.ask("GET", "/v2/app/web/manifests/v2").json()["config"]["digest"]
    images.lock(readEnabled=False)
    for path in ("manifests/v2", f"manifests/{digest}", f"blobs/{blob}"):
        assert is_refused(images.ask("GET", f"/v2/app/web/{path}"))
    assert images.ask("GET", "/acr/v1/app/web").json()["changeableAttributes"]["readEnabled"] is False


def test_what_is_not_listed_is_there(images: Images) -> None:
    digest = images.push("v1").headers["Docker-Content-Digest"]
    images.push("v2", "other")
    images.lock("/_tags/v1", listEnabled=False)
    images.lock(f"/_manifests/{digest}", listEnabled=False)
    assert images.ask("GET", "/v2/app/web/tags/list").json()["tags"] == ["v2"]
    assert [tag["name"] for tag in images.ask("GET", "/acr/v1/app/web/_tags").json()["tags"]] == ["v2"]
    manifests = images.ask("GET", "/acr/v1/app/web/_manifests").json()["manifests"]
    assert digest not in [manifest["digest"] for manifest in manifests]
    assert images.ask("GET", "/v2/app/web/manifests/v1").status_code == 200
    images.lock(listEnabled=False)
    for path in ("/v2/_catalog", "/acr/v1/_catalog"):
        assert images.ask("GET", path).json() == {"repositories": []}
    assert images.ask("GET", "/acr/v1/app/web").json()["tagCount"] == 2


def test_locks_end_with_what_they_are_on(public: PublicCloud, group: Group, images: Images) -> None:
    images.push("v1")
    images.lock(readEnabled=False, listEnabled=False)
    assert images.ask("DELETE", "/acr/v1/app/web").status_code == 202
    images.push("v1")
    assert images.ask("GET", "/acr/v1/app/web").json()["changeableAttributes"] == EVERY
    images.lock(writeEnabled=False)
    registry = f"{group.id}/providers/Microsoft.ContainerRegistry/registries/{group.name}"
    assert public.arm("DELETE", registry).status_code == 200
    again = Images(public, group.registry())
    assert again.push("v1").status_code == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"writeEnabled": "no"}, 400),
        ({"writeEnabled": 0}, 400),
        ([], 400),
        ({"quarantineState": "Passed"}, 501),
        ({"writeEnable": False}, 501),
        ({}, 200),
        ({"writeEnabled": None}, 200),
    ],
)
def test_attributes_that_are_none(images: Images, body: Any, status: int) -> None:
    images.push("v1")
    for part in ("", "/_tags/v1"):
        answer = images.ask("PATCH", f"/acr/v1/app/web{part}", json=body)
        assert answer.status_code == status
        shown = images.ask("GET", f"/acr/v1/app/web{part}").json()
        assert shown.get("tag", shown)["changeableAttributes"] == EVERY
    assert images.lock("/_tags/none", writeEnabled=False).status_code == 404
