"""The checks of the OCI distribution specification 1.1 against the sandbox's registry, from the specification's text.

Each test names the category of the specification that it is about: pull, push, content discovery, content management.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from typing import Any

import pytest
import requests

from azure_sandbox.clouds import REGISTRY_AUDIENCE

from .groups import Group, exchange, server_of
from .replay import PublicCloud

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
USER = "00000000-0000-0000-0000-000000000000"
MIB = 1024 * 1024

Json = dict[str, Any]


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def joined(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}"


class Client:
    """A client of one repository, with all permissions."""

    def __init__(self, session: requests.Session, server: str, token: str, repository: str) -> None:
        self._session, self._server, self.repository = session, server, repository
        self._token = token

    def other(self, repository: str) -> Client:
        return Client(self._session, self._server, self._token, repository)

    def send(self, method: str, path: str, *, signed: bool = True, **options: Any) -> requests.Response:
        """A request; `path` is absolute, a whole address, or below the repository."""
        if not path.startswith(("/", "https://")):
            path = f"/v2/{self.repository}/{path}"
        url = path if path.startswith("https://") else f"https://{self._server}{path}"
        auth = (USER, self._token) if signed else None
        return self._session.request(method, url, auth=auth, allow_redirects=False, **options)

    def begin(self) -> str:
        """The address of a new upload."""
        answer = self.send("POST", "blobs/uploads/")
        assert answer.status_code == 202
        return answer.headers["Location"]

    def push_blob(self, content: bytes, algorithm: str = "sha256") -> Json:
        digest = digest_of(content, algorithm)
        answer = self.send("PUT", joined(self.begin(), f"digest={digest}"), data=content)
        assert answer.status_code == 201, answer.text
        return {"digest": digest, "size": len(content)}

    def manifest(self, layer: bytes = b"layer", **members: Any) -> Json:
        """An image manifest whose blobs are there."""
        config = {"mediaType": OCI_CONFIG, **self.push_blob(b'{"architecture":"amd64","os":"linux"}')}
        layers = [{"mediaType": OCI_LAYER, **self.push_blob(layer)}]
        return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers, **members}

    def put(self, content: Json | bytes, reference: str = "", kind: str = "") -> requests.Response:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        kind = kind or (content["mediaType"] if isinstance(content, dict) else OCI_MANIFEST)
        return self.send("PUT", f"manifests/{reference or digest_of(data)}", data=data, headers={"Content-Type": kind})

    def pushed(self, content: Json, reference: str = "") -> Json:
        """The descriptor of a manifest after it was pushed."""
        answer = self.put(content, reference)
        assert answer.status_code == 201, answer.text
        size = len(json.dumps(content).encode())
        return {"mediaType": content["mediaType"], "digest": answer.headers["Docker-Content-Digest"], "size": size}


@pytest.fixture(scope="module")
def proxy(public: PublicCloud) -> tuple[requests.Session, str, str]:
    """A session through the sandbox's proxy, a registry's login server, and its owner's refresh token."""
    server = server_of(Group(public).registry())
    answer = exchange(public.session, server, public.token(REGISTRY_AUDIENCE))
    return public.session, server, answer.json()["refresh_token"]


