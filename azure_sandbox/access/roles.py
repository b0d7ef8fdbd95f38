"""Role definitions: the built-in roles that the sandbox has, and how each is shown."""

from __future__ import annotations

from dataclasses import dataclass

from ..resource import ASSIGNMENT, DEFINITION, REGISTRY, Resource, ResourceId
from ..store import Store


@dataclass(frozen=True)
class Role:
    """A built-in role. Source: Azure built-in roles (azure-docs, role-based-access-control/built-in-roles)."""

    id: str
    name: str
    description: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()


REPOSITORIES = f"{REGISTRY}/repositories"
_READ = (f"{REPOSITORIES}/content/read", f"{REPOSITORIES}/metadata/read")
_WRITE = (f"{REPOSITORIES}/content/write", f"{REPOSITORIES}/metadata/write")
_DELETE = (f"{REPOSITORIES}/content/delete", f"{REPOSITORIES}/metadata/delete")

# fmt: off
BUILT_IN_ROLES = {role.id: role for role in (
    Role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner",
         "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
         ("*",)),
    Role("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor",
         "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, manage assignments in Azure Blueprints, or share image galleries.",
         ("*",), ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write", "Microsoft.Authorization/elevateAccess/Action")),
    Role("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader",
         "View all resources, but does not allow you to make any changes.",
         ("*/read",)),
    Role("18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "User Access Administrator",
         "Lets you manage user access to Azure resources.",
         ("*/read", "Microsoft.Authorization/*")),
    Role("f58310d9-a9f6-439a-9e8d-f62e7b41a168", "Role Based Access Control Administrator",
         "Manage access to Azure resources by assigning roles using Azure RBAC. This role does not allow you to manage access using other ways, such as Azure Policy.",
         (f"{ASSIGNMENT}/write", f"{ASSIGNMENT}/delete", "*/read", "Microsoft.Support/*")),
    Role("7f951dda-4ed3-4680-a7ca-43fe172d538d", "AcrPull",
         "acr pull",
         (f"{REGISTRY}/pull/read",)),
    Role("8311e382-0749-4cb8-b61a-304f252e45ec", "AcrPush",
         "acr push",
         (f"{REGISTRY}/pull/read", f"{REGISTRY}/push/write")),
    Role("c2f4ef07-c644-48eb-af81-4b1b4947fb11", "AcrDelete",
         "acr delete",
         (f"{REGISTRY}/artifacts/delete",)),
    Role("6cef56e8-d556-48e5-a04f-b8e64114680f", "AcrImageSigner",
         "acr image signer",
         (f"{REGISTRY}/sign/write",), data_actions=(f"{REGISTRY}/trustedCollections/write",)),
    Role("cdda3590-29a3-44f6-95f2-9f980659eb04", "AcrQuarantineReader",
         "acr quarantine data reader",
         (f"{REGISTRY}/quarantine/read",), data_actions=(f"{REGISTRY}/quarantinedArtifacts/read",)),
    Role("c8d4ff99-41c3-41a8-9f60-21dfdad59608", "AcrQuarantineWriter",
         "acr quarantine data writer",
         (f"{REGISTRY}/quarantine/read", f"{REGISTRY}/quarantine/write"), data_actions=(f"{REGISTRY}/quarantinedArtifacts/read", f"{REGISTRY}/quarantinedArtifacts/write")),
    Role("b93aa761-3e63-49ed-ac28-beffa264f7ac", "Container Registry Repository Reader",
         "Allows for read access to Azure Container Registry repositories, but excluding catalog listing.",
         data_actions=_READ),
    Role("2a1e307c-b015-4ebd-883e-5b7698a07328", "Container Registry Repository Writer",
         "Allows for read and write access to Azure Container Registry repositories, but excluding catalog listing.",
         data_actions=_READ + _WRITE),
    Role("2efddaa5-3f1f-4df3-97df-af3f13818f4c", "Container Registry Repository Contributor",
         "Allows for read, write, and delete access to Azure Container Registry repositories, but excluding catalog listing.",
         data_actions=_READ + _WRITE + _DELETE),
    Role("bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7", "Container Registry Repository Catalog Lister",
         "Allows for listing all repositories in an Azure Container Registry.",
         data_actions=(f"{REGISTRY}/catalog/read",)),
    Role("577a9874-89fd-4f24-9dbd-b5034d0ad23a", "Container Registry Data Importer and Data Reader",
         "Provides the ability to import images into a registry through the registry import operation. Provides the ability to list repositories, view images and tags, get manifests, and pull images. Does not provide permissions for importing images through configuring registry transfer pipelines such as import and export pipelines. Does not provide permissions for importing through configuring Artifact Cache or Sync rules.",
         (f"{REGISTRY}/importImage/action", f"{REGISTRY}/read", f"{REGISTRY}/pull/read"),
         data_actions=(f"{REGISTRY}/catalog/read", *_READ)),
)}
# fmt: on


def role_definition(store: Store, role_id: str, subscription_id: str) -> Resource | None:
    """A role, built in or custom, as Resource Manager shows it; `role_id` is its GUID."""
    role = BUILT_IN_ROLES.get(role_id.lower())
    if role is None:
        return store.get(definition_id(subscription_id, role_id))
    shown = {
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
    return Resource(shown)


def definition_id(subscription_id: str, role_id: str) -> str:
    return f"/subscriptions/{subscription_id}/providers/{DEFINITION}/{role_id}"


def role_assignment(
    scope: ResourceId, name: str, definition: str, principal_id: str, *, when: str, who: str, **properties: str | None
) -> Resource:
    """A role assignment, made `when` and by `who`; `properties` are those that differ from the usual ones."""
    usual = {
        "roleDefinitionId": definition,
        "principalId": principal_id,
        "principalType": "ServicePrincipal",
        "scope": str(scope),
        **dict.fromkeys(("condition", "conditionVersion")),
        **dict.fromkeys(("createdOn", "updatedOn"), when),
        **dict.fromkeys(("createdBy", "updatedBy"), who),
        **dict.fromkeys(("delegatedManagedIdentityResourceId", "description")),
    }
    resource_id = f"{scope}/providers/{ASSIGNMENT}/{name}"
    return Resource({"properties": {**usual, **properties}, "id": resource_id, "type": ASSIGNMENT, "name": name})
