"""Import of images (importImage): copies one from mcr.microsoft.com, or from another registry of the same cloud."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from starlette.responses import Response

from ..registry.auth import RegistryAccess, RegistryError, pull_refused
from ..registry.images import NAME, PUBLIC_REGISTRY, TAG, ImageNotFound, copy_image
from ..resource import REGISTRY, Resource, ResourceId, spelled
from ..store import Store
from ..topology import admits_services, registry_at
from . import container_registry, errors, operations
from .call import Call

_MODES = ("NoForce", "Force")


@dataclass
class _Source:
    """The source of an image that is copied."""

    store: Store
    server: str
    repository: str
    reference: str
    """A tag or a digest."""


async def import_image(call: Call) -> Response:
    registry = call.parent()
    mode, tenant = spelled(str(call.body.get("mode", "NoForce")), _MODES), call.tenant
    if mode is None:
        raise errors.invalid_choice(value=call.body["mode"], name="mode", known=" or ".join(_MODES))
    if not admits_services(registry):
        raise _refused(call, registry.properties["loginServer"])
    source = _source(call)
    server, targets = registry.properties["loginServer"], _targets(call, source)
    for name, tag in targets:
        if tag and mode == "NoForce" and tenant.store.tag(server, name, tag):
            raise errors.tag_exists(repository=name, tag=tag)
    try:
        with tenant.store.transaction():
            for name, tag in targets:
                copy_image(
                    source.store, source.server, source.repository, source.reference,
                    tenant.store, server, name, [tag] if tag else [], now=tenant.clock.timestamp(),
                )  # fmt: skip
    except ImageNotFound as error:
        image = f"{source.server}/{call.body['source']['sourceImage']}"
        raise errors.source_image_not_found(image=image, reason=error) from error
    document = {f"{name}:{tag}" if tag else name: "Pending" for name, tag in targets}
    url = operations.start(call, container_registry.result_path(call, registry.location.upper()), result=document)
    return container_registry.supported(call, Response(status_code=202, headers={"Location": url}))


def _source(call: Call) -> _Source:
    """The image that is asked for, where the caller may pull it."""
    given = call.body.get("source") or {}
    if not given.get("sourceImage"):
        raise errors.missing_parameter(name="source.sourceImage")
    repository, reference = _split(given["sourceImage"])
    uri = str(given.get("registryUri", "")).lower().removesuffix(":443")
    if bool(uri) == ("resourceId" in given):
        raise errors.source_registry_not_named()
    if uri == PUBLIC_REGISTRY:
        return _Source(call.tenant.public_images, uri, repository, reference)
    registry = _registry_at(call, uri) if uri else _registry_with_id(call, ResourceId(str(given["resourceId"])))
    server = str(registry.properties["loginServer"])
    if not admits_services(registry, by_name=bool(uri)):
        raise _refused(call, server)
    access, credentials = RegistryAccess(call.tenant), given.get("credentials") or {}
    try:
        object_id = str(call.claims["oid"])
        if credentials:
            object_id = access.object_id_of(registry, credentials.get("username", ""), credentials.get("password", ""))
        if not access.may_pull(registry, repository, object_id):
            raise pull_refused(repository)
    except RegistryError as error:
        raise _failed(call, "Unauthorized", error) from error
    return _Source(call.tenant.store, server, repository, reference)


def _registry_at(call: Call, server: str) -> Resource:
    """The source by its login server."""
    registry = registry_at(call.tenant.store, server)
    suffix = call.tenant.cloud.registry_suffix
    if registry is None and server.endswith(suffix):
        raise errors.source_registry_not_found(server=server)
    if registry is None:
        raise errors.import_not_emulated(public=PUBLIC_REGISTRY, suffix=suffix, registry=server)
    return registry


def _registry_with_id(call: Call, resource_id: ResourceId) -> Resource:
    """The source by its resource id, which Resource Manager lets the caller read first."""
    if spelled(resource_id.type, [REGISTRY]) is None:
        raise errors.source_is_no_registry(id=resource_id)
    call.require(f"{REGISTRY}/read", resource_id)
    registry = call.tenant.store.get(resource_id)
    if registry is None:
        raise errors.resource_not_found(id=resource_id)
    return registry


def _targets(call: Call, source: _Source) -> list[tuple[str, str]]:
    """Repositories and tags to copy to; no tag where the image is kept by its digest only."""
    own_tag = "latest" if ":" in source.reference else source.reference
    untagged = [(str(name), "") for name in call.body.get("untaggedTargetRepositories") or []]
    given = call.body.get("targetTags") or ([] if untagged else [source.repository])
    found = []
    for text in given:
        repository, _, tag = str(text).partition(":")
        found.append((repository, tag or own_tag))  # without a tag it is that of the source
    for repository, tag in [*found, *untagged]:
        if not NAME.fullmatch(repository) or not re.fullmatch(f"(?:{TAG.pattern})?", tag, re.ASCII):
            raise errors.invalid_target(target=f"{repository}:{tag}" if tag else repository)
    return [*found, *untagged]


def _split(image: str) -> tuple[str, str]:
    """Repository and reference of an image name; a digest goes before a tag."""
    name, _, digest = image.partition("@")
    repository, _, tag = name.partition(":")
    return repository, digest or tag or "latest"


def _refused(call: Call, server: str) -> errors.ArmError:
    """The registry's network rules let nobody in, and it does not let trusted services by them."""
    message = f"Access to {server} is denied by its network rules. Refer https://aka.ms/acr/firewall to grant access."
    return _failed(call, "Forbidden", RegistryError(403, "DENIED", message))


def _failed(call: Call, reason: str, error: RegistryError) -> errors.ArmError:
    """What an import ends with where a registry has answered with an error."""
    answer = json.dumps({"errors": [error.error]}, separators=(",", ":"))
    return errors.import_failed(operation=operations.new_id(), id=call.id.parent, reason=reason, answer=answer)
