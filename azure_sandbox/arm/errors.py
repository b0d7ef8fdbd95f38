"""The errors of Resource Manager and of its providers: the status, the code and the sentence of each stand here once.

An error is raised by its name, with what the sentence names: ``raise errors.group_not_found(group="g")``.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import JSONResponse

from ..resource import Json

_FAILED: Json = {"status": "Failed"}


class ArmError(Exception):
    """An error answer of Resource Manager or of a provider."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: list[Json] | None = None,
        members: Json | None = None,
        gateway: bool = False,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.target, self.details = status, code, target, details
        self.members = members or {}
        # Resource Manager's own errors carry this header, those of the providers behind it do not.
        self.headers = {"x-ms-failure-cause": "gateway"} if gateway else {}

    def with_headers(self, **headers: str) -> ArmError:
        self.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self

    def response(self) -> JSONResponse:
        error: Json = {"code": self.code, "message": str(self)}
        if self.target:
            error["target"] = self.target
        if self.details is not None:
            error["details"] = self.details
        return JSONResponse({"error": error, **self.members}, status_code=self.status, headers=self.headers)


@dataclass(frozen=True)
class _Kind:
    """A kind of error; called with what its sentence names, it is an error."""

    status: int
    code: str
    sentence: str
    target: str | None = None
    details: bool = False
    """Whether the answer has an array of details, which is empty."""
    members: Json | None = None
    gateway: bool = False

    def __call__(self, **names: object) -> ArmError:
        target = self.target and self.target.format(**names)
        details: list[Json] | None = [] if self.details else None
        message = self.sentence.format(**names)
        return ArmError(
            self.status, self.code, message,
            target=target, details=details, members=self.members, gateway=self.gateway,
        )  # fmt: skip


def _gateway(status: int, code: str, sentence: str) -> _Kind:
    return _Kind(status, code, sentence, gateway=True)


def _invalid(sentence: str, target: str | None = None) -> _Kind:
    return _Kind(400, "InvalidParameter", sentence, target)


def _not_emulated(sentence: str) -> _Kind:
    return _Kind(501, "NotImplementedInSandbox", sentence)


def deployment_failed(status: int, details: list[Json]) -> ArmError:
    """What a deployment answers where one of its resources cannot be made; `details` have that resource's error."""
    message = (
        "At least one resource deployment operation failed. Please list deployment operations for details. Please see "
        "https://aka.ms/arm-deployment-operations for usage details."
    )
    return ArmError(status, "DeploymentFailed", message, details=details)


def invalid_deployment(name: str, details: list[Json]) -> ArmError:
    """What a deployment answers where Resource Manager would not take one of its resources; nothing is made then."""
    message = f"The template deployment '{name}' is not valid according to the validation procedure. See inner errors for details."
    return ArmError(400, "InvalidTemplateDeployment", message, details=details)


def operation_failed(error: Json) -> ArmError:
    """What a long-running operation has ended with, as a fault asked for it."""
    return ArmError(409, error["code"], error["message"])


# fmt: off
# A sentence stays in one piece, so that a search for what was answered finds it.

# Resource Manager itself: who asks, and in which form

missing_version = _gateway(400, "MissingApiVersionParameter",
    "The api-version query parameter (?api-version=) is required for all requests.")
invalid_version = _gateway(400, "InvalidApiVersionParameter",
    "The api-version '{version}' is invalid. The expected format is yyyy-mm-dd[-preview].")
