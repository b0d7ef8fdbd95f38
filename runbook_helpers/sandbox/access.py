"""May this principal do this on this scope, now? Everything in the sandbox that says yes or no asks here.

An action is allowed when a role assignment of the principal, at the scope or above it, names a role whose actions
match it and whose notActions do not, and its condition holds, if it has one. An assignment counts only after the
sandbox's role_delay, and a removed one goes on counting as long. A registry's own permissions follow from the same assignments; which actions
count depends on its roleAssignmentMode (see `repository_actions`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import clock, conditions
from .state import State

if TYPE_CHECKING:
    from .played_cloud import PlayedCloud

ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
DEFINITION = "Microsoft.Authorization/roleDefinitions"
REGISTRY = "Microsoft.ContainerRegistry/registries"


@dataclass(frozen=True)
class Role:
    """A built-in role. Source: Azure built-in roles (azure-docs, role-based-access-control/built-in-roles)."""

    id: str
    name: str
    description: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()


_REPOSITORIES = f"{REGISTRY}/repositories"
_READ = (f"{_REPOSITORIES}/content/read", f"{_REPOSITORIES}/metadata/read")
_WRITE = (f"{_REPOSITORIES}/content/write", f"{_REPOSITORIES}/metadata/write")
_DELETE = (f"{_REPOSITORIES}/content/delete", f"{_REPOSITORIES}/metadata/delete")

BUILT_IN_ROLES = {
    role.id: role
    for role in (
        Role(
            "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
            "Owner",
            "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
            ("*",),
        ),
        Role(
            "b24988ac-6180-42a0-ab88-20f7382dd24c",
            "Contributor",
            "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, "
            "manage assignments in Azure Blueprints, or share image galleries.",
            ("*",),
            (
                "Microsoft.Authorization/*/Delete",
                "Microsoft.Authorization/*/Write",
                "Microsoft.Authorization/elevateAccess/Action",
            ),
        ),
        Role(
            "acdd72a7-3385-48ef-bd42-f606fba81ae7",
            "Reader",
            "View all resources, but does not allow you to make any changes.",
            ("*/read",),
        ),
        Role(
            "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
            "User Access Administrator",
            "Lets you manage user access to Azure resources.",
            ("*/read", "Microsoft.Authorization/*"),
        ),
        Role(
            "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
            "Role Based Access Control Administrator",
            "Manage access to Azure resources by assigning roles using Azure RBAC. This role does not allow you to manage "
            "access using other ways, such as Azure Policy.",
            (f"{ASSIGNMENT}/write", f"{ASSIGNMENT}/delete", "*/read", "Microsoft.Support/*"),
        ),
        Role("7f951dda-4ed3-4680-a7ca-43fe172d538d", "AcrPull", "acr pull", (f"{REGISTRY}/pull/read",)),
        Role(
            "8311e382-0749-4cb8-b61a-304f252e45ec",
            "AcrPush",
            "acr push",
            (f"{REGISTRY}/pull/read", f"{REGISTRY}/push/write"),
        ),
        Role("c2f4ef07-c644-48eb-af81-4b1b4947fb11", "AcrDelete", "acr delete", (f"{REGISTRY}/artifacts/delete",)),
        Role(
            "6cef56e8-d556-48e5-a04f-b8e64114680f",
            "AcrImageSigner",
            "acr image signer",
            (f"{REGISTRY}/sign/write",),
            data_actions=(f"{REGISTRY}/trustedCollections/write",),
        ),
        Role(
            "cdda3590-29a3-44f6-95f2-9f980659eb04",
            "AcrQuarantineReader",
            "acr quarantine data reader",
            (f"{REGISTRY}/quarantine/read",),
            data_actions=(f"{REGISTRY}/quarantinedArtifacts/read",),
        ),
        Role(
            "c8d4ff99-41c3-41a8-9f60-21dfdad59608",
            "AcrQuarantineWriter",
            "acr quarantine data writer",
            (f"{REGISTRY}/quarantine/read", f"{REGISTRY}/quarantine/write"),
            data_actions=(f"{REGISTRY}/quarantinedArtifacts/read", f"{REGISTRY}/quarantinedArtifacts/write"),
        ),
        Role(
            "b93aa761-3e63-49ed-ac28-beffa264f7ac",
            "Container Registry Repository Reader",
            "Allows for read access to Azure Container Registry repositories, but excluding catalog listing.",
            data_actions=_READ,
        ),
        Role(
            "2a1e307c-b015-4ebd-883e-5b7698a07328",
            "Container Registry Repository Writer",
            "Allows for read and write access to Azure Container Registry repositories, but excluding catalog listing.",
            data_actions=_READ + _WRITE,
        ),
        Role(
            "2efddaa5-3f1f-4df3-97df-af3f13818f4c",
            "Container Registry Repository Contributor",
            "Allows for read, write, and delete access to Azure Container Registry repositories, but excluding "
            "catalog listing.",
            data_actions=_READ + _WRITE + _DELETE,
        ),
        Role(
            "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7",
            "Container Registry Repository Catalog Lister",
            "Allows for listing all repositories in an Azure Container Registry.",
            data_actions=(f"{REGISTRY}/catalog/read",),
        ),
    )
}


@dataclass(frozen=True)
class Decision:
    """Whether an action is allowed, and why."""

    allowed: bool
    reason: str
    assignment_id: str | None = None

    def __bool__(self) -> bool:
        return self.allowed


def _matches(patterns: list[str], action: str) -> bool:
    return any(
        pattern == "*" or conditions.like(action.lower(), pattern.lower().replace("?", r"\?")) for pattern in patterns
    )


def covers(scope: str, resource_id: str) -> bool:
    """Whether a scope is the resource itself or above it (subscription, resource group, resource, root)."""
    scope, resource_id = scope.lower().rstrip("/"), resource_id.lower().rstrip("/")
    return resource_id == scope or resource_id.startswith(scope + "/")


def role_definition(state: State, role_id: str, subscription_id: str) -> dict[str, Any] | None:
    """A role, built in or custom, as Resource Manager shows it; `role_id` is its GUID."""
    role = BUILT_IN_ROLES.get(role_id.lower())
    if role is None:
        return state.get(definition_id(subscription_id, role_id))
    return {
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole",
            "description": role.description,
            "assignableScopes": ["/"],
            "permissions": [
                {
                    "actions": list(role.actions),
                    "notActions": list(role.not_actions),
                    "dataActions": list(role.data_actions),
                    "notDataActions": [],
                }
            ],
            "createdOn": "2018-10-29T23:32:38.5203443Z",
            "updatedOn": "2021-11-11T20:13:24.8818521Z",
            "createdBy": None,
            "updatedBy": None,
        },
        "id": definition_id(subscription_id, role.id),
        "type": DEFINITION,
        "name": role.id,
    }


def definition_id(subscription_id: str, role_id: str) -> str:
    return f"/subscriptions/{subscription_id}/providers/{DEFINITION}/{role_id}"


def assignments(played: PlayedCloud, principal_id: str) -> list[dict[str, Any]]:
    """The role assignments of a principal, at any scope, that are in effect now."""
    delay, now = played.clock.settings.role_delay, played.clock.now()
    found = played.state.resources(type=ASSIGNMENT)
    if delay:
        found += [
            removed["assignment"]
            for removed in played.state.documents(_REMOVED)
            if clock.parse(removed["removedOn"]) + delay > now
        ]
    return [
        assignment
        for assignment in found
        if assignment["properties"]["principalId"].lower() == principal_id.lower()
        and (not delay or clock.parse(assignment["properties"]["createdOn"]) + delay <= now)
        and not played.unsettled.is_hidden(assignment["id"])
    ]


_REMOVED = "removed-assignment"


def remove_assignment(played: PlayedCloud, assignment: dict[str, Any]) -> None:
    """Delete a role assignment; it still counts for the sandbox's role_delay."""
    with played.state.transaction():
        played.state.delete(assignment["id"])
        if played.clock.settings.role_delay:
            document = {"removedOn": played.clock.timestamp(), "assignment": assignment}
            played.state.write(_REMOVED, assignment["id"], document)


