"""What the sandbox knows of each member of a resource, or of a request: one table, and what is asked of it.

A line has the paths of members and what holds for them: their JSON kind; whether they have an effect, are kept (taken and
shown as they are, without an effect) or are only shown (the sandbox's own, whatever is sent); whether PATCH changes them;
and the preview and the stable version of the API that show them first (or never). What is in no line is neither looked at nor kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .resource import Json

# Kinds: string, strings, object, objects; free is an object that stays as it is, nulls and all; any is not looked at.
_TABLE = """
Microsoft.Resources/subscriptions/resourceGroups
    id|name|type|properties.provisioningState                         string  shown
    location                                                          string  effect
    managedBy                                                         string  kept
    tags                                                              free    kept patch

Microsoft.Resources/deployments
    id|name|type                                                      string  shown
    location                                                          string  kept
    tags                                                              free    kept
    properties.mode                                                   string  kept
    properties.template|parameters                                    free    effect
    properties.templateHash|provisioningState|timestamp|duration|correlationId  string  shown
    properties.providers|dependencies|outputResources                 objects shown
    properties.outputs                                                free    shown

Microsoft.ManagedIdentity/userAssignedIdentities
    id|name|type                                                      string  shown
    location                                                          string  effect
    tags                                                              free    kept patch
    properties.tenantId|principalId|clientId                          string  shown

Microsoft.Authorization/roleDefinitions
    id|name|type                                                      string  shown
    properties.roleName                                               string  effect
    properties.description                                            string  kept
    properties.assignableScopes                                       strings effect
    properties.permissions[].actions|notActions|dataActions|notDataActions  strings effect
    properties.type|createdOn|updatedOn|createdBy|updatedBy           string  shown

Microsoft.Authorization/roleAssignments
    id|name|type                                                      string  shown
    properties.roleDefinitionId|principalId|principalType|condition|conditionVersion  string  effect
    properties.description                                            string  kept
    properties.scope|createdOn|updatedOn|createdBy|updatedBy|delegatedManagedIdentityResourceId  string  shown

Microsoft.Network/virtualNetworks/subnets
    name                                                              string  effect
    id|type|etag                                                      string  shown
    properties.addressPrefix                                          string  effect
    properties.addressPrefixes                                        strings effect
    properties.networkSecurityGroup.id                                string  effect
    properties.serviceEndpoints[].service                             string  kept
    properties.serviceEndpoints[].locations                           strings kept
    properties.serviceEndpoints[].provisioningState                   string  shown
    properties.delegations[].name|properties.serviceName              string  kept
    properties.delegations[].id|type|etag|properties.provisioningState  string  shown
    properties.delegations[].properties.actions                       strings shown
    properties.provisioningState                                      string  shown
    properties.ipConfigurations                                       objects shown
    properties.privateEndpointNetworkPolicies|privateLinkServiceNetworkPolicies  string  shown 2019-04

Microsoft.Network/virtualNetworks
    id|name|type|etag                                                 string  shown
    location                                                          string  effect
    tags                                                              free    kept patch
    properties.addressSpace.addressPrefixes                           strings effect
    properties.subnets[]                                              objects effect of Microsoft.Network/virtualNetworks/subnets
    properties.dhcpOptions|encryption                                 object  kept
    properties.flowTimeoutInMinutes                                   any     kept
    properties.privateEndpointVNetPolicies                            string  kept 2024-01
    properties.provisioningState|resourceGuid                         string  shown
    properties.virtualNetworkPeerings|enableDdosProtection|enableVmProtection  any  shown

Microsoft.Network/networkSecurityGroups/securityRules
    name                                                              string  effect
    id|type|etag|properties.provisioningState                         string  shown
    properties.protocol|access|direction                              string  effect
    properties.sourcePortRange|destinationPortRange|sourceAddressPrefix|destinationAddressPrefix  string  effect
    properties.sourcePortRanges|destinationPortRanges|sourceAddressPrefixes|destinationAddressPrefixes  strings effect
    properties.priority                                               any     effect
    properties.description                                            string  kept

Microsoft.Network/networkSecurityGroups
    id|name|type|etag                                                 string  shown
    location                                                          string  effect
    tags                                                              free    kept patch
    properties.securityRules[]                 objects effect of Microsoft.Network/networkSecurityGroups/securityRules
    properties.defaultSecurityRules|networkInterfaces|subnets         objects shown
    properties.provisioningState|resourceGuid                         string  shown

Microsoft.Network/publicIPAddresses
    id|name|type|etag                                                 string  shown
    location|sku.name                                                 string  effect
    sku.tier                                                          string  kept
    tags                                                              free    kept patch
    zones                                                             any     kept
    properties.publicIPAllocationMethod|dnsSettings.domainNameLabel   string  effect
    properties.idleTimeoutInMinutes|ipTags                            any     kept
    properties.ipAddress|publicIPAddressVersion|dnsSettings.fqdn      string  shown
    properties.provisioningState|resourceGuid                         string  shown
    properties.ipConfiguration                                        object  shown
    properties.ddosSettings                                           object  shown 2022-05

