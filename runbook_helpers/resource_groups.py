"""Resource groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .connection import Azure
from .provisioning import settled

if TYPE_CHECKING:
    from azure.mgmt.resource.resources.models import ResourceGroup

TAG = {"made-by": "azure-acr-runbook"}
"""What each resource group and resource carries that this runbook made, and may therefore delete."""


def create_resource_group(azure: Azure) -> ResourceGroup:
    """The resource group of the connection; made where it is missing.

    The documented command: ``az group create --name myResourceGroup --location chinanorth3``
    """
    from azure.core.exceptions import ResourceNotFoundError
    from azure.mgmt.resource.resources.models import ResourceGroup

    groups = azure.resources.resource_groups
    try:
        # One that is being deleted is waited for: what is made in it would go too.
        return settled(f"The resource group {azure.resource_group}", lambda: groups.get(azure.resource_group))
    except ResourceNotFoundError:
        return groups.create_or_update(azure.resource_group, ResourceGroup(location=azure.location, tags=TAG))


def is_ours(resource: Any) -> bool:
    """Whether this runbook made a resource group or a resource: it has our tag."""
    return TAG.items() <= (resource.tags or {}).items()
