"""The public images of the sandbox, built here and the same in every sandbox, and copying images between registries.

Each holds one real Linux program that writes a text and ends. The simulated guest cannot execute it; it prints the
label STDOUT_LABEL of the image's configuration instead.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import tarfile
import zlib
from typing import Any

from ..store import Store

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(rf"(?=.{{1,255}}$){_COMPONENT}(?:/{_COMPONENT})*")
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
PUBLIC_REGISTRY = "mcr.microsoft.com"
STDOUT_LABEL = "runbook.sandbox.stdout"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
CREATED = "2026-01-01T00:00:00Z"

INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

_HELLO = "\nHello from Docker!\nThis message shows that your installation appears to be working correctly.\n\n"
_ACI_HELLO = "Hello from aci-helloworld: this image came from a registry that asked for no password.\n"
_AMD64: dict[str, str] = {"architecture": "amd64", "os": "linux"}
_ARM64 = {"architecture": "arm64", "os": "linux", "variant": "v8"}
# Repositories, and their tags, what they print, and the platforms that they are for: several of them are in an index.
_IMAGES = {
    "hello-world": (("latest",), _HELLO, (_AMD64, _ARM64)),
    "mcr/hello-world": (("latest",), _HELLO, (_AMD64, _ARM64)),  # the one that az acr check-health pulls
    "azuredocs/aci-helloworld": (("latest", "v1"), _ACI_HELLO, (_AMD64,)),
}


class ImageNotFound(Exception):
    """A registry does not have the image."""


def program(text: str, architecture: str = "amd64") -> bytes:
    """A static Linux program that writes a text to its standard output and ends."""
    message = text.encode()
    base, header = 0x400000, 64 + 56
    machine, code = (
        (183, _arm64(len(message))) if architecture == "arm64" else (62, _amd64(base + header, len(message)))
    )
    size = header + len(code) + len(message)
    elf = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, base + header, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return elf + code + message


def _amd64(start: int, length: int) -> bytes:
    """The instructions of a program that begins there, and has its text behind them."""
    return b"".join(
        (
            b"\xb8\x01\x00\x00\x00",  # mov eax, 1 (write)
            b"\xbf\x01\x00\x00\x00",  # mov edi, 1 (standard output)
            b"\x48\xbe" + struct.pack("<Q", start + 38),  # movabs rsi, text
            b"\xba" + struct.pack("<I", length),  # mov edx, its length
            b"\x0f\x05",  # syscall
            b"\xb8\x3c\x00\x00\x00",  # mov eax, 60 (exit)
            b"\x31\xff",  # xor edi, edi
            b"\x0f\x05\x90\x90",  # syscall, and padding to 38 bytes
        )
    )


def _arm64(length: int) -> bytes:
    """The same for the other processor, whose instructions have four bytes each."""
    return struct.pack(
        "<8I",
        0xD2800020,  # mov x0, #1 (standard output)
        0x100000E1,  # adr x1, text (28 bytes from here)
        0xD2800002 | length << 5,  # mov x2, its length
        0xD2800808,  # mov x8, #64 (write)
        0xD4000001,  # svc #0
        0xD2800000,  # mov x0, #0
        0xD2800BA8,  # mov x8, #93 (exit)
        0xD4000001,  # svc #0
    )


def _layer(name: str, content: bytes) -> bytes:
    """A layer with one executable file, as an uncompressed tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _gzip(content: bytes) -> bytes:
    """A gzip file of one stored block: compressed ones differ from one zlib to the next, and so would the digests."""
    length = len(content)
    block = b"\x01" + struct.pack("<HH", length, length ^ 0xFFFF) + content
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + block + struct.pack("<II", zlib.crc32(content), length)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(content), "digest": _digest(content)}


def publish(store: Store) -> None:
    """Put the public images where they are missing."""
    for repository, (tags, text, platforms) in _IMAGES.items():
        if store.tag(PUBLIC_REGISTRY, repository, tags[0]):
            continue
        single = len(platforms) == 1
        images = []
        for platform in platforms:
            manifest = _put_image(store, repository, text, platform)
            put_manifest(
                store, PUBLIC_REGISTRY, repository, manifest, MANIFEST, tags=tags if single else (), now=CREATED
            )
            images.append({**_descriptor(MANIFEST, manifest), "platform": platform})
        if not single:
            index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": images}).encode()
            put_manifest(store, PUBLIC_REGISTRY, repository, index, INDEX, tags=tags, now=CREATED)


