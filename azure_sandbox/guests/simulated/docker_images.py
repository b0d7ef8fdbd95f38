"""The images of a simulated machine: found by name, tagged, removed, pulled and pushed."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

from .. import Machine
from .disk import Disk
from .program import Failure, Process
from .registry_client import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    DistributionError,
    Manifest,
    Reference,
    RegistryClient,
    try_again,
)

Image = dict[str, Any]  # id, tags, digests, config, manifest (text), media_type


def find_image(disk: Disk, name: str) -> Image | None:
    """The image of a reference, or of an id or its beginning."""
    images: dict[str, Image] = disk["images"]
    wanted = name.removeprefix("sha256:")
    for image in images.values():
        if len(wanted) >= 4 and image["id"].removeprefix("sha256:").startswith(wanted):
            return image
    try:
        reference = str(Reference.parse(name))
    except DistributionError:
        return None
    return next((i for i in images.values() if reference in i["tags"] or reference in i["digests"]), None)


def tag_image(disk: Disk, image_id: str, reference: str) -> None:
    """Give an image a name; an image that had it loses it."""
    with disk.changing() as document:
        for image in document["images"].values():
            if reference in image["tags"]:
                image["tags"].remove(reference)
        document["images"][image_id]["tags"].append(reference)


def remove_image(disk: Disk, image: Image, name: str) -> list[str]:
    """Remove a name, and the image with its last one; what was done, in Docker's words."""
    with disk.changing() as document:
        try:
            reference = str(Reference.parse(name))
        except DistributionError:
            reference = ""
        image = document["images"].get(image["id"], image)
        if reference in image["tags"] and len(image["tags"]) > 1:
            image["tags"].remove(reference)
            return [f"Untagged: {reference}"]
        document["images"].pop(image["id"], None)
        return [f"Untagged: {x}" for x in image["tags"] + image["digests"]] + [f"Deleted: {image['id']}"]


def host_platform(machine: Machine) -> str:
    """The platform of a machine, as Docker writes it."""
    return "linux/arm64/v8" if machine.architecture == "arm64" else "linux/amd64"


def platform_of(image: Image) -> str:
    """The platform that an image says it is for."""
    config = image["config"]
    return "/".join(filter(None, (config.get(name, "") for name in ("os", "architecture", "variant"))))


def same_platform(one: str, other: str) -> bool:
    """Whether two platforms are the same one; a variant counts where both have one."""
    return all(left == right for left, right in zip(one.split("/"), other.split("/"), strict=False))


def pull_image(process: Process, registry: RegistryClient, reference: Reference, platform: str = "") -> Image:
    """Pull an image as ``docker pull`` does, with the lines that it prints. Raises DistributionError.

    Of an index the image for the platform is taken, that of the machine where none is named.
    """
    disk = process.disk
    top = registry.manifest(reference)
    process.print(f"{reference.tag or reference.digest}: Pulling from {reference.repository}")
    manifest = _of_platform(registry, reference, top, platform or host_platform(disk.machine))
    image_id = manifest.content["config"]["digest"]
    pinned = f"{reference.name}@{top.digest}"
    known = disk["images"].get(image_id)
    fresh = (
        known is None or (pinned not in known["digests"]) or bool(reference.tag and str(reference) not in known["tags"])
    )
    if known is None:
        config = json.loads(registry.blob(reference.repository, image_id, None))
        _pull_layers(process, registry, reference, manifest)
        # The config is kept beside the layers, so that the image can be pushed byte for byte.
        registry.blob(reference.repository, image_id, disk.store.blobs)
        known = {
            "id": image_id,
            "tags": [],
            "digests": [],
            "config": config,
            "manifest": manifest.body.decode(),
            "media_type": manifest.media_type,
            "pulled": time.time(),
        }
    with disk.changing() as document:
        image: Image = document["images"].setdefault(image_id, known)
        if pinned not in image["digests"]:
            image["digests"].append(pinned)
        if reference.tag and not reference.digest:
            tag_image(disk, image_id, str(reference))
    process.print(f"Digest: {top.digest}")
    process.print(f"Status: {'Downloaded newer image' if fresh else 'Image is up to date'} for {reference}")
    if platform and not same_platform(platform, platform_of(image)):
        process.print(
            f"WARNING: image with reference {reference} was found but does not match the specified platform: "
            f"wanted {platform}, actual: {platform_of(image)}"
        )
    return image


def _of_platform(registry: RegistryClient, reference: Reference, top: Manifest, platform: str) -> Manifest:
    if top.media_type in MANIFEST_TYPES:
        return top
    if top.media_type not in INDEX_TYPES:
        raise DistributionError(f"unsupported manifest media type {top.media_type}")
    for entry in top.content["manifests"]:
        if same_platform(platform, platform_of({"config": entry.get("platform") or {}})):
            return registry.manifest(reference, entry["digest"])
    raise DistributionError(f"no matching manifest for {platform} in the manifest list entries")


def _pull_layers(process: Process, registry: RegistryClient, reference: Reference, manifest: Manifest) -> None:
    had = {
        layer["digest"]
        for image in process.disk["images"].values()
        for layer in json.loads(image["manifest"])["layers"]
    }
    layers = [layer["digest"] for layer in manifest.content["layers"]]
    for digest in layers:
        process.print(f"{short(digest)}: {'Already exists' if digest in had else 'Pulling fs layer'}")
    new = [digest for digest in layers if digest not in had]
    if new and process.disk.faults.meet("disk_full"):
        raise Failure("write /var/lib/docker/tmp/GetImageBlob2745198364: no space left on device")
    for digest in new:
        fetch = partial(registry.blob, reference.repository, digest, process.disk.store.blobs)
        try_again(fetch, partial(process.print, f"{short(digest)}: Retrying in 1 second"))
        process.print(f"{short(digest)}: Verifying Checksum")
        process.print(f"{short(digest)}: Download complete")
        process.print(f"{short(digest)}: Pull complete")


def push_image(process: Process, registry: RegistryClient, reference: Reference, image: Image) -> None:
    """Push an image as ``docker push`` does. Raises DistributionError."""
    process.print(f"The push refers to repository [{reference.name}]")
    blobs, manifest = process.disk.store.blobs, json.loads(image["manifest"])
    for digest in [*(layer["digest"] for layer in manifest["layers"]), manifest["config"]["digest"]]:
        push = partial(registry.push_blob, reference.repository, digest, blobs.read(digest))
        uploaded = try_again(push, partial(process.print, f"{short(digest)}: Retrying in 1 second"))
        if digest != manifest["config"]["digest"]:
            process.print(f"{short(digest)}: {'Pushed' if uploaded else 'Layer already exists'}")
    body = image["manifest"].encode()
    registry.push_manifest(reference, image["media_type"], body)
    digest = registry.manifest(reference).digest
    process.print(f"{reference.tag}: digest: {digest} size: {len(body)}")
    with process.disk.changing() as document:
        digests = document["images"].get(image["id"], image)["digests"]
        if f"{reference.name}@{digest}" not in digests:
            digests.append(f"{reference.name}@{digest}")


def short(digest: str) -> str:
    """A digest as Docker abbreviates it."""
    return digest.partition(":")[2][:12]


def age(seconds: float) -> str:
    """How long ago, as Docker says it."""
    for size, unit in ((31536000, "years"), (2592000, "months"), (604800, "weeks"), (86400, "days"), (3600, "hours")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds // 60)} minutes ago" if seconds >= 120 else "About a minute ago"