missing_token = _gateway(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
invalid_token = _gateway(401, "InvalidAuthenticationToken", "The access token is invalid.")
expired_token = _gateway(401, "ExpiredAuthenticationToken",
    "The access token expiry UTC time '{expiry}' is earlier than current UTC time '{now}'.")
wrong_audience = _gateway(401, "InvalidAuthenticationTokenAudience",
    "The access token has been obtained for wrong audience or resource '{audience}'. It should exactly match with one of the allowed audiences '{allowed}'.")
wrong_issuer = _gateway(401, "InvalidAuthenticationTokenTenant",
    "The access token is from the wrong issuer '{issuer}'. It must match the tenant '{expected}' associated with this subscription. Please use the authority (URL) '{authority}' to get the token. Note, if the subscription is transferred to another tenant there is no impact to the services, but information about new tenant could take time to propagate (up to an hour).")
not_authorized = _gateway(403, "AuthorizationFailed",
    "The client '{client}' with object id '{principal}' does not have authorization to perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.")
scope_locked = _gateway(409, "ScopeLocked",
    "The scope '{scope}' cannot perform {operation} operation because following scope(s) are locked: '{locked}'. Please remove the lock and try again.")
denied = _gateway(403, "DenyAssignmentAuthorizationFailed",
    "The client '{client}' with object id '{principal}' has permission to perform action '{action}' on scope '{scope}'; however, the access is denied because of the deny assignment with name '{name}' and Id '{id}' at scope '{at}'.")
not_authorized_on_linked = _gateway(403, "LinkedAuthorizationFailed",
    "The client '{client}' with object id '{principal}' has permission to perform action '{own}' on scope '{scope}'; however, it does not have permission to perform action '{action}' on the linked scope(s) '{linked}' or the linked scope(s) are invalid.")
throttled = _gateway(429, "SubscriptionRequestsThrottled",
    "Number of {kind} requests for subscription '{subscription}' actor '{principal}' exceeded the limit of '{capacity}'. Please try again after '{seconds}' seconds after additional tokens are available.")
invalid_body = _gateway(400, "InvalidRequestContent",
    "The request content was invalid and could not be deserialized: {reason}.")
subscription_not_found = _gateway(404, "SubscriptionNotFound", "The subscription '{subscription}' could not be found.")
group_not_found = _gateway(404, "ResourceGroupNotFound", "Resource group '{group}' could not be found.")
resource_not_found = _gateway(404, "ResourceNotFound",
    "The Resource '{id.type}/{id.names}' under resource group '{id.group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix")
operation_not_found = _Kind(404, "NotFound", "The operation was not found.")
provider_not_registered = _gateway(409, "MissingSubscriptionRegistration",
    "The subscription is not registered to use namespace '{provider}'. See https://aka.ms/rps-not-found for how to register subscriptions.")
invalid_provider = _gateway(404, "InvalidResourceNamespace", "The resource namespace '{provider}' is invalid.")
other_location = _gateway(409, "InvalidResourceLocation",
    "The resource '{name}' already exists in location '{existing}' in resource group '{group}'. A resource with the same name cannot be created in location '{location}'. Please select a new resource name.")
invalid_tag_characters = _gateway(400, "InvalidTagNameCharacters",
    "The tag names '{names}' have reserved characters '<,>,%,&,\\,?,/' or control characters.")
tag_name_too_long = _gateway(400, "InvalidTagName",
    "Tag key too large. Following tag key '{name}' exceeded the maximum length. Maximum allowed length for tag key - '512' characters.")
tag_value_too_long = _gateway(400, "InvalidTagValueLength",
    "Tag value too large. Following tag value '{value}' exceeded the maximum length. Maximum allowed length for tag value - '256' characters.")
too_many_tags = _gateway(400, "TooManyTags",
    "The number of tags on the resource is {count}: the maximum number of tags is 50.")
location_required = _gateway(400, "LocationRequired", "The location property is required for this definition.")
location_not_available = _gateway(400, "LocationNotAvailableForResourceType",
    "The provided location '{location}' is not available for resource type '{resource_type}'. List of available regions for the resource type is '{regions}'.")
reserved_name = _gateway(400, "ReservedResourceName",
    "The resource name '{name}' or a part of the name is a trademarked or reserved word.")
invalid_group_name = _gateway(400, "InvalidResourceGroupName",
    "The provided resource group name '{name}' has these invalid characters or this length: it must have 1 to 90 letters, digits, '.', '_', '-', '(' and ')' and not end with a period.")
location_not_available_for_group = _gateway(400, "LocationNotAvailableForResourceGroup",
    "The provided location '{location}' is not available for resource group. List of available regions is '{regions}'.")
group_in_other_location = _gateway(409, "InvalidResourceGroupLocation",
    "Invalid resource group location '{location}'. The Resource group already exists in location '{existing}'.")
invalid_template = _Kind(400, "InvalidTemplate", "Deployment template validation failed: {reason}.")
sandbox_failed = _Kind(500, "InternalServerError",
    "The sandbox failed to answer: this is a fault of its own, and its log has more.")

# What the sandbox does not emulate

request_not_emulated = _not_emulated(
    "The sandbox does not emulate {method} {path}: it emulates the operations of the walkthrough only, which its documentation lists (docs/sandbox/operations.md).")
member_not_emulated = _not_emulated("The sandbox does not emulate {member} of {resource_type}: leave it out.")
filter_not_emulated = _not_emulated("The sandbox does not emulate the filter {filter!r}: only {known}.")
pages_not_emulated = _not_emulated("The sandbox answers a list whole, in an order of its own: leave {option} out.")
linked_template_not_emulated = _not_emulated(
    "The sandbox emulates deployments with an inline template; properties.template is missing.")
expression_not_emulated = _not_emulated(
    "The sandbox does not emulate this expression of the template language: {expression}.")
template_not_emulated = _not_emulated("The sandbox does not emulate {part} in a template.")
windows_not_emulated = _not_emulated("The sandbox does not emulate Windows.")
image_not_emulated = _not_emulated(
    "The sandbox does not emulate the image {image}: its VMs are Ubuntu {releases}.")
guest_not_emulated = _not_emulated("The sandbox does not emulate this VM: {reason}")
subnet_prefixes_not_emulated = _not_emulated("The sandbox emulates subnets with one address prefix.")
extension_not_emulated = _not_emulated(
    "The sandbox does not emulate the extension '{name}' of '{publisher}': it emulates VMAccessForLinux of Microsoft.OSTCExtensions.")
extension_settings_not_emulated = _not_emulated(
    "The sandbox does not emulate {settings} of VMAccessForLinux: it emulates username and ssh_key.")
other_users_not_emulated = _not_emulated(
    "The sandbox does not emulate other users of a VM than its adminUsername: '{user}' is another one.")
hibernation_not_emulated = _not_emulated("The sandbox does not emulate the hibernation of a VM.")
data_disks_not_emulated = _not_emulated("The sandbox does not emulate the data disks of a VM.")
registry_members_not_emulated = _not_emulated("The sandbox does not emulate these properties of a registry: {members}.")
policy_not_emulated = _not_emulated("The sandbox does not emulate the policy {name}.")
virtual_network_rules_not_emulated = _not_emulated(
    "The sandbox does not emulate the virtual network rules of a registry.")
import_not_emulated = _not_emulated(
    "The sandbox imports images from {public} and from its own registries (NAME{suffix}) only, not from {registry}.")

# Microsoft.Authorization

role_not_found = _Kind(404, "RoleDefinitionDoesNotExist",
    "The specified role definition with ID '{id}' does not exist.")
invalid_role_id = _Kind(400, "InvalidRoleDefinitionId", "The role definition ID '{id}' is not a GUID.")
role_is_built_in = _Kind(400, "RoleDefinitionUpdateNotPermitted",
    "The role definition '{id}' is built in and cannot be changed.")
incomplete_role = _Kind(400, "InvalidRoleDefinition",
    "A role definition needs properties.roleName, properties.permissions and properties.assignableScopes.")
role_name_in_use = _Kind(409, "RoleDefinitionWithSameNameExists",
    "A custom role with the same name already exists in this directory. Use a different name: '{name}'.")
role_in_use = _Kind(400, "RoleDefinitionHasAssignments",
    "There are existing role assignments referencing role '{id}'. Delete them first.")
assignment_not_found = _Kind(404, "RoleAssignmentNotFound", "The role assignment '{name}' is not found.")
invalid_assignment_name = _Kind(400, "InvalidRoleAssignmentId",
    "The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID.")
invalid_condition_version = _Kind(400, "InvalidConditionVersion",
    "The role assignment has a condition: its conditionVersion must be 2.0.")
invalid_condition = _Kind(400, "InvalidCondition", "The condition of the role assignment is invalid: {reason}.")
invalid_principal_id = _Kind(400, "InvalidPrincipalId",
    "The Principal ID '{id}' is not valid. Principal ID must be a GUID.")
invalid_principal_type = _Kind(400, "InvalidPrincipalType", "The principal type '{type}' is invalid: use {known}.")
other_principal_type = _Kind(400, "UnmatchedPrincipalType",
    "The PrincipalId '{id}' has type '{known}', which is different from specified PrincipalType '{type}'.")
principal_not_found = _Kind(400, "PrincipalNotFound",
    "Principal {id} does not exist in the directory {tenant}. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype")
assignment_cannot_change = _Kind(400, "RoleAssignmentUpdateNotPermitted",
    "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.")
lock_not_found = _Kind(404, "LockNotFound", "The lock '{name}' could not be found.")
invalid_lock = _Kind(400, "InvalidLockLevel", "The lock level '{level}' is invalid: it must be one of {levels}.")
denial_not_found = _Kind(404, "DenyAssignmentNotFound", "The deny assignment '{name}' is not found.")
denial_exists = _Kind(409, "DenyAssignmentExists", "Custom deny assignment with the same name {name} already exists.")
invalid_denial = _Kind(400, "InvalidCreateDenyAssignmentRequest", "The deny assignment is invalid: {reason}.")
assignment_exists = _Kind(409, "RoleAssignmentExists",
    "The role assignment already exists. The ID of the existing role assignment is {name}.")

# Microsoft.ManagedIdentity, and the identities of resources

invalid_identity_name = _Kind(400, "InvalidResourceName",
    "The resource name '{name}' is invalid: it must begin with a letter or number and have between 3 and 128 letters, numbers, hyphens and underscores.")
missing_identity_type = _invalid("identity.type is missing: use SystemAssigned, UserAssigned or None.", "identity.type")
invalid_identity_type = _invalid(
    "The identity type '{type}' is not valid: use SystemAssigned, UserAssigned or None.", "identity.type")
unexpected_identities = _invalid(
    'identityIds should not be provided if the type is "{type}"', "resourceIdentity.identityIds")
missing_identities = _invalid(
    "The identity type UserAssigned needs at least one id in userAssignedIdentities.", "identity.userAssignedIdentities")
identity_not_found = _gateway(400, "FailedIdentityOperation",
    "Identity operation for resource '{resource}' failed with error 'Failed to perform resource identity operation. Status: 'BadRequest'. Response: '{{\"error\":{{\"code\":\"BadRequest\",\"message\":\"Resource '{identity}' was not found.\"}}}}'.'.")

# Microsoft.Compute

invalid_vm_name = _invalid(
    "The entity name '{name}' is invalid: a virtual machine's name has 1 to 64 letters, digits, '.', '_' and '-', begins with a letter or digit and does not end with '.' or '-'.", "vmName")
missing_parameter = _invalid("Required parameter '{name}' is missing (null).", "{name}")
invalid_admin_name = _invalid("The Admin Username '{name}' contains invalid characters or is missing.", "adminUsername")
reserved_admin_name = _invalid("The Admin Username specified is not allowed: '{name}'.", "adminUsername")
missing_credentials = _invalid(
    "Authentication using either SSH or by user name and password must be enabled in Linux profile.", "linuxConfiguration")
platform_image_not_found = _Kind(404, "PlatformImageNotFound",
    "The platform image '{image}' is not available. Verify that all fields in the storage profile are correct. For more details about storage profile information, please refer to https://aka.ms/storageprofile", "imageReference")
other_architecture = _invalid(
    "Cannot create a VM of size '{size}' because this VM size only supports a CPU Architecture of '{wanted}', but an image or disk given has CPU Architecture '{given}'. Please check that the CPU Architecture of the image or disk is compatible with that of the VM size.", "vmSize")
invalid_vm_size = _invalid(
    "The value {size} provided for the VM size is not valid. The valid sizes in the current region are: {known}.", "vmSize")
invalid_public_key = _invalid("The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.", "keyData")
custom_data_not_base64 = _invalid("Custom data in OSProfile must be in Base64 encoding.", "customData")
custom_data_too_long = _invalid(
    "Custom data in OSProfile must be in Base64 encoding and with a maximum of 65535.", "customData")
property_cannot_change = _Kind(409, "PropertyChangeNotAllowed", "Changing property '{name}' is not allowed.", "{name}")
provisioning_failed = _Kind(409, "OSProvisioningInternalError",
    "OS Provisioning failed for VM '{name}' due to an internal error: {reason}")
unknown_command = _Kind(404, "NotFound",
    "The entity {command} was not found in this location: the sandbox emulates RunShellScript.")
vm_is_not_running = _Kind(409, "OperationNotAllowed", "Cannot modify extensions in the VM when the VM is not running.")
extension_is_there = _Kind(400, "BadRequest",
    "Multiple VMExtensions per handler not supported for OS type 'Linux'. VMExtension '{name}' with handler '{handler}' already added or specified in input.")
extension_failed = _Kind(409, "VMExtensionProvisioningError",
    "VM has reported a failure when processing extension '{name}' (publisher 'Microsoft.OSTCExtensions' and type 'VMAccessForLinux'). Error message: '{reason}'.")
image_not_found = _Kind(404, "NotFound",
    "Artifact: VMImage was not found: the sandbox has the Ubuntu images of Canonical that it lists, not '{publisher}:{offer}:{sku}'.")
image_version_not_found = _Kind(404, "NotFound", "Artifact: VMImage was not found: {image}")

# Microsoft.Network

linked_resource_not_found = _Kind(404, "NotFound", "Resource {id} not found.", details=True)
invalid_reference = _Kind(400, "InvalidResourceReference",
    "Resource {id} referenced by resource {user} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region. ({member})")
interface_is_used = _Kind(400, "NicInUse", "Network Interface {id} is used by existing resource {user}.")
interface_is_attached = _Kind(400, "NicInUse",
    "Network Interface {id} is used by existing resource {user}. In order to delete the network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.", details=True)

subnet_in_use = _Kind(400, "InUseSubnetCannotBeDeleted",
    "Subnet {name} is in use by {users} and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.", details=True)
prefix_in_use = _Kind(400, "InUsePrefixCannotBeDeleted",
    "IpPrefix {prefix} on Subnet {name} has active allocations and cannot be deleted.", details=True)
security_group_in_use = _Kind(400, "InUseNetworkSecurityGroupCannotBeDeleted",
    "Network security group {id} cannot be deleted because it is in use by the following resources: {users}. In order to delete the Network security group, remove the association with the resource(s). To learn how to do this, see aka.ms/deletensg.", details=True)
address_in_use = _Kind(400, "PublicIPAddressCannotBeDeleted",
    "Public IP address {id} can not be deleted since it is still allocated to resource {users}. In order to delete the public IP, disassociate/detach the Public IP address from the resource.  To learn how to do this, see aka.ms/deletepublicip.", details=True)
address_is_allocated = _Kind(400, "PublicIPAddressInUse",
    "Resource {id} is referencing public IP address {address} that is already allocated to resource {user}.", details=True)
label_in_use = _Kind(400, "DnsRecordInUse", "DNS record {name} is already used by another public IP.", details=True)
invalid_label = _Kind(400, "InvalidDomainNameLabel",
    "The domain name label {label} is invalid. It must conform to the following regular expression: {pattern}.", details=True)
duplicate_name = _Kind(400, "DuplicateResourceName",
    "Resource {id} has two child resources with the same name ({name}).", details=True)
rules_conflict = _Kind(400, "SecurityRuleConflict",
    "Security rule {name} conflicts with rule {other}. Rules cannot have the same Priority and Direction.", details=True)
invalid_port_range = _Kind(400, "SecurityRuleInvalidPortRange",
    "Security rule has invalid Port range. Value provided: {value}. Value should be an integer OR integer range with '-' delimiter. Valid range 0-65535. Security rule: {name}.", details=True)
invalid_rule_prefix = _Kind(400, "SecurityRuleInvalidAddressPrefix",
    "Security rule has invalid Address prefix. Value provided: {value}. Security rule: {name}.", details=True)
subnets_overlap = _Kind(400, "NetcfgSubnetRangesOverlap",
    "Subnet '{name}' is not valid because its IP address range overlaps with that of an existing subnet '{other}' in virtual network '{network}'.", details=True)
invalid_prefix = _Kind(400, "InvalidAddressPrefixFormat",
    "Address prefix {prefix} of resource {id} is not formatted correctly. It should follow CIDR notation, for example 10.0.0.0/24.", details=True)
invalid_cidr = _Kind(400, "InvalidCIDRNotation",
    "The address prefix {prefix} in resource {id} has an invalid CIDR notation. For the given prefix length, the address prefix should be {right}.", details=True)
address_not_in_subnet = _Kind(400, "PrivateIPAddressNotInSubnet",
    "Private static IP address {address} does not belong to the range of subnet prefix {prefix}.", details=True)
address_is_reserved = _Kind(400, "PrivateIPAddressInReservedRange",
    "Private static IP address {address} falls within reserved IP range of subnet prefix {prefix}.", details=True)
private_address_is_allocated = _Kind(400, "PrivateIPAddressIsAllocated",
    "IP configuration {id} is using the private IP address {address} which is already allocated to resource {user}.", details=True)
invalid_network_name = _Kind(400, "InvalidResourceName",
    "Resource name {name} is invalid. It can be up to {longest} characters long, must begin with a letter or digit, must end with a letter, a digit or '_', and may contain letters, digits, '.', '-' and '_'.", details=True)
missing_names = _Kind(400, "InvalidRequestFormat", "Each of properties.{collection} needs a name.", details=True)
no_such_value = _Kind(400, "InvalidRequestFormat",
    "Cannot parse the request: {member} is '{value}', and must be one of {known}.", details=True)
invalid_priority = _Kind(400, "SecurityRuleInvalidPriority",
    "Security rule has invalid Priority. Value provided: {priority} Allowed range 100-4096. Security rule: {name}.", details=True)
subnet_outside_network = _Kind(400, "NetcfgInvalidSubnet",
    "Subnet '{name}' is not valid because its IP address range '{prefix}' is outside the IP address range of virtual network '{network}'.")
subnet_is_full = _Kind(400, "SubnetIsFull", "Subnet {name} does not have enough capacity for 1 IP addresses.")
incomplete_security_rule = _Kind(400, "SecurityRuleInvalidParameter",
    "Required security rule parameters are missing for security rule with Id: {name}: {member}.")
no_basic_address = _Kind(400, "IPv4BasicSkuPublicIpCountLimitReached",
    "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region.", details=True)
address_must_be_static = _Kind(400, "StandardAndStandardV2SkuPublicIPAddressesMustBeStatic",
    "Standard sku publicIp {id} must have AllocationMethod set to Static.", details=True)
no_address_left = _Kind(400, "PublicIPCountLimitReached",
    "The sandbox has no public IP address left: delete some of the VMs' addresses.")
missing_configurations = _Kind(400, "NetworkInterfaceMustHaveOneIpConfiguration",
    "Network interface {id} must have one or more IP configurations.")

# Microsoft.ContainerRegistry

invalid_registry_name = _Kind(400, "InvalidResourceName",
    "Resource name {name} is invalid. It must have 5 to 50 letters and digits and nothing else.")
login_server_in_use = _Kind(409, "AlreadyInUse",
    "The registry DNS name {server} is already in use. You can check if the name is already claimed using following API: https://docs.microsoft.com/en-us/rest/api/containerregistry/registries/checknameavailability", members=_FAILED)
registry_name_in_use = _Kind(409, "RegistryNameAlreadyInUse",
    "The registry name {name} is already in use. You can check if the name is already claimed using following API: https://aka.ms/acr/check-name-availability", members=_FAILED)
classic_sku = _Kind(400, "ClassicSkuDeprecated",
    "Classic SKU is now deprecated. Please use SKU Basic, Standard or Premium.", members=_FAILED)
incomplete_registry = _Kind(400, "InvalidRequestContent",
    "A registry needs a location and a sku.name: Basic, Standard or Premium.")
invalid_sku = _invalid("The sku '{sku}' is invalid: use Basic, Standard or Premium.")
invalid_label_scope = _invalid("The value '{value}' of autoGeneratedDomainNameLabelScope is invalid: use {known}.")
invalid_choice = _invalid("The value '{value}' of {name} is invalid: use {known}.", "{name}")
sku_lacks_feature = _Kind(400, "UnsupportedSkuFeature", "The {feature} feature is not supported for SKU {sku}.")
sku_lacks_network_rules = _Kind(400, "UnsupportedSkuFeature", "Network rules are supported for the SKU Premium only.")
invalid_ip_rule = _invalid("The IP rule '{rule}' is neither an address nor a range.", "networkRuleSet.ipRules")
tag_exists = _Kind(409, "Conflict",
    "Tag {repository}:{tag} already exists in target registry. Please provide the force option to override.")
source_registry_not_named = _invalid(
    "The source of an import needs either resourceId, the id of a registry, or registryUri, its login server.", "source")
source_is_no_registry = _invalid("The source '{id}' is not the id of a container registry.", "source.resourceId")
source_registry_not_found = _invalid("There is no registry {server} to import from.", "source.registryUri")
invalid_target = _invalid(
    "The target '{target}' is invalid: a repository has lower-case letters, digits, '.', '_', '-' and '/', and a tag up to 128 letters, digits, '.', '_' and '-'.", "targetTags")
import_failed = _Kind(400, "InvalidParameters",
    "Operation registries-{operation} failed. Resource {id} Invalid message {reason} {reason} {answer}")
source_image_not_found = _invalid("The image {image} was not found: {reason}", "source.sourceImage")
admin_user_is_off = _Kind(400, "UnAuthorizedForCredentialOperations",
    "Cannot perform credential operations for {id} as admin user is disabled.")
unknown_credential = _invalid("The credential '{name}' is neither password nor password2.")
