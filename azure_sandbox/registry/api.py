"""Container registries: the distribution API (version 2), and what Azure adds to it under /acr/v1.

Hosts: *.azurecr.cn, *.azurecr.io, *.azurecr.us, and mcr.microsoft.com, which anybody may pull from.
Source: OCI distribution specification 1.1; recorded answers of Azure for /acr/v1.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from ..clock import Clock
from ..requests import otherwise, parse_json
from ..store import LOCKS, Store
from ..tenant import Tenant
from .auth import CATALOG, RegistryAccess, RegistryError, Scope
from .images import NAME, PUBLIC_REGISTRY, TAG, find_manifest, put_manifest

DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
MAX_MANIFEST = 4 * 1024 * 1024  # bytes
CHUNK = 256 * 1024  # bytes
PAGE = 100  # names, where a client does not say how many

_Handler = Callable[[Request, str, str], Awaitable[Response]]


class Registry:
    """The content of all registries of one emulated cloud."""

    def __init__(self, tenant: Tenant) -> None:
        self._access = RegistryAccess(tenant)
        self._setup(tenant.store, tenant.clock, self._access.routes)

    def _setup(self, store: Store, clock: Clock, routes: Sequence[BaseRoute] = ()) -> None:
        self._store, self._clock = store, clock
        # A repository's name may have slashes; the path parameter takes as much as it can, so the last form wins.
        self.routes: list[BaseRoute] = [
            *routes,
            self._route("/v2/", self.ping, ["GET", "HEAD"]),
            self._route("/v2/_catalog", self.catalog, ["GET"]),
            self._route("/v2/{name:path}/tags/list", self.tag_names, ["GET"], "pull"),
            self._route("/v2/{name:path}/referrers/{digest}", self.referrers, ["GET"], "pull"),
            self._route("/v2/{name:path}/manifests/{reference}", self.get_manifest, ["GET", "HEAD"], "pull"),
            self._route("/v2/{name:path}/manifests/{reference}", self.put_manifest, ["PUT"], "pull", "push"),
            self._route("/v2/{name:path}/manifests/{reference}", self.delete_manifest, ["DELETE"], "delete"),
            self._route("/v2/{name:path}/blobs/uploads/", self.start_upload, ["POST"], "pull", "push"),
            self._route("/v2/{name:path}/blobs/uploads/{upload}", self.upload_status, ["GET"], "pull", "push"),
            self._route("/v2/{name:path}/blobs/uploads/{upload}", self.append_upload, ["PATCH"], "pull", "push"),
            self._route("/v2/{name:path}/blobs/uploads/{upload}", self.finish_upload, ["PUT"], "pull", "push"),
            self._route("/v2/{name:path}/blobs/uploads/{upload}", self.cancel_upload, ["DELETE"], "pull", "push"),
            self._route("/v2/{name:path}/blobs/{digest}", self.get_blob, ["GET", "HEAD"], "pull"),
            self._route("/v2/{name:path}/blobs/{digest}", self.delete_blob, ["DELETE"], "delete"),
            self._route("/acr/v1/_catalog", self.catalog, ["GET"]),
            self._route("/acr/v1/{name:path}/_tags", self.tags, ["GET"], "metadata_read"),
            self._route("/acr/v1/{name:path}/_tags/{tag}", self.tag_properties, ["GET"], "metadata_read"),
            self._route("/acr/v1/{name:path}/_tags/{tag}", self.update_attributes, ["PATCH"], "metadata_write"),
            self._route("/acr/v1/{name:path}/_manifests/{digest}", self.update_attributes, ["PATCH"], "metadata_write"),
            self._route("/acr/v1/{name:path}/_tags/{tag}", self.delete_tag, ["DELETE"], "delete"),
            self._route("/acr/v1/{name:path}/_manifests", self.manifests, ["GET"], "metadata_read"),
            self._route("/acr/v1/{name:path}/_manifests/{digest}", self.manifest_properties, ["GET"], "metadata_read"),
            self._route("/acr/v1/{name:path}", self.repository_properties, ["GET"], "metadata_read"),
            self._route("/acr/v1/{name:path}", self.update_attributes, ["PATCH"], "metadata_write"),
            self._route("/acr/v1/{name:path}", self.delete_repository, ["DELETE"], "delete"),
            otherwise(_unknown_operation),
        ]

    def _route(self, path: str, handler: _Handler, methods: list[str], *actions: str) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                name = request.path_params.get("name", "")
                if path.startswith("/acr/v1/") and re.search("[A-Z]", name):
                    headers = {"Docker-Distribution-Api-Version": "registry/2.0"}
                    return PlainTextResponse("404 page not found\n", status_code=404, headers=headers)
                if "{name" in path and not NAME.fullmatch(name):
                    raise RegistryError(404, "NAME_INVALID", "invalid repository name", detail={"name": name[:255]})
                scopes = (Scope("repository", name, actions),) if actions else ()
                if path.endswith("/_catalog"):
                    scopes = (CATALOG,)
                response = await handler(request, self._authorize(request, *scopes), name)
            except RegistryError as error:
                response = error.response()
            response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
            response.headers["X-Ms-Correlation-Request-Id"] = str(uuid.uuid4())
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
            response.headers["X-Content-Type-Options"] = "nosniff"
            for exposed in ("Docker-Content-Digest", "WWW-Authenticate", "Link", "X-Ms-Correlation-Request-Id"):
                response.headers.append("Access-Control-Expose-Headers", exposed)
            if response.media_type == "application/json":
                response.headers["Content-Type"] = "application/json; charset=utf-8"
            return response

        route = Route(path, endpoint, methods=methods)
        if "HEAD" not in methods and route.methods:
            route.methods.discard("HEAD")
        return route

    def _authorize(self, request: Request, *scopes: Scope) -> str:
        """The login server, where the caller may do what it asks for."""
        registry = self._access.require(request, *scopes)
        return str(registry["properties"]["loginServer"])

    # The API itself

    async def ping(self, request: Request, server: str, name: str) -> Response:
        return JSONResponse({})

    async def catalog(self, request: Request, server: str, name: str) -> Response:
        names, link = _page(request, [n for n in self._store.repositories(server) if _listed(self._locks(server, n))])
        return JSONResponse({"repositories": names}, headers=link)

    async def tag_names(self, request: Request, server: str, name: str) -> Response:
        self._require_repository(server, name)
        tags = filter(_listed, self._store.tags(server, name))
        names, link = _page(request, [tag["name"] for tag in tags], default=None)
        return JSONResponse({"name": name, "tags": names}, headers=link)

    async def referrers(self, request: Request, server: str, name: str) -> Response:
        digest = _digest(request.path_params["digest"])
        wanted = request.query_params.get("artifactType")
        found = [m for m in self._store.manifests(server, name) if m["subject"] == digest]
        descriptors = [
            {
                key: m[key]
                for key in ("mediaType", "digest", "size", "artifactType", "annotations")
                if m[key] is not None
            }
            for m in found
            if wanted in (None, m["artifactType"])
        ]
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}
        return JSONResponse(index, media_type=OCI_INDEX, headers=headers)

    def _require_repository(self, server: str, name: str) -> None:
        if name not in self._store.repositories(server):
            message = "repository name not known to registry"
            raise RegistryError(404, "NAME_UNKNOWN", message, detail={"name": name})

    # Manifests

    def _manifest(self, server: str, name: str, reference: str) -> dict[str, Any]:
        found = find_manifest(self._store, server, name, reference)
        if found is None:
            self._require_repository(server, name)
            by = "manifest" if ":" in reference else "manifest tagged by"
            what = reference if ":" in reference else f'"{reference}"'
            raise RegistryError(404, "MANIFEST_UNKNOWN", f"{by} {what} is not found")
        return found

    async def get_manifest(self, request: Request, server: str, name: str) -> Response:
        found = self._manifest(server, name, request.path_params["reference"])
        tag = self._store.tag(server, name, request.path_params["reference"])
        _require_unlocked("readEnabled", self._locks(server, name), tag, found)
        headers = {"Docker-Content-Digest": found["digest"], "ETag": f'"{found["digest"]}"'}
        content = self._store.blobs.read(found["digest"])
        return Response(content, media_type=found["mediaType"], headers=headers)

    async def put_manifest(self, request: Request, server: str, name: str) -> Response:
        reference = request.path_params["reference"]
        if not TAG.fullmatch(reference) and not DIGEST.fullmatch(reference):
            raise RegistryError(400, "MANIFEST_INVALID", "the reference is neither a tag nor a digest")
        content = b""
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_MANIFEST:
                raise RegistryError(413, "MANIFEST_INVALID", f"a manifest has at most {MAX_MANIFEST} bytes")
        manifest = self._checked_manifest(content, server, name)
        media_type = request.headers.get("content-type", "").partition(";")[0] or manifest.get("mediaType", "")
        if manifest.get("mediaType", media_type) != media_type:
            # Azure says no more than this when Content-Type and mediaType differ.
            raise RegistryError(400, "MANIFEST_INVALID", "manifest invalid", detail={"Reason": {}})
        algorithm = reference.partition(":")[0] if ":" in reference else "sha256"
        digest = self._store.blobs.write(content, algorithm)
        if ":" in reference and digest != reference:
            raise RegistryError(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        replaced = (self._store.manifest if ":" in reference else self._store.tag)(server, name, reference)
        _require_unlocked("writeEnabled", self._locks(server, name), replaced)
        tags = [] if ":" in reference else [reference]
        now = self._clock.timestamp()
        put_manifest(self._store, server, name, content, media_type, tags=tags, now=now, digest=digest)
        headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
        if manifest.get("subject"):
            headers["OCI-Subject"] = manifest["subject"]["digest"]
        return Response(status_code=201, headers=headers)

    def _checked_manifest(self, content: bytes, server: str, name: str) -> dict[str, Any]:
        """The manifest, where it is one and all that it needs is there."""
        try:
            manifest = parse_json(content)
            layers = [layer for layer in manifest.get("layers", []) if "nondistributable" not in layer["mediaType"]]
            blobs = [_digest(d["digest"]) for d in [*layers, *([manifest["config"]] if manifest.get("config") else [])]]
            children = [_digest(child["digest"]) for child in manifest.get("manifests", [])]
            if manifest.get("subject"):  # it may be missing: it can come later
                _digest(manifest["subject"]["digest"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError(400, "MANIFEST_INVALID", f"manifest invalid: {error}") from error
        if manifest.get("schemaVersion") != 2:
            raise RegistryError(400, "MANIFEST_INVALID", "manifest invalid: schemaVersion must be 2")
        for digest in blobs:
            if not self._store.has_blob(server, name, digest):
                raise RegistryError(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", detail={"digest": digest})
        for digest in children:
            if self._store.manifest(server, name, digest) is None:
                raise RegistryError(400, "MANIFEST_BLOB_UNKNOWN", "manifest unknown", detail={"digest": digest})
        checked: dict[str, Any] = manifest
        return checked

    async def delete_manifest(self, request: Request, server: str, name: str) -> Response:
        reference = request.path_params["reference"]
        found = self._manifest(server, name, reference)
        by_digest = ":" in reference
        tags = [tag for tag in self._store.tags(server, name) if reference in (tag["name"], tag["digest"])]
        self._require_deletable(server, name, *tags, *([found] if by_digest else []))
        with self._store.transaction():
            for tag in tags:
                self._store.delete_tag(server, name, tag["name"])
            if by_digest:
                self._store.delete_manifest(server, name, found["digest"])
        return Response(status_code=202)

    # Blobs

    def _blob(self, server: str, name: str, digest: str) -> int:
        """The size of a blob of the repository."""
        if not self._store.has_blob(server, name, _digest(digest)) or not self._store.blobs.exists(digest):
            raise RegistryError(404, "BLOB_UNKNOWN", "blob unknown to registry", detail={"digest": digest})
        return self._store.blobs.size(digest)

    async def get_blob(self, request: Request, server: str, name: str) -> Response:
        digest = request.path_params["digest"]
        size = self._blob(server, name, digest)
        _require_unlocked("readEnabled", self._locks(server, name))
        headers = {"Docker-Content-Digest": digest, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        start, end, status = 0, size, 200
        wanted = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", request.headers.get("range", ""))
        if wanted and any(wanted.groups()):
            first, last = wanted.groups()
            start = int(first) if first else max(0, size - int(last))
            end = min(size, int(last) + 1) if first and last else size
            if start >= end:
                headers["Content-Range"] = f"bytes */{size}"
                raise RegistryError(416, "RANGE_INVALID", "the range is outside of the blob", headers=headers)
            headers["Content-Range"], status = f"bytes {start}-{end - 1}/{size}", 206
        headers["Content-Length"] = str(end - start)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type="application/octet-stream")
        stream = self._read(digest, start, end)
        return StreamingResponse(stream, status_code=status, headers=headers, media_type="application/octet-stream")

    def _read(self, digest: str, start: int, end: int) -> Iterator[bytes]:
        for position in range(start, end, CHUNK):
            yield self._store.blobs.read(digest, position, min(CHUNK, end - position))

    async def delete_blob(self, request: Request, server: str, name: str) -> Response:
        digest = request.path_params["digest"]
        self._blob(server, name, digest)
        self._require_deletable(server, name)
        self._store.unlink_blob(server, name, digest)
        return Response(status_code=202)

    # Uploads. They are known by an id that is hard to guess, and by the repository they were begun in.

    async def start_upload(self, request: Request, server: str, name: str) -> Response:
        _require_unlocked("writeEnabled", self._locks(server, name))
        mount, source = request.query_params.get("mount"), request.query_params.get("from")
        if mount and source and self._may_mount(request, server, source, _digest(mount)):
            self._store.link_blob(server, name, mount)
            headers = {"Location": f"/v2/{name}/blobs/{mount}", "Docker-Content-Digest": mount}
            return Response(status_code=201, headers=headers)
        upload = self._store.blobs.new_upload()
        self._store.write("upload", upload, {"registry": server, "repository": name})
        if request.query_params.get("digest"):
            await self._receive(request, upload)
            return self._finish(server, name, upload, request.query_params["digest"])
        return self._upload_answer(name, upload, 202)

    def _may_mount(self, request: Request, server: str, source: str, digest: str) -> bool:
        if not NAME.fullmatch(source) or not self._store.has_blob(server, source, digest):
            return False
        try:
            self._authorize(request, Scope("repository", source, ("pull",)))
        except RegistryError:
            return False
        return True

    def _upload(self, request: Request, server: str, name: str) -> tuple[str, int]:
        """The id and the size of the upload that is asked for."""
        upload = request.path_params["upload"]
        size = self._store.blobs.upload_size(upload)
        if size is None or self._store.read("upload", upload) != {"registry": server, "repository": name}:
            raise RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return upload, size

    async def _receive(self, request: Request, upload: str) -> None:
        try:
            async for chunk in request.stream():
                if chunk:
                    self._store.blobs.append(upload, chunk)
        except ClientDisconnect as error:
            raise RegistryError(400, "BLOB_UPLOAD_INVALID", "the connection ended within the chunk") from error

    async def upload_status(self, request: Request, server: str, name: str) -> Response:
        upload, _ = self._upload(request, server, name)
        return self._upload_answer(name, upload, 204)

    async def append_upload(self, request: Request, server: str, name: str) -> Response:
        upload, size = self._upload(request, server, name)
        self._check_order(request, name, upload, size)
        await self._receive(request, upload)
        return self._upload_answer(name, upload, 202)

    def _check_order(self, request: Request, name: str, upload: str, size: int) -> None:
        """A chunk that says where it begins must begin where the upload ends."""
        position = re.fullmatch(r"(?:bytes )?(\d{1,18})-(\d{1,18})(?:/.*)?", request.headers.get("content-range", ""))
        length = request.headers.get("content-length")
        if position and length and int(length) != int(position[2]) - int(position[1]) + 1:
            raise RegistryError(400, "SIZE_INVALID", "the chunk is not as long as its Content-Range says")
        if position and int(position[1]) != size:
            headers = dict(self._upload_answer(name, upload, 416).headers)
            headers.pop("content-length", None)
            raise RegistryError(416, "BLOB_UPLOAD_INVALID", "the chunk is out of order", headers=headers)

    async def finish_upload(self, request: Request, server: str, name: str) -> Response:
        upload, size = self._upload(request, server, name)
        digest = _digest(request.query_params.get("digest", ""))
        self._check_order(request, name, upload, size)
        await self._receive(request, upload)
        return self._finish(server, name, upload, digest)

    def _finish(self, server: str, name: str, upload: str, digest: str) -> Response:
        kept = self._store.blobs.finish_upload(upload, _digest(digest))
        self._store.erase("upload", upload)
        if not kept:
            raise RegistryError(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self._store.link_blob(server, name, digest)
        headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
        return Response(status_code=201, headers=headers)

    async def cancel_upload(self, request: Request, server: str, name: str) -> Response:
        upload, _ = self._upload(request, server, name)
        self._store.blobs.cancel_upload(upload)
        self._store.erase("upload", upload)
        return Response(status_code=204)

    def _upload_answer(self, name: str, upload: str, status: int) -> Response:
        size = self._store.blobs.upload_size(upload) or 0
        headers = {
            "Location": f"/v2/{name}/blobs/uploads/{upload}",
            "Docker-Upload-Uuid": upload,
            "Range": f"0-{max(0, size - 1)}",
        }
        return Response(status_code=status, headers=headers)

    # What Azure adds

    async def tags(self, request: Request, server: str, name: str) -> Response:
        self._require_repository(server, name)
        digest = request.query_params.get("digest")
        tags = filter(_listed, self._store.tags(server, name))
        found = {tag["name"]: tag for tag in tags if digest in (None, tag["digest"])}
        names, link = _page(request, list(found))
        shown = [_shown_tag(found[each]) for each in names]
        return JSONResponse({"registry": server, "imageName": name, "tags": shown}, headers=link)

    def _tag(self, request: Request, server: str, name: str) -> dict[str, Any]:
        tag = self._store.tag(server, name, request.path_params["tag"])
        if tag is None:
            raise RegistryError(404, "TAG_UNKNOWN", "the specified tag does not exist")
        return tag

    async def tag_properties(self, request: Request, server: str, name: str) -> Response:
        tag = _shown_tag(self._tag(request, server, name))
        return JSONResponse({"registry": server, "imageName": name, "tag": tag})

    async def delete_tag(self, request: Request, server: str, name: str) -> Response:
        tag = self._tag(request, server, name)
        self._require_deletable(server, name, tag)
        self._store.delete_tag(server, name, tag["name"])
        return Response(status_code=202, headers={"X-Ms-Int-Docker-Content-Digest": tag["digest"]})

    async def manifests(self, request: Request, server: str, name: str) -> Response:
        self._require_repository(server, name)
        found = {m["digest"]: m for m in filter(_listed, self._store.manifests(server, name))}
        digests, link = _page(request, list(found))
        shown = [self._shown_manifest(server, name, found[digest]) for digest in digests]
        return JSONResponse({"registry": server, "imageName": name, "manifests": shown}, headers=link)

    async def manifest_properties(self, request: Request, server: str, name: str) -> Response:
        found = self._store.manifest(server, name, request.path_params["digest"])
        if found is None:
            raise RegistryError(404, "MANIFEST_UNKNOWN", "manifest unknown")
        shown = self._shown_manifest(server, name, found)
        return JSONResponse({"registry": server, "imageName": name, "manifest": shown})

    def _shown_manifest(self, server: str, name: str, manifest: dict[str, Any]) -> dict[str, Any]:
        tags = [tag["name"] for tag in self._store.tags(server, name) if tag["digest"] == manifest["digest"]]
        keys = ("digest", "imageSize", "createdTime", "lastUpdateTime")
        shown = {key: manifest[key] for key in keys if manifest[key] is not None}
        shown |= self._platform(manifest["digest"])
        shown["mediaType"] = manifest["mediaType"]
        return {**shown, **({"tags": tags} if tags else {}), "changeableAttributes": _attributes(manifest)}

    def _platform(self, digest: str) -> dict[str, str]:
        """Architecture and operating system, as the image's configuration says them; nothing for an index."""
        try:
            config = json.loads(self._store.blobs.read(digest)).get("config") or {}
            # Whoever pushed it calls it a configuration; it may be anything, of any size.
            content = json.loads(self._store.blobs.read(config["digest"], 0, MAX_MANIFEST))
            return {key: content[key] for key in ("architecture", "os") if content.get(key)}
        except (KeyError, ValueError, TypeError, AttributeError, OSError, RecursionError):
            return {}

    async def repository_properties(self, request: Request, server: str, name: str) -> Response:
        self._require_repository(server, name)
        manifests, tags = self._store.manifests(server, name), self._store.tags(server, name)
        return JSONResponse(
            {
                "registry": server,
                "imageName": name,
                "createdTime": min(manifest["createdTime"] for manifest in manifests),
                "lastUpdateTime": max(each["lastUpdateTime"] for each in [*manifests, *tags]),
                "manifestCount": len(manifests),
                "tagCount": len(tags),
                "changeableAttributes": _attributes(self._locks(server, name)),
            }
        )

    # Locks. Source: azure-management-docs, container-registry-image-lock. A tag and a manifest keep their own.

    def _locks(self, server: str, name: str) -> dict[str, Any]:
        """What is locked of a repository as a whole."""
        return self._store.read(LOCKS, f"{server}/{name}") or {}

    def _require_deletable(self, server: str, name: str, *parts: dict[str, Any]) -> None:
        """Refuse to delete parts of a repository that are locked: a lock against writing is one against deleting too."""
        _require_unlocked("writeEnabled", self._locks(server, name), *parts)
        _require_unlocked("deleteEnabled", *parts)

    async def update_attributes(self, request: Request, server: str, name: str) -> Response:
        """Change the locks of a repository, a tag or a manifest, and answer with its properties."""
        tag, digest = request.path_params.get("tag"), request.path_params.get("digest")
        show = self.tag_properties if tag else self.manifest_properties if digest else self.repository_properties
        await show(request, server, name)  # 404 where there is none
        changed = _given_attributes(await request.body())
        with self._store.transaction():
            if tag and (found := self._store.tag(server, name, tag)):
                self._store.put_tag(server, name, tag, _locked(found, changed))
            elif digest and (found := self._store.manifest(server, name, digest)):
                self._store.put_manifest(server, name, digest, _locked(found, changed))
            else:
                self._store.write(LOCKS, f"{server}/{name}", _locked(self._locks(server, name), changed))
        return await show(request, server, name)

    async def delete_repository(self, request: Request, server: str, name: str) -> Response:
        self._require_repository(server, name)
        manifests, tags = self._store.manifests(server, name), self._store.tags(server, name)
        self._require_deletable(server, name, self._locks(server, name), *manifests, *tags)
        self._store.delete_repository(server, name)
        deleted = {"manifestsDeleted": [m["digest"] for m in manifests], "tagsDeleted": [tag["name"] for tag in tags]}
        return JSONResponse(deleted, status_code=202)


