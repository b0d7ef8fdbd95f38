"""Members of resources and requests: one table of what the sandbox knows of each, and what is asked of it.

A line has the paths of members and what holds for them: their JSON type; whether they have an effect, are kept (taken and
shown as they are, without an effect) or are only shown (the sandbox's own, whatever is sent); whether PATCH changes them;
the one value that they may have (=JSON), since another one would have an effect in Azure that the sandbox does not emulate;
and the preview and the stable version of the API that show them first (or never). What is in no line is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .resource import Json

# Kinds: string, strings, object, objects; free is an object that stays as it is, nulls and all; any is not looked at.
# Where a resource refers to another one, clients may send all of that; its id counts.
_TABLE = """
Microsoft.Resources/subscriptions/resourceGroups
    id|name|type|properties.provisioningState: string shown
    location: string effect
    managedBy: string kept
    tags: free kept patch

Microsoft.Resources/deployments
    id|name|type properties.templateHash|provisioningState|timestamp|duration|correlationId: string shown
    properties.mode: string effect
    tags: free kept
    properties.template|parameters: free effect
    properties.providers|dependencies|outputResources: objects shown
    properties.outputs: free shown

Microsoft.Resources/deployments/validate
    properties.mode: string effect
    properties.template|parameters: free effect

Microsoft.Resources/deployments/whatIf
    properties.mode|whatIfSettings.resultFormat: string effect
    properties.template|parameters: free effect

Microsoft.ManagedIdentity/userAssignedIdentities
    id|name|type properties.tenantId|principalId|clientId: string shown
    location: string effect
    tags: free kept patch

Microsoft.Authorization/roleDefinitions
    id|name|type properties.type|createdOn|updatedOn|createdBy|updatedBy: string shown
    properties.roleName: string effect
    properties.description: string kept
    properties.assignableScopes properties.permissions[].actions|notActions|dataActions|notDataActions: strings effect

Microsoft.Authorization/roleAssignments
    id|name|type: string shown
    properties.scope|createdOn|updatedOn|createdBy|updatedBy: string shown
    properties.delegatedManagedIdentityResourceId: string shown =""
    properties.roleDefinitionId|principalId|principalType|condition|conditionVersion: string effect
    properties.description: string kept

Microsoft.Authorization/locks
    id|name|type: string shown
    properties.level: string effect
    properties.notes: string kept
    properties.owners[].applicationId: string kept

Microsoft.Authorization/denyAssignments
    id|name|type: string shown
    properties.scope|createdOn|updatedOn|createdBy|updatedBy: string shown
    properties.isSystemProtected|doNotApplyToChildScopes: any shown =false
    properties.denyAssignmentEffect: string shown ="Enforced"
    properties.denyAssignmentName: string effect
    properties.description: string kept
    properties.permissions[].actions|notActions: strings effect
    properties.permissions[].dataActions|notDataActions: any shown =[]
    properties.principals[].id|type properties.excludePrincipals[].id|type: string effect

Microsoft.Network/virtualNetworks/subnets
    name properties.addressPrefix properties.networkSecurityGroup.id: string effect
    id|type|etag properties.serviceEndpoints[].provisioningState: string shown
    properties.delegations[].id|type|etag|properties.provisioningState properties.provisioningState: string shown
    properties.addressPrefixes: strings effect
    properties.serviceEndpoints[].service properties.delegations[].name|properties.serviceName: string kept
    properties.serviceEndpoints[].locations: strings kept
    properties.delegations[].properties.actions: strings shown
    properties.ipConfigurations: objects shown
    properties.privateEndpointNetworkPolicies: string shown 2019-04 ="Disabled"
    properties.privateLinkServiceNetworkPolicies: string shown 2019-04 ="Enabled"

Microsoft.Network/virtualNetworks
    id|name|type|etag properties.provisioningState|resourceGuid: string shown
    location: string effect
    tags: free kept patch
    properties.addressSpace.addressPrefixes: strings effect
    properties.subnets[]: objects effect Microsoft.Network/virtualNetworks/subnets
    properties.dhcpOptions|encryption: object kept
    properties.flowTimeoutInMinutes: any kept
    properties.privateEndpointVNetPolicies: string kept 2024-01
    properties.virtualNetworkPeerings: any shown =[]
    properties.enableDdosProtection|enableVmProtection: any shown =false

