"""Azure CLI on a VM: installing it, signing in to Azure and to a registry with an identity of the VM."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..answers import UNREADABLE
from ..arguments import checked
from ..connection import Azure
from ..errors import AccessDenied, CommandFailed, CommandRefused, OperationTimeout
from ..run.progress import step
from ..ssh.client import Shell, ssh
from ..ssh.completed import Completed, FailureKind
from .docker import docker_pull
from .identities import identity_of, is_predecessor, token_claims
from .pull_roles import SignedIn, signed_in_on, why_refused
from .registries import closed_to_the_public, show_registry
from .roles import assignments_below, permissions_of, role_of

if TYPE_CHECKING:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment
    from azure.mgmt.compute.models import VirtualMachine

INSTALL_SCRIPT = "https://aka.ms/InstallAzureCLIDeb"
PROPAGATION = "Azure does not act on the role assignment yet"
RESOURCE_ID_SINCE = (2, 69)  # the azure-cli that brought `az login --identity --resource-id`


@checked
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
    completed = shell.run("az", "version", "--output", "json")
    try:
        return str(json.loads(completed.stdout)["azure-cli"])
    except UNREADABLE as error:
        raise CommandFailed(completed, shell.vm_name) from error


@checked
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
        AccessDenied: the VM does not have the identity, or has its predecessor of the same name, or the identity has no role
            assignment at all.
        CommandFailed: time is up.
        OperationTimeout: time is up, and the VM still gets the token of another identity.
    """
    limit = azure.timeouts.role if within is None else within
    with step(f"Azure CLI on {vm_name}", "signed in") as progress, ssh(azure, vm_name) as shell:
        meant, principal_id = identity_of(shell.vm, identity_id)
        if principal_id is None:
            wanted = meant or "a system-assigned identity"
            raise AccessDenied(f"The VM {vm_name} does not have {wanted}: give it to the VM with assign_identity.")
        _refuse_predecessor(azure, shell.vm, meant)

        def check_roles(refusal: CommandRefused) -> None:
            progress.waits_for(PROPAGATION)
            if not _has_any_role(azure, principal_id):
                message = (
                    f"`{refusal.completed.command}` failed because the identity with principal id {principal_id} has no role "
                    f"assignment in the subscription {azure.subscription_id}: grant it AcrPull on the registry with "
                    "assign_role, or what role_to_pull says."
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
            try:
                completed = shell.retry("az", "login", "--identity", *flags, within=left, on_refusal=check_roles)
            except CommandRefused as error:
                raise CommandRefused(error.completed, vm_name, _needs_reader(azure, principal_id)) from error
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


def _refuse_predecessor(azure: Azure, vm: VirtualMachine, identity_id: str | None) -> None:
    """Say at once that the VM names an identity that is gone, or was made anew under its name: it never gets a token for it."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        made_anew = identity_id is not None and is_predecessor(azure, vm, identity_id)
    except ResourceNotFoundError as error:
        message = (
            f"The VM {vm.name} names the identity {identity_id}, which does not exist any more: make it with create_identity, "
            "then assign_identity and assign_role."
        )
        raise AccessDenied(message) from error
    if identity_id and made_anew:
        message = (
            f"The identity {identity_id.rpartition('/')[2]} was made anew under its name since it was attached to the VM "
            f"{vm.name}, which still has the one that is gone: attach it anew with assign_identity, and give it its roles "
            "anew with assign_role."
        )
        raise AccessDenied(message)


def _has_any_role(azure: Azure, principal_id: str) -> bool:
    """Whether an identity has a role, so that it is waited for; also where we may not look."""
    found = _roles_anywhere(azure, principal_id)
    return found is None or bool(found)


def _needs_reader(azure: Azure, principal_id: str) -> str:
    """What helps where an identity has roles of data actions alone: Azure may not list the subscription to it, and without one
    Azure CLI signs nobody in to a registry."""
    found = _roles_anywhere(azure, principal_id) or []
    held = [(role_of(azure, each), str(each.scope)) for each in found]
    if not held or any(permission.actions for role, _ in held for permission in permissions_of(role)):
        return ""
    role, scope = held[0]
    return (
        f"The identity with principal id {principal_id} has only {role.role_name}, whose actions are all on data: Azure does not "
        f'list the subscription to it, or not yet. Give it Reader too, which shows it no image: assign_role(azure, "Reader", '
        f'assignee="{principal_id}", scope="{scope}"), then run this step again.'
    )


def _roles_anywhere(azure: Azure, principal_id: str) -> list[RoleAssignment] | None:
    """The role assignments of an identity; None where we may not look."""
    from azure.core.exceptions import HttpResponseError

    at = azure.at_registry  # may be in another subscription, of which we need not see more than the registry's group
    group = f"/subscriptions/{at.subscription_id}/resourceGroups/{at.resource_group}"
    try:
        here = assignments_below(azure, f"/subscriptions/{azure.subscription_id}", principal_id)
        return here or (assignments_below(azure, group, principal_id) if at is not azure else [])
    except HttpResponseError as error:
        if error.status_code != 403:
            raise
        return None


def _identity_flag(shell: Shell) -> str:
    """The option that takes an identity's resource id: --username, as documented, is an error since azure-cli 2.73."""
    version = tuple(int(part) for part in _azure_cli_version(shell).split(".")[:2])
    return "--resource-id" if version >= RESOURCE_ID_SINCE else "--username"


@checked
def acr_login(azure: Azure, vm_name: str, registry_name: str, *, within: float | None = None) -> Completed:
    """Sign Docker on the VM in to the registry, with the identity that Azure CLI is signed in with.

    The documented command: ``az acr login --name myContainerRegistry``

    What Docker knew of the registry before is forgotten first. Waits while a role assignment has no effect yet.

    Args:
        within: seconds to wait; `Timeouts.role` where left out.

    Raises:
        AccessDenied: the registry refuses, and the identity that is signed in has no role on it that lets it pull; who has one is
            named. Or the VM does not have that identity any more.
        CommandRefused: the registry's network rules do not admit the VM.
        CommandFailed: time is up, or Azure CLI is not signed in.
    """
    limit = azure.timeouts.role if within is None else within
    registry = show_registry(azure, registry_name)
    with step(f"Docker on {vm_name}", "signed in") as progress, ssh(azure, vm_name) as shell:
        signed_in = signed_in_on(shell, limit)
        if signed_in:
            _refuse_missing(azure, shell.vm, signed_in)

        def check_roles(refusal: CommandRefused) -> None:
            progress.waits_for(PROPAGATION)
            if reason := why_refused(azure, shell.vm, registry, signed_in):
                raise AccessDenied(f"`{refusal.completed.command}` failed because {reason}") from refusal

        server = str(registry.login_server)
        shell.run("docker", "logout", server)
        try:
            return shell.retry(
                "az", "acr", "login", *_names(registry_name, server), within=limit, on_refusal=check_roles
            )
        except CommandRefused as error:
            if error.failure is not FailureKind.NOT_ADMITTED or "is not allowed access" in error.completed.stderr:
                raise
            # Azure CLI leaves out the address that the registry has seen.
            seen = shell.run("curl", "-s", "-m", "30", f"https://{server}/v2/", check=False).stdout
            completed = replace(error.completed, stderr=f"{error.completed.stderr}{seen}")
            raise CommandRefused(completed, vm_name, closed_to_the_public(registry)) from error


def _names(registry_name: str, login_server: str) -> list[str]:
    """The options that say which registry: an identity that may only pull does not see its domain name label."""
    # Azure CLI takes name and label apart whatever it is given, and without the option forgets the label again.
    label = login_server.partition(".")[0].partition("-")[2]
    return ["--name", registry_name, *(["--suffix", label] if label else [])]


def _refuse_missing(azure: Azure, vm: VirtualMachine, signed_in: SignedIn) -> None:
    """Say at once that the VM does not have the identity that Azure CLI is signed in with: it gets no token for it."""
    if signed_in.principal_id is None:
        message = (
            f"Azure CLI on the VM {vm.name} is signed in with {signed_in.name}, which the VM does not have any more: give it to "
            "the VM with assign_identity, then az_login."
        )
        raise AccessDenied(message)
    _refuse_predecessor(azure, vm, signed_in.identity_id)


@dataclass(frozen=True)
class Attempt:
    """A pull that was tried."""

    digest: str | None
    """Of the image that was pulled."""
    refusal: str | None
    """The reason why none was."""

    def __repr__(self) -> str:
        return f"pulled {self.digest}" if self.digest else f"refused: {self.refusal}"


@checked
def try_pull(azure: Azure, vm_name: str, registry_name: str, image: str, identity_id: str | None = None) -> Attempt:
    """Sign in with an identity and pull, once and without waiting; a refusal is the result and not an error.

    The documented commands: those of `az_login`, `acr_login` and `docker_pull`.

    Args:
        image: repository:tag in the registry, or repository@sha256:…
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
