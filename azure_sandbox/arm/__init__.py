"""Azure Resource Manager: all its routes, by provider. Each provider namespace has a file in this room that answers them.

A route says the method, the path as in Azure's reference, the action that the caller must be allowed on the resource that
the path names, and the handler. gateway.py finds the route of a request.
"""

from __future__ import annotations

from types import ModuleType

from .. import resource as types
from . import (
    authorization,
    compute,
    container_registry,
    deny_assignments,
    deployments,
    image_import,
    locks,
    managed_identity,
    network,
    resources,
    vm_extensions,
)
from .call import Handler, Route

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUPS = SUBSCRIPTION + "/resourcegroups"
IN_GROUP = SUBSCRIPTION + "/resourceGroups/{group}/providers/"
COMPUTE = SUBSCRIPTION + "/providers/Microsoft.Compute/locations/{location}"
PUBLISHERS = COMPUTE + "/publishers"
OFFERS = PUBLISHERS + "/{publisher}/artifacttypes/vmimage/offers"
SKUS = OFFERS + "/{offer}/skus"
IMAGES = SKUS + "/{sku}/versions"
IMAGE = "Microsoft.Compute/images"
NETWORK = SUBSCRIPTION + "/providers/Microsoft.Network/locations/{location}"
REGISTRY = SUBSCRIPTION + "/providers/Microsoft.ContainerRegistry/locations/{location}"


def _at(path: str, prefix: str, *routes: tuple[str, str, str | None, Handler]) -> list[Route]:
    """Routes that have the beginning of their path, and of their action, in common."""
    return [
        Route(method, path + rest, None if action is None else prefix + action, handler)
        for method, rest, action, handler in routes
    ]


def _lists(resource_type: str, provider: ModuleType) -> list[Route]:
    """The resources of a type in a group, and in the subscription: those that the caller may read."""
    paths = (IN_GROUP + resource_type, f"{SUBSCRIPTION}/providers/{resource_type}")
    return [Route("GET", path, None, provider.get_all) for path in paths]


def _resources(resource_type: str, provider: ModuleType) -> list[Route]:
    """The routes of the resources of a type."""
    resource = _at(
        IN_GROUP + resource_type + "/{name}",
        resource_type,
        ("PUT", "", "/write", provider.put),
        ("PATCH", "", "/write", provider.patch),
        ("GET", "", "/read", provider.get),
        ("DELETE", "", "/delete", provider.delete),
    )
    return [*_lists(resource_type, provider), *resource]


def _children(path: str, resource_type: str, put: Handler) -> list[Route]:
    """The routes of the resources that are stored inside another one."""
    return _at(
        IN_GROUP + path,
        resource_type,
        ("GET", "", "/read", network.list_children),
        ("GET", "/{name}", "/read", network.get_child),
        ("PUT", "/{name}", "/write", put),
        ("DELETE", "/{name}", "/delete", network.delete_child),
    )


def _locks() -> tuple[tuple[str, str, str, Handler], ...]:
    return (
        ("GET", "locks", "locks/read", locks.get_all),
        ("PUT", "locks/{name}", "locks/write", locks.put),
        ("GET", "locks/{name}", "locks/read", locks.get),
        ("DELETE", "locks/{name}", "locks/delete", locks.delete),
    )


def _roles(scope: str) -> list[Route]:
    """Roles and their assignments, at the tenant, a subscription, or a group or a resource in it."""
    read = "roleDefinitions/read" if scope else None  # what roles there are, everybody may know
    return _at(
        f"{scope}/providers/Microsoft.Authorization/",
        "Microsoft.Authorization/",
        *((("GET", "permissions", None, authorization.list_permissions),) if scope else ()),
        ("GET", "roleDefinitions", read, authorization.list_definitions),
        ("GET", "roleDefinitions/{name}", read, authorization.get_definition),
        ("PUT", "roleDefinitions/{name}", "roleDefinitions/write", authorization.put_definition),
        ("DELETE", "roleDefinitions/{name}", "roleDefinitions/delete", authorization.delete_definition),
        ("GET", "roleAssignments", "roleAssignments/read", authorization.list_assignments),
        ("PUT", "roleAssignments/{name}", "roleAssignments/write", authorization.put_assignment),
        ("GET", "roleAssignments/{name}", "roleAssignments/read", authorization.get_assignment),
        ("DELETE", "roleAssignments/{name}", "roleAssignments/delete", authorization.delete_assignment),
        ("GET", "denyAssignments", "denyAssignments/read", deny_assignments.get_all),
        ("PUT", "denyAssignments/{name}", "denyAssignments/write", deny_assignments.put),
        ("GET", "denyAssignments/{name}", "denyAssignments/read", deny_assignments.get),
        ("DELETE", "denyAssignments/{name}", "denyAssignments/delete", deny_assignments.delete),
        *(_locks() if scope else ()),
    )