Microsoft.Network/networkSecurityGroups/securityRules
    name properties.protocol|access|direction: string effect
    properties.sourcePortRange|destinationPortRange|sourceAddressPrefix|destinationAddressPrefix: string effect
    id|type|etag|properties.provisioningState: string shown
    properties.sourcePortRanges|destinationPortRanges|sourceAddressPrefixes|destinationAddressPrefixes: strings effect
    properties.priority: any effect
    properties.description: string kept

Microsoft.Network/networkSecurityGroups
    id|name|type|etag properties.provisioningState|resourceGuid: string shown
    location: string effect
    tags: free kept patch
    properties.securityRules[]: objects effect Microsoft.Network/networkSecurityGroups/securityRules
    properties.defaultSecurityRules|networkInterfaces|subnets: objects shown

Microsoft.Network/publicIPAddresses
    id|name|type|etag properties.ipAddress|dnsSettings.fqdn: string shown
    properties.publicIPAddressVersion: string shown ="IPv4"
    properties.provisioningState|resourceGuid: string shown
    location|sku.name properties.publicIPAllocationMethod|dnsSettings.domainNameLabel: string effect
    sku.tier: string shown ="Regional"
    tags: free kept patch
    zones properties.idleTimeoutInMinutes|ipTags: any kept
    properties.ipConfiguration: object shown
    properties.ddosSettings: object shown 2022-05
    properties.ddosSettings.protectionMode: string shown ="VirtualNetworkInherited"

Microsoft.Network/networkInterfaces
    id|name|type|etag properties.ipConfigurations[].id|type|etag|properties.provisioningState: string shown
    properties.provisioningState|resourceGuid|macAddress: string shown
    kind: string shown 2021-05
    location properties.networkSecurityGroup.id: string effect
    properties.ipConfigurations[].name|properties.subnet.id|properties.publicIPAddress.id: string effect
    properties.ipConfigurations[].properties.privateIPAddress|privateIPAllocationMethod: string effect
    tags: free kept patch
    properties.ipConfigurations[].properties.primary: any shown
    properties.ipConfigurations[].properties.privateIPAddressVersion: string shown ="IPv4"
    properties.dnsSettings.appliedDnsServers|internalDomainNameSuffix|internalFqdn: any shown
    properties.hostedWorkloads|tapConfigurations|virtualMachine|primary: any shown
    properties.networkSecurityGroup.name|type|etag|location|tags|properties: any shown
    properties.ipConfigurations[].properties.subnet.name|type|etag|properties: any shown
    properties.ipConfigurations[].properties.publicIPAddress.name|type|etag|location|tags|sku|zones|properties: any shown
    properties.enableAcceleratedNetworking|enableIPForwarding: any kept
    properties.dnsSettings.dnsServers|internalDnsNameLabel: any kept
    properties.disableTcpStateTracking: any kept 2022-05
    properties.allowPort25Out: any shown 2021-05
    properties.nicType: string shown 2020-04 ="Standard"
    properties.vnetEncryptionSupported: any shown 2020-04

Microsoft.Compute/virtualMachines
    id|name|type identity.principalId|tenantId properties.storageProfile.imageReference.exactVersion: string shown
    properties.storageProfile.osDisk.createOption: string shown ="FromImage"
    properties.storageProfile.osDisk.osType: string shown ="Linux"
    properties.storageProfile.osDisk.managedDisk.id: string shown
    properties.osProfile.linuxConfiguration.patchSettings.patchMode: string shown ="ImageDefault"
    properties.provisioningState|vmId: string shown
    etag: string shown 2024-07
    location properties.storageProfile.imageReference.publisher|offer|sku: string effect
    properties.osProfile.adminUsername|adminPassword|computerName|customData: string effect
    properties.osProfile.linuxConfiguration.ssh.publicKeys[].path|keyData: string effect
    tags: free kept patch
    zones properties.osProfile.linuxConfiguration.disablePasswordAuthentication: any kept
    identity.type properties.hardwareProfile.vmSize: string effect patch
    properties.networkProfile.networkInterfaces[].id: string effect patch
    identity.userAssignedIdentities: free effect patch
    properties.storageProfile.imageReference.id|version: string kept
    properties.storageProfile.osDisk.name|caching|managedDisk.storageAccountType: string kept
    properties.storageProfile.osDisk.deleteOption: string kept 2021-03
    properties.storageProfile.osDisk.diskSizeGB: any shown =30
    properties.storageProfile.dataDisks properties.osProfile.secrets: any shown =[]
    properties.osProfile.allowExtensionOperations|requireGuestProvisionSignal: any shown =true
    properties.osProfile.linuxConfiguration.provisionVMAgent: any shown =true
    properties.osProfile.linuxConfiguration.enableVMAgentPlatformUpdates: any shown =false
    properties.osProfile.linuxConfiguration.patchSettings.assessmentMode: string shown 2021-03 ="ImageDefault"
    properties.networkProfile.networkInterfaces[].properties: object kept patch
    properties.diagnosticsProfile|priority|evictionPolicy|billingProfile|securityProfile: any kept patch
    properties.additionalCapabilities|licenseType: any kept patch
    properties.timeCreated: string shown 2021-11
    properties.instanceView: object shown
    resources: any shown

