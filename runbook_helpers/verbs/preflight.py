"""The check before anything is made: every permission of who is signed in, and a subscription that is ready."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..arguments import checked
from ..connection import Azure
from ..errors import NotReady, PermissionsMissing
from .identities import show_identity
from .permissions import Permission, allows, grant_command, own_permissions
from .registries import READER, found_in, group_of_registry, has_repository_permissions, show_registry
from .resource_groups import find_resource_group
from .tags import is_ours
from .virtual_machines import show_vm

if TYPE_CHECKING:
    from azure.mgmt.resource.resources.models import ResourceGroup

_GROUP = "Microsoft.Resources/subscriptions/resourceGroups"
_REGISTRY = "Microsoft.ContainerRegistry/registries"
_VM = "Microsoft.Compute/virtualMachines"
_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
_NETWORK = "Microsoft.Network"
_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
PROVIDERS = ("Microsoft.Compute", "Microsoft.ContainerRegistry", "Microsoft.ManagedIdentity", "Microsoft.Network")
UNREGISTERED = ("NotRegistered", "Unregistered", "Unregistering")


@dataclass(frozen=True)
class RequiredAction:
    """An action of the walkthrough."""

    action: str
    on: str
    """The kind of resource that it is done on: group, registry, vm, identity. A role at that resource alone is enough where it exists."""
    makes: str | None = None
    """The kind of resource that it makes: where that exists already, the action is not needed."""
    data: bool = False


NEEDS = (
    RequiredAction(f"{_GROUP}/read", "group"),
    RequiredAction(f"{_GROUP}/write", "group", makes="group"),
    RequiredAction(f"{_GROUP}/delete", "group"),
    RequiredAction(f"{_REGISTRY}/read", "registry"),
    RequiredAction(f"{_REGISTRY}/write", "registry", makes="registry"),
    RequiredAction(f"{_REGISTRY}/importImage/action", "registry"),
    RequiredAction(f"{_REGISTRY}/pull/read", "registry"),
    RequiredAction(f"{_VM}/read", "vm"),
    RequiredAction(f"{_VM}/write", "vm"),
    *(RequiredAction(f"{_NETWORK}/{kind}/write", "group", makes="vm")
      for kind in ("networkSecurityGroups", "publicIPAddresses", "virtualNetworks", "networkInterfaces")),
    *(RequiredAction(f"{_NETWORK}/{kind}/join/action", "group", makes="vm")
      for kind in ("networkSecurityGroups", "publicIPAddresses", "virtualNetworks/subnets", "networkInterfaces")),
    *(RequiredAction(f"{_NETWORK}/{kind}/read", "group", makes="vm") for kind in ("networkSecurityGroups", "virtualNetworks")),
    RequiredAction(f"{_NETWORK}/networkInterfaces/read", "group"),
    RequiredAction(f"{_NETWORK}/publicIPAddresses/read", "group"),
    RequiredAction(f"{_IDENTITY}/read", "identity"),
    RequiredAction(f"{_IDENTITY}/write", "identity", makes="identity"),
    RequiredAction(f"{_IDENTITY}/assign/action", "identity"),
    RequiredAction("Microsoft.Authorization/roleDefinitions/read", "registry"),
    RequiredAction(f"{_ASSIGNMENT}/read", "registry"),
    RequiredAction(f"{_ASSIGNMENT}/write", "registry"),
    RequiredAction(f"{_ASSIGNMENT}/delete", "registry"),
)  # fmt: skip
"""The actions of the notebooks."""

_WRITES_OF_ROLES = ("Microsoft.Authorization/*/Write", "Microsoft.Authorization/*/Delete")
_USUAL = ("Microsoft.Authorization/*/read", "Microsoft.Resources/subscriptions/resourceGroups/read")
BUILT_IN = {
    # What is needed here of Azure's built-in roles; the narrow ones first.
    "AcrPull": Permission((f"{_REGISTRY}/pull/read",)),
    "Container Registry Repository Reader": Permission(data_actions=(f"{_REGISTRY}/repositories/*/read",)),
    "Reader": Permission(("*/read",)),
    "Managed Identity Operator": Permission((*_USUAL, f"{_IDENTITY}/*/read", f"{_IDENTITY}/*/assign/action")),
    "Managed Identity Contributor": Permission((*_USUAL, f"{_IDENTITY}/read", f"{_IDENTITY}/write", f"{_IDENTITY}/delete")),
    "Network Contributor": Permission((*_USUAL, f"{_NETWORK}/*")),
    "Virtual Machine Contributor": Permission((
        *_USUAL, f"{_VM}/*", f"{_NETWORK}/networkInterfaces/*", f"{_NETWORK}/virtualNetworks/read",
        f"{_NETWORK}/virtualNetworks/subnets/join/action", f"{_NETWORK}/networkSecurityGroups/read",
        f"{_NETWORK}/networkSecurityGroups/join/action", f"{_NETWORK}/publicIPAddresses/read",
        f"{_NETWORK}/publicIPAddresses/join/action")),
    "Role Based Access Control Administrator": Permission((f"{_ASSIGNMENT}/write", f"{_ASSIGNMENT}/delete", "*/read")),
    "User Access Administrator": Permission(("*/read", "Microsoft.Authorization/*")),
    "Contributor": Permission(("*",), _WRITES_OF_ROLES),
    "Owner": Permission(("*",)),
}  # fmt: skip
UNKNOWN = (
    "a condition on your own role, which limits what roles you may grant, and to whom",
    "deny assignments, policies and quotas",
    "with a custom role: Microsoft.Compute/disks/write for the VM's disk, and the reads by which Azure shows how far an "
    "operation is, such as Microsoft.Compute/locations/operations/read",
)
"""Obstacles that cannot be known beforehand."""


@dataclass(frozen=True)
class Preflight:
    """A check that found nothing missing."""

    scope: str
    """The resource group where it exists, else the subscription."""
    cannot_be_known: tuple[str, ...] = UNKNOWN

    def __repr__(self) -> str:
        lines = [f"- {each}" for each in self.cannot_be_known]
        return "\n".join(["No permission is missing. What cannot be known beforehand:", *lines])


@checked
def check_permissions(azure: Azure, *, registry_name: str, vm_name: str, identity_name: str) -> Preflight:
    """Check that nothing is missing for the whole walkthrough; nothing is made or changed.

    Args:
        registry_name, vm_name, identity_name: as for the verbs; what exists already need not be made.

    Raises:
        PermissionsMissing: the permissions that are missing, each with its scope and who has it.
        NotReady: a resource provider is not registered and may not be, or the registry's name is taken.
    """
    group = _group(azure)
    subscription = f"/subscriptions/{azure.subscription_id}"
    scope = f"{subscription}/resourceGroups/{azure.resource_group}" if group else subscription
    elsewhere = _elsewhere(azure, registry_name, vm_name, identity_name)
    existing = _existing(azure, registry_name, vm_name, identity_name, bool(group), elsewhere)
    if group:
        existing["group"] = group
    held = {kind: _own(azure, each) for kind, each in elsewhere.items()}
    here = _own(azure, scope)
    unseen = set(elsewhere) - set(existing)
    needs = [need for need in _needs(existing) if need.makes not in elsewhere and need.on not in unseen]
    missing = [need for need in needs if not allows(held.get(need.on, here), need.action, need.data)]
    missing = _not_granted_below(azure, missing, {kind: existing[kind] for kind in existing if kind not in elsewhere})
    others = _unregistered(azure, subscription)
    if "registry" not in existing and "registry" not in elsewhere:
        others += name_taken(azure, registry_name)
    others += _not_there(elsewhere, existing)
    if missing:
        actions = [need.action for need in missing]
        raise PermissionsMissing(
            scope, actions, [*_missing_lines(azure, scope, missing, bool(group), elsewhere), *others]
        )
    if others:
        raise NotReady(others)
    return Preflight(scope)


def _group(azure: Azure) -> ResourceGroup | None:
    from azure.core.exceptions import HttpResponseError

    try:
        return find_resource_group(azure)
    except HttpResponseError as error:  # it may exist, but we may not see it
        if error.status_code != 403:
            raise
        return None


def _elsewhere(azure: Azure, registry_name: str, vm_name: str, identity_name: str) -> dict[str, str]:
    """The ids of what is somebody else's, in another group, by its kind."""
    places = {
        "registry": (azure.at_registry, _REGISTRY, registry_name),
        "vm": (azure.at_vm, _VM, vm_name),
        "identity": (azure.at_identity, _IDENTITY, identity_name),
    }
    return {
        kind: f"/subscriptions/{at.subscription_id}/resourceGroups/{at.resource_group}/providers/{of_type}/{name}"
        for kind, (at, of_type, name) in places.items()
        if at is not azure
    }


