"""Real machines: a Debian of its own behind each VM, with systemd, sshd, apt and dockerd. Linux with root only.

A machine is an overlay of the shared image on a disk of its own, in its own namespaces and control groups. It is a
child of this process and ends with it, however this process ends; its disk stays in the sandbox's folder. It is not a
fence against its own root user: whoever may sign in there is trusted as the host's root is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import platform
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...process_identity import identity, send_signal
from ...proxy import splice
from .. import NO_FAULT, Link, Machine, cloud_init
from ..choice import Choice
from . import init, scripts, state_folder
from .network_namespace import ADDRESSES, MachineNetwork

if TYPE_CHECKING:
    from ...proxy import Proxy

logger = logging.getLogger(__name__)
STOP_SECONDS = 20.0  # that a machine may take to power off
CLOSE_SECONDS = 5.0  # the same where the sandbox itself ends
SSH_SECONDS = 25.0  # that sshd may take to answer after a boot


@dataclass
class _Running:
    """A machine that runs."""

    machine: Machine
    process: asyncio.subprocess.Process
    pid: int
    identity: str | None
    network: MachineNetwork
    watch: asyncio.Task[None] | None = None
    stopping: bool = False


class MachineGuests:
    """The real machines of one emulated cloud."""

    def __init__(self, folder: Path, choice: Choice) -> None:
        self._folder = folder / "machines"
        self._choice = choice
        self._running: dict[str, _Running] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.proxy: Proxy | None = None
        """Where the machines' connections are answered; set before the first boot."""

    def refusal(self, machine: Machine) -> str:
        own = "arm64" if platform.machine() in ("aarch64", "arm64") else "amd64"
        if machine.architecture != own:
            return f"its size has an {machine.architecture} processor, and a real machine has this host's, {own}."
        return cloud_init.refusal(machine.custom_data)

    async def boot(self, machine: Machine) -> None:
        async with self._lock(machine.vm_id):
            running = self._running.get(machine.vm_id)
            if running is not None and running.process.returncode is None:
                return
            if running is not None and running.watch:
                await running.watch  # it ended by itself, and what is left of it is being removed
            await self._boot(machine)

    async def stop(self, vm_id: str) -> None:
        async with self._lock(vm_id):
            await self._stop(vm_id, STOP_SECONDS)

    async def delete(self, vm_id: str) -> None:
        async with self._lock(vm_id):
            await self._stop(vm_id, 0)
            await asyncio.to_thread(state_folder.remove, self._folder / vm_id)
        self._locks.pop(vm_id, None)

    async def close(self) -> None:
        await asyncio.gather(*(self._stop(vm_id, CLOSE_SECONDS) for vm_id in list(self._running)))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve_ssh(self, vm_id: str, connection: socket.socket, link: Link = NO_FAULT) -> None:
        try:
            running = self._find(vm_id)
            reader, writer = await _connect_sshd(running)
        except BaseException:
            connection.close()
            raise
        task = asyncio.create_task(splice(connection, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run_command(self, vm_id: str, script: str) -> tuple[int, str, str]:
        running = self._find(vm_id)
        groups = state_folder.groups(self._folder / vm_id)
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", scripts.RUN_AS_ROOT, "sh", *groups,
            env={"PATH": os.environ.get("PATH", os.defpath), "PID": str(running.pid)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        output, errors = await process.communicate(script.encode())
        assert process.returncode is not None
        return process.returncode, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace")

    def _lock(self, vm_id: str) -> asyncio.Lock:
        return self._locks.setdefault(vm_id, asyncio.Lock())

    def _find(self, vm_id: str) -> _Running:
        running = self._running.get(vm_id)
        if running is None or running.process.returncode is not None:
            raise ConnectionRefusedError(f"the machine {vm_id} does not run")
        return running

    async def _boot(self, machine: Machine) -> None:
        folder = self._folder / machine.vm_id
        await asyncio.to_thread(state_folder.remove_groups, folder)
        await asyncio.to_thread(state_folder.make, folder)
        process = network = None
        try:
            plan = self._plan(machine, folder)
            with (folder / "console.log").open("ab") as console:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-S", init.__file__,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=console, start_new_session=True, cwd="/",
                )  # fmt: skip
            assert process.stdin and process.stdout and self.proxy
            process.stdin.write(json.dumps(plan).encode() + b"\n")
            pid = int(await process.stdout.readline() or 0)
            if await process.stdout.readline() != b"ready\n":
                lines = (folder / "console.log").read_text(errors="replace").strip().splitlines()
                raise OSError(
                    f"the machine {machine.computer_name} did not start: {lines[-1] if lines else 'no reason'}"
                )
            known = identity(pid)
            network = MachineNetwork(machine.vm_id, pid, self.proxy, self._choice.sources)
            network.open()
            process.stdin.write(b"go\n")
            process.stdin.close()
        except BaseException:
            if process:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            if network:
                await network.close()
            await asyncio.to_thread(state_folder.remove_groups, folder)
            raise
        (folder / "booted").touch()
        running = self._running[machine.vm_id] = _Running(machine, process, pid, known, network)
        running.watch = asyncio.create_task(self._watch(running))
        logger.info("the machine %s runs as %d", machine.computer_name, pid)

    def _plan(self, machine: Machine, folder: Path) -> init.Plan:
        groups = state_folder.make_groups(folder, machine.vm_id, machine.memory_mib << 20)
        before = scripts.each_boot(machine, self._choice.index_url)
        if not (folder / "booted").exists():
            before += "\n" + cloud_init.first_boot(machine).before
        disk = folder / "disk.img"
        return {
            "image": str(self._choice.image),
            "disk": str(disk if disk.exists() else folder / "disk"),
            "disk_point": str(folder / "disk-point"),
            "root_point": str(folder / "root-point"),
            "hostname": machine.computer_name,
            "addresses": ADDRESSES,
            "groups": [(controllers, str(path)) for controllers, path in groups],
            "before_boot": before,
        }

    async def _watch(self, running: _Running) -> None:
        """Close the network of a machine that ended; boot it again where it asked for that."""
        status = await running.process.wait()
        await running.network.close()
        await asyncio.to_thread(state_folder.remove_groups, self._folder / running.machine.vm_id)
        logger.info("the machine %s ended with %d", running.machine.computer_name, status)
        if status == init.REBOOT and not running.stopping:
            again = asyncio.create_task(self.boot(running.machine))
            self._tasks.add(again)
            again.add_done_callback(self._tasks.discard)

    async def _stop(self, vm_id: str, seconds: float) -> None:
        """Power off, and cut the power where that takes longer than `seconds`."""
        running = self._running.pop(vm_id, None)
        if running is None:
            return
        running.stopping = True
        with contextlib.suppress(ProcessLookupError):
            deadline = asyncio.get_running_loop().time() + seconds
            while running.process.returncode is None and asyncio.get_running_loop().time() < deadline:
                send_signal(
                    running.pid, running.identity, signal.SIGRTMIN + 4
                )  # what systemd takes for "power off", once it listens
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(running.process.wait(), min(2.0, seconds))
            if running.process.returncode is None:
                running.process.kill()
        assert running.watch
        await running.watch


async def _connect_sshd(running: _Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the machine's own sshd; waits while it still boots."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SSH_SECONDS
    while True:
        try:
            return await asyncio.open_connection(sock=await running.network.connect(22))
        except ConnectionRefusedError:
            if loop.time() > deadline or running.process.returncode is not None:
                raise
            await asyncio.sleep(0.05)