def decide(
    played: PlayedCloud,
    principal_id: str,
    action: str,
    scope: str,
    *,
    data_action: bool = False,
    attributes: dict[str, str] | None = None,
    whatever_condition: bool = False,
) -> Decision:
    """May the principal do the action on the scope?

    `attributes` are what a condition may ask for, by lower-case name: the repository's, for a data action. With
    `whatever_condition` it is enough that there are attributes for which the answer could be yes.
    """
    kind = "dataActions" if data_action else "actions"
    held = [a for a in assignments(played, principal_id) if covers(a["properties"]["scope"], scope)]
    for assignment in held:
        role_id = assignment["properties"]["roleDefinitionId"].rpartition("/")[2]
        definition = role_definition(played.state, role_id, played.subscription_id)
        condition = assignment["properties"].get("condition")
        if condition and not whatever_condition and not conditions.parse(condition)(action, attributes or {}):
            continue
        for permission in definition["properties"]["permissions"] if definition else []:
            denied = permission["notDataActions" if data_action else "notActions"]
            if _matches(permission[kind], action) and not _matches(denied, action):
                name = definition["properties"]["roleName"] if definition else role_id
                return Decision(True, f"{name} at {assignment['properties']['scope']}", assignment["id"])
    if held:
        return Decision(False, f"none of the {len(held)} role assignments at or above {scope} has {action}")
    return Decision(False, f"no role assignment of {principal_id} at or above {scope}")


