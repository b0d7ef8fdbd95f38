"""Real machines: a Debian of its own behind each VM, with systemd, sshd, apt and dockerd. Linux with root only.

A machine is an overlay of the shared image on a disk of its own, in its own namespaces and control groups. It is a
child of this process and ends with it, however this process ends; its disk stays in the sandbox's folder. It is not a
fence against its own root user: whoever may sign in there is trusted as the host's root is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SandboxError
from ..proxy import splice
from . import Machine, cloud_init, machine_groups, machine_host, machine_init
from .choice import Choice
from .machine_image import BUNDLE
from .machine_network import ADDRESSES, MachineNetwork

if TYPE_CHECKING:
    from ..proxy import Door

logger = logging.getLogger(__name__)
DISK_BYTES = 30 << 30  # as ARM says of the disk; the file is sparse
STOP_SECONDS = 20.0  # that a machine may take to power off
CLOSE_SECONDS = 5.0  # the same where the sandbox itself ends
SSH_SECONDS = 25.0  # that sshd may take to answer after a boot
_ENTER = (
    'for group; do echo 0 >"$group/cgroup.procs" || exit 125; done; exec nsenter --target "$PID" --all --root --wd '
)
_RUN = (
    "env -i HOME=/root USER=root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c "
)
# The script is a file, as the agent of a real VM makes it one, so that its own standard input is empty.
_SCRIPT = "'file=$(mktemp) && cat >$file && chmod 700 $file; sh $file </dev/null; status=$?; rm -f $file; exit $status'"


@dataclass
class _Running:
    """A machine that runs."""

    machine: Machine
    process: asyncio.subprocess.Process
    pid: int
    network: MachineNetwork
    watch: asyncio.Task[None] | None = None
    stopping: bool = False


class MachineGuests:
    """The real machines of one played cloud."""

    def __init__(self, folder: Path, choice: Choice) -> None:
        self._folder = folder / "machines"
        self._choice = choice
        self._running: dict[str, _Running] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.door: Door | None = None
        """Where the machines' connections are answered; set before the first boot."""

    async def boot(self, machine: Machine) -> None:
        async with self._lock(machine.vm_id):
            running = self._running.get(machine.vm_id)
            if running is None or running.process.returncode is not None:
                await self._boot(machine)

    async def stop(self, vm_id: str) -> None:
        async with self._lock(vm_id):
            await self._stop(vm_id, STOP_SECONDS)

    async def delete(self, vm_id: str) -> None:
        async with self._lock(vm_id):
            await self._stop(vm_id, 0)
            await asyncio.to_thread(remove_machine, self._folder / vm_id)
        self._locks.pop(vm_id, None)

    async def close(self) -> None:
        await asyncio.gather(*(self._stop(vm_id, CLOSE_SECONDS) for vm_id in list(self._running)))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve_ssh(self, vm_id: str, connection: socket.socket) -> None:
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
        groups = json.loads((self._folder / vm_id / "groups.json").read_text())["inner"]
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", _ENTER + _RUN + _SCRIPT, "sh", *groups,
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
        await asyncio.to_thread(remove_groups, folder)
        await asyncio.to_thread(_make_folder, folder)
        plan = self._plan(machine, folder)
        with (folder / "console.log").open("ab") as console:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", machine_init.__file__,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=console, start_new_session=True, cwd="/",
            )  # fmt: skip
        try:
            assert process.stdin and process.stdout and self.door
            process.stdin.write(json.dumps(plan).encode() + b"\n")
            pid = int(await process.stdout.readline() or 0)
            if await process.stdout.readline() != b"ready\n":
                lines = (folder / "console.log").read_text(errors="replace").strip().splitlines()
                raise OSError(
                    f"the machine {machine.computer_name} did not start: {lines[-1] if lines else 'no reason'}"
                )
            network = MachineNetwork(machine.vm_id, pid, self.door, self._choice.sources)
            network.open()
            process.stdin.write(b"go\n")
            process.stdin.close()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await asyncio.to_thread(remove_groups, folder)
            raise
        (folder / "booted").touch()
        running = self._running[machine.vm_id] = _Running(machine, process, pid, network)
        running.watch = asyncio.create_task(self._watch(running))
        logger.info("the machine %s runs as %d", machine.computer_name, pid)

    def _plan(self, machine: Machine, folder: Path) -> machine_init.Plan:
        name = group_name(self._folder.parent, machine.vm_id)
        outer = [str(path) for path in machine_groups.paths(name)]
        inner: list[str] = []
        record = folder / "groups.json"
        record.write_text(json.dumps({"outer": outer, "inner": inner}))  # before they are made, to be found again
        groups = machine_groups.create(name, machine.memory_mib << 20)
        record.write_text(json.dumps({"outer": outer, "inner": [str(path) for _, path in groups]}))
        before = _each_boot(machine, self._choice.index_url)
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
        """Close the doors of a machine that ended; boot it again where it asked for that."""
        status = await running.process.wait()
        await running.network.close()
        await asyncio.to_thread(remove_groups, self._folder / running.machine.vm_id)
        logger.info("the machine %s ended with %d", running.machine.computer_name, status)
        if status == machine_init.REBOOT and not running.stopping:
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
            if seconds and running.process.returncode is None:
                os.kill(running.pid, signal.SIGRTMIN + 4)  # what systemd takes for "power off"
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(running.process.wait(), seconds)
            if running.process.returncode is None:
                running.process.kill()
        assert running.watch
        await running.watch