Microsoft.Network/networkInterfaces
    id|name|type|etag                                                 string  shown
    kind                                                              string  shown 2021-05
    location                                                          string  effect
    tags                                                              free    kept patch
    properties.networkSecurityGroup.id                                string  effect
    properties.ipConfigurations[].name|properties.subnet.id|properties.publicIPAddress.id  string  effect
    properties.ipConfigurations[].properties.privateIPAddress|privateIPAllocationMethod  string  effect
    properties.ipConfigurations[].id|type|etag|properties.provisioningState  string  shown
    properties.ipConfigurations[].properties.primary|privateIPAddressVersion  any  shown
    properties.enableAcceleratedNetworking|enableIPForwarding         any     kept
    properties.disableTcpStateTracking                                any     kept 2022-05
    properties.dnsSettings.dnsServers|internalDnsNameLabel            any     kept
    properties.dnsSettings.appliedDnsServers|internalDomainNameSuffix|internalFqdn  any  shown
    properties.provisioningState|resourceGuid|macAddress              string  shown
    properties.hostedWorkloads|tapConfigurations|virtualMachine|primary  any  shown
    properties.allowPort25Out                                         any     shown 2021-05
    properties.nicType|vnetEncryptionSupported                        any     shown 2020-04

Microsoft.Compute/virtualMachines
    id|name|type                                                      string  shown
    etag                                                              string  shown 2024-07
    location                                                          string  effect
    tags                                                              free    kept patch
    zones                                                             any     kept
    identity.type                                                     string  effect patch
    identity.userAssignedIdentities                                   free    effect patch
    identity.principalId|tenantId                                     string  shown
    properties.hardwareProfile.vmSize                                 string  effect patch
    properties.storageProfile.imageReference.publisher|offer|sku      string  effect
    properties.storageProfile.imageReference.id|version               string  kept
    properties.storageProfile.imageReference.exactVersion             string  shown
    properties.storageProfile.osDisk.name|caching|managedDisk.storageAccountType  string  kept
    properties.storageProfile.osDisk.deleteOption                     string  kept 2021-03
    properties.storageProfile.osDisk.createOption|managedDisk.id|osType  string  shown
    properties.storageProfile.osDisk.diskSizeGB                       any     shown
    properties.storageProfile.dataDisks                               any     shown
    properties.osProfile.adminUsername|adminPassword|computerName|customData  string  effect
    properties.osProfile.secrets|allowExtensionOperations|requireGuestProvisionSignal  any  shown
    properties.osProfile.linuxConfiguration.ssh.publicKeys[].path|keyData  string  effect
    properties.osProfile.linuxConfiguration.disablePasswordAuthentication  any     kept
    properties.osProfile.linuxConfiguration.provisionVMAgent|enableVMAgentPlatformUpdates  any  shown
    properties.osProfile.linuxConfiguration.patchSettings.patchMode   string  shown
    properties.osProfile.linuxConfiguration.patchSettings.assessmentMode  string  shown 2021-03
    properties.networkProfile.networkInterfaces[].id                  string  effect patch
    properties.networkProfile.networkInterfaces[].properties          object  kept patch
    properties.diagnosticsProfile|priority|evictionPolicy|billingProfile|securityProfile  any  kept patch
    properties.additionalCapabilities|licenseType                     any     kept patch
    properties.provisioningState|vmId                                 string  shown
    properties.timeCreated                                            string  shown 2021-11
    properties.instanceView                                           object  shown

Microsoft.Compute/virtualMachines/runCommand
    commandId                                                         string  effect
    script                                                            strings effect

Microsoft.ContainerRegistry/registries
    id|name|type|sku.tier                                             string  shown
    systemData                                                        object  shown 2020-11/2021-09
    location                                                          string  effect
    sku.name                                                          string  effect patch
    tags                                                              free    kept patch
    identity.type                                                     string  effect patch
    identity.userAssignedIdentities                                   free    effect patch
    identity.principalId|tenantId                                     string  shown
    properties.loginServer|creationDate|provisioningState             string  shown
    properties.adminUserEnabled                                       any     effect patch
    properties.publicNetworkAccess                                    string  effect patch 2019-12/2021-09
    properties.networkRuleSet.defaultAction                           string  effect patch
    properties.networkRuleSet.ipRules[].value                         any     effect patch
    properties.networkRuleSet.ipRules[].action                        any     shown
    properties.networkRuleSet.virtualNetworkRules                     any     shown
    properties.policies                                               object  effect patch 2019-05
    properties.policies.quarantinePolicy|trustPolicy|retentionPolicy  object  kept patch
    properties.policies.exportPolicy                                  object  kept patch 2021-06/2021-09
    properties.policies.softDeletePolicy                              object  kept patch 2021-12/2023-07
    properties.policies.azureADAuthenticationAsArmPolicy              object  effect patch 2021-12/2023-07
    properties.encryption|privateEndpointConnections                  any     shown 2019-12/2021-09
    properties.dataEndpointHostNames                                  any     shown 2019-12/2021-09
    properties.dataEndpointEnabled                                    any     kept patch 2019-12/2021-09
    properties.networkRuleBypassOptions|zoneRedundancy                any     kept patch 2020-11/2021-09
    properties.anonymousPullEnabled                                   any     effect patch 2021-06/2023-07
    properties.metadataSearch                                         any     kept patch 2023-08/never
    properties.autoGeneratedDomainNameLabelScope                      string  effect 2024-11/never
    properties.roleAssignmentMode                                     string  effect patch 2025-03/2025-11
    properties.networkRuleBypassAllowedForTasks                       any     kept patch 2025-05/2025-11
    properties.regionalEndpoints|endpointProtocol                     any     kept patch 2026-01/never
    properties.regionalEndpointHostNames                              any     shown 2026-01/never
    properties.writableCacheRepos                                     any     kept patch 2026-04/never