class PublicRegistry(Registry):
    """mcr.microsoft.com: anybody may pull, nobody may push."""

    def __init__(self, store: Store) -> None:
        self._setup(store, Clock())

    def _authorize(self, request: Request, *scopes: Scope) -> str:
        if any(not set(scope.actions) <= {"pull", "metadata_read", "*"} for scope in scopes):
            raise RegistryError(405, "UNSUPPORTED", f"{PUBLIC_REGISTRY} can be pulled from only.")
        return PUBLIC_REGISTRY


_ATTRIBUTES = {"deleteEnabled": True, "writeEnabled": True, "readEnabled": True, "listEnabled": True}


def _attributes(part: dict[str, Any]) -> dict[str, bool]:
    """What may be done with a repository, a tag or a manifest."""
    return {**_ATTRIBUTES, **part.get("changeableAttributes", {})}


def _listed(part: dict[str, Any]) -> bool:
    return _attributes(part)["listEnabled"]


def _locked(part: dict[str, Any], changed: dict[str, bool]) -> dict[str, Any]:
    return {**part, "changeableAttributes": {**_attributes(part), **changed}}


def _require_unlocked(attribute: str, *parts: dict[str, Any] | None) -> None:
    """Refuse what is locked for a repository, a tag or a manifest; None is one that is not there."""
    if not all(_attributes(part)[attribute] for part in parts if part):
        message = (
            "The operation is disallowed on this registry, repository or image. View troubleshooting steps at "
            "https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation"
        )
        raise RegistryError(405, "REGISTRY_DISALLOWED_OPERATION", message, detail={})