@pytest.fixture(params=["name", "nested/name", "a/b-c/d__e.f"])
def client(request: pytest.FixtureRequest, proxy: tuple[requests.Session, str, str]) -> Client:
    """A repository of the test's own."""
    return Client(*proxy, f"{request.param}-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def one(proxy: tuple[requests.Session, str, str]) -> Client:
    """A repository, where its name's form does not matter."""
    return Client(*proxy, f"one/{uuid.uuid4().hex[:12]}")


def refused(answer: requests.Response, status: int | tuple[int, ...], code: str = "") -> None:
    """An error in the form that the specification gives it."""
    assert answer.status_code in (status if isinstance(status, tuple) else (status,)), answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    errors = answer.json()["errors"]
    assert errors and all(isinstance(each["message"], str) for each in errors)
    assert all(re.fullmatch("[A-Z_]+", each["code"]) for each in errors)
    assert not code or errors[0]["code"] == code


# Determining support


def test_the_api_is_there(one: Client) -> None:
    assert one.send("GET", "/v2/").status_code == 200
    assert one.send("GET", "/v2/", signed=False).status_code == 401


# Pull: manifests


def test_pull_a_manifest_by_tag_and_digest(client: Client) -> None:
    content = client.manifest()
    data = json.dumps(content).encode()
    digest = client.pushed(content, "v1")["digest"]
    assert digest == digest_of(data)
    for reference in ("v1", digest):
        got = client.send("GET", f"manifests/{reference}", headers={"Accept": OCI_MANIFEST})
        assert got.status_code == 200 and got.content == data
        assert got.headers["Content-Type"] == OCI_MANIFEST
        assert got.headers["Docker-Content-Digest"] == digest
        head = client.send("HEAD", f"manifests/{reference}")
        assert head.status_code == 200 and head.content == b""
        assert head.headers["Content-Length"] == str(len(data))
        assert head.headers["Docker-Content-Digest"] == digest


def test_an_absent_manifest(client: Client) -> None:
    absent = digest_of(b"absent")
    refused(client.send("GET", "manifests/v1"), 404, "NAME_UNKNOWN")
    client.pushed(client.manifest(), "v1")
    for reference in ("v2", absent):
        refused(client.send("GET", f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN")
        assert client.send("HEAD", f"manifests/{reference}").status_code == 404


# Pull: blobs


def test_pull_a_blob(client: Client) -> None:
    blob = client.push_blob(b"content of a blob")
    got = client.send("GET", f"blobs/{blob['digest']}")
    assert got.status_code == 200 and got.content == b"content of a blob"
    head = client.send("HEAD", f"blobs/{blob['digest']}")
    assert head.status_code == 200 and head.headers["Content-Length"] == "17"
    assert got.headers.get("Docker-Content-Digest", blob["digest"]) == blob["digest"]


def test_an_absent_blob(client: Client) -> None:
    absent = digest_of(b"absent")
    refused(client.send("GET", f"blobs/{absent}"), 404, "BLOB_UNKNOWN")
    assert client.send("HEAD", f"blobs/{absent}").status_code == 404


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("bytes=0-4", (0, 4)),
        ("bytes=5-", (5, 16)),
        ("bytes=-3", (14, 16)),
        ("bytes=10-99", (10, 16)),
        ("bytes=16-16", (16, 16)),
    ],
)
def test_pull_a_range_of_a_blob(one: Client, asked: str, wanted: tuple[int, int]) -> None:
    content = b"content of a blob"
    blob = one.push_blob(content)
    got = one.send("GET", f"blobs/{blob['digest']}", headers={"Range": asked})
    assert got.status_code == 206
    assert got.headers["Content-Range"] == f"bytes {wanted[0]}-{wanted[1]}/{len(content)}"
    assert got.content == content[wanted[0] : wanted[1] + 1]


def test_a_range_behind_the_end(one: Client) -> None:
    blob = one.push_blob(b"short")
    assert one.send("GET", f"blobs/{blob['digest']}", headers={"Range": "bytes=99-"}).status_code == 416


# Push: blobs


def test_push_with_post_then_put(client: Client) -> None:
    content = b"post then put"
    answer = client.send("PUT", joined(client.begin(), f"digest={digest_of(content)}"), data=content)
    assert answer.status_code == 201
    assert client.send("GET", answer.headers["Location"]).content == content


def test_push_with_one_post(client: Client) -> None:
    content = b"one post"
    answer = client.send("POST", f"blobs/uploads/?digest={digest_of(content)}", data=content)
    assert answer.status_code in (201, 202)  # 202: the registry does not take it and wants a PUT
    if answer.status_code == 202:
        answer = client.send("PUT", joined(answer.headers["Location"], f"digest={digest_of(content)}"), data=content)
    assert client.send("GET", answer.headers["Location"]).content == content


@pytest.mark.parametrize("last", ["patch", "put"])
def test_push_in_chunks(client: Client, last: str) -> None:
    chunks = [b"a" * 1000, b"b" * 2000, b"c" * 500]
    url, position = client.begin(), 0
    for number, chunk in enumerate(chunks):
        if last == "put" and number == len(chunks) - 1:
            break
        headers = {
            "Content-Range": f"{position}-{position + len(chunk) - 1}",
            "Content-Type": "application/octet-stream",
        }
        answer = client.send("PATCH", url, data=chunk, headers=headers)
        assert answer.status_code == 202
        position += len(chunk)
        assert answer.headers["Range"] == f"0-{position - 1}"
        url = answer.headers["Location"]
        status = client.send("GET", url)
        assert status.status_code == 204 and status.headers["Range"] == f"0-{position - 1}"
        url = status.headers["Location"]
    content = b"".join(chunks)
    rest = content[position:]
    headers = {"Content-Range": f"{position}-{len(content) - 1}"} if rest else {}
    answer = client.send("PUT", joined(url, f"digest={digest_of(content)}"), data=rest, headers=headers)
    assert answer.status_code == 201
    assert client.send("GET", f"blobs/{digest_of(content)}").content == content


def test_a_chunked_body_without_content_range(one: Client) -> None:
    answer = one.send("PATCH", one.begin(), data=iter([b"stream", b"ed"]))
    assert answer.status_code == 202
    digest = digest_of(b"streamed")
    assert one.send("PUT", joined(answer.headers["Location"], f"digest={digest}")).status_code == 201


@pytest.mark.parametrize("range_", ["5-9", "1-5"])
def test_chunks_out_of_order(one: Client, range_: str) -> None:
    url = one.begin()
    answer = one.send("PATCH", url, data=b"12345", headers={"Content-Range": range_})
    assert answer.status_code == 416
    answer = one.send("PATCH", url, data=b"12345", headers={"Content-Range": "0-4"})
    assert answer.status_code == 202
    again = one.send("PATCH", answer.headers["Location"], data=b"12345", headers={"Content-Range": "0-4"})
    assert again.status_code == 416
    status = one.send("GET", answer.headers["Location"])  # how a client finds out where to go on
    assert status.headers["Range"] == "0-4"
    late = one.send(
        "PUT", joined(url, f"digest={digest_of(b'1234512345')}"), data=b"12345", headers={"Content-Range": "9-13"}
    )
    assert late.status_code == 416


def test_a_range_that_is_not_the_bodys(one: Client) -> None:
    """Content-Range says 10 bytes and the body has 5."""
    answer = one.send("PATCH", one.begin(), data=b"12345", headers={"Content-Range": "0-9"})
    assert answer.status_code in (400, 416)


def test_cancel_an_upload(client: Client) -> None:
    url = client.send("PATCH", client.begin(), data=b"never").headers["Location"]
    assert client.send("DELETE", url).status_code == 204
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        query = f"digest={digest_of(b'never')}" if method == "PUT" else ""
        refused(client.send(method, joined(url, query) if query else url), 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_digest_that_is_not_the_contents(client: Client) -> None:
    wrong = digest_of(b"something else")
    refused(client.send("PUT", joined(client.begin(), f"digest={wrong}"), data=b"x"), 400, "DIGEST_INVALID")
    refused(client.send("PUT", joined(client.begin(), "digest=sha256:zz"), data=b"x"), 400, "DIGEST_INVALID")
    refused(client.send("PUT", client.begin(), data=b"x"), 400, "DIGEST_INVALID")
    assert client.send("HEAD", f"blobs/{wrong}").status_code == 404


def test_an_upload_belongs_to_its_repository(one: Client) -> None:
    upload = one.begin().rpartition("/")[2]
    refused(one.other(one.repository + "-other").send("GET", f"blobs/uploads/{upload}"), 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("size", [0, 1, 32 * MIB])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_blobs_of_every_size(one: Client, size: int, algorithm: str) -> None:
    content = b"x" * size
    blob = one.push_blob(content, algorithm)
    got = one.send("GET", f"blobs/{blob['digest']}")
    assert got.headers["Content-Length"] == str(size) and got.content == content


def test_mount_from_another_repository(client: Client) -> None:
    blob = client.push_blob(b"to be mounted")
    other = client.other(client.repository + "-mounted")
    assert other.send("HEAD", f"blobs/{blob['digest']}").status_code == 404
    answer = other.send("POST", f"blobs/uploads/?mount={blob['digest']}&from={client.repository}")
    assert answer.status_code == 201
    assert other.send("GET", answer.headers["Location"]).content == b"to be mounted"


@pytest.mark.parametrize(
    "query", ["mount={absent}&from={repository}", "mount={digest}&from=nobody/has-this", "mount={digest}"]
)
def test_what_cannot_be_mounted_is_uploaded(one: Client, query: str) -> None:
    blob = one.push_blob(b"mount")
    other = one.other(one.repository + "-other")
    query = query.format(absent=digest_of(b"absent"), digest=blob["digest"], repository=one.repository)
    answer = other.send("POST", f"blobs/uploads/?{query}")
    assert answer.status_code in (201, 202)
    if answer.status_code == 202:
        url = joined(answer.headers["Location"], f"digest={blob['digest']}")
        assert other.send("PUT", url, data=b"mount").status_code == 201
    assert other.send("GET", f"blobs/{blob['digest']}").content == b"mount"


# Push: manifests


def test_push_a_manifest(client: Client) -> None:
    content = client.manifest()
    answer = client.put(content, "v1")
    assert answer.status_code == 201
    assert client.send("GET", answer.headers["Location"]).json() == content
    again = client.put(content, "v1")
    assert (
        again.status_code == 201 and again.headers["Docker-Content-Digest"] == answer.headers["Docker-Content-Digest"]
    )
    assert client.put(content, "x" * 128).status_code == 201
    refused(client.put(content, "x" * 129), (400, 404))
    refused(client.put(content, ".begins-with-a-dot"), (400, 404))


def test_a_tag_moves(client: Client) -> None:
    first = client.pushed(client.manifest(b"first"), "latest")["digest"]
    second = client.pushed(client.manifest(b"second"), "latest")["digest"]
    assert first != second
    assert client.send("HEAD", "manifests/latest").headers["Docker-Content-Digest"] == second
    assert client.send("HEAD", f"manifests/{first}").status_code == 200


def test_a_manifest_by_sha512(one: Client) -> None:
    data = json.dumps(one.manifest()).encode()
    digest = digest_of(data, "sha512")
    answer = one.put(data, digest)
    assert answer.status_code == 201 and answer.headers["Docker-Content-Digest"] == digest
    assert one.send("GET", f"manifests/{digest}").content == data


def test_a_manifest_whose_blobs_are_not_there(client: Client) -> None:
    absent = {"mediaType": OCI_LAYER, "digest": digest_of(b"absent"), "size": 6}
    refused(client.put(client.manifest(layers=[absent]), "v1"), (400, 404), "MANIFEST_BLOB_UNKNOWN")
    assert client.send("HEAD", "manifests/v1").status_code == 404


@pytest.mark.parametrize(
    "data",
    [b"", b"no json", b"[]", b"{}", b'{"schemaVersion": 1}', b'{"schemaVersion": 2, "layers": "x"}', b'{"schemaVersion": 2, "config": {"digest": "x"}}'],
)  # fmt: skip
def test_what_is_no_manifest(one: Client, data: bytes) -> None:
    refused(one.put(data, "v1"), 400)


def test_a_manifest_under_a_wrong_digest(one: Client) -> None:
    refused(one.put(one.manifest(), digest_of(b"something else")), 400, "DIGEST_INVALID")


def test_a_manifest_of_another_type_than_it_says(one: Client) -> None:
    refused(one.put(one.manifest(), "v1", kind=DOCKER_MANIFEST), 400, "MANIFEST_INVALID")


def test_too_large_a_manifest(one: Client) -> None:
    content = one.manifest(annotations={"large": "x" * 5 * MIB})
    assert one.put(content, "v1").status_code == 413
    assert one.put(one.manifest(annotations={"large": "x" * 3 * MIB}), "v1").status_code == 201


@pytest.mark.parametrize("kinds", [(OCI_INDEX, OCI_MANIFEST), (DOCKER_LIST, DOCKER_MANIFEST)])
def test_an_index_and_a_nested_one(client: Client, kinds: tuple[str, str]) -> None:
    image = client.pushed(client.manifest(mediaType=kinds[1]))
    platform = {"architecture": "amd64", "os": "linux"}
    index = {"schemaVersion": 2, "mediaType": kinds[0], "manifests": [{**image, "platform": platform}]}
    inner = client.pushed(index, "index")
    outer = client.pushed({"schemaVersion": 2, "mediaType": kinds[0], "manifests": [inner]}, "outer")
    for reference, content in (("index", index), (outer["digest"], None)):
        got = client.send("GET", f"manifests/{reference}")
        assert got.headers["Content-Type"] == kinds[0]
        assert content is None or got.json() == content
    empty = {"schemaVersion": 2, "mediaType": kinds[0], "manifests": []}
    assert client.put(empty, "empty").status_code == 201


def test_an_index_whose_manifests_are_not_there(one: Client) -> None:
    child = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"absent"), "size": 6}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}
    refused(one.put(index, "v1"), (400, 404))


