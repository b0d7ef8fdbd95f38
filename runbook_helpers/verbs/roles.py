"""Roles: what an identity may do, and where."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..arguments import checked
from ..connection import Azure
from ..errors import NotFound, NotOurs, ParameterError
from .permissions import Permission
from .registries import READER, has_repository_permissions

if TYPE_CHECKING:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment, RoleDefinition
    from azure.mgmt.containerregistry.models import Registry
    from azure.mgmt.msi.models import Identity

_REPOSITORIES = "Microsoft.ContainerRegistry/registries/repositories"


def role_to_pull(registry: Registry) -> str:
    """The role that lets an identity pull from a registry: it depends on the registry's role assignment mode.

    AcrPull; where the registry has repository permissions (`az acr create --role-assignment-mode rbac-abac`), Container
    Registry Repository Reader, since AcrPull does not count there. (To list the repositories as well, which AcrPull allows
    and a pull does not need, the role is Container Registry Repository Catalog Lister; in place of AcrPush stands Container
    Registry Repository Writer.)

    The documented command: ``az acr show --name myContainerRegistry --query roleAssignmentMode``
    """
    return READER if has_repository_permissions(registry) else "AcrPull"


def repository_condition(repository: str) -> str:
    """The condition that limits Container Registry Repository Reader to one repository of a registry."""
    reads = " AND ".join(f"!(ActionMatches{{'{_REPOSITORIES}/{part}/read'}})" for part in ("content", "metadata"))
    return f"(({reads}) OR (@Request[{_REPOSITORIES}:name] StringEqualsIgnoreCase '{repository}'))"


@checked
def assign_role(azure: Azure, role: str, *, assignee: str, scope: str, repository: str | None = None) -> RoleAssignment:
    """The role assignment; made where it is missing, also where a group has it that the assignee is in. It may take Azure up
    to ten minutes to act on it.

    Those that stand beside a new one and seem to be left over from an identity that was deleted are named, and stay.

    The documented command: ``az role assignment create --assignee $spID --scope $resourceID --role acrpull``

    Args:
        role: the role's name in any case, for instance AcrPull.
        assignee: the principal id of a managed identity (not its client id).
        scope: resource id of what the role is for.
        repository: of the registry that is the scope, to limit Container Registry Repository Reader to.

    Raises:
        NotFound: there is no role of this name.
        NotOurs: the role is there, limited to something else.
        ParameterError: the assignee is the client id of an identity; Azure would take it, for a principal that nobody is.
    """
    from azure.core.exceptions import ResourceExistsError
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

    if repository is not None and role.lower() != READER.lower():
        raise ParameterError(
            [f"repository must be left out with the role {role}: only {READER} can be limited to one."]
        )
    condition = None if repository is None else repository_condition(repository)
    definition = _definition(azure, role, scope)
    for assignment in _granted(azure, definition, assignee, scope):
        if condition and assignment.condition and assignment.condition != condition:
            message = (
                f"{assignee} has the role {role} at {scope} with another condition ({assignment.condition}), and Azure keeps "
                "one assignment of it: change that with `az role assignment update`, or delete it."
            )
            raise NotOurs(message)
        return assignment
    for assignment in _granted(azure, definition, assignee, scope, include_groups=True):
        if assignment.condition in (None, condition):
            return assignment
    identities = _identities(azure)
    _refuse_client_id(identities or (), assignee)
    # The name follows from what is granted, so that two runs at once make one assignment. The principal's type is
    # said, since the directory may not know a new identity yet.
    name = _assignment_name(scope, assignee, str(definition.name), condition)
    parameters = RoleAssignmentCreateParameters(
        role_definition_id=str(definition.id),
        principal_id=assignee,
        principal_type="ServicePrincipal",
        condition=condition,
        condition_version="2.0" if condition else None,
    )
    try:
        created: RoleAssignment = azure.authorization.role_assignments.create(scope, name, parameters)
    except ResourceExistsError:  # another run was quicker, or an answer was lost and the SDK has asked again
        for assignment in _granted(azure, definition, assignee, scope):
            return assignment
        raise
    for sentence in left_over(azure, scope, str(definition.name), identities):
        sys.stderr.write(f"{sentence}\n")
    return created


def left_over(azure: Azure, scope: str, role: str = "", identities: list[Identity] | None = None) -> list[str]:
    """The role assignments at a scope that `assign_role` made for identities that seem to be gone, a sentence each.

    Args:
        role: GUID of a role, for its assignments only.
        identities: the user-assigned ones of the subscription, where they are known.
    """
    from azure.core.exceptions import HttpResponseError

    identities = _identities(azure) if identities is None else identities
    try:
        vms = list(azure.compute.virtual_machines.list_all())
        found = list(azure.authorization.role_assignments.list_for_scope(scope, filter="atScope()"))
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return []
    if identities is None:
        return []
    known = {str(each.principal_id) for each in identities} | {
        str(each.identity and each.identity.principal_id) for each in vms
    }
    return [
        f"The role assignment {each.id} is of the principal {each.principal_id}, which no identity of the subscription "
        f"{azure.subscription_id} is any more: if it was deleted, `az role assignment delete --ids {each.id}`."
        for each in found
        if str(each.scope).lower() == scope.lower()
        and str(each.role_definition_id).lower().endswith(role.lower())
        and made_here(each)
        and each.principal_id not in known
    ]


def _identities(azure: Azure) -> list[Identity] | None:
    """The user-assigned identities of the subscription; None where we may not look at them all."""
    from azure.core.exceptions import HttpResponseError

    try:
        return list(azure.identities.user_assigned_identities.list_by_subscription())
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return None


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
    """Whether `assign_role` made a role assignment, on this machine or another: its name follows from what is granted."""
    role = str(assignment.role_definition_id).rpartition("/")[2]
    name = _assignment_name(str(assignment.scope), str(assignment.principal_id), role, assignment.condition)
    return str(assignment.name).lower() == name


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
