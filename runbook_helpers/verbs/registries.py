"""Container registries and the images in them."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..arguments import checked
from ..connection import Azure
from ..errors import CloudUnavailable, NotFound, ParameterError, RunbookError, SignInRefused
from ..parameters import split_image
from ..run.progress import step
from ..secrets import shown
from .ensure import ensure, found_elsewhere, wait
from .permissions import grant_command
from .resource_groups import create_resource_group
from .tags import our_tags

if TYPE_CHECKING:
    from azure.containerregistry import ArtifactManifestProperties, ArtifactTagProperties
    from azure.core.polling import LROPoller
    from azure.mgmt.containerregistry.models import ImportImageParameters, Registry

IMPORTS = 3  # times that an import is asked for, where it is not known whether it has begun
SKUS = ("Basic", "Standard", "Premium")
IMPORTER = "Container Registry Data Importer and Data Reader"
"""The role to import from a registry of whom Resource Manager lets somebody see no more than its name."""
READER = "Container Registry Repository Reader"
"""The role to read images of a registry with repository permissions, where AcrPull, Contributor and Owner do not count."""


def closed_to_the_public(registry: Registry) -> str:
    """What helps where public network access to a registry is off, so that no network rule does; empty where it is on."""
    access = registry.public_network_access
    if str(getattr(access, "value", access)).lower() != "disabled":
        return ""
    return (
        f"Public network access to the registry {registry.name} is off (publicNetworkAccess is Disabled), which no role and no "
        "network rule mends: ask for it from a network that has a private endpoint to the registry, or turn it on with `az acr "
        f"update --name {registry.name} --public-network-enabled true`."
    )


def has_repository_permissions(registry: Any) -> bool:
    """Whether roles count for each repository by itself (`az acr create --role-assignment-mode rbac-abac`)."""
    mode = getattr(registry, "role_assignment_mode", None)
    return str(getattr(mode, "value", mode)).lower() == "abacrepositorypermissions"


@checked
def show_registry(azure: Azure, registry_name: str) -> Registry:
    """A registry.

    The documented command: ``az acr show --resource-group myResourceGroup --name myContainerRegistry``

    Raises:
        azure.core.exceptions.ResourceNotFoundError: none of this name is in the resource group.
    """
    at = azure.at_registry
    return at.registries.registries.get(at.resource_group, registry_name)


@checked
def create_registry(azure: Azure, registry_name: str, *, sku: str = "Basic") -> Registry:
    """The registry; made where it is missing, but not in somebody else's group.

    The documented command: ``az acr create --resource-group myResourceGroup --name mycontainerregistry --sku Basic``

    Args:
        registry_name: 5 to 50 letters and digits, unique in the whole cloud.
        sku: Basic, Standard or Premium.

    Raises:
        azure.core.exceptions.HttpResponseError: Azure refuses, for instance (AlreadyInUse) where somebody else has
            the name, or it is in another group of the subscription, which is named.
    """
    from azure.core.exceptions import ResourceExistsError
    from azure.mgmt.containerregistry.models import Registry, Sku

    from ..refusals import Conflict

    if sku not in SKUS:
        raise ParameterError([f"sku must be one of {', '.join(SKUS)}; it is {shown(sku)}."])
    with step(f"Registry {registry_name}") as progress:
        what = f"The registry {registry_name}"
        if azure.at_registry is not azure:
            parameter = "registry_resource_group" if azure.registry_resource_group else "registry_subscription_id"
            return found_elsewhere(azure.at_registry, what, parameter, lambda: show_registry(azure, registry_name))
        create_resource_group(azure)
        progress.waits_for("Azure makes it")
        wanted = Registry(location=azure.location, sku=Sku(name=sku), tags=our_tags(azure))
        try:
            return ensure(
                azure,
                what,
                lambda: show_registry(azure, registry_name),
                lambda: azure.registries.registries.begin_create(azure.resource_group, registry_name, wanted),
            )
        except ResourceExistsError as error:
            if group := group_of_registry(azure, registry_name):
                message = f"(AlreadyInUse) {what} is in the resource group {group}: {found_in(group)}"
                raise Conflict(message, error.response) from error
            raise


def group_of_registry(azure: Azure, registry_name: str) -> str | None:
    """The resource group of the subscription that a registry is in; None where we see none of this name."""
    from azure.core.exceptions import HttpResponseError
    from azure.mgmt.core.tools import parse_resource_id

    with contextlib.suppress(HttpResponseError):
        for registry in azure.registries.registries.list():
            if str(registry.name).lower() == registry_name.lower():
                return str(parse_resource_id(str(registry.id))["resource_group"])
    return None


def found_in(group: str) -> str:
    """The advice where a registry is in another group of the subscription."""
    return f"set registry_resource_group to {group} to use it as it is, or choose another registry_name."


@checked
def import_image(
    azure: Azure, registry_name: str, image: str, source_image: str
) -> ArtifactTagProperties | ArtifactManifestProperties:
    """The image in the registry; copied there from another registry where it is missing, without a local Docker.

    The documented command: ``az acr import --name myContainerRegistry --source mcr.microsoft.com/azuredocs/
    aci-helloworld:latest --image aci-helloworld:v1``

    Args:
        image: repository:tag in the registry, for instance aci-helloworld:v1; or with a digest, repository@sha256:… or
            repository:tag@sha256:…, and then this one of the source is copied.
        source_image: registry/repository:tag to copy, or registry/repository@sha256:….

    Raises:
        SignInRefused: the registry does not let us see its images, or the source does not let us import from it.
        NotFound: the tag is there with another digest than the image's.
    """
    from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
    from azure.mgmt.containerregistry.models import ImportImageParameters, ImportSource

    with step(f"Image {image}") as progress:
        try:
            return show_image(azure, registry_name, image)
        except ResourceNotFoundError:
            progress.waits_for(f"the registry fetches {source_image}")
            host, _, source = source_image.partition("/")
            repository, tag, digest = split_image(image)
            source_repository, source_tag, source_digest = split_image(source)
            pinned = digest or source_digest
            source = f"{source_repository}@{pinned}" if pinned else f"{source_repository}:{source_tag}"
            # What is pinned by its digest alone gets no tag.
            target = {"target_tags": [f"{repository}:{tag}"]} if tag else {"untagged_target_repositories": [repository]}
            # By its resource id, as `az acr import` does: so it is read by our roles, also where its network admits
            # Azure's own services alone.
            found = registry_at(azure, host)
            named: Any = {"resource_id": str(found.id)} if found else {"registry_uri": host}
            parameters = ImportImageParameters(
                source=ImportSource(source_image=source, **named), mode="NoForce", **target
            )
            # Another run may have been quicker: then the tag exists, which is what was wanted.
            with (
                contextlib.suppress(ResourceExistsError),
                _with_what_the_source_needs(azure, registry_name.lower(), source_image, found),
            ):
                poller = _begin_import(azure, registry_name, image, parameters)
                if poller:
                    wait(azure, poller, f"The import of {source_image}")
            return show_image(azure, registry_name, image)


def registry_at(azure: Azure, host: str) -> Registry | None:
    """The registry with this login server, where we see it."""
    from azure.core.exceptions import HttpResponseError

    is_ours = host.endswith(azure.cloud.registry_suffix)
    for at in dict.fromkeys((azure, azure.at_registry)) if is_ours else ():
        with contextlib.suppress(HttpResponseError):  # we may not look there
            for each in at.registries.registries.list():
                if str(each.login_server).lower() == host:
                    return each
    return None


# What Azure says of the source of an import, at once or when the import has ended.
_SOURCE_REFUSES = re.compile("LinkedAuthorizationFailed|(?<=message )Unauthorized|Access to [^ ]+ (was )?denied")
_SOURCE_ADMITS_NOBODY = re.compile("(?<=message )Forbidden|[^.]*is not allowed access")


@contextlib.contextmanager
def _with_what_the_source_needs(
    azure: Azure, registry_name: str, source_image: str, found: Registry | None
) -> Iterator[None]:
    """Say that it is the source of an import that refuses us, and what mends that."""
    try:
        yield
    except RunbookError as error:
        host, said = source_image.partition("/")[0], str(error)
        closed = _SOURCE_ADMITS_NOBODY.search(said)
        refused = closed or _SOURCE_REFUSES.search(said)
        if refused is None or f" {registry_name}." in said.lower():  # by the registry that it is for
            raise
        if closed:
            needed = (
                "no role mends that: where it is one of the same tenant, `az acr update --allow-trusted-services true --name "
                f"{host.partition('.')[0].partition('-')[0]}` lets imports in."
            )
        elif found:
            role = IMPORTER if refused[0] == "LinkedAuthorizationFailed" else _role_to_read(found)
            needed = (
                f"whoever runs this needs {role} there, which works after up to ten minutes: "
                f"{grant_command(azure, role, str(found.id))}"
            )
        elif host.endswith(azure.cloud.registry_suffix):
            needed = f"whoever runs this needs AcrPull there, or {READER} where it has repository permissions."
        else:
            needed = (
                "has it this image, and may everybody pull it? Where it wants a user name and a password, `az acr import "
                "--username <name> --password <password>` copies it once."
            )
        message = f"The source of the import of {source_image} refuses it ({refused[0].strip()}): {needed}"
        raise SignInRefused(message) from error


def _role_to_read(registry: Registry) -> str:
    return READER if has_repository_permissions(registry) else "AcrPull"


def _begin_import(
    azure: Azure, registry_name: str, image: str, parameters: ImportImageParameters
) -> LROPoller[None] | None:
    """The operation of an import; None where one that got no answer has been made all the same."""
    from azure.core.exceptions import ResourceNotFoundError

    at = azure.at_registry
    for _ in range(IMPORTS - 1):
        try:
            return at.registries.registries.begin_import_image(at.resource_group, registry_name, parameters)
        except CloudUnavailable:
            time.sleep(azure.timeouts.polling_interval)
            with contextlib.suppress(ResourceNotFoundError):
                show_image(azure, registry_name, image)
                return None
    return at.registries.registries.begin_import_image(at.resource_group, registry_name, parameters)


@checked
def show_image(azure: Azure, registry_name: str, image: str) -> ArtifactTagProperties | ArtifactManifestProperties:
    """The properties of an image in the registry, of its tag or of its digest alone: digest, times.

    The documented command: ``az acr repository show --name myContainerRegistry --image aci-helloworld:v1``

    Raises:
        SignInRefused: the registry does not let us see its images.
        NotFound: the tag is there with another digest than the image's.
        azure.core.exceptions.ResourceNotFoundError: the registry has no such image.
    """
    repository, tag, digest = split_image(image)
    registry = show_registry(azure, registry_name)
    assert registry.login_server, registry_name
    with azure.registry_content(registry.login_server) as content, _with_the_role_needed(azure, registry):
        properties: ArtifactTagProperties | ArtifactManifestProperties = (
            content.get_tag_properties(repository, tag)
            if tag
            else content.get_manifest_properties(repository, str(digest))
        )
    if digest and properties.digest != digest:
        message = (
            f"The tag {repository}:{tag} in {registry_name} has the digest {properties.digest}, not {digest}: use another "
            "tag, or the digest that the tag has."
        )
        raise NotFound(message)
    return properties


@contextlib.contextmanager
def _with_the_role_needed(azure: Azure, registry: Registry) -> Iterator[None]:
    """Name the role that is missing where a registry with repository permissions refuses us: Owner does not count there. And
    what helps where public network access is off."""
    try:
        yield
    except SignInRefused as error:
        if error.no_role_helps and (closed := closed_to_the_public(registry)):
            raise SignInRefused(closed, no_role_helps=True) from error
        if error.no_role_helps or not has_repository_permissions(registry):
            raise
        message = (
            f"The registry {registry.name} has repository permissions (roleAssignmentMode AbacRepositoryPermissions), where "
            f"Owner and Contributor may not see images, and refuses us: whoever runs this needs {READER} there, which works "
            f"after up to ten minutes: {grant_command(azure, READER, str(registry.id))}"
        )
        raise SignInRefused(message) from error