Microsoft.ContainerRegistry/registries/importImage
    source.sourceImage|registryUri                                    string  effect
    mode                                                              string  effect
    targetTags                                                        strings effect

Microsoft.ContainerRegistry/registries/regenerateCredential
    name                                                              string  effect

Microsoft.ContainerRegistry/checkNameAvailability
    name|type|autoGeneratedDomainNameLabelScope                       string  effect
"""


@dataclass
class Member:
    """What holds for a member, and for those inside it."""

    kind: str = "object"
    role: str = ""
    """effect, kept or shown; nothing for an object that only holds others."""
    patch: bool = False
    since: tuple[str, str] = ("", "")
    members: dict[str, Member] = field(default_factory=dict)

    def at(self, path: str) -> Member:
        """The member at a path, which is made where it is not there yet."""
        found = self
        for name in path.split("."):
            found = found.members.setdefault(name.removesuffix("[]"), Member())
            found.kind = "objects" if name.endswith("[]") else found.kind
        return found

    @property
    def changeable(self) -> bool:
        """Whether PATCH changes it, or something inside it."""
        return self.patch or any(member.changeable for member in self.members.values())

    def unchangeable(self, given: Json) -> set[str]:
        """The names of what a PATCH would set here and may not."""
        return {name for name in given if name not in self.members or not self.members[name].changeable}

    def kept(self, given: Json) -> Json:
        """The members that are kept and shown as they are, of what is given."""
        return {name: given[name] for name, member in self.members.items() if member.role == "kept" and name in given}

    def refusal(self, value: Any) -> str:
        """What the value should be, where it is something else."""
        items = {"objects": dict, "strings": str}.get(self.kind)
        if items and not isinstance(value, list):
            return "an array"
        if items and not all(isinstance(each, items) for each in value):
            return f"an array of {self.kind}"
        if self.kind in ("object", "free") and not isinstance(value, dict):
            return "an object"
        return "a string" if self.kind == "string" and not isinstance(value, str) else ""


def _read(table: str) -> dict[str, Member]:
    """Names with | between them stand beside each other: what is in front of the first one is in front of all."""
    types: dict[str, Member] = {}
    for line in filter(None, table.splitlines()):
        if not line.startswith(" "):
            kind = types.setdefault(line, Member())
            continue
        paths, *words = line.split()
        before, dot, _ = paths.partition("|")[0].rpartition(".")
        for name in paths.removeprefix(before + dot).split("|"):
            member = kind.at(before + dot + name)
            member.kind, member.role, member.patch = words[0], words[1], "patch" in words
            for word in words[2:]:
                if word[0].isdigit():
                    preview, _, stable = word.partition("/")
                    member.since = (preview, stable or preview)
                elif word in types:
                    member.members = types[word].members
    return types


TYPES = _read(_TABLE)
"""By the type of a resource or, for a request, by the operation that it asks for."""
_UNKNOWN = Member("any")


def checked(body: Json, kind: str) -> Json:
    """The body without the members that are null, which mean the same as absent.

    Raises ValueError where a member is not what it must be; the handlers rely on it.
    """
    result: Json = _checked(body, TYPES.get(kind, _UNKNOWN), "")
    return result


def _checked(value: Any, member: Member, path: str) -> Any:
    if isinstance(value, list):
        return [_checked(each, member, f"{path}[{position}]") for position, each in enumerate(value)]
    if not isinstance(value, dict) or member.kind == "free":
        return value
    result: Json = {}
    for name, given in value.items():
        inner, where = member.members.get(name, _UNKNOWN), f"{path}.{name}" if path else name
        if given is None:
            continue
        if wanted := inner.refusal(given):
            raise ValueError(f"{where} must be {wanted}")
        result[name] = _checked(given, inner, where)
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
