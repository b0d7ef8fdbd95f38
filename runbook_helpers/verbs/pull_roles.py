"""Roles that let the identities of a VM pull from a registry, and what is the matter where the one meant has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..connection import Azure
from .identities import principals_of
from .permissions import allows
from .registries import has_repository_permissions
from .roles import assignments_below, permissions_of, role_assignments, role_of, role_to_pull

if TYPE_CHECKING:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment, RoleDefinition
    from azure.mgmt.compute.models import VirtualMachine
    from azure.mgmt.containerregistry.models import Registry

_TYPE = "Microsoft.ContainerRegistry/registries"


@dataclass(frozen=True)
class SignedIn:
    """The identity that Azure CLI on a VM is signed in with."""

    identity_id: str | None
    """Its resource id; None is the system-assigned identity."""
    principal_id: str | None
    """None where the VM does not have it."""

    @property
    def name(self) -> str:
        return _name(self.identity_id)


def _name(identity_id: str | None) -> str:
    return f"the identity {identity_id.rpartition('/')[2]}" if identity_id else "the system-assigned identity"


def why_refused(azure: Azure, vm: VirtualMachine, registry: Registry, signed_in: SignedIn | None) -> str | None:
    """What is the matter with the roles on a registry that refuses a VM, and what to do.

    None where nothing is: the identity has a role that lets it pull, so that Azure does not act on it yet; or we may not
    look at its roles.

    Args:
        signed_in: None where it is not known, and each identity of the VM may be the one.
    """
    from azure.core.exceptions import HttpResponseError

    try:
        held = {one: _roles(azure, registry, principal) for one, principal in principals_of(vm).items() if principal}
        meant = [signed_in.identity_id] if signed_in else list(held)
        if any(_pulling(registry, held.get(one, [])) for one in meant):
            return None
        return _sentence(azure, vm, registry, signed_in, held)
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return None


def _roles(azure: Azure, registry: Registry, principal_id: str) -> list[RoleDefinition]:
    found = role_assignments(azure, assignee=principal_id, scope=str(registry.id), include_groups=True)
    return [role_of(azure, each) for each in found]


def _pulling(registry: Registry, roles: list[RoleDefinition]) -> list[str]:
    """The names of those roles that let pull from a registry; conditions of their assignments are not looked at."""
    data = has_repository_permissions(registry)
    action = f"{_TYPE}/repositories/content/read" if data else f"{_TYPE}/pull/read"
    return [str(each.role_name) for each in roles if allows(permissions_of(each), action, data=data)]


def _sentence(
    azure: Azure,
    vm: VirtualMachine,
    registry: Registry,
    signed_in: SignedIn | None,
    held: dict[str | None, list[RoleDefinition]],
) -> str:
    own = [
        str(role.role_name) for one in ([signed_in.identity_id] if signed_in else held) for role in held.get(one, [])
    ]
    why = ", which has repository permissions" if has_repository_permissions(registry) else ""
    only = f"has only {', '.join(own)}, which does not let it pull from the registry {registry.name}{why}"
    has = only if own else f"has no role assignment on the registry {registry.name}{why}"
    wanted = role_to_pull(registry)
    if signed_in is None:
        none = f"has {'a role that lets it pull from' if own else 'a role assignment on'} the registry {registry.name}{why}"
        return f"no identity of the VM {vm.name} {none}: grant it {wanted} there with assign_role."
    who = f"{signed_in.name} (principal id {signed_in.principal_id}), with which Azure CLI is signed in,"
    for other, roles in held.items():
        if names := _pulling(registry, roles):
            return (
                f"{who} {has}. The role {names[0]} on {registry.name} is held by {_name(other)}: sign in with it by "
                f"az_login, or grant {signed_in.name.removeprefix('the identity ')} {wanted} there with assign_role."
            )
    elsewhere = _elsewhere(azure, registry, str(signed_in.principal_id))
    return f"{who} {has}: {elsewhere}grant it {wanted} there with assign_role."


def _elsewhere(azure: Azure, registry: Registry, principal_id: str) -> str:
    """The sentence on a role that it has on another registry."""
    assignments = assignments_below(azure, f"/subscriptions/{azure.subscription_id}", principal_id)
    for each in assignments:
        if f"/{_TYPE}/".lower() in str(each.scope).lower() and str(each.scope).lower() != str(registry.id).lower():
            name = role_of(azure, each).role_name
            return f"it has {name} on the registry {_registry_of(each)} instead; "
    return ""


def _registry_of(assignment: RoleAssignment) -> str:
    return str(assignment.scope).rpartition("/")[2]