def _existing(
    azure: Azure, registry_name: str, vm_name: str, identity_name: str, group: bool, elsewhere: Mapping[str, str]
) -> dict[str, Any]:
    """The resources of the walkthrough that exist, of those that we may see."""
    looks: dict[str, Callable[[], Any]] = {
        "registry": lambda: show_registry(azure, registry_name),
        "vm": lambda: show_vm(azure, vm_name),
        "identity": lambda: show_identity(azure, identity_name),
    }
    wanted = {kind: look for kind, look in looks.items() if group or kind in elsewhere}
    return {kind: found for kind, look in wanted.items() if (found := _or_none(look)) is not None}


def _not_there(elsewhere: Mapping[str, str], existing: Mapping[str, Any]) -> list[str]:
    """The sentences on what is not where a parameter says that it is, or may not be seen there."""
    return [
        f"{each} is not there, or you may not see it: correct the name or {kind}_resource_group, since nothing is made in "
        "somebody else's group."
        for kind, each in elsewhere.items()
        if kind not in existing
    ]


def _or_none(look: Callable[[], Any]) -> Any:
    from azure.core.exceptions import HttpResponseError

    try:
        return look()
    except HttpResponseError as error:
        if error.status_code not in (403, 404):
            raise
        return None


def _own(azure: Azure, scope: str) -> list[Permission]:
    return _or_none(lambda: own_permissions(azure, scope)) or []


