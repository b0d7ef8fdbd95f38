"""Role definitions: the built-in roles that the sandbox has, and how each is shown."""

from __future__ import annotations

from dataclasses import dataclass

from ..resource import ASSIGNMENT, DEFINITION, IDENTITY, REGISTRY, Resource, ResourceId
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


def _actions(provider: str, *paths: str) -> tuple[str, ...]:
    """The actions of a provider, such as registries/read|write for registries/read and registries/write."""
    return tuple(
        f"{provider}/{before}{last}"
        for path in paths
        for before, _, lasts in [path.rpartition("/")]
        for before in [before and f"{before}/"]
        for last in lasts.split("|")
    )


# What most roles have in common
_GROUPS = ("Microsoft.Resources/subscriptions/resourceGroups/read",)
_DEPLOY = ("Microsoft.Resources/deployments/*",)
_USUAL = (
    "Microsoft.Authorization/*/read",
    "Microsoft.Insights/alertRules/*",
    *_GROUPS,
    *_DEPLOY,
    "Microsoft.Support/*",
)
_ALERTS = _actions("Microsoft.Insights/AlertRules", "Write|Delete|Read", "Activated/Action", "Resolved/Action",
                   "Throttled/Action", "Incidents/Read")  # fmt: skip
_DIAGNOSTICS = _actions(f"{REGISTRY}/providers/Microsoft.Insights", "diagnosticSettings/read|write",
                        "logDefinitions/read", "metricDefinitions/read")  # fmt: skip
_LOGIN = (
    *_actions("Microsoft.Network", "publicIPAddresses/read", "virtualNetworks/read", "loadBalancers/read",
              "networkInterfaces/read"),
    "Microsoft.Compute/virtualMachines/*/read", "Microsoft.HybridCompute/machines/*/read",
    "Microsoft.HybridConnectivity/endpoints/listCredentials/action",
)  # fmt: skip

_CONFIGURATION = (
    "such as admin user credentials, scope maps, and tokens, which can be used to read, write or delete "
    "repositories and images. Does not provide direct permissions to read, list, or write registry contents including "
    "repositories and images. Does not provide permissions to modify data plane content such as imports, Artifact Cache "
    "or Sync, and Transfer Pipelines. Does not provide permissions for managing Tasks."
)

