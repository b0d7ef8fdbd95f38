"""Managed identities: those that stand by themselves (user-assigned), and giving a VM one of either kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..connection import Azure, wait
from ..tags import TAG
from .ensure import provisioning_state, settled
from .resource_groups import create_resource_group
from .virtual_machines import show_vm

if TYPE_CHECKING:
    from azure.mgmt.compute.models import VirtualMachine
    from azure.mgmt.msi.models import Identity


def show_identity(azure: Azure, identity_name: str) -> Identity:
    """A user-assigned identity: id, principal_id, client_id.

    The documented command: ``az identity show --resource-group myResourceGroup --name myACRId``

    Raises:
        azure.core.exceptions.ResourceNotFoundError: there is none of this name in the resource group.
    """
    identity: Identity = azure.identities.user_assigned_identities.get(azure.resource_group, identity_name)
    return identity


def create_identity(azure: Azure, identity_name: str) -> Identity:
    """The user-assigned identity; made where it is missing.

    The documented command: ``az identity create --resource-group myResourceGroup --name myACRId``
    """
    from azure.core.exceptions import ResourceNotFoundError
    from azure.mgmt.msi.models import Identity

    create_resource_group(azure)
    try:
        return show_identity(azure, identity_name)
    except ResourceNotFoundError:
        identity = Identity(location=azure.location, tags=TAG)
        identities = azure.identities.user_assigned_identities
        created: Identity = identities.create_or_update(azure.resource_group, identity_name, identity)
        return created


def assign_identity(azure: Azure, vm_name: str, identity_id: str | None = None) -> VirtualMachine:
    """The VM with the identity; those it has already are kept.

    The documented commands: ``az vm identity assign --resource-group myResourceGroup --name myDockerVM
    --identities $userID`` and, without ``--identities``, the same for the system-assigned identity.

    Args:
        identity_id: resource id of a user-assigned identity; None is the VM's own system-assigned identity.
    """
    from azure.mgmt.compute.models import UserAssignedIdentitiesValue

    vm = _settled_vm(azure, vm_name)
    kinds, attached = _kinds_of(vm), [each for each in principals_of(vm) if each]
    kind = "SystemAssigned" if identity_id is None else "UserAssigned"
    known = {other.lower() for other in attached}
    there = kind in kinds and (identity_id is None or identity_id.lower() in known)
    if there and provisioning_state(vm) != "Failed":
        return vm
    if identity_id is not None and not there:
        attached.append(identity_id)
    # A type that is left out is taken away, so the ones that are there are named again.
    return _update(azure, vm_name, {*kinds, kind}, {each: UserAssignedIdentitiesValue() for each in attached})


def remove_identity(azure: Azure, vm_name: str, identity_id: str | None = None) -> VirtualMachine:
    """The VM without the identity; the others are kept, and a user-assigned one goes on to exist.

    The documented command's opposite: ``az vm identity remove --resource-group myResourceGroup --name myDockerVM
    --identities $userID`` and, without ``--identities``, the same for the system-assigned identity.

    Args:
        identity_id: resource id of a user-assigned identity; None is the VM's own system-assigned identity, whose role
            assignments are worth nothing from then on: a new one is another principal.
    """
    vm = _settled_vm(azure, vm_name)
    kinds, attached = _kinds_of(vm), [each for each in principals_of(vm) if each]
    gone = {each: None for each in attached if each.lower() == (identity_id or "").lower()}
    if not gone and not (identity_id is None and "SystemAssigned" in kinds):
        # Where Azure gave up, the same again mends it.
        return _update(azure, vm_name, kinds, {}) if provisioning_state(vm) == "Failed" else vm
    if identity_id is None:
        return _update(azure, vm_name, kinds - {"SystemAssigned"}, {})
    if len(gone) == len(attached):  # with the last one the type goes, and no map is sent
        return _update(azure, vm_name, kinds - {"UserAssigned"}, {})
    return _update(azure, vm_name, kinds, gone)


def _settled_vm(azure: Azure, vm_name: str) -> VirtualMachine:
    return settled(f"The VM {vm_name}", lambda: show_vm(azure, vm_name))


def principals_of(vm: VirtualMachine) -> dict[str | None, str]:
    """The principal id of each of a VM's identities, by its resource id; None stands for the system-assigned one."""
    if vm.identity is None:
        return {}
    own: dict[str | None, str] = {None: str(vm.identity.principal_id)} if vm.identity.principal_id else {}
    attached = vm.identity.user_assigned_identities or {}
    return own | {each: str(identity.principal_id) for each, identity in attached.items()}


def identity_of(vm: VirtualMachine, identity_id: str | None = None) -> tuple[str | None, str | None]:
    """The identity that a VM signs in with: its resource id, and its principal id; None where the VM does not have it.

    Args:
        identity_id: None names none, as a bare ``az login --identity``: the system-assigned identity, with which the
            resource id is None, and where the VM has only one user-assigned identity, that.
    """
    principals = principals_of(vm)
    if identity_id is None and None not in principals and len(principals) == 1:
        (identity_id,) = principals
    by_lower = {each and each.lower(): principal for each, principal in principals.items()}
    return identity_id, by_lower.get(identity_id and identity_id.lower())


def _kinds_of(vm: VirtualMachine) -> set[str]:
    """The kinds of identity that a VM has."""
    current = (vm.identity.type if vm.identity else None) or ""  # the SDK's enum, or the string that Azure answered
    return {kind.strip() for kind in str(getattr(current, "value", current)).split(",")} - {"", "None"}


def _update(azure: Azure, vm_name: str, kinds: set[str], changes: Mapping[str, Any]) -> VirtualMachine:
    """Set a VM's kinds of identity; in `changes` an id with None is taken away, what is not named stays."""
    from azure.mgmt.compute.models import VirtualMachineIdentity, VirtualMachineUpdate

    wanted = VirtualMachineIdentity(
        type=", ".join(sorted(kinds)) or "None", user_assigned_identities=dict(changes) or None
    )
    machines = azure.compute.virtual_machines
    poller = machines.begin_update(azure.resource_group, vm_name, VirtualMachineUpdate(identity=wanted))
    return wait(poller, f"The identity of the VM {vm_name}")