ROUTES = [
    # Microsoft.Resources
    *_at(
        "",
        "",
        ("GET", "/metadata/endpoints", None, resources.endpoints),
        ("GET", "/subscriptions", None, resources.list_subscriptions),
        ("GET", "/tenants", None, resources.list_tenants),
        ("GET", SUBSCRIPTION, None, resources.get_subscription),
    ),
    *_at(
        SUBSCRIPTION,
        "",
        ("GET", "/locations", None, resources.list_locations),
        ("GET", "/providers", None, resources.list_providers),
        ("GET", "/providers/{namespace}", None, resources.get_provider),
        ("POST", "/providers/{namespace}/register", "{namespace}/register/action", resources.register_provider),
        ("POST", "/providers/{namespace}/unregister", "{namespace}/unregister/action", resources.register_provider),
    ),
    *_at(
        GROUPS,
        "Microsoft.Resources/subscriptions/resourceGroups",
        ("GET", "", None, resources.list_groups),
        ("PUT", "/{name}", "/write", resources.put_group),
        ("GET", "/{name}", "/read", resources.get_group),
        ("PATCH", "/{name}", "/write", resources.patch_group),
        ("HEAD", "/{name}", "/read", resources.head_group),
        ("DELETE", "/{name}", "/delete", resources.delete_group),
    ),
    Route("GET", SUBSCRIPTION + "/resources", None, resources.list_resources),
    Route("GET", GROUPS + "/{group}/resources", None, resources.list_resources),
    Route("GET", SUBSCRIPTION + "/operationresults/{job}", None, resources.get_operation_result),
    *_lists(types.DEPLOYMENT, deployments),
    *_at(
        GROUPS + "/{group}/providers/Microsoft.Resources/deployments/{name}",
        types.DEPLOYMENT,
        ("PUT", "", "/write", deployments.put),
        ("GET", "", "/read", deployments.get),
        ("DELETE", "", "/delete", deployments.delete),
        ("POST", "/validate", "/validate/action", deployments.validate),
        ("POST", "/whatIf", "/whatIf/action", deployments.what_if),
        ("GET", "/operationStatuses/{id}", None, deployments.get_operation),
    ),
    # Microsoft.Network
    *_resources(types.NETWORK, network),
    *_resources(types.SECURITY_GROUP, network),
    *_resources(types.ADDRESS, network),
    *_resources(types.INTERFACE, network),
    *_children(types.NETWORK + "/{parent}/subnets", types.SUBNET, network.put_subnet),
    *_children(types.SECURITY_GROUP + "/{parent}/securityRules", types.SECURITY_RULE, network.put_security_rule),
    Route("GET", NETWORK + "/operations/{id}", None, network.get_operation),
    Route("GET", NETWORK + "/operationResults/{id}", None, network.get_operation),
    # Microsoft.Compute
    *_resources(types.VIRTUAL_MACHINE, compute),
    *_at(
        IN_GROUP + types.VIRTUAL_MACHINE + "/{name}",
        types.VIRTUAL_MACHINE,
        ("GET", "/instanceView", "/instanceView/read", compute.get_instance_view),
        ("POST", "/start", "/start/action", compute.start),
        ("POST", "/powerOff", "/powerOff/action", compute.power_off),
        ("POST", "/deallocate", "/deallocate/action", compute.deallocate),
        ("POST", "/restart", "/restart/action", compute.restart),
        ("POST", "/runCommand", "/runCommand/action", compute.run_command),
    ),
    *_at(
        IN_GROUP + types.VIRTUAL_MACHINE + "/{parent}/extensions",
        types.EXTENSION,
        ("GET", "", "/read", vm_extensions.get_all),
        ("GET", "/{name}", "/read", vm_extensions.get),
        ("PUT", "/{name}", "/write", vm_extensions.put),
        ("DELETE", "/{name}", "/delete", vm_extensions.delete),
    ),
    Route("GET", COMPUTE + "/operations/{id}", None, compute.get_operation),
    Route("GET", COMPUTE + "/vmSizes", "Microsoft.Compute/locations/vmSizes/read", compute.list_sizes),
    Route("GET", PUBLISHERS, "Microsoft.Compute/locations/publishers/read", compute.list_publishers),
    Route("GET", OFFERS, "Microsoft.Compute/locations/publishers/artifacttypes/offers/read", compute.list_offers),
    Route("GET", SKUS, "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/read", compute.list_skus),
    Route("GET", f"{IN_GROUP}{IMAGE}/{{name}}", f"{IMAGE}/read", compute.get_custom_image),
    *_at(
        IMAGES,
        "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions",
        ("GET", "", "/read", compute.list_image_versions),
        ("GET", "/{version}", "/read", compute.get_image_version),
    ),
    # Microsoft.ManagedIdentity
    *_resources(types.IDENTITY, managed_identity),
    # Microsoft.Authorization
    *_roles(""),
    *_roles(SUBSCRIPTION),
    *_roles(SUBSCRIPTION + "/{scope:path}"),
    # Microsoft.ContainerRegistry
    *_at(
        SUBSCRIPTION + "/providers/Microsoft.ContainerRegistry/checkNameAvailability",
        "Microsoft.ContainerRegistry/checkNameAvailability",
        ("POST", "", "/read", container_registry.check_name),
    ),
    *_resources(types.REGISTRY, container_registry),
    *_at(
        IN_GROUP + types.REGISTRY + "/{name}",
        types.REGISTRY,
        ("POST", "/importImage", "/importImage/action", image_import.import_image),
        ("GET", "/listUsages", "/listUsages/read", container_registry.list_usages),
        ("GET", "/replications", "/replications/read", container_registry.list_replications),
        ("POST", "/listCredentials", "/listCredentials/action", container_registry.list_credentials),
        ("POST", "/regenerateCredential", "/regenerateCredential/action", container_registry.regenerate_credential),
        ("GET", "/operationStatuses/{id}", "/operationStatuses/read", container_registry.get_operation),
    ),
    Route("GET", REGISTRY + "/operationResults/{id}", None, container_registry.get_operation),
]
"""All that the sandbox emulates of Resource Manager."""
