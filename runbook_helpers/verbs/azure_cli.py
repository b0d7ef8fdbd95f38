"""Azure CLI on a VM: installing it, signing in to Azure and to a registry with an identity of the VM."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from ..connection import Azure
from ..errors import AccessDenied, CommandRefused, OperationTimeout
from ..run.progress import step
from ..ssh.client import Shell, ssh
from ..ssh.completed import Completed
from .docker import docker_pull
from .identities import identity_of, principals_of, token_claims
from .registries import show_registry
from .roles import role_assignments

INSTALL_SCRIPT = "https://aka.ms/InstallAzureCLIDeb"
PROPAGATION = "Azure does not act on the role assignment yet"
RESOURCE_ID_SINCE = (2, 69)  # the azure-cli that brought `az login --identity --resource-id`


def install_azure_cli(azure: Azure, vm_name: str) -> str:
    """The version of Azure CLI on the VM; installed where it is missing.

    The documented step: install the Azure CLI with apt (``curl -sL https://aka.ms/InstallAzureCLIDeb | sudo bash``).
    """
    with step(f"Azure CLI on {vm_name}") as progress, ssh(azure, vm_name) as shell:
        if shell.run("which", "az", check=False).exit_status != 0:
            progress.waits_for("apt installs it")
            shell.run_detached("bash", "-c", f"set -o pipefail; curl -fsSL {INSTALL_SCRIPT} | sudo bash", once=True)
        return _azure_cli_version(shell)


def _azure_cli_version(shell: Shell) -> str:
    return str(json.loads(shell.run("az", "version", "--output", "json").stdout)["azure-cli"])


def az_login(azure: Azure, vm_name: str, identity_id: str | None = None, *, within: float | None = None) -> Completed:
    """Sign Azure CLI on the VM in with one of the VM's identities; who was signed in before is forgotten.

    The documented commands: ``az cloud set -n AzureChinaCloud``, ``az login --identity --username <userID>``, and
    without ``--username`` the same for the system-assigned identity.

    Waits while the identity's first role assignment is not visible yet, and while the VM gets another identity's token
    where none is named: a new system-assigned identity may not be visible there yet.

    Args:
        identity_id: resource id of a user-assigned identity; None names none, which is the system-assigned identity
            where the VM has one.
        within: seconds to wait; `Timeouts.role` where left out.

    Raises:
        AccessDenied: the VM does not have the identity, or the identity has no role assignment at all.
        CommandFailed: time is up.
        OperationTimeout: time is up, and the VM still gets the token of another identity.
    """
    limit = azure.timeouts.role if within is None else within
    with step(f"Azure CLI on {vm_name}", "signed in") as progress, ssh(azure, vm_name) as shell:
        meant, principal_id = identity_of(shell.vm, identity_id)
        if principal_id is None:
            wanted = meant or "a system-assigned identity"
            raise AccessDenied(f"The VM {vm_name} does not have {wanted}: give it to the VM with assign_identity.")

        def check_roles(refusal: CommandRefused) -> None:
            progress.waits_for(PROPAGATION)
            assignments = azure.authorization.role_assignments
            if not any(True for _ in assignments.list_for_subscription(filter=f"principalId eq '{principal_id}'")):
                message = (
                    f"`{refusal.completed.command}` failed because the identity with principal id {principal_id} has no role "
                    f"assignment in the subscription {azure.subscription_id}: grant it AcrPull on the registry with "
                    "assign_role."
                )
                raise AccessDenied(message) from refusal

        since = time.monotonic()
        shell.run("az", "logout", check=False)
        shell.run("az", "cloud", "set", "-n", azure.cloud.name)
        flags = [] if identity_id is None else [_identity_flag(shell), identity_id]
        while True:
            # Asked before the sign-in: what the VM once sees it goes on to see. Azure CLI does not show whose token it got.
            seen = None if flags else token_claims(shell, azure.cloud.audiences[0]).get("oid")
            left = since + limit - time.monotonic()
            completed = shell.retry("az", "login", "--identity", *flags, within=left, on_refusal=check_roles)
            if flags or seen == principal_id:
                return completed
            shell.run("az", "logout", check=False)
            if time.monotonic() + azure.timeouts.login_interval > since + limit:
                got = f"a token of the one with principal id {seen}" if seen else "none that can be read"
                message = (
                    f"The VM {vm_name} does not see the identity with principal id {principal_id} after {limit:.0f} s: its "
                    f"metadata service gave {got}, so Azure CLI is not signed in. Run this step again."
                )
                raise OperationTimeout(message)
            progress.waits_for("the VM does not see its identity yet")
            time.sleep(azure.timeouts.login_interval)


def _identity_flag(shell: Shell) -> str:
    """The option that takes an identity's resource id: --username, as documented, is an error since azure-cli 2.73."""
    version = tuple(int(part) for part in _azure_cli_version(shell).split(".")[:2])
    return "--resource-id" if version >= RESOURCE_ID_SINCE else "--username"


def acr_login(azure: Azure, vm_name: str, registry_name: str, *, within: float | None = None) -> Completed:
    """Sign Docker on the VM in to the registry, with the identity that Azure CLI is signed in with.

    The documented command: ``az acr login --name myContainerRegistry``

    What Docker knew of the registry before is forgotten first. Waits while a role assignment has no effect yet.

    Args:
        within: seconds to wait; `Timeouts.role` where left out.

    Raises:
        AccessDenied: the registry refuses, and no identity of the VM has a role assignment on it.
        CommandFailed: time is up.
    """
    limit = azure.timeouts.role if within is None else within
    registry = show_registry(azure, registry_name)
    with step(f"Docker on {vm_name}", "signed in") as progress, ssh(azure, vm_name) as shell:

        def check_roles(refusal: CommandRefused) -> None:
            progress.waits_for(PROPAGATION)
            principals, scope = principals_of(shell.vm).values(), str(registry.id)
            if not any(role_assignments(azure, assignee=principal, scope=scope) for principal in principals):
                message = (
                    f"`{refusal.completed.command}` failed because no identity of the VM {vm_name} has a role assignment on "
                    f"the registry {registry_name}: grant it AcrPull there with assign_role."
                )
                raise AccessDenied(message) from refusal

        shell.run("docker", "logout", str(registry.login_server))
        return shell.retry("az", "acr", "login", "--name", registry_name, within=limit, on_refusal=check_roles)


@dataclass(frozen=True)
class Attempt:
    """A pull that was tried."""

    digest: str | None
    """Of the image that was pulled."""
    refusal: str | None
    """The reason why none was."""

    def __repr__(self) -> str:
        return f"pulled {self.digest}" if self.digest else f"refused: {self.refusal}"


def try_pull(azure: Azure, vm_name: str, registry_name: str, image: str, identity_id: str | None = None) -> Attempt:
    """Sign in with an identity and pull, once and without waiting; a refusal is the result and not an error.

    The documented commands: those of `az_login`, `acr_login` and `docker_pull`.

    Args:
        image: repository:tag in the registry.
        identity_id: as for `az_login`.

    Raises:
        CommandFailed: what is no refusal: docker does not run, there is no such tag, the disk is full.
        OperationTimeout: as for `az_login`.
    """
    reference = f"{show_registry(azure, registry_name).login_server}/{image}"
    try:
        az_login(azure, vm_name, identity_id, within=0)
        acr_login(azure, vm_name, registry_name, within=0)
        return Attempt(docker_pull(azure, vm_name, reference), None)
    except (AccessDenied, CommandRefused) as error:
        return Attempt(None, error.words)
