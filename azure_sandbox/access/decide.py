"""Decisions on access: may this principal do this on this scope, now? Every question about roles is asked here.

An action is allowed when a role assignment of the principal, at the scope or above it, names a role whose actions
match it and whose notActions do not, and its condition holds, if it has one. An assignment counts only after the
sandbox's role_delay, and a removed one goes on counting as long. A deny assignment takes away what roles give. A
registry's own permissions follow from the same assignments; which actions count depends on its roleAssignmentMode (see
`repository_actions`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import clock
from ..resource import ASSIGNMENT, DENIAL, REGISTRY, Resource, ResourceId
from . import conditions
from .roles import REPOSITORIES, role_definition

if TYPE_CHECKING:
    from ..tenant import Tenant


@dataclass(frozen=True)
class Decision:
    """Whether an action is allowed, and why."""

    allowed: bool
    reason: str
    denial: Resource | None = None
    """The deny assignment that takes away what a role gives."""

    def __bool__(self) -> bool:
        return self.allowed


def _matches(patterns: list[str], action: str) -> bool:
    # userAssignedIdentities/*/read is also userAssignedIdentities/read: Managed Identity Operator relies on it.
    forms = {form for pattern in patterns for form in (pattern, pattern.replace("/*/", "/"))}
    return any(conditions.like(action.lower(), form.lower().replace("?", r"\?")) for form in forms)


def scope_of(assignment: Resource) -> ResourceId:
    return ResourceId(assignment.properties["scope"])


def role_id_of(assignment: Resource) -> str:
    """The GUID of the role that is assigned."""
    return ResourceId(assignment.properties["roleDefinitionId"]).name


def assignments(tenant: Tenant, principal_id: str) -> list[Resource]:
    """The role assignments of a principal and of its groups, at any scope, that are in effect now."""
    holders = {principal_id.lower(), *tenant.groups_of(principal_id)}
    delay, now = tenant.clock.settings.role_delay, tenant.clock.now()
    found = tenant.store.resources(type=ASSIGNMENT)
    if delay:
        found += [
            Resource(removed["assignment"])
            for removed in tenant.store.documents(_REMOVED)
            if clock.parse(removed["removedOn"]) + delay > now
        ]
    return [
        assignment
        for assignment in found
        if assignment.properties["principalId"].lower() in holders
        and (not delay or clock.parse(assignment.properties["createdOn"]) + delay <= now)
        and not tenant.pending.is_hidden(assignment["id"])
    ]


_REMOVED = "removed-assignment"


def remove_assignment(tenant: Tenant, assignment: Resource) -> None:
    """Delete a role assignment; it still counts for the sandbox's role_delay."""
    with tenant.store.transaction():
        tenant.store.delete(assignment.id)
        if tenant.clock.settings.role_delay:
            document = {"removedOn": tenant.clock.timestamp(), "assignment": assignment}
            tenant.store.write(_REMOVED, assignment["id"], document)


def decide(
    tenant: Tenant,
    principal_id: str,
    action: str,
    scope: ResourceId,
    *,
    data_action: bool = False,
    attributes: dict[str, str] | None = None,
    whatever_condition: bool = False,
) -> Decision:
    """The decision whether a principal may do an action on a scope.

    `attributes` are what a condition may ask for, by lower-case name: the repository's, for a data action. With
    `whatever_condition` it is enough that there are attributes for which the answer could be yes.
    """
    held = [a for a in assignments(tenant, principal_id) if scope_of(a).covers(scope)]
    for assignment in held:
        definition = role_definition(tenant.store, role_id_of(assignment), tenant.subscription_id)
        condition = assignment.properties.get("condition")
        unmet = condition and not whatever_condition and not conditions.parse(condition)(action, attributes or {})
        if definition is None or unmet:
            continue
        if _allows(definition, action, data_action):
            if denial := denied(tenant, principal_id, action, scope, data_action=data_action):
                return Decision(False, f"denied by {denial.id}", denial=denial)
            return Decision(True, f"{definition.properties['roleName']} at {scope_of(assignment)}")
    if held:
        return Decision(False, f"none of the {len(held)} role assignments at or above {scope} has {action}")
    return Decision(False, f"no role assignment of {principal_id} at or above {scope}")