_LEGACY_ACTIONS = {
    "pull": f"{REGISTRY}/pull/read",
    "push": f"{REGISTRY}/push/write",
    "delete": f"{REGISTRY}/artifacts/delete",
    "metadata_read": f"{REGISTRY}/pull/read",
    "metadata_write": f"{REGISTRY}/push/write",
}
_ABAC_ACTIONS = {
    "pull": f"{_REPOSITORIES}/content/read",
    "push": f"{_REPOSITORIES}/content/write",
    "delete": f"{_REPOSITORIES}/content/delete",
    "metadata_read": f"{_REPOSITORIES}/metadata/read",
    "metadata_write": f"{_REPOSITORIES}/metadata/write",
}


def _is_abac(registry: dict[str, Any]) -> bool:
    return bool(registry["properties"].get("roleAssignmentMode") == "AbacRepositoryPermissions")


def repository_actions(played: PlayedCloud, principal_id: str, registry: dict[str, Any], repository: str) -> set[str]:
    """What a principal may do with a repository: pull, push, delete, metadata_read, metadata_write.

    With LegacyRegistryPermissions the registry's actions count (AcrPull and the like, Reader, Contributor, Owner);
    with AbacRepositoryPermissions only the repositories' data actions do, and a condition may name repositories.
    """
    abac = _is_abac(registry)
    table = _ABAC_ACTIONS if abac else _LEGACY_ACTIONS
    attributes = {conditions.REPOSITORY_NAME.lower(): repository}
    return {
        name
        for name, action in table.items()
        if decide(played, principal_id, action, registry["id"], data_action=abac, attributes=attributes)
    }


def may_list_catalog(played: PlayedCloud, principal_id: str, registry: dict[str, Any]) -> bool:
    """Whether a principal may list a registry's repositories."""
    if _is_abac(registry):
        return bool(decide(played, principal_id, f"{REGISTRY}/catalog/read", registry["id"], data_action=True))
    return bool(decide(played, principal_id, _LEGACY_ACTIONS["pull"], registry["id"]))


def may_sign_in(played: PlayedCloud, principal_id: str, registry: dict[str, Any]) -> bool:
    """Whether a registry exchanges the principal's token at all: any role that has to do with it is enough."""
    if not _is_abac(registry):
        return bool(repository_actions(played, principal_id, registry, ""))
    # The exchange does not know which repository will be asked for, so no condition counts yet.
    data_actions = (*_ABAC_ACTIONS.values(), f"{REGISTRY}/catalog/read")
    return bool(decide(played, principal_id, f"{REGISTRY}/read", registry["id"])) or any(
        decide(played, principal_id, action, registry["id"], data_action=True, whatever_condition=True)
        for action in data_actions
    )
