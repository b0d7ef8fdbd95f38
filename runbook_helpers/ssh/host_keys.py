"""Host keys of VMs that this runbook did not make: read through Azure, which has proved itself, and pinned."""

from __future__ import annotations

import base64
import hashlib
import shlex
from typing import TYPE_CHECKING

from ..arguments import checked
from ..connection import Azure
from ..errors import ConnectionFailed
from ..verbs.ensure import wait
from ..verbs.virtual_machines import public_address_of, show_vm
from .transport import host_key_shown

if TYPE_CHECKING:
    from azure.mgmt.compute.models import VirtualMachine

# A line each: one that is missing does not hide the others. The last one has the script end well all the same.
SCRIPT = [*(f"cat /etc/ssh/ssh_host_{kind}_key.pub" for kind in ("ed25519", "ecdsa", "rsa")), "true"]
KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
"""Those that count, the best first; an RSA key proves itself with SHA-2 only (see `transport`)."""


@checked
def trust_vm(azure: Azure, vm_name: str, *, first_use: bool = False) -> str:
    """Pin the host key of an existing VM, so that `ssh` accepts no other server; returns its fingerprint.

    The documented case: "if you already have an Azure virtual machine, skip this step". The VM's agent reads the keys, and
    Azure hands them over: ``az vm run-command invoke --command-id RunShellScript --scripts "cat
    /etc/ssh/ssh_host_*_key.pub"``. What was pinned before is replaced.

    Args:
        first_use: believe what answers at the VM's address now instead, for a VM whose agent does not work. Whoever is in
            between is believed too: compare the fingerprint with one that you know from elsewhere.

    Raises:
        ConnectionFailed: the VM shows no host key; or with `first_use`, its key is known already or nobody answers.
    """
    vm = show_vm(azure, vm_name)
    key = _at_first_use(azure, vm) if first_use else _through_azure(azure, vm_name)
    azure.keys.pin(str(vm.id), key, vm.vm_id)
    return fingerprint(key)


def admission(azure: Azure, vm_name: str) -> str:
    """The command that lets this runbook's key into a VM: a user of it is changed, so this is left to its owner."""
    vm = show_vm(azure, vm_name)
    user = vm.os_profile.admin_username if vm.os_profile else None
    words = ["az", "vm", "user", "update", "--resource-group", azure.at_vm.resource_group, "--name", vm_name]
    words += ["--username", user or "azureuser", "--ssh-key-value", azure.keys.public_key()]
    return shlex.join(words)


def fingerprint(public_key: str) -> str:
    """The fingerprint of a public key as OpenSSH shows it: SHA256:…"""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _through_azure(azure: Azure, vm_name: str) -> str:
    from azure.mgmt.compute.models import RunCommandInput

    # A lost answer would not say whether it ran; this one may run twice, but a POST is never sent again blindly.
    poller = azure.at_vm.compute.virtual_machines.begin_run_command(
        azure.at_vm.resource_group, vm_name, RunCommandInput(command_id="RunShellScript", script=SCRIPT), retry_total=0
    )
    result = wait(azure, poller, f"run-command on the VM {vm_name}")
    printed = "".join(each.message or "" for each in result.value or [])
    key = best_key(printed.partition("[stdout]")[2].partition("[stderr]")[0])
    if key is None:
        raise ConnectionFailed(f"The VM {vm_name} shows no SSH host key that counts: {', '.join(KINDS)}.")
    return key


def best_key(text: str) -> str | None:
    """The best of the public keys in a text, one a line; what is none is passed over."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] in KINDS and _is_key(words[0], words[1]):
            found.setdefault(words[0], f"{words[0]} {words[1]}")
    return next((found[kind] for kind in KINDS if kind in found), None)


def _is_key(kind: str, encoded: str) -> bool:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        load_ssh_public_key(f"{kind} {encoded}".encode())
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _at_first_use(azure: Azure, vm: VirtualMachine) -> str:
    pin = azure.keys.pinned(str(vm.id))
    if pin and pin.vm_id in (None, vm.vm_id):
        message = f"The host key of the VM {vm.name} is known already: first use is over. Leave --first-use out."
        raise ConnectionFailed(message)
    return host_key_shown(azure, public_address_of(azure, vm))
