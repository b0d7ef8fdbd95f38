"""Clean-up: what this runbook made is deleted, and what stays is named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..connection import Azure
from ..errors import NotOurs
from ..run.progress import step
from .ensure import wait
from .identities import principals_of
from .resource_groups import find_resource_group
from .roles import made_here
from .tags import TAG, is_ours

if TYPE_CHECKING:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment
    from azure.mgmt.resource.resources.models import ResourceGroup

_OF_AZURE = "NetworkWatcherRG"
_TAG = " ".join(f"{key}={value}" for key, value in TAG.items())


def delete_resource_group(azure: Azure) -> list[str]:
    """Delete what the runbook's identities were granted, then the resource group and all that is in it; done where
    it is gone. Returns what stays, a sentence each.

    The documented command: ``az group delete --name myResourceGroup``

    Role assignments go first, wherever they are: Azure would leave those outside of the group to nobody. Only those that
    `assign_role` made are deleted.

    Raises:
        NotOurs: this runbook did not make the group or something in it, which would be deleted too.
    """
    from azure.core.exceptions import ResourceNotFoundError

    left: list[str] = []
    with step(f"Resource group {azure.resource_group}", "gone") as progress:
        group = find_resource_group(azure)
        if group is not None:
            _refuse_what_is_not_ours(azure, group)
            progress.waits_for("Azure takes the roles of its identities away")
            left += _take_grants_away(azure, str(group.id))
            progress.waits_for("Azure deletes what is in it")
            # Where an answer was lost, and the SDK has asked again, the group may be gone.
            with contextlib.suppress(ResourceNotFoundError):
                poller = azure.resources.resource_groups.begin_delete(azure.resource_group)
                wait(azure, poller, f"The deletion of the resource group {azure.resource_group}")
    return left + _groups_that_stay(azure)


def _refuse_what_is_not_ours(azure: Azure, group: ResourceGroup) -> None:
    if not is_ours(group):
        message = (
            f"The resource group {azure.resource_group} was not made by this runbook (it has no tag {_TAG}), so it is not "
            "deleted: delete what you do not need by hand."
        )
        raise NotOurs(message)
    found = list(azure.resources.resources.list_by_resource_group(azure.resource_group))
    ours = {str(each.id).lower() for each in found if is_ours(each)}
    foreign = [str(each.id) for each in found if str(each.id).lower() not in ours and not _belongs_to(each, ours)]
    if foreign:
        message = (
            f"In the resource group {azure.resource_group} is what this runbook did not make (it has no tag {_TAG}), so "
            "nothing is deleted:\n"
            + "".join(f"- {each}\n" for each in foreign)
            + "Move or delete it by hand. Or say that it may go too: `az resource tag --is-incremental --tags "
            + f"{_TAG} --ids {' '.join(foreign)}`"
        )
        raise NotOurs(message)


def _belongs_to(resource: Any, ours: set[str]) -> bool:
    """Whether Azure made a resource for one of ours: a VM's disk, or an extension in it."""
    owner, resource_id = str(resource.managed_by or "").lower(), str(resource.id).lower()
    return owner in ours or any(resource_id.startswith(f"{each}/") for each in ours)


def _take_grants_away(azure: Azure, group_id: str) -> list[str]:
    """Delete the role assignments of the identities in the group that this runbook made; returns the others that stay."""
    left = []
    for name, principal_id in _principals(azure):
        assignments, everywhere = _assignments(azure, principal_id)
        for each in assignments:
            if made_here(each):
                azure.authorization.role_assignments.delete_by_id(str(each.id))
            elif not f"{each.scope}/".lower().startswith(f"{group_id}/".lower()):  # those inside go with the group
                left.append(
                    f"The role assignment {each.id} of {name} stays, which this runbook did not make: it is nobody's now."
                )
        if not everywhere:
            left.append(
                f"Role assignments of {name} outside of the resource group stay, if any: you may not look at them."
            )
    return left


def _principals(azure: Azure) -> Iterator[tuple[str, str]]:
    """The identities that go with the group: what each is, and its principal id."""
    for identity in azure.identities.user_assigned_identities.list_by_resource_group(azure.resource_group):
        yield f"the identity {identity.name}", str(identity.principal_id)
    for vm in azure.compute.virtual_machines.list(azure.resource_group):
        own = principals_of(vm).get(None)
        if own:
            yield f"the VM {vm.name}", own


def _assignments(azure: Azure, principal_id: str) -> tuple[list[RoleAssignment], bool]:
    """The role assignments of a principal, and whether they are those of the whole subscription."""
    from azure.core.exceptions import HttpResponseError

    wanted, assignments = f"principalId eq '{principal_id}'", azure.authorization.role_assignments
    try:
        return list(assignments.list_for_subscription(filter=wanted)), True
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return list(assignments.list_for_resource_group(azure.resource_group, filter=wanted)), False


def _groups_that_stay(azure: Azure) -> list[str]:
    left = []
    for group in azure.resources.resource_groups.list():
        if group.name == _OF_AZURE:
            left.append(
                f"The resource group {group.name} stays, which Azure made with the first network; it costs nothing."
            )
        elif is_ours(group) and str(group.name).lower() != azure.resource_group.lower():
            left.append(f"The resource group {group.name} stays, which this runbook made too.")
    return left
