"""Machines that are only played: an SSH server in this process, and programs that are Python functions.

No program of a simulated machine runs anything on the host or opens a file of it. All that a machine keeps is one
document of the store, so that it is there again after the sandbox was killed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ...faults.active import Faults
from ...resource import ResourceId
from ...store import Store
from .. import NO_FAULT, Link, Machine, cloud_init
from .control import Control, Interrupted
from .disk import KIND, ROOT, Disk, User
from .faults import GuestFaults
from .process import PATH, Input, Process

if TYPE_CHECKING:
    import asyncssh

logger = logging.getLogger(__name__)
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
INIT_LOG = "/var/log/cloud-init-output.log"
_CLOUD_CONFIG = {"ssh_deletekeys", "ssh_keys"}  # what of cloud-init's configuration the guest plays


@dataclass
class _Running:
    """A machine that runs."""

    disk: Disk
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)


class SimulatedGuests:
    """The simulated machines of one emulated cloud."""

    def __init__(self, store: Store, faults: Faults | None = None) -> None:
        self._store = store
        self._faults = faults or Faults()
        self._running: dict[str, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()

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
        from .system import root_environment

        output: list[str] = []
        errors: list[str] = []
        process = Process(
            running.disk, ROOT, root_environment(), "/root", Input(""), output.append, errors.append, Control()
        )
        status = await _in_thread(lambda: _run(process, script))
        return status, "".join(output), "".join(errors)

    async def serve_ssh(self, vm_id: str, connection: socket.socket, link: Link = NO_FAULT) -> None:
        running = self._find(vm_id)
        if running is None:
            connection.close()
            raise ConnectionRefusedError(f"the machine {vm_id} does not run")
        # Not awaited: it ends when the client has proved itself, and the client waits for our return.
        task = asyncio.create_task(_serve(running, connection, link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _begin(self, disk: Disk) -> _Running:
        disk.faults = GuestFaults(self._faults, ResourceId(disk.machine.resource_id).name)
        return _Running(disk)

    def _find(self, vm_id: str) -> _Running | None:
        """A machine that runs; after a restart of the sandbox it is the one of the store."""
        if vm_id not in self._running:
            disk = Disk.open(self._store, vm_id)
            if disk is None or not disk["running"]:
                return None
            self._running[vm_id] = self._begin(disk)
        return self._running[vm_id]

    @staticmethod
    def _disconnect(running: _Running) -> None:
        for connection in list(running.connections):
            connection.abort()


def _install(store: Store, machine: Machine) -> Disk:
    """A new disk after the first boot, with what cloud-init was told."""
    config, log = cloud_init.read(machine.custom_data, _CLOUD_CONFIG, "the simulated guest's cloud-init")
    given = config.get("ssh_keys")
    keys = given if isinstance(given, dict) else {}
    private, public = keys.get("ed25519_private"), keys.get("ed25519_public")
    if not _is_private_key(private):
        if private is not None:
            log.append("ssh_keys: ed25519_private is not a key; a new one was made")
        private, public = _new_host_key()
    disk = Disk.format(store, machine)
    with disk.changing():
        disk.write(HOST_KEY, str(private), ROOT, mode=0o600)
        disk.write(f"{HOST_KEY}.pub", str(public).strip() + "\n", ROOT)
        disk.write(INIT_LOG, "".join(f"{line}\n" for line in [*log, "Cloud-init finished."]), ROOT)
    return disk


def _is_private_key(text: object) -> bool:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        return isinstance(load_ssh_private_key(str(text).encode(), password=None), Ed25519PrivateKey)
    except ValueError:
        return False


def _new_host_key() -> tuple[str, str]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


def _run(process: Process, script: str | None) -> int:
    """A script, or standard input, in a new shell."""
    from . import apt, az, az_acr, coreutils, docker, docker_containers, job_control, network, system  # noqa: F401 - they register their programs
    from .interpreter import Shell

    shell = Shell(process)
    try:
        return shell.interact() if script is None else shell.main(script)
    except Interrupted:
        return 130
    except Exception:
        logger.exception("a program of the simulated guest failed")
        process.warn("the simulated guest failed here; the sandbox's log says how")
        return 70


async def _in_thread(function: Callable[[], int]) -> int:
    """Run a function in a thread of its own. A pool would be held up by programs that wait for input."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()

    def finish(status: int) -> None:
        if not done.done():
            done.set_result(status)

    def work() -> None:
        status = function()
        _call(loop, finish, status)

    threading.Thread(target=work, name="simulated guest", daemon=True).start()
    return await done


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Call in the loop's thread; nothing where the loop has ended meanwhile."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        logger.debug("the loop has ended")


# SSH


