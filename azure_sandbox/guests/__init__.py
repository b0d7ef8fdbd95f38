"""Guests: what stands behind a VM of the sandbox.

The rest of the sandbox knows only the interface here. `simulated` is the guest for every host: Python commands behind an
SSH server in this process. `machine` is a real Debian machine, on Linux with root.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Machine:
    """The facts of a VM that its guest needs."""

    vm_id: str
    resource_id: str
    computer_name: str
    admin_username: str
    public_keys: tuple[str, ...]
    custom_data: str
    """The decoded cloud-init user data, or ""."""
    cloud_name: str
    proxy: str
    """The sandbox's proxy with this VM's own credentials, as a URL: all the network the guest has."""
    ca_file: str
    """Path of the CA certificate that signs the certificates of the emulated hosts."""
    memory_mib: int = 8192
    """How much memory the VM's size has."""
    architecture: str = "amd64"
    """That of the VM's size, as Debian and Docker call it: amd64 or arm64."""
    cores: int = 2
    """How many processors the VM's size has."""
    release: str = "22.04"
    """The release of Ubuntu that the VM's image is."""


@dataclass(frozen=True)
class Link:
    """The faults of an SSH connection, and how it is reset."""

    other_host_key: bool = False
    """The machine shows another host key than its own."""
    reset: Callable[[], None] = lambda: None
    """Resets the client's connection."""


NO_FAULT = Link()


class Guests(Protocol):
    """The machines behind the VMs of one emulated cloud."""

    def refusal(self, machine: Machine) -> str:
        """Why the guest cannot be this machine, as a sentence; "" where it can."""

    async def boot(self, machine: Machine) -> None:
        """Make the machine run; a machine that runs stays as it is."""

    async def stop(self, vm_id: str) -> None:
        """Power off; what is on the disk stays."""

    async def delete(self, vm_id: str) -> None:
        """Remove the machine and what was on its disk."""

    async def serve_ssh(self, vm_id: str, connection: socket.socket, link: Link = NO_FAULT) -> None:
        """Serve one SSH connection; returns when it is set up."""

    async def run_command(self, vm_id: str, script: str) -> tuple[int, str, str]:
        """Run a shell script as root: exit status, standard output, standard error."""

    async def close(self) -> None:
        """Close what this process holds open; the machines' disks stay."""


__all__ = ["NO_FAULT", "Guests", "Link", "Machine"]