# fmt: off
BUILT_IN_ROLES = {role.id: role for role in (
    Role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner",
         "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
         ("*",)),
    Role("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor",
         "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, manage assignments in Azure Blueprints, or share image galleries.",
         ("*",), ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write", "Microsoft.Authorization/elevateAccess/Action",
          "Microsoft.Blueprint/blueprintAssignments/write", "Microsoft.Blueprint/blueprintAssignments/delete",
          "Microsoft.Compute/galleries/share/action", "Microsoft.Purview/consents/write", "Microsoft.Purview/consents/delete",
          "Microsoft.Resources/deploymentStacks/manageDenySetting/action", "Microsoft.Subscription/cancel/action",
          "Microsoft.Subscription/enable/action")),
    Role("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader",
         "View all resources, but does not allow you to make any changes.",
         ("*/read",)),
    Role("18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "User Access Administrator",
         "Lets you manage user access to Azure resources.",
         ("*/read", "Microsoft.Authorization/*", "Microsoft.Support/*")),
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
    Role("df87f177-bb12-4db1-9793-a413691eff94", "Container Registry Cache Rule Administrator",
         "Create, Read, Update, and Delete Cache Rules in Container Registry. This role doesn't grant permissions to manage Credential Sets.",
         _actions(REGISTRY, "cacheRules/read|write|delete", "cacheRules/operationStatuses/read")),
    Role("c357b964-0002-4b64-a50d-7a28f02edc52", "Container Registry Cache Rule Reader",
         "Read the configuration of Cache Rules in Container Registry. This permission doesn't grant permission to read Credential Sets.",
         _actions(REGISTRY, "cacheRules/read")),
    Role("f094fb07-0703-4400-ad6a-e16dd8000e14", "Container Registry Credential Set Administrator",
         "Create, Read, Update, and Delete Credential Sets in Container Registry. This role doesn't affect the needed permissions for storing content inside Azure Key Vault. This role also doesn't grant permissions to manage Cache Rules.",
         _actions(REGISTRY, "credentialSets/read|write|delete", "credentialSets/operationStatuses/read")),
    Role("29093635-9924-4f2c-913b-650a12949526", "Container Registry Credential Set Reader",
         "Read the configuration of Credential Sets in Container Registry. This permission doesn't allow permission to see content inside Azure Key vault only the content inside Container Registry. This permission doesn't grant permission to read Cache Rules.",
         _actions(REGISTRY, "credentialSets/read")),
    Role("69b07be0-09bf-439a-b9a6-e73de851bd59", "Container Registry Configuration Reader and Data Access Configuration Reader",
         f"Provides permissions to list container registries and registry configuration properties. Provides permissions to list data access configuration {_CONFIGURATION}",
         _actions(REGISTRY, "operationStatuses/read", "read", "privateEndpointConnections/read",
                  "privateEndpointConnections/operationStatuses/read", "listCredentials/action", "tokens/read",
                  "tokens/operationStatuses/read", "scopeMaps/read", "scopeMaps/operationStatuses/read", "webhooks/read",
                  "webhooks/getCallbackConfig/action", "webhooks/listEvents/action", "webhooks/operationStatuses/read",
                  "replications/read", "replications/operationStatuses/read", "connectedRegistries/read")
         + _DIAGNOSTICS + _ALERTS),
    Role("3bc748fc-213d-45c1-8d91-9da5725539b9", "Container Registry Contributor and Data Access Configuration Administrator",
         f"Provides permissions to create, list, and update container registries and registry configuration properties. Provides permissions to configure data access {_CONFIGURATION}",
         _GROUPS + _actions(REGISTRY, "operationStatuses/read", "read|write|delete", "listCredentials/action",
                  "regenerateCredential/action", "generateCredentials/action", "replications/read|write|delete",
                  "replications/operationStatuses/read", "privateEndpointConnectionsApproval/action",
                  "privateEndpointConnections/read|write|delete", "privateEndpointConnections/operationStatuses/read",
                  "tokens/read|write|delete", "tokens/operationStatuses/read", "scopeMaps/read|write|delete",
                  "scopeMaps/operationStatuses/read")
         + _DIAGNOSTICS + _DEPLOY + ("Microsoft.Authorization/*/read",)
         + _actions(REGISTRY, "connectedRegistries/read|write|delete", "connectedRegistries/deactivate/action",
                    "webhooks/read|write|delete", "webhooks/getCallbackConfig/action", "webhooks/ping/action",
                    "webhooks/listEvents/action", "webhooks/operationStatuses/read")
         + _ALERTS + ("Microsoft.ContainerRegistry/locations/operationResults/read",)
         + _actions("Microsoft.Network", "virtualNetworks/subnets/joinViaServiceEndpoint/action", "virtualNetworks/subnets/read|write",
                    "virtualNetworks/read", "privateEndpoints/privateLinkServiceProxies/write")),
    Role("fb382eab-e894-4461-af04-94435c366c3f", "Container Registry Tasks Contributor",
         "Provides permissions to configure, read, list, trigger, or cancel Container Registry Tasks, Task Runs, Task Logs, Quick Runs, Quick Builds, and Task Agent Pools. Permissions granted for Tasks management can be used for full registry data plane permissions including reading/writing/deleting container images in registries. Permissions granted for Tasks management can also be used to run customer authored build directives and run scripts to build software artifacts.",
         _actions(REGISTRY, "agentpools/read|write|delete", "agentpools/listQueueStatus/action",
                  "agentpools/operationResults/status/read", "agentpools/operationStatuses/read", "tasks/read|write|delete",
                  "tasks/listDetails/action", "scheduleRun/action", "listBuildSourceUploadUrl/action", "runs/read|write",
                  "runs/listLogSasUrl/action", "runs/cancel/action", "taskruns/read|write|delete",
                  "taskruns/listDetails/action", "taskruns/operationStatuses/read")
         + _DEPLOY + _GROUPS + _actions(REGISTRY, "read")),
    Role("bf94e731-3a51-4a7c-8c54-a1ab9971dfc1", "Container Registry Transfer Pipeline Contributor",
         "Provides the ability to transfer, import, and export artifacts through configuring registry transfer pipelines that involve intermediary storage accounts and key vaults. Does not provide permissions to push or pull images. Does not provide permissions to create, manage, or list storage accounts or key vaults. Does not provide permissions to perform role assignments.",
         _actions(REGISTRY, "exportPipelines/read|write|delete", "importPipelines/read|write|delete",
                  "pipelineRuns/read|write|delete", "pipelineRuns/operationStatuses/read")),
    Role("e40ec5ca-96e0-45a2-b4ff-59039f2c2b59", "Managed Identity Contributor",
         "Create, Read, Update, and Delete User Assigned Identity",
         _actions(IDENTITY, "read|write|delete", "federatedIdentityCredentials/read|write|delete", "revokeTokens/action")
         + _USUAL),
    Role("f1a07417-d97a-45cb-824c-7a7467783830", "Managed Identity Operator",
         "Read and Assign User Assigned Identity",
         _actions(IDENTITY, "*/read", "*/assign/action") + _USUAL),
    Role("4d97b98b-1d4f-4787-a291-c67834d212e7", "Network Contributor",
         "Lets you manage networks, but not access to them.",
         ("Microsoft.Network/*", "Microsoft.ResourceHealth/availabilityStatuses/read", *_USUAL)),
    Role("9980e02c-c2be-4d73-94e8-173b1dc7cf3c", "Virtual Machine Contributor",
         "Lets you manage virtual machines, but not access to them, and not the virtual network or storage account they're connected to.",
         _actions("Microsoft.Compute", "availabilitySets/*", "locations/*", "virtualMachines/*", "virtualMachineScaleSets/*",
                  "cloudServices/*", "disks/write|read|delete")
         + _actions("Microsoft.Network", "applicationGateways/backendAddressPools/join/action",
                    "loadBalancers/backendAddressPools/join/action", "loadBalancers/inboundNatPools/join/action",
                    "loadBalancers/inboundNatRules/join/action", "loadBalancers/probes/join/action", "loadBalancers/read",
                    "locations/*", "networkInterfaces/*", "networkSecurityGroups/join/action", "networkSecurityGroups/read",
                    "publicIPAddresses/join/action", "publicIPAddresses/read", "virtualNetworks/read",
                    "virtualNetworks/subnets/join/action")
         + _actions("Microsoft.RecoveryServices", "locations/*", "Vaults/backupFabrics/backupProtectionIntent/write",
                    "Vaults/backupFabrics/protectionContainers/protectedItems/*/read",
                    "Vaults/backupFabrics/protectionContainers/protectedItems/read|write", "Vaults/backupPolicies/read|write",
                    "Vaults/read", "Vaults/usages/read", "Vaults/write")
         + ("Microsoft.DevTestLab/schedules/*", "Microsoft.ResourceHealth/availabilityStatuses/read",
            "Microsoft.SerialConsole/serialPorts/connect/action", "Microsoft.SqlVirtualMachine/*",
            "Microsoft.Storage/storageAccounts/listKeys/action", "Microsoft.Storage/storageAccounts/read")
         + _USUAL),
    Role("1c0163c0-47e6-4577-8991-ea5c82e286e4", "Virtual Machine Administrator Login",
         "View Virtual Machines in the portal and login as administrator",
         _LOGIN, data_actions=(*_actions("Microsoft.Compute/virtualMachines", "login/action", "loginAsAdmin/action"),
                               *_actions("Microsoft.HybridCompute/machines", "login/action", "loginAsAdmin/action"))),
    Role("fb879df8-f326-4884-b1cf-06f3ad86be52", "Virtual Machine User Login",
         "View Virtual Machines in the portal and login as a regular user.",
         _LOGIN, data_actions=("Microsoft.Compute/virtualMachines/login/action", "Microsoft.HybridCompute/machines/login/action")),
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
