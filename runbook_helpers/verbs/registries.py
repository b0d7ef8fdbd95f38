"""Container registries and the images in them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..connection import Azure
from ..parameters import split_image
from ..run.progress import step
from .ensure import ensure, wait
from .resource_groups import create_resource_group
from .tags import TAG

if TYPE_CHECKING:
    from azure.containerregistry import ArtifactTagProperties
    from azure.mgmt.containerregistry.models import Registry


def show_registry(azure: Azure, registry_name: str) -> Registry:
    """A registry.

    The documented command: ``az acr show --resource-group myResourceGroup --name myContainerRegistry``

    Raises:
        azure.core.exceptions.ResourceNotFoundError: none of this name is in the resource group.
    """
    return azure.registries.registries.get(azure.resource_group, registry_name)


def create_registry(azure: Azure, registry_name: str, *, sku: str = "Basic") -> Registry:
    """The registry; made where it is missing.

    The documented command: ``az acr create --resource-group myResourceGroup --name mycontainerregistry --sku Basic``

    Args:
        registry_name: 5 to 50 letters and digits, unique in the whole cloud.
        sku: Basic, Standard or Premium.

    Raises:
        azure.core.exceptions.HttpResponseError: Azure refuses, for instance (AlreadyInUse) where somebody else has
            the name.
    """
    from azure.mgmt.containerregistry.models import Registry, Sku

    with step(f"Registry {registry_name}") as progress:
        create_resource_group(azure)
        progress.waits_for("Azure makes it")
        wanted = Registry(location=azure.location, sku=Sku(name=sku), tags=TAG)
        return ensure(
            azure,
            f"The registry {registry_name}",
            lambda: show_registry(azure, registry_name),
            lambda: azure.registries.registries.begin_create(azure.resource_group, registry_name, wanted),
        )


def import_image(azure: Azure, registry_name: str, image: str, source_image: str) -> ArtifactTagProperties:
    """The image in the registry; copied there from another registry where it is missing, without a local Docker.

    The documented command: ``az acr import --name myContainerRegistry --source mcr.microsoft.com/azuredocs/
    aci-helloworld:latest --image aci-helloworld:v1``

    Args:
        image: repository:tag in the registry, for instance aci-helloworld:v1.
        source_image: registry/repository:tag to copy.
    """
    from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
    from azure.mgmt.containerregistry.models import ImportImageParameters, ImportSource

    with step(f"Image {image}") as progress:
        try:
            return show_image(azure, registry_name, image)
        except ResourceNotFoundError:
            progress.waits_for(f"the registry fetches {source_image}")
            host, _, source = source_image.partition("/")
            parameters = ImportImageParameters(
                source=ImportSource(registry_uri=host, source_image=source), target_tags=[image], mode="NoForce"
            )
            # Another run may have been quicker: then the tag exists, which is what was wanted.
            with contextlib.suppress(ResourceExistsError):
                poller = azure.registries.registries.begin_import_image(azure.resource_group, registry_name, parameters)
                wait(azure, poller, f"The import of {source_image}")
            return show_image(azure, registry_name, image)


def show_image(azure: Azure, registry_name: str, image: str) -> ArtifactTagProperties:
    """The properties of an image in the registry: digest, times.

    The documented command: ``az acr repository show --name myContainerRegistry --image aci-helloworld:v1``

    Raises:
        azure.core.exceptions.ResourceNotFoundError: the registry has no such image.
    """
    repository, tag = split_image(image)
    registry = show_registry(azure, registry_name)
    assert registry.login_server, registry_name
    with azure.registry_content(registry.login_server) as content:
        properties: ArtifactTagProperties = content.get_tag_properties(repository, tag)
        return properties
