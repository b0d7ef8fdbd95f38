"""A terminal on a VM: the system's own OpenSSH client, with the same key, host key and proxy as `client.ssh`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence

from ..connection import Azure
from ..errors import ConnectionFailed
from ..verbs.virtual_machines import public_address_of, show_vm
from .transport import open_socket

PROXY_VARIABLE = "RUNBOOK_SSH_PROXY"  # not an argument: a proxy's URL may hold a password


def ssh_command(azure: Azure, vm_name: str) -> list[str]:
    """The command line that opens a terminal on a VM.

    The documented command: ``ssh azureuser@publicIpAddress``

    Raises:
        ConnectionFailed: the VM's host key is not known here, or the VM is another one by now.
    """
    vm = show_vm(azure, vm_name)
    assert vm.os_profile and vm.id
    pin = azure.keys.host_key_of(vm)
    azure.keys.pin(vm.id, pin.public_key, pin.vm_id)  # an early version's file is none that OpenSSH takes
    known_host = azure.keys.known_hosts_file(vm.id)
    options = {
        "IdentityFile": f'"{azure.keys.private_key_path()}"',
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": f'"{known_host}"',
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": known_host.name,
        "StrictHostKeyChecking": "yes",
        # Less what is weak, as `transport` leaves it out: an old client still offers some.
        "KexAlgorithms": "-*-sha1",
        "Ciphers": "-*-cbc",
        "MACs": "-*sha1*,*md5*",
        "HostKeyAlgorithms": "-ssh-rsa,ssh-dss",
    }
    options = {
        name: value.replace("%", "%%") for name, value in options.items()
    }  # OpenSSH puts words for %h and others
    if azure.proxy:  # the rest of the line is the command, as the system's shell takes it
        words = [sys.executable.replace("%", "%%"), "-m", __name__, "%h", "%p"]
        options["ProxyCommand"] = subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
    given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", *given, f"{vm.os_profile.admin_username}@{public_address_of(azure, vm)}"]


def open_terminal(azure: Azure, vm_name: str, command: Sequence[str] = ()) -> int:
    """Run OpenSSH in this terminal until it ends; returns its exit status.

    Args:
        command: what to run on the VM; a shell where there is none.

    Raises:
        ConnectionFailed: there is no OpenSSH client on this machine, or the VM's host key is not known here.
    """
    if shutil.which("ssh") is None:
        raise ConnectionFailed("There is no program `ssh` on this machine: install the OpenSSH client.")
    environment = {**os.environ, PROXY_VARIABLE: azure.proxy or ""}
    return subprocess.run([*ssh_command(azure, vm_name), "--", *command], env=environment).returncode


def _connect(host: str, port: int) -> None:
    """OpenSSH's ProxyCommand: pass standard input and output on through the proxy."""
    try:
        connection = open_socket(os.environ.get(PROXY_VARIABLE), host, port)
    except (OSError, ConnectionFailed) as error:
        sys.exit(f"No SSH connection: {error}. Is the VM running, and does ssh_source admit this machine?")
    connection.settimeout(None)

    def receive() -> None:
        while data := connection.recv(65536):
            os.write(1, data)
        os._exit(0)  # the VM has closed: do not wait for input that would go nowhere

    threading.Thread(target=receive, daemon=True).start()
    while data := os.read(0, 65536):
        connection.sendall(data)


if __name__ == "__main__":
    _connect(sys.argv[1], int(sys.argv[2]))
