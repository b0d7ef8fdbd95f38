"""What the document does on the VM: Docker, Azure CLI, signing in, pulling. Each step is the document's command list."""

from __future__ import annotations

import base64
import json
import re
import shlex
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ..connection import Azure
from ..errors import AccessDenied, CommandFailed, OperationTimeout
from ..refusals import is_refusal
from ..run.progress import step
from ..ssh.client import Shell, ssh
from ..ssh.jobs import Completed
from .identities import identity_of, principals_of
from .registries import show_registry
from .roles import role_assignments
from .virtual_machines import show_vm

HELLO_IMAGE = "mcr.microsoft.com/hello-world"
INSTALL_SCRIPT = "https://aka.ms/InstallAzureCLIDeb"
METADATA_TOKEN = "http://169.254.169.254/metadata/identity/oauth2/token"
PROPAGATION = "Azure does not act on the role assignment yet"
BROKEN_SECONDS = 60.0  # how long another failure than a refusal is taken for a passing one
ROLE_SECONDS = 600.0  # how long Azure may take until a role assignment has an effect
LOGIN_SECONDS = 5.0  # between two sign-ins
APT_SECONDS = 5.0  # between two tries to install
LOCK_SECONDS = 300.0  # how long another apt may be at work
_LOCKED = re.compile("could not get lock|unable to lock", re.IGNORECASE)
_PASSES = re.compile("failed to fetch|hash sum mismatch|temporary failure|connection (failed|timed out)", re.IGNORECASE)
RESOURCE_ID_SINCE = (2, 69)  # the azure-cli that brought `az login --identity --resource-id`


def install_docker(azure: Azure, vm_name: str) -> Completed:
    """Docker on the VM, installed where it is missing, and what ``docker run … hello-world`` says.

    The documented commands: ``sudo apt update``, ``sudo apt install docker.io -y``,
    ``sudo docker run -it mcr.microsoft.com/hello-world``

    The admin user joins the group docker, so that az and docker are run by the same user; and ``-it`` is left out,
    since it needs a terminal.
    """
    with step(f"Docker on {vm_name}") as progress, ssh(azure, vm_name) as shell:
        if shell.run("which", "docker", check=False).exit_status != 0:
            progress.waits_for("the VM ends its first boot")
            shell.run("cloud-init", "status", "--wait", check=False)  # it may hold apt's lock after the first boot
            progress.waits_for("apt installs docker.io")
            _apt_install(shell, "docker.io")
        shell.run("sudo", "usermod", "-aG", "docker", _user(shell))
        progress.waits_for("Docker starts")
        shell.retry("sudo", "docker", "info", within=BROKEN_SECONDS, interval=2.0)
        return shell.run_job("sudo", "docker", "run", "--rm", HELLO_IMAGE)


def _apt_install(shell: Shell, package: str) -> None:
    """Install a package; three times where the mirror is just being changed, or does not answer."""
    # Another apt (unattended upgrades) may hold a lock: this waits for dpkg's, but not for that of the package lists.
    apt = "sudo DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300"
    began, tries = time.monotonic(), 0
    while True:
        try:
            # One job: a run that is killed between the two has done neither, and they are done once.
            shell.run_job("sh", "-c", f"{apt} update && {apt} install {package} -y", once=True)
        except CommandFailed as error:
            locked = _LOCKED.search(error.completed.stderr) and time.monotonic() - began < LOCK_SECONDS
            tries += not locked
            if not locked and (tries == 3 or not _PASSES.search(error.completed.stderr)):
                raise
            time.sleep(APT_SECONDS)
        else:
            return


def _user(shell: Shell) -> str:
    return shell.run("whoami").stdout.strip()


def install_azure_cli(azure: Azure, vm_name: str) -> str:
    """The version of Azure CLI on the VM; installed where it is missing.

    The documented step: install the Azure CLI with apt (``curl -sL https://aka.ms/InstallAzureCLIDeb | sudo bash``).
    """
    with step(f"Azure CLI on {vm_name}") as progress, ssh(azure, vm_name) as shell:
        if shell.run("which", "az", check=False).exit_status != 0:
            progress.waits_for("apt installs it")
            shell.run_job("bash", "-c", f"set -o pipefail; curl -fsSL {INSTALL_SCRIPT} | sudo bash", once=True)
        return _azure_cli_version(shell)


