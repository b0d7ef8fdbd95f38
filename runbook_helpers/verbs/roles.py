"""Roles: what an identity may do, and where."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..arguments import checked
from ..connection import Azure
from ..errors import NotFound, NotOurs, ParameterError
from .conditions import admits, limited_by, repositories_of, repository_condition
from .permissions import Permission
from .registries import READER, has_repository_permissions

if TYPE_CHECKING:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment, RoleDefinition
    from azure.mgmt.containerregistry.models import Registry
    from azure.mgmt.msi.models import Identity

_DESCRIPTION = "made-by azure-acr-runbook"
"""The description of role assignments, which have no tags, begins with it."""


def role_to_pull(registry: Registry) -> str:
    """The role that lets an identity pull from a registry: it depends on the registry's role assignment mode.

    AcrPull; where the registry has repository permissions (`az acr create --role-assignment-mode rbac-abac`), Container
    Registry Repository Reader, since AcrPull does not count there. (To list the repositories as well, which AcrPull allows
    and a pull does not need, the role is Container Registry Repository Catalog Lister; in place of AcrPush stands Container
    Registry Repository Writer.)

    The documented command: ``az acr show --name myContainerRegistry --query roleAssignmentMode``
    """
    return READER if has_repository_permissions(registry) else "AcrPull"


@checked
def assign_role(azure: Azure, role: str, *, assignee: str, scope: str, repository: str | None = None) -> RoleAssignment:
    """The role assignment; made where it is missing, also where a group has it that the assignee is in. It may take Azure up
    to ten minutes to act on it.

    Azure keeps one assignment of a role to an assignee at a scope. One that this runbook has limited to other repositories
    gets this one too, or without a repository no limit. One of a whole registry stays one.

    Those that stand beside a new one and are left over from an identity that was deleted are named, and stay.

    The documented command: ``az role assignment create --assignee $spID --scope $resourceID --role acrpull``

    Args:
        role: the role's name in any case, for instance AcrPull.
        assignee: the principal id of a managed identity (not its client id).
        scope: resource id of what the role is for.
        repository: of the registry that is the scope, to limit Container Registry Repository Reader to.

    Raises:
        NotFound: there is no role of this name.
        NotOurs: the role is there, limited to something else by others.
        ParameterError: the assignee is the client id of an identity; Azure would take it, for a principal that nobody is.
    """
    from azure.core.exceptions import ResourceExistsError

    if repository is not None and role.lower() != READER.lower():
        raise ParameterError(
            [f"repository must be left out with the role {role}: only {READER} can be limited to one."]
        )
    definition = _definition(azure, role, scope)
    for assignment in _granted(azure, definition, assignee, scope):
        return _with_repository(azure, assignment, role, repository)
    for assignment in _granted(azure, definition, assignee, scope, include_groups=True):
        if admits(assignment.condition, repository):
            return assignment
    identities = _identities(azure)
    _refuse_client_id(identities, assignee)
    condition = None if repository is None else repository_condition([repository])
    # The name follows from what is granted, so that two runs at once make one assignment.
    name = _assignment_name(scope, assignee, str(definition.name), condition)
    holder = _holder(azure, assignee, identities)
    description = f"{_DESCRIPTION} for {holder}" if holder else _DESCRIPTION
    try:
        created = _put(azure, scope, name, str(definition.id), assignee, condition, description)
    except ResourceExistsError:  # another run was quicker, or an answer was lost and the SDK has asked again
        for assignment in _granted(azure, definition, assignee, scope):
            return _with_repository(azure, assignment, role, repository)
        raise
    for sentence in left_over(azure, scope, str(definition.name)):
        sys.stderr.write(f"{sentence}\n")
    return created


def _put(
    azure: Azure, scope: str, name: str, role_id: str, assignee: str, condition: str | None, description: str | None
) -> RoleAssignment:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

    # The principal's type is said, since the directory may not know a new identity yet.
    parameters = RoleAssignmentCreateParameters(
        role_definition_id=role_id,
        principal_id=assignee,
        principal_type="ServicePrincipal",
        condition=condition,
        condition_version="2.0" if condition else None,
        description=description,
    )
    made: RoleAssignment = azure.authorization.role_assignments.create(scope, name, parameters)
    return made


def _with_repository(azure: Azure, assignment: RoleAssignment, role: str, repository: str | None) -> RoleAssignment:
    """The assignment that there is, with the repository among those that it is limited to; None is all of them."""
    condition, scope, who = assignment.condition, str(assignment.scope), str(assignment.principal_id)
    if condition is None and repository:
        sys.stderr.write(
            f"{who} has the role {role} at {scope} for all repositories, which stays so: to limit it to {repository!r}, take "
            "it away with remove_role first.\n"
        )
    if admits(condition, repository) or condition is None:
        return assignment
    before = repositories_of(condition)
    if not (before and made_here(assignment)):
        message = (
            f"{who} has the role {role} at {scope} limited {limited_by(condition)}, and Azure keeps one assignment of it: this "
            "runbook did not make that condition, and does not change it. Ask who made it; `az role assignment update` "
            f"changes the condition, and after `az role assignment delete --ids {assignment.id}` this step makes a new one."
        )
        raise NotOurs(message)
    wanted = repository_condition([*before, repository]) if repository else None
    role_id = str(assignment.role_definition_id)
    return _put(azure, scope, str(assignment.name), role_id, who, wanted, assignment.description)


def left_over(azure: Azure, scope: str, role: str = "") -> list[str]:
    """The role assignments at a scope that `assign_role` made for identities that are gone, or were made anew under their
    name, a sentence each; none of which that is not known.

    Args:
        role: GUID of a role, for its assignments only.
    """
    from azure.core.exceptions import HttpResponseError

    try:
        found = list(azure.authorization.role_assignments.list_for_scope(scope, filter="atScope()"))
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return []
    gone = [
        (each, holder)
        for each in found
        if str(each.scope).lower() == scope.lower()
        and str(each.role_definition_id).lower().endswith(role.lower())
        and made_here(each)
        and (holder := _described_holder(each))
        and _is_gone(azure, holder, str(each.principal_id))
    ]
    return [
        f"The role assignment {each.id} is nobody's any more: it was made for {holder} when that had the principal id "
        f"{each.principal_id}, and stays until `az role assignment delete --ids {each.id}`."
        for each, holder in gone
    ]


def _described_holder(assignment: RoleAssignment) -> str:
    """The resource id of the identity, or of the VM, that `assign_role` made an assignment for; empty where it did not know."""
    text = str(assignment.description or "")
    return text.removeprefix(f"{_DESCRIPTION} for ") if text.startswith(f"{_DESCRIPTION} for /") else ""


def _is_gone(azure: Azure, holder: str, principal_id: str) -> bool:
    """Whether an identity, or that of a VM, does not have this principal id any more; not where we may not look."""
    from azure.core.exceptions import HttpResponseError
    from azure.mgmt.core.tools import parse_resource_id

    parts = parse_resource_id(holder)
    if {"subscription", "resource_group", "name", "type"} - parts.keys():
        return False
    at = azure.at(str(parts["resource_group"]), str(parts["subscription"]))
    try:
        if str(parts["type"]).lower() == "virtualmachines":
            identity = at.compute.virtual_machines.get(at.resource_group, str(parts["name"])).identity
            now = str(identity.principal_id) if identity else ""
        else:
            now = str(at.identities.user_assigned_identities.get(at.resource_group, str(parts["name"])).principal_id)
    except HttpResponseError as error:
        return error.status_code == 404
    return now.lower() != principal_id.lower()


def _holder(azure: Azure, assignee: str, identities: Iterable[Identity]) -> str | None:
    """The resource id of the identity that a principal is, or of the VM whose own it is; None where we see neither."""
    from azure.core.exceptions import HttpResponseError

    for each in identities:
        if str(each.principal_id).lower() == assignee.lower():
            return str(each.id)
    try:
        for vm in azure.compute.virtual_machines.list_all():
            if vm.identity and str(vm.identity.principal_id).lower() == assignee.lower():
                return str(vm.id)
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
    return None


def _identities(azure: Azure) -> list[Identity]:
    """The user-assigned identities of the subscription; none where we may not look at them all."""
    from azure.core.exceptions import HttpResponseError

    try:
        return list(azure.identities.user_assigned_identities.list_by_subscription())
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return []


def _refuse_client_id(identities: Iterable[Identity], assignee: str) -> None:
    for each in identities:
        if str(each.client_id).lower() == assignee.lower():
            raise ParameterError(
                [f"assignee must be a principal id; {assignee} is the client id of the identity {each.name}: its principal id is "
                 f"{each.principal_id}."]
            )  # fmt: skip


@checked
def remove_role(azure: Azure, role: str, *, assignee: str, scope: str) -> int:
    """Take a role away that was assigned at the scope itself; returns how many assignments there were.

    The documented command's opposite: ``az role assignment delete --assignee $spID --scope $resourceID --role acrpull``

    Args:
        role, assignee, scope: as for `assign_role`.

    Raises:
        NotFound: there is no role of this name.
        NotOurs: an assignment has a condition that `assign_role` did not give it, and would not put back.
    """
    granted = _granted(azure, _definition(azure, role, scope), assignee, scope)
    if any(assignment.condition and not made_here(assignment) for assignment in granted):
        message = (
            f"The role {role} of {assignee} at {scope} was assigned with a condition, so not by this runbook, and is not "
            "taken away: delete it with `az role assignment delete` if you mean it."
        )
        raise NotOurs(message)
    for assignment in granted:
        azure.authorization.role_assignments.delete_by_id(str(assignment.id))
    return len(granted)


def made_here(assignment: RoleAssignment) -> bool:
    """Whether `assign_role` made a role assignment and its condition, on this machine or another.

    The name follows from what was granted at first; where the condition is gone, the description says it.
    """
    condition = assignment.condition
    if condition is None and str(assignment.description or "").startswith(_DESCRIPTION):
        return True
    role = str(assignment.role_definition_id).rpartition("/")[2]
    granted = [condition, *(repository_condition([each]) for each in repositories_of(condition))]
    scope, assignee = str(assignment.scope), str(assignment.principal_id)
    return str(assignment.name).lower() in {_assignment_name(scope, assignee, role, each) for each in granted}


def _assignment_name(scope: str, assignee: str, role: str, condition: str | None) -> str:
    parts = [scope, assignee, role, *([condition] if condition else [])]
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(parts).lower()))


def _definition(azure: Azure, role: str, scope: str) -> RoleDefinition:
    definitions = azure.authorization.role_definitions.list(scope, filter=f"roleName eq '{role}'")
    definition: RoleDefinition | None = next(iter(definitions), None)
    if definition is None:
        raise NotFound(f"There is no role named {role!r}: `az role definition list --query [].roleName` lists them.")
    return definition


def _granted(
    azure: Azure, definition: RoleDefinition, assignee: str, scope: str, *, include_groups: bool = False
) -> list[RoleAssignment]:
    """The assignments of a role to a principal at the scope itself."""
    return [
        each
        for each in role_assignments(azure, assignee=assignee, scope=scope, include_groups=include_groups)
        if (each.scope or "").lower() == scope.lower()
        and (each.role_definition_id or "").lower().endswith(str(definition.name).lower())
    ]


@checked
def role_assignments(azure: Azure, *, assignee: str, scope: str, include_groups: bool = False) -> list[RoleAssignment]:
    """The role assignments of a principal that count at a scope: those at it and above it.

    The documented command: ``az role assignment list --assignee $spID --scope $resourceID --include-inherited``

    Args:
        include_groups: also those of the groups that the principal is in.
    """
    wanted = scope.lower() + "/"
    found = assignments_below(azure, scope, assignee, include_groups=include_groups)
    return [each for each in found if each.scope and wanted.startswith(each.scope.lower().rstrip("/") + "/")]


def assignments_below(azure: Azure, scope: str, assignee: str, *, include_groups: bool = True) -> list[RoleAssignment]:
    """The role assignments of a principal, or of its groups, at a scope, above it and below it."""
    from azure.core.exceptions import HttpResponseError

    assignments = azure.authorization.role_assignments
    own = list(assignments.list_for_scope(scope, filter=f"principalId eq '{assignee}'"))
    if not include_groups:
        return own
    try:
        found = list(assignments.list_for_scope(scope, filter=f"assignedTo('{assignee}')"))
    except HttpResponseError as error:
        if error.status_code not in (400, 404):
            raise
        return own  # Azure looks for its groups in the directory, which may not know a new identity yet
    known = {each.id for each in own}
    return own + [each for each in found if each.id not in known]


def role_of(azure: Azure, assignment: RoleAssignment) -> RoleDefinition:
    """The role that is assigned."""
    role: RoleDefinition = azure.authorization.role_definitions.get_by_id(str(assignment.role_definition_id))
    return role


def permissions_of(role: RoleDefinition) -> list[Permission]:
    """The permissions that a role gives."""
    return [
        Permission(
            *(tuple(part or ()) for part in (each.actions, each.not_actions, each.data_actions, each.not_data_actions))
        )
        for each in role.permissions or []
    ]
