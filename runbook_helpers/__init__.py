"""The verbs of the runbook: one function for each documented ``az`` command, each to be called again at will."""

from .connection import Azure, connect
from .errors import RunbookError
from .journey import Journey, show_journey
from .parameters import check_parameters
from .run.result import show_result
from .ssh.client import Shell, ssh
from .ssh.completed import Completed
from .ssh.host_keys import trust_vm
from .verbs.azure_cli import acr_login, az_login, install_azure_cli, try_pull
from .verbs.clean_up import delete_resource_group
from .verbs.docker import docker_pull, install_docker
from .verbs.identities import assign_identity, create_identity, remove_identity, show_identity
from .verbs.preflight import check_permissions
from .verbs.registries import create_registry, import_image, show_image, show_registry
from .verbs.resource_groups import create_resource_group
from .verbs.roles import assign_role, remove_role, role_to_pull
from .verbs.virtual_machines import create_vm, public_ip_address, show_vm

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
    "role_to_pull",
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