def _azure_cli_version(shell: Shell) -> str:
    return str(json.loads(shell.run("az", "version", "--output", "json").stdout)["azure-cli"])


def az_login(azure: Azure, vm_name: str, identity_id: str | None = None, *, within: float = ROLE_SECONDS) -> Completed:
    """Sign Azure CLI on the VM in with one of the VM's identities; who was signed in before is forgotten.

    The documented commands: ``az cloud set -n AzureChinaCloud``, ``az login --identity --username <userID>``, and
    without ``--username`` the same for the system-assigned identity.

    Waits while the identity's first role assignment is not visible yet, and while the VM gets another identity's token
    where none is named: a new system-assigned identity may not be visible there yet.

    Args:
        identity_id: resource id of a user-assigned identity; None names none, which is the system-assigned identity
            where the VM has one.
        within: seconds to wait.

    Raises:
        AccessDenied: the VM does not have the identity, or the identity has no role assignment at all.
        CommandFailed: time is up.
        OperationTimeout: time is up, and the VM still gets the token of another identity.
    """
    meant, principal_id = identity_of(show_vm(azure, vm_name), identity_id)
    if principal_id is None:
        wanted = meant or "a system-assigned identity"
        raise AccessDenied(f"The VM {vm_name} does not have {wanted}: give it to the VM with assign_identity.")

    def hopeless(completed: Completed) -> str | None:
        if not is_refusal(completed.stderr):
            passing.check(completed)
            return None
        passing.ends()
        progress.waits_for(PROPAGATION)
        if _has_any_role(azure, principal_id):
            return None
        return (
            f"`{completed.command}` failed because the identity with principal id {principal_id} has no role assignment "
            f"in the subscription {azure.subscription_id}: grant it AcrPull on the registry with assign_role."
        )

    passing = _Passing(vm_name)
    with step(f"Azure CLI on {vm_name}", "signed in") as progress, ssh(azure, vm_name) as shell:
        since = time.monotonic()
        shell.run("az", "logout", check=False)
        shell.run("az", "cloud", "set", "-n", azure.cloud.name)
        flags: list[str] = []
        if identity_id is not None:
            version = tuple(int(part) for part in _azure_cli_version(shell).split(".")[:2])
            # --username, as documented, is an error since azure-cli 2.73.
            flags = ["--resource-id" if version >= RESOURCE_ID_SINCE else "--username", identity_id]
        while True:
            # Asked before the sign-in: what the VM once sees it goes on to see. Azure CLI does not tell whose token it got.
            seen = None if flags else _claims(shell, azure.cloud.audiences[0]).get("oid")
            left = since + within - time.monotonic()
            completed = shell.retry("az", "login", "--identity", *flags, within=left, hopeless=hopeless)
            if flags or seen == principal_id:
                return completed
            shell.run("az", "logout", check=False)
            if time.monotonic() + LOGIN_SECONDS > since + within:
                got = f"a token of the one with principal id {seen}" if seen else "none that can be read"
                message = (
                    f"The VM {vm_name} does not see the identity with principal id {principal_id} after {within:.0f} s: its "
                    f"metadata service gave {got}, so Azure CLI is not signed in. Run this step again."
                )
                raise OperationTimeout(message)
            progress.waits_for("the VM does not see its identity yet")
            time.sleep(LOGIN_SECONDS)


class _Passing:
    """What is no refusal (a new identity that the metadata service does not know yet, Docker that is just starting): it
    passes soon, or it does not pass."""

    def __init__(self, vm_name: str) -> None:
        self._vm_name = vm_name
        self._since: float | None = None

    def check(self, completed: Completed) -> None:
        """Told each such failure.

        Raises:
            CommandFailed: it is there for BROKEN_SECONDS.
        """
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since >= BROKEN_SECONDS:
            raise CommandFailed(completed, self._vm_name)

    def ends(self) -> None:
        self._since = None


