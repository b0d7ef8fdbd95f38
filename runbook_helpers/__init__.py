"""The verbs of the runbook: one function for each documented ``az`` command, each to be called again at will."""

from .connection import Azure, connect
from .errors import RunbookError
from .identities import assign_identity, create_identity, show_identity
from .parameters import check_parameters
from .registries import create_registry, import_image, show_image, show_registry
from .resource_groups import create_resource_group, delete_resource_group
from .results import show_result
from .roles import assign_role
from .shell import Completed, Shell, ssh
from .virtual_machines import create_vm, public_ip_address, show_vm
from .vm_software import acr_login, az_login, docker_pull, install_azure_cli, install_docker

__all__ = [
    "Azure",
    "Completed",
    "RunbookError",
    "Shell",
    "acr_login",
    "assign_identity",
    "assign_role",
    "az_login",
    "check_parameters",
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
    "show_identity",
    "show_image",
    "show_registry",
    "show_result",
    "show_vm",
    "ssh",
]
