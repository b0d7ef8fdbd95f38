"""Roles: what an identity may do, and where."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from .connection import Azure
from .errors import NotFound

if TYPE_CHECKING:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment


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
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

    definitions = azure.authorization.role_definitions.list(scope, filter=f"roleName eq '{role}'")
    definition = next(iter(definitions), None)
    if definition is None or definition.id is None:
        raise NotFound(f"There is no role named {role!r}: `az role definition list --query [].roleName` lists them.")
    for assignment in role_assignments(azure, assignee=assignee, scope=scope):
        same_scope = (assignment.scope or "").lower() == scope.lower()
        if same_scope and (assignment.role_definition_id or "").lower().endswith((definition.name or "?").lower()):
            return assignment
    # The name follows from what is granted, so that two runs at once make one assignment. The principal's type is
    # said, since the directory may not know a new identity yet.
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{scope}|{assignee}|{definition.name}".lower())
    parameters = RoleAssignmentCreateParameters(
        role_definition_id=definition.id, principal_id=assignee, principal_type="ServicePrincipal"
    )
    created: RoleAssignment = azure.authorization.role_assignments.create(scope, str(name), parameters)
    return created


def role_assignments(azure: Azure, *, assignee: str, scope: str) -> list[RoleAssignment]:
    """The role assignments of a principal that count at a scope: those at it and above it.

    The documented command: ``az role assignment list --assignee $spID --scope $resourceID --include-inherited``
    """
    found = azure.authorization.role_assignments.list_for_scope(scope, filter=f"principalId eq '{assignee}'")
    wanted = scope.lower() + "/"
    return [each for each in found if each.scope and wanted.startswith(each.scope.lower().rstrip("/") + "/")]