def test_an_artifact(client: Client) -> None:
    """An empty configuration, an artifactType, and layers of any type."""
    empty = {"mediaType": EMPTY, **client.push_blob(b"{}")}
    artifact = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example.sbom",
        "config": empty,
        "layers": [{"mediaType": "text/plain", **client.push_blob(b"a list")}],
        "annotations": {"org.example": "1"},
    }
    assert client.pushed(artifact, "sbom")
    assert client.send("GET", "manifests/sbom").json() == artifact
    assert client.put({**artifact, "layers": [empty]}, "bare").status_code == 201


# Content discovery


def test_list_tags(client: Client) -> None:
    refused(client.send("GET", "tags/list"), 404, "NAME_UNKNOWN")
    content = client.manifest()
    names = ["v10", "v2", "a", "B", "_x"]
    for name in names:
        client.pushed(content, name)
    listed = client.send("GET", "tags/list").json()
    assert listed == {"name": client.repository, "tags": sorted(names)}
    got, url, pages = [], "tags/list?n=2", 0
    while url:
        answer = client.send("GET", url)
        page = answer.json()["tags"]
        assert len(page) <= 2
        got += page
        pages += 1
        match = re.search(r'<([^>]+)>;\s*rel="next"', answer.headers.get("Link", ""))
        url = match[1] if match else ""
    assert got == sorted(names) and pages == 3
    assert client.send("GET", "tags/list?n=0").json()["tags"] == []
    assert client.send("GET", f"tags/list?last={sorted(names)[1]}").json()["tags"] == sorted(names)[2:]
    assert client.send("GET", "tags/list?n=1&last=a").json()["tags"] == ["v10"]
    assert client.send("GET", "tags/list?n=x").status_code == 400


