"""Managed identities: the user-assigned ones, those that a VM has, and what their tokens hold."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..arguments import checked
from ..connection import Azure
from ..run.progress import step
from ..ssh.client import Shell, ssh
from .ensure import found_elsewhere, provisioning_state, settled, wait
from .resource_groups import create_resource_group
from .tags import our_tags
from .virtual_machines import show_vm

if TYPE_CHECKING:
    from azure.mgmt.compute.models import VirtualMachine
    from azure.mgmt.msi.models import Identity

METADATA_TOKEN = "http://169.254.169.254/metadata/identity/oauth2/token"


@checked
def show_identity(azure: Azure, identity_name: str) -> Identity:
    """A user-assigned identity: id, principal_id, client_id.

    The documented command: ``az identity show --resource-group myResourceGroup --name myACRId``

    Raises:
        azure.core.exceptions.ResourceNotFoundError: none of this name is in the resource group.
    """
    at = azure.at_identity
    identity: Identity = at.identities.user_assigned_identities.get(at.resource_group, identity_name)
    return identity


@checked
def create_identity(azure: Azure, identity_name: str) -> Identity:
    """The user-assigned identity; made where it is missing, but not in somebody else's group.

    The documented command: ``az identity create --resource-group myResourceGroup --name myACRId``
    """
    from azure.core.exceptions import ResourceNotFoundError
    from azure.mgmt.msi.models import Identity

    if azure.at_identity is not azure:
        what, parameter = f"The identity {identity_name}", "identity_resource_group"
        return found_elsewhere(azure.at_identity, what, parameter, lambda: show_identity(azure, identity_name))
    create_resource_group(azure)
    try:
        return show_identity(azure, identity_name)
    except ResourceNotFoundError:
        identity = Identity(location=azure.location, tags=our_tags(azure))
        identities = azure.identities.user_assigned_identities
        created: Identity = identities.create_or_update(azure.resource_group, identity_name, identity)
        return created


def is_predecessor(azure: Azure, vm: VirtualMachine, identity_id: str) -> bool:
    """Whether what a VM names by an identity's id is one that was deleted before the identity was made anew: Azure leaves it
    there, and gives the VM no token for either.

    Raises:
        azure.core.exceptions.ResourceNotFoundError: there is no such identity.
    """
    from azure.core.exceptions import HttpResponseError
    from azure.mgmt.core.tools import parse_resource_id

    principal = identity_of(vm, identity_id)[1]
    if principal is None:
        return False
    parts = parse_resource_id(identity_id)
    at = azure.at(str(parts["resource_group"]), str(parts["subscription"]))
    try:
        identity = at.identities.user_assigned_identities.get(at.resource_group, str(parts["name"]))
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return False  # we may not look
    return str(identity.principal_id).lower() != principal.lower()


@checked
def assign_identity(azure: Azure, vm_name: str, identity_id: str | None = None) -> VirtualMachine:
    """The VM with the identity; those it has already are kept. One that was made anew under its name is attached anew.

    The documented commands: ``az vm identity assign --resource-group myResourceGroup --name myDockerVM
    --identities $userID`` and, without ``--identities``, the same for the system-assigned identity.

    Args:
        identity_id: resource id of a user-assigned identity; None is the VM's own system-assigned identity.
    """
    with step(_name(vm_name, identity_id)) as progress:
        progress.waits_for("Azure changes the VM")
        vm = _settled_vm(azure, vm_name)
        if identity_id is not None and is_predecessor(azure, vm, identity_id):
            vm = _remove(azure, vm_name, identity_id)
        return _assign(azure, vm_name, vm, identity_id)


def _assign(azure: Azure, vm_name: str, vm: VirtualMachine, identity_id: str | None) -> VirtualMachine:
    from azure.mgmt.compute.models import UserAssignedIdentitiesValue

    kinds, attached = _kinds_of(vm), [each for each in principals_of(vm) if each]
    kind = "SystemAssigned" if identity_id is None else "UserAssigned"
    known = {other.lower() for other in attached}
    attached_already = kind in kinds and (identity_id is None or identity_id.lower() in known)
    if attached_already and provisioning_state(vm) != "Failed":
        return vm
    if identity_id is not None and not attached_already:
        attached.append(identity_id)
    # A type that is left out is taken away, so those of before are named again.
    return _update(azure, vm_name, {*kinds, kind}, {each: UserAssignedIdentitiesValue() for each in attached})


@checked
def remove_identity(azure: Azure, vm_name: str, identity_id: str | None = None) -> VirtualMachine:
    """The VM without the identity; the others are kept, and a user-assigned one goes on to exist.

    The documented command's opposite: ``az vm identity remove --resource-group myResourceGroup --name myDockerVM
    --identities $userID`` and, without ``--identities``, the same for the system-assigned identity.

    Args:
        identity_id: resource id of a user-assigned identity; None is the VM's own system-assigned identity, whose role
            assignments are worth nothing from then on: a new one is another principal.
    """
    with step(_name(vm_name, identity_id), "removed") as progress:
        progress.waits_for("Azure changes the VM")
        return _remove(azure, vm_name, identity_id)


def _remove(azure: Azure, vm_name: str, identity_id: str | None) -> VirtualMachine:
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


def _name(vm_name: str, identity_id: str | None) -> str:
    own = "System-assigned identity" if identity_id is None else f"Identity {identity_id.rpartition('/')[2]}"
    return f"{own} of {vm_name}"


def _settled_vm(azure: Azure, vm_name: str) -> VirtualMachine:
    return settled(azure, f"The VM {vm_name}", lambda: show_vm(azure, vm_name))


def principals_of(vm: VirtualMachine) -> dict[str | None, str]:
    """The principal id of each of a VM's identities, by its resource id; None stands for the system-assigned one.

    It is empty where Azure shows none: of an identity that is gone.
    """
    if vm.identity is None:
        return {}
    own: dict[str | None, str] = {None: str(vm.identity.principal_id)} if vm.identity.principal_id else {}
    attached = vm.identity.user_assigned_identities or {}
    return own | {each: str(identity.principal_id or "") for each, identity in attached.items()}


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
    machines = azure.at_vm.compute.virtual_machines
    poller = machines.begin_update(azure.at_vm.resource_group, vm_name, VirtualMachineUpdate(identity=wanted))
    return wait(azure, poller, f"The identity of the VM {vm_name}")


@checked
def identity_claims(azure: Azure, vm_name: str, audience: str, identity_id: str | None = None) -> dict[str, Any] | None:
    """The claims in a token of one of the VM's identities; None where the metadata service gives none.

    The documented way to one: ``curl 'http://169.254.169.254/metadata/identity/oauth2/token?…' -H Metadata:true``

    Args:
        audience: whom the token is for.
        identity_id: as for `az_login`.
    """
    with ssh(azure, vm_name) as shell:
        return token_claims(shell, audience, identity_id) or None


def token_claims(shell: Shell, audience: str, identity_id: str | None = None) -> dict[str, Any]:
    """As `identity_claims`; empty where there is no token.

    Only the token's second part, its claims, leaves the VM: nobody can use them without the signature.
    """
    query = {"api-version": "2018-02-01", "resource": audience}
    if identity_id is not None:
        query["msi_res_id"] = identity_id
    url = shlex.quote(f"{METADATA_TOKEN}?{urlencode(query)}")
    # The token stands first in the answer, so nothing but its claims is between the first dot and the second.
    printed = shell.run("bash", "-c", f"curl -s -m 30 -H Metadata:true {url} | cut -s -d. -f2", check=False)
    return decoded_claims(printed.stdout.strip())


def decoded_claims(payload: str) -> dict[str, Any]:
    """The claims in a token's second part; empty where it is none."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):  # an error's text
        return {}
    return claims if isinstance(claims, dict) else {}
