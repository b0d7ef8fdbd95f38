"""Resource groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..answers import reads_answers
from ..connection import Azure
from .ensure import settled
from .tags import our_tags

if TYPE_CHECKING:
    from azure.mgmt.resource.resources.models import ResourceGroup


def find_resource_group(azure: Azure) -> ResourceGroup | None:
    """The resource group of the connection; None where there is none.

    The documented command: ``az group show --name myResourceGroup``

    Raises:
        azure.core.exceptions.ResourceNotFoundError: the subscription itself does not exist.
    """
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return azure.resources.resource_groups.get(azure.resource_group)
    except ResourceNotFoundError as error:
        if error.error and error.error.code == "SubscriptionNotFound":
            raise
        return None


@reads_answers
def create_resource_group(azure: Azure) -> ResourceGroup:
    """The resource group of the connection; made where it is missing.

    The documented command: ``az group create --name myResourceGroup --location chinanorth3``
    """
    from azure.core.exceptions import ResourceNotFoundError
    from azure.mgmt.resource.resources.models import ResourceGroup

    groups = azure.resources.resource_groups
    try:
        # One that is being deleted is waited for: what is made in it would go too.
        return settled(azure, f"The resource group {azure.resource_group}", lambda: groups.get(azure.resource_group))
    except ResourceNotFoundError:
        return groups.create_or_update(
            azure.resource_group, ResourceGroup(location=azure.location, tags=our_tags(azure))
        )
