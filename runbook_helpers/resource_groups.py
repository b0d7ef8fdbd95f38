"""Resource groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .connection import Azure, wait
from .errors import NotOurs
from .progress import step
from .provisioning import settled

if TYPE_CHECKING:
    from azure.mgmt.resource.resources.models import ResourceGroup

TAG = {"made-by": "azure-acr-runbook"}
"""What a resource group carries that this runbook made, and may therefore delete."""


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


def delete_resource_group(azure: Azure) -> None:
    """Delete the resource group and all that is in it, role assignments on it included; done where there is none.

    The documented command: ``az group delete --name myResourceGroup``

    Raises:
        NotOurs: this runbook did not make the group, so there may be more in it than the runbook's resources.
    """
    from azure.core.exceptions import ResourceNotFoundError

    with step(f"Resource group {azure.resource_group}", "gone") as progress:
        groups = azure.resources.resource_groups
        try:
            group = groups.get(azure.resource_group)
        except ResourceNotFoundError as error:
            if error.error and error.error.code == "SubscriptionNotFound":
                raise
            return
        if not is_ours(group):
            (key, value), *_ = TAG.items()
            message = (
                f"The resource group {azure.resource_group} was not made by this runbook (it has no tag {key}={value}), so "
                "it is not deleted: delete what you do not need by hand."
            )
            raise NotOurs(message)
        progress.waits_for("Azure deletes what is in it")
        try:
            poller = groups.begin_delete(azure.resource_group)
        except ResourceNotFoundError:  # an answer was lost, and the SDK has asked again
            return
        wait(poller, f"The deletion of the resource group {azure.resource_group}")