def _needs(existing: dict[str, Any]) -> list[RequiredAction]:
    """The actions that are needed, given what exists."""
    needs = [need for need in NEEDS if need.makes is None or need.makes not in existing]
    if "group" in existing and not is_ours(existing["group"]):
        needs = [need for need in needs if need.action != f"{_GROUP}/delete"]  # notebook 06 refuses it anyway
    if has_repository_permissions(existing.get("registry")):
        pull, read = f"{_REGISTRY}/pull/read", f"{_REGISTRY}/repositories/metadata/read"
        needs = [RequiredAction(read, "registry", data=True) if need.action == pull else need for need in needs]
    return needs


def _not_granted_below(
    azure: Azure, missing: Sequence[RequiredAction], existing: dict[str, Any]
) -> list[RequiredAction]:
    """Those that are missing at the resource itself, too, where it exists."""
    kinds = {need.on for need in missing} & (set(existing) - {"group"})
    held = {kind: _own(azure, str(existing[kind].id)) for kind in sorted(kinds)}
    return [need for need in missing if not allows(held.get(need.on, []), need.action, need.data)]


def _unregistered(azure: Azure, subscription: str) -> list[str]:
    """The resource providers that nobody has registered and we may not; the SDK registers those that we may by itself."""
    states = {each: _or_none(functools.partial(azure.resources.providers.get, each)) for each in PROVIDERS}
    # Who may not look at one does not know.
    waiting = [each for each, found in states.items() if found and str(found.registration_state) in UNREGISTERED]
    held = _own(azure, subscription) if waiting else []
    return [
        f"The resource provider {namespace} is not registered in the subscription, and you may not register it: `az provider "
        f"register --namespace {namespace}` by a Contributor or Owner of the subscription; it takes some minutes."
        for namespace in waiting
        if not allows(held, f"{namespace}/register/action")
    ]


def name_taken(azure: Azure, registry_name: str) -> list[str]:
    """The sentence on a registry's name that is another's, since it is unique in the cloud: better known before the VM is made."""
    request = {"name": registry_name, "type": _REGISTRY}
    status = _or_none(lambda: azure.registries.registries.check_name_availability(request))
    if status is None or status.name_available or _may_be_ours(azure, registry_name):
        return []
    group = group_of_registry(azure, registry_name)
    advice = f"it is in the resource group {group}, so {found_in(group)}" if group else "choose another registry_name."
    return [f"The registry's name {registry_name} cannot be had ({status.message or status.reason}): {advice}"]


def _may_be_ours(azure: Azure, registry_name: str) -> bool:
    """Whether the registry exists by now, made by another run, or we may not see whether it does."""
    from azure.core.exceptions import HttpResponseError

    try:
        azure.registries.registries.get(azure.resource_group, registry_name)
    except HttpResponseError as error:
        if error.status_code not in (403, 404):
            raise
        return error.status_code == 403
    return True


def _roles_for(missing: Sequence[RequiredAction]) -> list[str]:
    """The built-in roles that give what is missing at a scope."""
    grants = [Permission((need.action,)) for need in missing if not need.data]
    writes = any(allows(grants, f"{_ASSIGNMENT}/{word}") for word in ("write", "delete"))
    rest = any(BUILT_IN["Contributor"].allows(need.action, need.data) for need in missing)
    wanted = ["Contributor"] * rest + ["Role Based Access Control Administrator"] * writes
    return wanted + [READER] * any(need.data for need in missing)


def _missing_lines(
    azure: Azure, scope: str, missing: Sequence[RequiredAction], group_exists: bool, elsewhere: Mapping[str, str]
) -> list[str]:
    count = "A permission is missing" if len(missing) == 1 else f"{len(missing)} permissions are missing"
    lines = [f"{count}, and nothing was made:"]
    for need in missing:
        roles = [name for name, role in BUILT_IN.items() if role.allows(need.action, need.data)]
        lines.append(
            f"- {need.action} at {elsewhere.get(need.on, scope)} (in the role{'s' * (len(roles) > 1)} {', '.join(roles)})"
        )
    lines.append(
        "An Owner, User Access Administrator or Role Based Access Control Administrator of that scope can grant them; a "
        "new role works after up to ten minutes:"
    )
    for place in dict.fromkeys(elsewhere.get(need.on, scope) for need in missing):
        wanted = _roles_for([need for need in missing if elsewhere.get(need.on, scope) == place])
        lines += [f"  {grant_command(azure, role, place)}" for role in wanted]
    if not group_exists and any(need.on not in elsewhere for need in missing):
        lines.append(
            f"Or let somebody make the resource group {azure.resource_group} and grant you these roles on it alone."
        )
    return lines