def _put_image(store: Store, repository: str, text: str, platform: dict[str, str]) -> bytes:
    """The manifest of an image whose one layer has a program that prints the text; its blobs are put."""
    name = repository.rpartition("/")[2]
    tar = _layer(name, program(text, platform["architecture"]))
    layer = _gzip(tar)
    config = json.dumps(
        {
            **platform,
            "created": CREATED,
            "config": {"Cmd": [f"/{name}"], "Labels": {STDOUT_LABEL: text}},
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
            "history": [{"created": CREATED, "created_by": f"COPY {name} /"}],
        }
    ).encode()
    for blob in (layer, config):
        store.link_blob(PUBLIC_REGISTRY, repository, store.blobs.write(blob))
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, config),
            "layers": [_descriptor(LAYER, layer)],
        }
    ).encode()


def put_manifest(
    store: Store,
    registry: str,
    repository: str,
    content: bytes,
    media_type: str,
    *,
    tags: tuple[str, ...] | list[str],
    now: str,
    digest: str | None = None,
) -> str:
    """Keep a manifest under its digest and its tags; returns the digest."""
    digest = digest or _digest(content)
    store.blobs.write(content, digest.partition(":")[0])
    parsed = json.loads(content)
    config_type = (parsed.get("config") or {}).get("mediaType")
    sizes = [layer.get("size", 0) for layer in parsed.get("layers", [])]
    with store.transaction():
        known = store.manifest(registry, repository, digest)
        document = {
            "digest": digest,
            "mediaType": media_type,
            "size": len(content),
            "imageSize": sum(sizes) + (parsed.get("config") or {}).get("size", 0),
            "configMediaType": config_type,
            "artifactType": parsed.get("artifactType") or config_type,
            "annotations": parsed.get("annotations"),
            "subject": (parsed.get("subject") or {}).get("digest"),
            "createdTime": known["createdTime"] if known else now,
            "lastUpdateTime": now,
            **_kept_locks(known),
        }
        store.put_manifest(registry, repository, digest, document)
        for name in tags:
            before = store.tag(registry, repository, name)
            created = before["createdTime"] if before else now
            tag = {"name": name, "digest": digest, "createdTime": created, "lastUpdateTime": now, **_kept_locks(before)}
            store.put_tag(registry, repository, name, tag)
    return digest


def _kept_locks(replaced: dict[str, Any] | None) -> dict[str, Any]:
    """The locks of a tag or a manifest, which what replaces it has too."""
    return {key: value for key, value in (replaced or {}).items() if key == "changeableAttributes"}


def find_manifest(store: Store, registry: str, repository: str, reference: str) -> dict[str, Any] | None:
    """The manifest that a tag or a digest names."""
    if ":" in reference:
        return store.manifest(registry, repository, reference)
    tag = store.tag(registry, repository, reference)
    return store.manifest(registry, repository, tag["digest"]) if tag else None


def copy_image(
    source: Store,
    source_registry: str,
    source_repository: str,
    reference: str,
    target: Store,
    target_registry: str,
    target_repository: str,
    tags: list[str],
    *,
    now: str,
) -> str:
    """Copy an image, and what an index refers to, under these tags; returns its digest.

    Raises:
        ImageNotFound: the source has no such image.
    """
    manifest = find_manifest(source, source_registry, source_repository, reference)
    if manifest is None:
        raise ImageNotFound(f"{source_repository}:{reference}")
    content = source.blobs.read(manifest["digest"])
    parsed = json.loads(content)
    for child in parsed.get("manifests", []):
        copy_image(
            source, source_registry, source_repository, child["digest"],
            target, target_registry, target_repository, [], now=now,
        )  # fmt: skip
    for blob in [*([parsed["config"]] if parsed.get("config") else []), *parsed.get("layers", [])]:
        # Both states keep their blobs in the same folder, so a link is all there is to copy.
        target.link_blob(target_registry, target_repository, blob["digest"])
    return put_manifest(
        target, target_registry, target_repository, content, manifest["mediaType"],
        tags=tags, now=now, digest=manifest["digest"],
    )  # fmt: skip