def test_a_repository_of_which_only_digests_are_known(one: Client) -> None:
    one.pushed(one.manifest())
    assert one.send("GET", "tags/list").json() == {"name": one.repository, "tags": []}


def test_referrers(client: Client) -> None:
    subject = client.pushed(client.manifest(), "v1")
    empty = {"mediaType": EMPTY, **client.push_blob(b"{}")}
    base = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": empty, "layers": [empty]}
    sbom = {**base, "artifactType": "application/sbom", "subject": subject, "annotations": {"a": "1"}}
    answer = client.put(sbom)
    assert answer.status_code == 201 and answer.headers["OCI-Subject"] == subject["digest"]
    signature = {**base, "artifactType": "application/signature", "subject": subject}
    assert client.put(signature).headers["OCI-Subject"] == subject["digest"]
    image = client.manifest(b"other", subject=subject)  # its type is that of its configuration
    client.pushed(image)
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [],
        "artifactType": "application/index",
        "subject": subject,
    }
    client.pushed(index)
    answer = client.send("GET", f"referrers/{subject['digest']}")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == OCI_INDEX
    assert "OCI-Filters-Applied" not in answer.headers
    listed = answer.json()
    assert listed["schemaVersion"] == 2 and listed["mediaType"] == OCI_INDEX
    kinds = {each["artifactType"]: each for each in listed["manifests"]}
    assert set(kinds) == {"application/sbom", "application/signature", OCI_CONFIG, "application/index"}
    assert kinds["application/sbom"]["annotations"] == {"a": "1"}
    data = json.dumps(sbom).encode()
    assert kinds["application/sbom"]["digest"] == digest_of(data) and kinds["application/sbom"]["size"] == len(data)
    answer = client.send("GET", f"referrers/{subject['digest']}?artifactType=application/sbom")
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert [each["artifactType"] for each in answer.json()["manifests"]] == ["application/sbom"]
    assert client.send("DELETE", f"manifests/{digest_of(data)}").status_code == 202
    left = client.send("GET", f"referrers/{subject['digest']}").json()["manifests"]
    assert "application/sbom" not in {each["artifactType"] for each in left}