Microsoft.Compute/virtualMachines/extensions
    id|name|type|properties.provisioningState: string shown
    location properties.publisher|type|typeHandlerVersion: string effect
    tags: free kept
    properties.settings|protectedSettings: free effect
    properties.autoUpgradeMinorVersion|forceUpdateTag: any kept

Microsoft.Compute/virtualMachines/runCommand
    commandId parameters[].name|value: string effect
    script: strings effect

Microsoft.ContainerRegistry/registries
    id|name|type|sku.tier identity.principalId|tenantId: string shown
    properties.loginServer|creationDate|provisioningState: string shown
    systemData: object shown 2020-11/2021-09
    location: string effect
    sku.name identity.type properties.networkRuleSet.defaultAction: string effect patch
    tags: free kept patch
    identity.userAssignedIdentities: free effect patch
    properties.adminUserEnabled properties.networkRuleSet.ipRules[].value: any effect patch
    properties.publicNetworkAccess: string effect patch 2019-12/2021-09
    properties.networkRuleSet.ipRules[].action: string shown patch ="Allow"
    properties.networkRuleSet.virtualNetworkRules: any shown patch
    properties.policies: object effect patch 2019-05
    properties.policies.quarantinePolicy|trustPolicy|retentionPolicy: object kept patch
    properties.policies.exportPolicy: object kept patch 2021-06/2021-09
    properties.policies.softDeletePolicy: object kept patch 2021-12/2023-07
    properties.policies.azureADAuthenticationAsArmPolicy: object effect patch 2021-12/2023-07
    properties.encryption|privateEndpointConnections properties.dataEndpointHostNames: any shown 2019-12/2021-09
    properties.dataEndpointEnabled: any kept patch 2019-12/2021-09
    properties.networkRuleBypassOptions: any effect patch 2020-11/2021-09
    properties.zoneRedundancy: any kept patch 2020-11/2021-09
    properties.anonymousPullEnabled: any effect patch 2021-06/2023-07
    properties.metadataSearch: any kept patch 2023-08/never
    properties.autoGeneratedDomainNameLabelScope: string effect 2024-11/never
    properties.roleAssignmentMode: string effect patch 2025-03/2025-11
    properties.networkRuleBypassAllowedForTasks: any kept patch 2025-05/2025-11
    properties.regionalEndpoints: any effect patch 2026-01/never
    properties.endpointProtocol: any kept patch 2026-01/never
    properties.regionalEndpointHostNames: any shown 2026-01/never
    properties.writableCacheRepos: any kept patch 2026-04/never

Microsoft.ContainerRegistry/registries/importImage
    source.sourceImage|registryUri|resourceId|credentials.username|credentials.password mode: string effect
    targetTags|untaggedTargetRepositories: strings effect

Microsoft.ContainerRegistry/registries/regenerateCredential
    name: string effect

Microsoft.ContainerRegistry/checkNameAvailability
    name|type|autoGeneratedDomainNameLabelScope: string effect
