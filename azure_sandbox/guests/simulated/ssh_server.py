"""The SSH server of a simulated machine: asyncssh in this process, with sshd's words and the machine's own keys."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import Link
from .control import Control
from .disk import ROOT, Disk, User
from .program import END_OF_INPUT, PATH, Input, Process, system_environment
from .programs import call_in_loop, in_thread, run_script
from .releases import processor_name, release_of
from .terminal import Terminal

if TYPE_CHECKING:
    import asyncssh

logger = logging.getLogger(__name__)
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


@dataclass
class RunningGuest:
    """A machine that runs."""

    disk: Disk
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)


def new_host_key() -> tuple[str, str]:
    """A new key pair, private and public, as OpenSSH writes them."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


async def serve(running: RunningGuest, connection: socket.socket, link: Link) -> None:
    """Serve one connection; returns when the client is signed in or gone."""
    import asyncssh

    disk = running.disk
    host_key = new_host_key()[0] if link.other_host_key else disk.read(HOST_KEY, ROOT)
    login = _server_class()(running)
    try:
        await asyncssh.run_server(
            connection,
            server_factory=lambda: login,
            process_factory=lambda process: _session(process, disk, login.user, link),
            server_host_keys=[asyncssh.import_private_key(host_key)],
            server_version=f"OpenSSH_{release_of(disk.machine).package_version('openssh-server')} Ubuntu (simulated)",
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

        def __init__(self, running: RunningGuest) -> None:
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
    control = Control()
    stdin = Input(control=control, terminal=bool(ssh.term_type))
    if ssh.term_type:
        keys = Terminal(channel, control, stdin)
        control.echo = lambda visible: call_in_loop(loop, keys.set_echo, visible)

    def output(stream: asyncssh.SSHWriter[str]) -> Callable[[str], None]:
        def write(text: str) -> None:
            if not ssh.channel.is_closing():
                stream.write(text)

        return lambda text: call_in_loop(loop, write, text)

    terminal = bool(ssh.term_type)
    environment = {
        "HOME": user.home,
        "LANG": "C.UTF-8",
        "LOGNAME": user.name,
        "PATH": PATH,
        "PWD": user.home,
        "SHELL": "/bin/bash",
        "USER": user.name,
        **system_environment(disk),
        **({"TERM": str(ssh.term_type)} if terminal else {}),
    }
    stdout = output(ssh.stdout)
    stderr = stdout if terminal else output(ssh.stderr)
    process = Process(disk, user, environment, user.home, stdin, stdout, stderr, control, terminal)
    if terminal and ssh.command is None:
        release, architecture = release_of(disk.machine), processor_name(disk.machine)
        stdout(f"Welcome to Ubuntu {release.point} (GNU/Linux {release.kernel} {architecture})\n\n")
        stdout("In the sandbox: this machine is simulated. `help` says what it has.\n\n")
    pump = asyncio.create_task(_pump(ssh, stdin, control))

    def let_go() -> None:
        pump.cancel()
        stdin.close()

    fault = disk.faults.of_command(ssh.command) if ssh.command is not None else None
    try:
        if fault:
            run = partial(in_thread, partial(run_script, process, ssh.command))
            status = await fault.run(ssh, run, let_go, link.reset)
        else:
            status = await in_thread(lambda: run_script(process, ssh.command))
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
            if not text and (ssh.stdin.at_eof() or not ssh.term_type):
                break
            stdin.feed(text or END_OF_INPUT)
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
