"""Clean-up: what this runbook made is deleted, and what stays is named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ..answers import reads_answers
from ..connection import Azure
from ..errors import CleanUpRefused, NotOurs, OperationFailed
from ..refusals import Refused
from ..run.progress import step
from .ensure import wait
from .identities import principals_of, remove_identity, show_identity
from .obstacles import refuse_obstacles
from .registries import show_registry
from .resource_groups import find_resource_group
from .roles import left_over, made_here, role_assignments
from .tags import TAG, is_ours
from .virtual_machines import show_vm

if TYPE_CHECKING:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment
    from azure.mgmt.resource.resources.models import ResourceGroup

T = TypeVar("T")
_OF_AZURE = "NetworkWatcherRG"
_TAG = " ".join(f"{key}={value}" for key, value in TAG.items())


@reads_answers
def delete_resource_group(
    azure: Azure, *, registry_name: str | None = None, vm_name: str | None = None, identity_name: str | None = None
) -> list[str]:
    """Delete what the runbook's identities were granted, then the resource group and all that is in it; done where
    it is gone. Returns what stays, a sentence each.

    The documented command: ``az group delete --name myResourceGroup``

    Role assignments go first, wherever they are: Azure would leave those outside of the group to nobody. Only those that
    `assign_role` made are deleted.

    Args:
        registry_name, vm_name, identity_name: of what may be somebody else's, in another group (`connect` says where): it
            stays. The VM loses the identities of our group, and both lose the roles on the registry that this runbook gave.

    Raises:
        CleanUpRefused: a lock, a missing role or a deny assignment stands against it, and nothing was deleted; or Azure refused
            something later, and the error says what is gone.
        NotOurs: this runbook did not make the group or something in it, which would be deleted too.
    """
    from azure.core.exceptions import ResourceNotFoundError

    left: list[str] = []
    gone: list[str] = []
    with step(f"Resource group {azure.resource_group}", "gone") as progress:
        group = find_resource_group(azure)
        if group is not None:
            _refuse_what_is_not_ours(azure, group)
            progress.waits_for("whether something stands against it")
            grants, left = _grants(azure, str(group.id))
            refuse_obstacles(azure, str(group.id), [str(each.scope) for each in grants])
            with _says_what_is_gone(azure, gone):
                progress.waits_for("Azure takes the roles of its identities away")
                for each in grants:
                    azure.authorization.role_assignments.delete_by_id(str(each.id))
                    gone.append(f"the role assignment {each.id}")
        with _says_what_is_gone(azure, gone):
            left += _leave_elsewhere(azure, registry_name, vm_name, identity_name, gone)
            if group is not None:
                progress.waits_for("Azure deletes what is in it")
                # Where an answer was lost, and the SDK has asked again, the group may be gone.
                with contextlib.suppress(ResourceNotFoundError):
                    poller = azure.resources.resource_groups.begin_delete(azure.resource_group)
                    wait(azure, poller, f"The deletion of the resource group {azure.resource_group}")
    return left + _groups_that_stay(azure)


@contextlib.contextmanager
def _says_what_is_gone(azure: Azure, gone: list[str]) -> Iterator[None]:
    """A refusal says what is gone by now, what stays and costs money, and how to go on."""
    try:
        yield
    except (Refused, OperationFailed) as error:
        try:
            found = [str(each.id) for each in azure.resources.resources.list_by_resource_group(azure.resource_group)]
        except Refused:
            found = []
        stays = "".join(f"\n- {each}" for each in found) or " what is in the group"
        message = (
            f"{error}\nGone: {', '.join(gone) or 'nothing'}.\nThe resource group {azure.resource_group} stays, and this goes on "
            f"to cost money:{stays}\nRun this step again when nothing stands against it: it deletes the rest."
        )
        raise CleanUpRefused(message) from error


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


def _grants(azure: Azure, group_id: str) -> tuple[list[RoleAssignment], list[str]]:
    """The role assignments of the identities in the group that this runbook made; and the others that stay, in words."""
    ours, left = [], []
    for name, principal_id in _principals(azure):
        assignments, everywhere = _assignments(azure, principal_id)
        for each in assignments:
            if made_here(each):
                ours.append(each)
            elif not f"{each.scope}/".lower().startswith(f"{group_id}/".lower()):  # those inside go with the group
                left.append(
                    f"The role assignment {each.id} of {name} stays, which this runbook did not make: it is nobody's now."
                )
        if not everywhere:
            left.append(
                f"Role assignments of {name} outside of the resource group stay, if any: you may not look at them."
            )
    return ours, left


def _leave_elsewhere(
    azure: Azure, registry_name: str | None, vm_name: str | None, identity_name: str | None, gone: list[str]
) -> list[str]:
    """Undo what was done to a VM, an identity and a registry of somebody else; returns what stays.

    Args:
        gone: gets what is gone by now.
    """
    stays, principals = [], []
    if vm_name and azure.at_vm is not azure and (vm := _or_none(lambda: show_vm(azure, vm_name))):
        ours = f"/subscriptions/{azure.subscription_id}/resourceGroups/{azure.resource_group}/".lower()
        for identity_id, principal in principals_of(vm).items():
            if identity_id is None:
                principals.append(principal)
            elif identity_id.lower().startswith(
                ours
            ):  # a VM that names an identity that is gone cannot be changed any more
                remove_identity(azure, vm_name, identity_id)
                gone.append(f"the identity {identity_id} at the VM {vm_name}")
        stays.append(f"The VM {vm_name} stays as it is, with Docker and Azure CLI, {_where(azure.at_vm)}.")
    foreign = identity_name and azure.at_identity is not azure
    if foreign and (identity := _or_none(lambda: show_identity(azure, str(identity_name)))):
        principals.append(str(identity.principal_id))
        stays.append(f"The identity {identity_name} stays, {_where(azure.at_identity)}.")
    granted = registry_name and (principals or azure.at_registry is not azure)
    if granted and (registry := _or_none(lambda: show_registry(azure, str(registry_name)))):
        scope = str(registry.id)
        for each in [found for one in principals for found in role_assignments(azure, assignee=one, scope=scope)]:
            if str(each.scope).lower() == scope.lower() and made_here(each):
                azure.authorization.role_assignments.delete_by_id(str(each.id))
                gone.append(f"the role assignment {each.id}")
        if azure.at_registry is not azure:
            stays += left_over(azure, scope)
            stays.append(f"The registry {registry_name} stays, with what was imported, {_where(azure.at_registry)}.")
    return stays


def _where(at: Azure) -> str:
    return f"which is in the resource group {at.resource_group} of the subscription {at.subscription_id}"


def _or_none(show: Callable[[], T]) -> T | None:
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return show()
    except ResourceNotFoundError:
        return None


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
    at, there = azure.at_registry, []
    if at.subscription_id.lower() != azure.subscription_id.lower():
        there = list(at.authorization.role_assignments.list_for_resource_group(at.resource_group, filter=wanted))
    try:
        return [*assignments.list_for_subscription(filter=wanted), *there], True
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return [*assignments.list_for_resource_group(azure.resource_group, filter=wanted), *there], False


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