"""


@dataclass
class Member:
    """A member: what holds for it, and for those inside it."""

    json_type: str = "object"
    role: str = ""
    """effect, kept or shown; nothing for an object that only holds others."""
    patch: bool = False
    only: Any = None
    """The one value that is taken; any where it is None."""
    since: tuple[str, str] = ("", "")
    members: dict[str, Member] = field(default_factory=dict)

    def at(self, path: str) -> Member:
        """The member at a path, which is made where it is not there yet."""
        found = self
        for name in path.split("."):
            found = found.members.setdefault(name.removesuffix("[]"), Member())
            found.json_type = "objects" if name.endswith("[]") else found.json_type
        return found

    @property
    def changeable(self) -> bool:
        """Whether PATCH changes it, or something inside it."""
        return self.patch or any(member.changeable for member in self.members.values())

    def unchangeable(self, given: Json) -> set[str]:
        """The names of what would be set here on a resource that is there, and may not."""
        return {name for name in given if name not in self.members or not self.members[name].changeable}

    def kept(self, given: Json) -> Json:
        """The members that are kept and shown as they are, of what is given."""
        return {name: given[name] for name, member in self.members.items() if member.role == "kept" and name in given}

    def refusal(self, value: Any) -> str:
        """What the value should be, where it is something else."""
        items = {"objects": dict, "strings": str}.get(self.json_type)
        if items and not isinstance(value, list):
            return "an array"
        if items and not all(isinstance(each, items) for each in value):
            return f"an array of {self.json_type}"
        if self.json_type in ("object", "free") and not isinstance(value, dict):
            return "an object"
        return "a string" if self.json_type == "string" and not isinstance(value, str) else ""


def _read(table: str) -> dict[str, Member]:
    types: dict[str, Member] = {}
    for line in filter(None, table.splitlines()):
        if not line.startswith(" "):
            resource = types.setdefault(line, Member())
            continue
        groups, _, words = line.partition(": ")
        for member in (resource.at(path) for group in groups.split() for path in _paths(group)):
            member.json_type, member.role, *further = words.split()
            for word in further:
                if word == "patch":
                    member.patch = True
                elif word.startswith("="):
                    member.only = json.loads(word[1:])
                elif word in types:
                    member.members = types[word].members
                else:
                    preview, _, stable = word.partition("/")
                    member.since = (preview, stable or preview)
    return types


def _paths(group: str) -> list[str]:
    """Names with | between them stand beside each other: what is in front of the first one is in front of all."""
    before, dot, _ = group.partition("|")[0].rpartition(".")
    return [before + dot + name for name in group.removeprefix(before + dot).split("|")]


TYPES = _read(_TABLE)
"""By the type of a resource or, for a request, by the operation that it asks for."""
_UNKNOWN = Member("any")


class NotEmulated(Exception):
    """A member that is neither emulated nor kept and shown: to take it would be to say yes to what is not done."""


def checked(body: Json, resource_type: str, *, patch: bool = False) -> Json:
    """The body of a request, or of a PATCH, without the members that are null, which mean the same as absent.

    Raises:
        ValueError: a member is not what it must be; the handlers rely on it.
        NotEmulated: a member, or its value, is none that the table knows.
    """
    known = TYPES.get(resource_type, _UNKNOWN)
    result: Json = _checked(body, known, "", patch and known.changeable)
    return result


def _checked(value: Any, member: Member, path: str, patch: bool) -> Any:
    if isinstance(value, list):
        return [_checked(each, member, f"{path}[{position}]", patch) for position, each in enumerate(value)]
    if not isinstance(value, dict) or member.json_type == "free":
        return value
    result: Json = {}
    for name, given in value.items():
        inner, where = member.members.get(name, _UNKNOWN), f"{path}.{name}" if path else name
        if given is None:
            continue
        if (member.members and name not in member.members) or (patch and not inner.changeable):
            raise NotEmulated(where)
        if wanted := inner.refusal(given):
            raise ValueError(f"{where} must be {wanted}")
        if inner.only is not None and str(given).lower() != str(inner.only).lower():
            raise NotEmulated(f"{where} {json.dumps(given):.80}")
        result[name] = _checked(given, inner, where, patch and not inner.patch)
    return result


def shown(resource: Json, version: str) -> Json:
    """The members of a resource that a version of the API has; those without a version are in all of them."""
    found: Json = _shown(resource, TYPES[resource["type"]], version)
    return found


def _shown(value: Any, member: Member, version: str) -> Any:
    if isinstance(value, list):
        return [_shown(each, member, version) for each in value]
    if not isinstance(value, dict):
        return value
    column = 0 if version.endswith("-preview") else 1
    return {
        name: _shown(each, inner, version)
        for name, each in value.items()
        if version >= (inner := member.members.get(name, _UNKNOWN)).since[column]
    }
