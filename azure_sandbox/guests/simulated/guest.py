"""Simulated machines: an SSH server in this process, and programs that are Python functions.

No program of a simulated machine runs anything on the host or opens a file of it. All that a machine keeps is one
document of the store, so that it is there again after the sandbox was killed.
"""

from __future__ import annotations

import asyncio
import logging
import socket

from ...faults.active import Faults
from ...resource import ResourceId
from ...store import Store
from .. import NO_FAULT, Link, Machine, cloud_init
from . import first_boot
from .control import Control
from .disk import ROOT, Disk
from .faults import GuestFaults
from .program import Input, Process
from .programs import in_thread, run_script
from .ssh_server import HOST_KEY, RunningGuest, new_host_key, serve
from .system import root_environment

logger = logging.getLogger(__name__)


class SimulatedGuests:
    """The simulated machines of one emulated cloud."""

    def __init__(self, store: Store, faults: Faults | None = None) -> None:
        self._store = store
        self._faults = faults or Faults()
        self._running: dict[str, RunningGuest] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def refusal(self, machine: Machine) -> str:
        return cloud_init.refusal(machine.custom_data)

    async def boot(self, machine: Machine) -> None:
        running = self._find(machine.vm_id)
        if running is None:
            disk = Disk.open(self._store, machine.vm_id) or _install(self._store, machine)
            running = self._running[machine.vm_id] = self._begin(disk)
        if running.disk.machine != machine or not running.disk["running"]:
            running.disk.update_machine(machine)

    async def stop(self, vm_id: str) -> None:
        running = self._find(vm_id)
        if running is not None:
            running.disk.stop()
            self._disconnect(running)
            del self._running[vm_id]

    async def delete(self, vm_id: str) -> None:
        running = self._find(vm_id)
        disk = running.disk if running else Disk.open(self._store, vm_id)
        if disk is not None:
            disk.erase()
        if running is not None:
            self._disconnect(running)
            del self._running[vm_id]

    async def close(self) -> None:
        for running in self._running.values():
            self._disconnect(running)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._running.clear()

    async def run_command(self, vm_id: str, script: str) -> tuple[int, str, str]:
        running = self._find(vm_id)
        if running is None:
            raise ConnectionRefusedError(f"the machine {vm_id} does not run")
        output: list[str] = []
        errors: list[str] = []
        process = Process(
            running.disk, ROOT, root_environment(), "/root", Input(""), output.append, errors.append, Control()
        )
        status = await in_thread(lambda: run_script(process, script))
        return status, "".join(output), "".join(errors)

    async def serve_ssh(self, vm_id: str, connection: socket.socket, link: Link = NO_FAULT) -> None:
        running = self._find(vm_id)
        if running is None:
            connection.close()
            raise ConnectionRefusedError(f"the machine {vm_id} does not run")
        # Not awaited: it ends when the client has proved itself, and the client waits for our return.
        task = asyncio.create_task(serve(running, connection, link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _begin(self, disk: Disk) -> RunningGuest:
        disk.faults = GuestFaults(self._faults, ResourceId(disk.machine.resource_id).name)
        first_boot.start(disk)
        return RunningGuest(disk)

    def _find(self, vm_id: str) -> RunningGuest | None:
        """A machine that runs; after a restart of the sandbox it is the one of the store."""
        if vm_id not in self._running:
            disk = Disk.open(self._store, vm_id)
            if disk is None or not disk["running"]:
                return None
            self._running[vm_id] = self._begin(disk)
        return self._running[vm_id]

    @staticmethod
    def _disconnect(running: RunningGuest) -> None:
        for connection in list(running.connections):
            connection.abort()


def _install(store: Store, machine: Machine) -> Disk:
    """A new disk after the first boot, with what cloud-init was given."""
    config, _ = cloud_init.read(machine.custom_data, cloud_init.KNOWN, first_boot.WHO)
    given = config.get("ssh_keys")
    keys = given if isinstance(given, dict) else {}
    private, public = keys.get("ed25519_private"), keys.get("ed25519_public")
    if not _is_private_key(private):
        given_one, (private, public) = private, new_host_key()
    else:
        given_one = None
    disk = Disk.format(store, machine)
    with disk.changing():
        disk.write(HOST_KEY, str(private), ROOT, mode=0o600)
        disk.write(f"{HOST_KEY}.pub", str(public).strip() + "\n", ROOT)
        first_boot.prepare(disk, machine)
        if given_one is not None:
            disk.write(
                cloud_init.LOG, "ssh_keys: ed25519_private is not a key; a new one was made\n", ROOT, append=True
            )
    return disk


def _is_private_key(text: object) -> bool:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        return isinstance(load_ssh_private_key(str(text).encode(), password=None), Ed25519PrivateKey)
    except ValueError:
        return False