def test_referrers_of_what_is_not_there_yet(client: Client) -> None:
    content = client.manifest()
    subject = {"mediaType": OCI_MANIFEST, "digest": digest_of(json.dumps(content).encode()), "size": 1}
    listed = client.send("GET", f"referrers/{subject['digest']}")
    assert listed.status_code == 200 and listed.json()["manifests"] == []
    referrer = client.manifest(b"early", artifactType="application/early", subject=subject)
    assert client.put(referrer).headers["OCI-Subject"] == subject["digest"]
    client.pushed(content, "late")
    assert len(client.send("GET", f"referrers/{subject['digest']}").json()["manifests"]) == 1
    refused(client.send("GET", "referrers/no-digest"), 400)


# Content management


def test_delete_a_tag(client: Client) -> None:
    digest = client.pushed(client.manifest(), "gone")["digest"]
    assert client.send("DELETE", "manifests/gone").status_code == 202
    refused(client.send("GET", "manifests/gone"), 404)
    assert "gone" not in client.send("GET", "tags/list").json()["tags"]
    assert client.send("GET", f"manifests/{digest}").status_code == 200
    refused(client.send("DELETE", "manifests/gone"), 404)


def test_delete_a_manifest(client: Client) -> None:
    content = client.manifest()
    digest = client.pushed(content, "v1")["digest"]
    client.pushed(content, "v2")
    kept = client.pushed(client.manifest(b"kept"), "kept")["digest"]
    assert client.send("DELETE", f"manifests/{digest}").status_code == 202
    for reference in (digest, "v1", "v2"):
        refused(client.send("GET", f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN")
    refused(client.send("DELETE", f"manifests/{digest}"), 404, "MANIFEST_UNKNOWN")
    assert client.send("GET", "tags/list").json()["tags"] == ["kept"]
    assert client.send("GET", f"manifests/{kept}").status_code == 200
    assert client.put(content, "v1").status_code == 201  # it may come back


def test_delete_a_blob(client: Client) -> None:
    blob = client.push_blob(b"to be deleted")
    assert client.send("DELETE", f"blobs/{blob['digest']}").status_code == 202
    assert client.send("HEAD", f"blobs/{blob['digest']}").status_code == 404
    refused(client.send("GET", f"blobs/{blob['digest']}"), 404, "BLOB_UNKNOWN")
    refused(client.send("DELETE", f"blobs/{blob['digest']}"), 404, "BLOB_UNKNOWN")
    client.push_blob(b"to be deleted")
    assert client.send("GET", f"blobs/{blob['digest']}").content == b"to be deleted"


def test_deleting_in_one_repository_leaves_the_other(one: Client) -> None:
    other = one.other(one.repository + "-other")
    blob = one.push_blob(b"shared")
    other.push_blob(b"shared")
    one.send("DELETE", f"blobs/{blob['digest']}")
    assert other.send("GET", f"blobs/{blob['digest']}").content == b"shared"


# Names


@pytest.mark.parametrize("name", ["a..b", "-a", "a-", "a//b", "a/_b", "ä", "a" * 256])
def test_names_that_are_none(one: Client, name: str) -> None:
    answer = one.other(name).send("GET", "tags/list")
    assert answer.status_code in (400, 404)
    assert one.other(name).send("POST", "blobs/uploads/").status_code in (400, 404, 401)


@pytest.mark.parametrize("path", ["manifests/v1", "blobs/" + digest_of(b"x"), "tags/list"])
def test_nothing_without_a_token(one: Client, path: str) -> None:
    refused(one.send("GET", path, signed=False), 401, "UNAUTHORIZED")
