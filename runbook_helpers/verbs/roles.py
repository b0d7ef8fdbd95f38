"""Roles: what an identity may do, and where."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from ..connection import Azure
from ..errors import NotFound, NotOurs

if TYPE_CHECKING:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment, RoleDefinition


def assign_role(azure: Azure, role: str, *, assignee: str, scope: str) -> RoleAssignment:
    """The role assignment; made where it is missing. It may take Azure up to ten minutes to act on it.

    The documented command: ``az role assignment create --assignee $spID --scope $resourceID --role acrpull``

    Args:
        role: the role's name in any case, for instance AcrPull.
        assignee: the principal id of a managed identity (not its client id).
        scope: resource id of what the role is for.

    Raises:
        NotFound: there is no role of this name.
    """
    from azure.core.exceptions import ResourceExistsError
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

    definition = _definition(azure, role, scope)
    for assignment in _granted(azure, definition, assignee, scope):
        return assignment
    # The name follows from what is granted, so that two runs at once make one assignment. The principal's type is
    # said, since the directory may not know a new identity yet.
    name = _assignment_name(scope, assignee, str(definition.name))
    parameters = RoleAssignmentCreateParameters(
        role_definition_id=str(definition.id), principal_id=assignee, principal_type="ServicePrincipal"
    )
    try:
        created: RoleAssignment = azure.authorization.role_assignments.create(scope, name, parameters)
    except ResourceExistsError:  # another run was quicker, or an answer was lost and the SDK has asked again
        for assignment in _granted(azure, definition, assignee, scope):
            return assignment
        raise
    return created


def remove_role(azure: Azure, role: str, *, assignee: str, scope: str) -> int:
    """Take a role away that was assigned at the scope itself; returns how many assignments there were.

    The documented command's opposite: ``az role assignment delete --assignee $spID --scope $resourceID --role acrpull``

    Args:
        role, assignee, scope: as for `assign_role`.

    Raises:
        NotFound: there is no role of this name.
        NotOurs: an assignment has a condition, which `assign_role` would not put back.
    """
    granted = _granted(azure, _definition(azure, role, scope), assignee, scope)
    if any(assignment.condition for assignment in granted):
        message = (
            f"The role {role} of {assignee} at {scope} was assigned with a condition, so not by this runbook, and is not "
            "taken away: delete it with `az role assignment delete` if you mean it."
        )
        raise NotOurs(message)
    for assignment in granted:
        azure.authorization.role_assignments.delete_by_id(str(assignment.id))
    return len(granted)


def made_here(assignment: RoleAssignment) -> bool:
    """Whether `assign_role` made a role assignment, on this machine or another: its name follows from what is granted."""
    role = str(assignment.role_definition_id).rpartition("/")[2]
    name = _assignment_name(str(assignment.scope), str(assignment.principal_id), role)
    return str(assignment.name).lower() == name and not assignment.condition


def _assignment_name(scope: str, assignee: str, role: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope}|{assignee}|{role}".lower()))


def _definition(azure: Azure, role: str, scope: str) -> RoleDefinition:
    definitions = azure.authorization.role_definitions.list(scope, filter=f"roleName eq '{role}'")
    definition: RoleDefinition | None = next(iter(definitions), None)
    if definition is None:
        raise NotFound(f"There is no role named {role!r}: `az role definition list --query [].roleName` lists them.")
    return definition


def _granted(azure: Azure, definition: RoleDefinition, assignee: str, scope: str) -> list[RoleAssignment]:
    """The assignments of a role to a principal at the scope itself."""
    return [
        each
        for each in role_assignments(azure, assignee=assignee, scope=scope)
        if (each.scope or "").lower() == scope.lower()
        and (each.role_definition_id or "").lower().endswith(str(definition.name).lower())
    ]


def role_assignments(azure: Azure, *, assignee: str, scope: str) -> list[RoleAssignment]:
    """The role assignments of a principal that count at a scope: those at it and above it.

    The documented command: ``az role assignment list --assignee $spID --scope $resourceID --include-inherited``
    """
    found = azure.authorization.role_assignments.list_for_scope(scope, filter=f"principalId eq '{assignee}'")
    wanted = scope.lower() + "/"
    return [each for each in found if each.scope and wanted.startswith(each.scope.lower().rstrip("/") + "/")]