async def _serve(running: _Running, connection: socket.socket, link: Link) -> None:
    import asyncssh

    disk = running.disk
    host_key = _new_host_key()[0] if link.other_host_key else disk.read(HOST_KEY, ROOT)
    login = _server_class()(running)
    try:
        await asyncssh.run_server(
            connection,
            server_factory=lambda: login,
            process_factory=lambda process: _session(process, disk, login.user, link),
            server_host_keys=[asyncssh.import_private_key(host_key)],
            server_version="OpenSSH_8.9p1 Ubuntu-3ubuntu0.13 (simulated)",
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            agent_forwarding=False,
            x11_forwarding=False,
            sftp_factory=None,
            allow_scp=False,
            compression_algs=["none"],
            encoding="utf-8",
            errors="replace",
            login_timeout=120,
        )
    except (OSError, asyncssh.Error) as error:
        logger.info("SSH to %s: %s", disk.machine.computer_name, error)


def _server_class() -> Any:
    """The class whose base is only there once asyncssh is imported."""
    import asyncssh

    class Login(asyncssh.SSHServer):
        """One connection: who may log in, and with which groups."""

        def __init__(self, running: _Running) -> None:
            self._running = running
            self._connection: asyncssh.SSHServerConnection | None = None
            self.user: User = ROOT

        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self._connection = conn
            self._running.connections.add(conn)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._connection is not None:
                self._running.connections.discard(self._connection)

        def begin_auth(self, username: str) -> bool:
            disk = self._running.disk
            path = f"/home/{username}/.ssh/authorized_keys"
            if self._connection and username == disk.machine.admin_username and disk.stat(path, ROOT):
                try:
                    self._connection.set_authorized_keys(asyncssh.import_authorized_keys(disk.read(path, ROOT)))
                except ValueError as error:
                    logger.info("%s: %s", path, error)
            return True

        def auth_completed(self) -> None:
            user = self._running.disk.user(self._running.disk.machine.admin_username)
            assert user is not None
            self.user = user  # with the groups of now, for as long as the connection lasts

    return Login


async def _session(ssh: asyncssh.SSHServerProcess[str], disk: Disk, user: User, link: Link) -> None:
    """One channel: a command, or a login shell."""
    loop = asyncio.get_running_loop()
    channel: Any = ssh.channel  # its annotations know nothing of the line editor
    control = Control(echo=lambda visible: _call(loop, channel.set_echo, visible))
    stdin = Input(control=control)

    def output(stream: asyncssh.SSHWriter[str]) -> Callable[[str], None]:
        def write(text: str) -> None:
            if not ssh.channel.is_closing():
                stream.write(text)

        return lambda text: _call(loop, write, text)

    terminal = bool(ssh.term_type)
    environment = {
        "HOME": user.home,
        "LANG": "C.UTF-8",
        "LOGNAME": user.name,
        "PATH": PATH,
        "PWD": user.home,
        "SHELL": "/bin/bash",
        "USER": user.name,
        **({"TERM": str(ssh.term_type)} if terminal else {}),
    }
    stdout = output(ssh.stdout)
    stderr = stdout if terminal else output(ssh.stderr)
    process = Process(disk, user, environment, user.home, stdin, stdout, stderr, control, terminal)
    if terminal and ssh.command is None:
        stdout("Welcome to Ubuntu 22.04.5 LTS, played by the sandbox: this machine is simulated.\n\n")
    pump = asyncio.create_task(_pump(ssh, stdin, control))

    def let_go() -> None:
        pump.cancel()
        stdin.close()

    fault = disk.faults.of_command(ssh.command) if ssh.command is not None else None
    try:
        if fault:
            run = partial(_in_thread, partial(_run, process, ssh.command))
            status = await fault.run(ssh, run, let_go, link.reset)
        else:
            status = await _in_thread(lambda: _run(process, ssh.command))
        if not ssh.channel.is_closing():
            ssh.exit(status)
    finally:
        pump.cancel()


async def _pump(ssh: asyncssh.SSHServerProcess[str], stdin: Input, control: Control) -> None:
    """Carry what the client types to the program, and its Ctrl-C."""
    import asyncssh

    while True:
        try:
            text = await ssh.stdin.read(65536) if not ssh.term_type else await ssh.stdin.readline()
            if not text:
                break
            stdin.feed(text)
        except (asyncssh.BreakReceived, asyncssh.SignalReceived):
            control.interrupt.set()
            stdin.wake()
        except asyncssh.TerminalSizeChanged:
            continue
        except (asyncssh.Error, OSError):
            break
    stdin.close()
    # That was the end of the input; the client itself may stay for the output, or go before the program ends.
    await ssh.channel.wait_closed()
    control.interrupt.set()
    stdin.wake()


__all__ = ["KIND", "SimulatedGuests"]