def _given_attributes(body: bytes) -> dict[str, bool]:
    """The attributes that a request wants to change."""
    try:
        given = {key: value for key, value in parse_json(body or b"{}").items() if value is not None}
    except (ValueError, AttributeError) as error:
        raise RegistryError(400, "BAD_REQUEST", "the body is no JSON object") from error
    if unknown := given.keys() - _ATTRIBUTES.keys():
        message = f"The sandbox knows the attributes {', '.join(_ATTRIBUTES)}, not {', '.join(sorted(unknown))[:200]}."
        raise RegistryError(501, "UNSUPPORTED", message)
    if not all(isinstance(value, bool) for value in given.values()):
        raise RegistryError(400, "BAD_REQUEST", "the attributes are true or false")
    return given


def _shown_tag(tag: dict[str, Any]) -> dict[str, Any]:
    """A tag as Azure shows it, in this order."""
    return {**tag, "signed": False, "changeableAttributes": _attributes(tag)}


def _digest(text: str) -> str:
    if not DIGEST.fullmatch(text):
        raise RegistryError(400, "DIGEST_INVALID", "the digest is missing or malformed")
    return text


def _page(request: Request, names: list[str], default: int | None = PAGE) -> tuple[list[str], dict[str, str]]:
    """The names after ?last=, ?n= of them, and the link to those that follow."""
    last, count = request.query_params.get("last"), request.query_params.get("n", default)
    if count is not None and not re.fullmatch(r"[0-9]{1,18}", str(count)):
        raise RegistryError(400, "PAGINATION_NUMBER_INVALID", "n must be a number")
    names = [name for name in sorted(names) if last is None or name > last]
    if count is None or len(names) <= int(count):
        return names, {}
    page = names[: int(count)]
    if not page:
        return page, {}
    following = f"{request.url.path}?last={page[-1].replace('/', '%2F')}&n={count}&orderby="
    return page, {"Link": f'<{following}>; rel="next"'}


async def _unknown_operation(request: Request) -> Response:
    return RegistryError(404, "OPERATION_UNKNOWN", "The specified operation does not exist").response()