def _has_any_role(azure: Azure, principal_id: str) -> bool:
    found = azure.authorization.role_assignments.list_for_subscription(filter=f"principalId eq '{principal_id}'")
    return any(True for _ in found)


def acr_login(azure: Azure, vm_name: str, registry_name: str, *, within: float = ROLE_SECONDS) -> Completed:
    """Sign Docker on the VM in to the registry, with the identity that Azure CLI is signed in with.

    The documented command: ``az acr login --name myContainerRegistry``

    What Docker knew of the registry before is forgotten first. Waits while a role assignment has no effect yet.

    Args:
        within: seconds to wait.

    Raises:
        AccessDenied: the registry refuses, and no identity of the VM has a role assignment on it.
        CommandFailed: time is up.
    """
    registry = show_registry(azure, registry_name)
    principals = principals_of(show_vm(azure, vm_name)).values()

    def hopeless(completed: Completed) -> str | None:
        if not is_refusal(completed.stderr):
            passing.check(completed)
            return None
        passing.ends()
        progress.waits_for(PROPAGATION)
        if any(role_assignments(azure, assignee=principal, scope=str(registry.id)) for principal in principals):
            return None
        return (
            f"`{completed.command}` failed because no identity of the VM {vm_name} has a role assignment on the registry "
            f"{registry_name}: grant it AcrPull there with assign_role."
        )

    passing = _Passing(vm_name)
    with step(f"Docker on {vm_name}", "signed in") as progress, ssh(azure, vm_name) as shell:
        shell.run("docker", "logout", str(registry.login_server))
        return shell.retry("az", "acr", "login", "--name", registry_name, within=within, hopeless=hopeless)


def docker_pull(azure: Azure, vm_name: str, reference: str) -> str:
    """Pull an image to the VM; returns its digest.

    The documented command: ``docker pull mycontainerregistry.azurecr.cn/aci-helloworld:v1``

    Args:
        reference: registry/repository:tag.

    Raises:
        CommandFailed: docker refuses, in its own words.
    """
    with step(f"Image {reference}", "pulled") as progress, ssh(azure, vm_name) as shell:
        progress.waits_for("docker pulls it")
        shell.run_job("docker", "pull", reference)
        shown = shell.run("docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", reference)
        return shown.stdout.strip().partition("@")[2]


@dataclass(frozen=True)
class Attempt:
    """A pull that was tried."""

    digest: str | None
    """Of the image that was pulled."""
    refusal: str | None
    """Why there is none."""

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
    except (AccessDenied, CommandFailed) as error:
        return Attempt(None, refusal(error))


def refusal(error: AccessDenied | CommandFailed) -> str:
    """What a refusal says.

    Raises:
        CommandFailed: the error itself, where it is no refusal.
    """
    if isinstance(error, CommandFailed) and not is_refusal(error.completed.stderr):
        raise error
    return error.words if isinstance(error, CommandFailed) else str(error)


def identity_claims(azure: Azure, vm_name: str, audience: str, identity_id: str | None = None) -> dict[str, Any] | None:
    """What a token of one of the VM's identities says; None where the metadata service gives none.

    The documented way to one: ``curl 'http://169.254.169.254/metadata/identity/oauth2/token?…' -H Metadata:true``

    Only the token's second part, its claims, leaves the VM: nobody can use them without the signature.

    Args:
        audience: whom the token is for.
        identity_id: as for `az_login`.
    """
    with ssh(azure, vm_name) as shell:
        return _claims(shell, audience, identity_id) or None


def _claims(shell: Shell, audience: str, identity_id: str | None = None) -> dict[str, Any]:
    """As `identity_claims`; empty where there is no token."""
    query = {"api-version": "2018-02-01", "resource": audience}
    if identity_id is not None:
        query["msi_res_id"] = identity_id
    url = shlex.quote(f"{METADATA_TOKEN}?{urlencode(query)}")
    # The token stands first in the answer, so nothing but its claims is between the first dot and the second.
    told = shell.run("bash", "-c", f"curl -s -m 30 -H Metadata:true {url} | cut -s -d. -f2", check=False)
    payload = told.stdout.strip()
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:  # an error's text
        return {}
    return claims if isinstance(claims, dict) else {}