def group_name(folder: Path, vm_id: str) -> str:
    """The name of a machine's control groups: VMs of the same name have the same id in every sandbox."""
    return f"runbook-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}-{vm_id}"


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


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("disk-point", "root-point"):
        (folder / name).mkdir(exist_ok=True, mode=0o755)
    disk = folder / "disk.img"
    if not machine_host.has_loop():
        (folder / "disk").mkdir(exist_ok=True, mode=0o755)
        logger.warning("this host has no loop devices: the machine's disk has no limit")
    elif not disk.exists():
        new = folder / "disk.new"
        with new.open("wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(
            ["mkfs.ext4", "-q", "-F", "-m", "1", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", str(new)],
            check=True, capture_output=True,
        )  # fmt: skip
        new.replace(disk)


def _each_boot(machine: Machine, index_url: str) -> str:
    """What a machine is told at every boot: its name, the sandbox's CA, and the package index."""
    name, trusted = machine.computer_name, "/usr/local/share/ca-certificates/sandbox.crt"
    pip = f"[global]\ncert = {BUNDLE}\n" + (f"index-url = {index_url}\n" if index_url else "")
    return "\n".join(
        [
            "set -e",
            cloud_init.write("/etc/hostname", f"{name}\n", "644"),
            cloud_init.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n", "644"),
            cloud_init.write("/etc/pip.conf", pip, "644"),
            cloud_init.write(f"{trusted}.new", Path(machine.authority_file).read_text(), "644"),
            f"cmp -s {trusted}.new {trusted} || {{ mv {trusted}.new {trusted}; update-ca-certificates >/dev/null 2>&1; }}",
            f"rm -f {trusted}.new",
        ]
    )


def setup_script(index_url: str) -> str:
    """What installs azure-cli: from the package index, as the document's apt source is not reachable from a machine."""
    if not index_url:
        return "echo 'no package index of pip was found on the host when the sandbox was started' >&2\nexit 1\n"
    return f"""set -e
python3 -m venv /opt/az
/opt/az/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check azure-cli
cat >/usr/bin/az <<'END'
#!/bin/sh
export REQUESTS_CA_BUNDLE={BUNDLE}
exec /opt/az/bin/python -Im azure.cli "$@"
END
chmod 755 /usr/bin/az
"""


# What an earlier process left


def remove_groups(folder: Path) -> None:
    """End what is still in a machine's control groups, and remove them."""
    record = folder / "groups.json"
    if record.exists():
        for outer in json.loads(record.read_text())["outer"]:
            machine_groups.remove(Path(outer))
        record.unlink()


def remove_machine(folder: Path) -> None:
    """Remove a machine that does not run, with its disk."""
    remove_groups(folder)
    shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what the machines of a sandbox's folder left outside of it when the sandbox was killed: control groups.

    Their processes, mounts and namespaces end with the sandbox's process, whatever ends it.
    """
    for machine in (folder / "machines").glob("*"):
        try:
            remove_groups(machine)
        except OSError as error:
            raise SandboxError(f"What a killed sandbox left behind is still there: {error}.") from error
