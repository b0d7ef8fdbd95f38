"""The verbs of the runbook: one function for each documented ``az`` command, each to be called again at will."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clean_up import delete_resource_group
    from .connection import Azure, connect
    from .errors import RunbookError
    from .host_keys import trust_vm
    from .identities import assign_identity, create_identity, remove_identity, show_identity
    from .jobs import Completed
    from .journey import Journey, show_journey
    from .parameters import check_parameters
    from .preflight import check_permissions
    from .registries import create_registry, import_image, show_image, show_registry
    from .resource_groups import create_resource_group
    from .results import show_result
    from .roles import assign_role, remove_role
    from .shell import Shell, ssh
    from .virtual_machines import create_vm, public_ip_address, show_vm
    from .vm_software import acr_login, az_login, docker_pull, install_azure_cli, install_docker, try_pull

# Where each is. They are imported when they are asked for: the sandbox is below this package and uses none of them, and
# paramiko alone would cost it 15 MB.
_MODULES = {
    "Azure": "connection",
    "Completed": "jobs",
    "Journey": "journey",
    "RunbookError": "errors",
    "Shell": "shell",
    "acr_login": "vm_software",
    "assign_identity": "identities",
    "assign_role": "roles",
    "az_login": "vm_software",
    "check_parameters": "parameters",
    "check_permissions": "preflight",
    "connect": "connection",
    "create_identity": "identities",
    "create_registry": "registries",
    "create_resource_group": "resource_groups",
    "create_vm": "virtual_machines",
    "delete_resource_group": "clean_up",
    "docker_pull": "vm_software",
    "import_image": "registries",
    "install_azure_cli": "vm_software",
    "install_docker": "vm_software",
    "public_ip_address": "virtual_machines",
    "remove_identity": "identities",
    "remove_role": "roles",
    "show_identity": "identities",
    "show_image": "registries",
    "show_journey": "journey",
    "show_registry": "registries",
    "show_result": "results",
    "show_vm": "virtual_machines",
    "ssh": "shell",
    "trust_vm": "host_keys",
    "try_pull": "vm_software",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


__all__ = [
    "Azure",
    "Completed",
    "Journey",
    "RunbookError",
    "Shell",
    "acr_login",
    "assign_identity",
    "assign_role",
    "az_login",
    "check_parameters",
    "check_permissions",
    "connect",
    "create_identity",
    "create_registry",
    "create_resource_group",
    "create_vm",
    "delete_resource_group",
    "docker_pull",
    "import_image",
    "install_azure_cli",
    "install_docker",
    "public_ip_address",
    "remove_identity",
    "remove_role",
    "show_identity",
    "show_image",
    "show_journey",
    "show_registry",
    "show_result",
    "show_vm",
    "ssh",
    "trust_vm",
    "try_pull",
]