def _allows(resource: Resource, action: str, data_action: bool) -> bool:
    """Whether a permission of a role definition, or of a deny assignment, has the action."""
    kind, other = ("dataActions", "notDataActions") if data_action else ("actions", "notActions")
    return any(
        _matches(each.get(kind, []), action) and not _matches(each.get(other, []), action)
        for each in resource.properties["permissions"]
    )


EVERYONE = "00000000-0000-0000-0000-000000000000"


def denied(
    tenant: Tenant, principal_id: str, action: str, scope: ResourceId, *, data_action: bool = False
) -> Resource | None:
    """The deny assignment, if any, by which the principal may not do the action on the scope, whatever its roles are."""
    found = tenant.store.resources(type=DENIAL)
    own = {EVERYONE, principal_id.lower(), *tenant.groups_of(principal_id)} if found else set()
    for denial in found:
        properties, at = denial.properties, scope_of(denial)
        reaches = at == scope or (at.covers(scope) and not properties.get("doNotApplyToChildScopes"))
        named, excluded = ({each["id"].lower() for each in properties.get(key) or []}
                           for key in ("principals", "excludePrincipals"))  # fmt: skip
        if reaches and own & named and not own & excluded and _allows(denial, action, data_action):
            return denial
    return None


_LEGACY_ACTIONS = {
    "pull": f"{REGISTRY}/pull/read",
    "push": f"{REGISTRY}/push/write",
    "delete": f"{REGISTRY}/artifacts/delete",
    "metadata_read": f"{REGISTRY}/pull/read",
    "metadata_write": f"{REGISTRY}/push/write",
}
_ABAC_ACTIONS = {
    "pull": f"{REPOSITORIES}/content/read",
    "push": f"{REPOSITORIES}/content/write",
    "delete": f"{REPOSITORIES}/content/delete",
    "metadata_read": f"{REPOSITORIES}/metadata/read",
    "metadata_write": f"{REPOSITORIES}/metadata/write",
}


def assignment_mode(registry: Resource) -> str:
    """The roleAssignmentMode of a registry: LegacyRegistryPermissions or AbacRepositoryPermissions."""
    return str(registry.properties.get("roleAssignmentMode", "LegacyRegistryPermissions"))


def _is_abac(registry: Resource) -> bool:
    return assignment_mode(registry) == "AbacRepositoryPermissions"


def repository_actions(tenant: Tenant, principal_id: str, registry: Resource, repository: str) -> set[str]:
    """The actions that a principal may do with a repository: pull, push, delete, metadata_read, metadata_write.

    With LegacyRegistryPermissions the registry's actions count (AcrPull and the like, Reader, Contributor, Owner);
    with AbacRepositoryPermissions only the repositories' data actions do, and a condition may name repositories.
    """
    abac = _is_abac(registry)
    table = _ABAC_ACTIONS if abac else _LEGACY_ACTIONS
    attributes = {conditions.REPOSITORY_NAME.lower(): repository}
    return {
        name
        for name, action in table.items()
        if decide(tenant, principal_id, action, registry.id, data_action=abac, attributes=attributes)
    }


def may_list_catalog(tenant: Tenant, principal_id: str, registry: Resource) -> bool:
    """Whether a principal may list a registry's repositories."""
    if _is_abac(registry):
        return bool(decide(tenant, principal_id, f"{REGISTRY}/catalog/read", registry.id, data_action=True))
    return bool(decide(tenant, principal_id, _LEGACY_ACTIONS["pull"], registry.id))


def may_sign_in(tenant: Tenant, principal_id: str, registry: Resource) -> bool:
    """Whether a registry exchanges the principal's token at all: any role that has to do with it is enough."""
    if not _is_abac(registry):
        return bool(repository_actions(tenant, principal_id, registry, ""))
    # The exchange does not know which repository will be asked for, so no condition counts yet.
    data_actions = (*_ABAC_ACTIONS.values(), f"{REGISTRY}/catalog/read")
    return bool(decide(tenant, principal_id, f"{REGISTRY}/read", registry.id)) or any(
        decide(tenant, principal_id, action, registry.id, data_action=True, whatever_condition=True)
        for action in data_actions
    )
