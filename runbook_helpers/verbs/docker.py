"""Docker on a VM: installing it, pulling an image."""

from __future__ import annotations

import re
import time

from ..arguments import checked
from ..connection import Azure
from ..errors import CommandFailed, CommandRefused
from ..run.progress import step
from ..ssh.client import Shell, ssh
from ..ssh.completed import Completed, FailureKind
from .pull_roles import why_pull_refused

HELLO_IMAGE = "mcr.microsoft.com/hello-world"


@checked
def install_docker(azure: Azure, vm_name: str) -> Completed:
    """Docker on the VM, installed where it is missing, and what ``docker run … hello-world`` prints.

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
            _apt_install(azure, shell, "docker.io")
        if "docker" not in shell.run("id", "-nG").stdout.split():
            shell.run("sudo", "usermod", "-aG", "docker", shell.run("whoami").stdout.strip())
            shell.renew()
        progress.waits_for("Docker starts")
        shell.retry("sudo", "docker", "info", within=azure.timeouts.transient, interval=2.0)
        return shell.run_detached("sudo", "docker", "run", "--rm", HELLO_IMAGE)


def _apt_install(azure: Azure, shell: Shell, package: str) -> None:
    """Install a package; three times where the mirror is just being changed, or does not answer."""
    # Another apt (unattended upgrades) may hold a lock: this waits for dpkg's, but not for that of the package lists.
    apt = "sudo DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300"
    began, tries = time.monotonic(), 0
    while True:
        try:
            # One command: a run that is killed between the two has done neither, and they are done once.
            shell.run_detached("sh", "-c", f"{apt} update && {apt} install {package} -y", once=True)
        except CommandFailed as error:
            locked = error.failure is FailureKind.APT_LOCKED and time.monotonic() - began < azure.timeouts.apt_lock
            tries += not locked
            if not locked and (tries == 3 or error.failure not in (FailureKind.NETWORK, FailureKind.SERVICE_DOWN)):
                raise
            time.sleep(azure.timeouts.apt_interval)
        else:
            return


@checked
def docker_pull(azure: Azure, vm_name: str, reference: str) -> str:
    """Pull an image to the VM; returns its digest.

    The documented command: ``docker pull mycontainerregistry.azurecr.cn/aci-helloworld:v1``

    Args:
        reference: registry/repository:tag, or registry/repository@sha256:…

    Raises:
        CommandRefused: the registry refuses.
        CommandFailed: docker fails for another reason.
    """
    # Docker keeps a sign-in under the name that `az acr login` uses: it would ask Registry.azurecr.cn:443 as nobody.
    host, slash, image = reference.partition("/")
    reference = f"{host.lower().removesuffix(':443')}{slash}{image}"
    with step(f"Image {reference}", "pulled") as progress, ssh(azure, vm_name) as shell:
        progress.waits_for("docker pulls it")
        try:
            printed = shell.run_detached("docker", "pull", reference).stdout
        except CommandRefused as error:
            if advice := why_pull_refused(azure, shell, reference, error.failure):
                raise CommandRefused(error.completed, vm_name, advice) from error
            raise
        pulled = re.search(r"^Digest: (sha256:\w+)", printed, re.MULTILINE)
        if pulled:  # the image may have the digests of other references too
            return pulled[1]
        shown = shell.run("docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", reference)
        return shown.stdout.strip().partition("@")[2]
