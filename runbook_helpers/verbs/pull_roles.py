"""Roles that let the identities of a VM pull from a registry, and what is the matter where the one meant has none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..answers import UNREADABLE
from ..connection import Azure
from ..errors import RunbookError
from ..parameters import split_image
from ..ssh.completed import FailureKind
from .conditions import admits, limited_by
from .identities import identity_of, principals_of
from .permissions import allows
from .registries import READER, closed_to_the_public, has_repository_permissions, registry_at
from .roles import assignments_below, permissions_of, role_assignments, role_of, role_to_pull

if TYPE_CHECKING:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment, RoleDefinition
    from azure.mgmt.compute.models import VirtualMachine
    from azure.mgmt.containerregistry.models import Registry

    from ..ssh.client import Shell

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


def signed_in_on(shell: Shell, within: float) -> SignedIn | None:
    """The identity that Azure CLI is signed in with; None where it is none of the VM's, or is not shown.

    Raises:
        CommandFailed: it is not signed in.
    """
    shown = shell.retry("az", "account", "show", "--output", "json", within=within).stdout
    try:
        kind, _, value = str(json.loads(shown)["user"]["assignedIdentityInfo"]).partition("-")
    except UNREADABLE:  # somebody has signed in by other means
        return None
    if kind == "MSIClient":
        attached = (shell.vm.identity and shell.vm.identity.user_assigned_identities) or {}
        value = next((each for each, shown in attached.items() if str(shown.client_id).lower() == value.lower()), "")
    elif kind == "MSIObject":
        found = (
            each or "" for each, principal in principals_of(shell.vm).items() if principal.lower() == value.lower()
        )
        value = next(found, "")
    elif kind != "MSIResource":
        return SignedIn(*identity_of(shell.vm)) if kind == "MSI" else None
    return SignedIn(*identity_of(shell.vm, value)) if value else None


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


def why_pull_refused(azure: Azure, shell: Shell, reference: str, failure: FailureKind) -> str:
    """What helps where docker is refused an image, with a role or without; empty where no more is known than docker says."""
    from azure.core.exceptions import HttpResponseError

    host, _, image = reference.partition("/")
    try:
        registry = registry_at(azure, host)
        if registry is None or failure is FailureKind.NOT_ADMITTED:
            return closed_to_the_public(registry) if registry else ""
        signed_in, repository = signed_in_on(shell, within=0), split_image(image)[0]
        found = _that_let_pull(azure, registry, signed_in) if signed_in and signed_in.principal_id else []
    except (RunbookError, HttpResponseError):  # what docker says is told in any case
        return ""
    answers = [(each, admits(each.condition, repository)) for each in found]
    if signed_in is None or not answers or any(answer for _, answer in answers):
        return ""
    limits = "; ".join(f"{role_of(azure, each).role_name} limited {limited_by(str(each.condition))}" for each in found)
    is_not = "may not admit" if any(answer is None for _, answer in answers) else "does not admit"
    who = signed_in.name.removeprefix("the ")
    return (
        f"The {who} (principal id {signed_in.principal_id}), with which Azure CLI is signed in, has on the registry "
        f"{registry.name} {limits}: that {is_not} {repository}. assign_role with {READER} and repository={repository!r} "
        "gives it that too."
    )


def _that_let_pull(azure: Azure, registry: Registry, signed_in: SignedIn) -> list[RoleAssignment]:
    """The role assignments that let somebody pull from a registry."""
    scope, who = str(registry.id), str(signed_in.principal_id)
    found = role_assignments(azure, assignee=who, scope=scope, include_groups=True)
    return [each for each in found if _pulling(registry, [role_of(azure, each)])]


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
