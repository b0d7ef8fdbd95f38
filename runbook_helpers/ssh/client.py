"""Commands on a VM, over SSH. The only module that knows paramiko."""

from __future__ import annotations

import base64
import contextlib
import logging
import re
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from ..connection import Azure
from ..errors import AccessDenied, CommandFailed, ConnectionFailed, ConnectionLost, OperationTimeout
from ..verbs.virtual_machines import public_address_of, show_vm
from . import jobs
from .host_keys import known_host_key
from .jobs import Completed
from .keys import login_key, note_vm_id
from .transport import HANDSHAKE_SECONDS, WEAK, cause, open_socket

if TYPE_CHECKING:
    from azure.mgmt.compute.models import VirtualMachine

# What goes wrong is raised; without a handler Python would print paramiko's tracebacks beside it.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
CONNECT_SECONDS = 300.0  # how long a new VM may take until its SSH server answers
COMMAND_SECONDS = 1800.0
ANSWER_SECONDS = 60.0  # how long the VM may take to begin a command, or to tell its end
FIRST_BOOT_SECONDS = 60.0  # how long a new VM may refuse our key, since it has not got it yet
NEW_VM_SECONDS = 600.0
BROKEN_IN_A_ROW = 4  # connections lost, or jobs gone, after which a command is given up
_BROKE_OFF = re.compile("transport shut down|timeout", re.IGNORECASE)  # what is no answer to our key


class Shell:
    """An SSH connection to a VM; made by `ssh`, closed by ``with``."""

    def __init__(
        self,
        connect: Callable[[], paramiko.SSHClient],
        vm_name: str,
        record: Callable[[Sequence[str], int], None] = lambda arguments, exit_status: None,
    ) -> None:
        self._connect = connect
        self._client = connect()
        self.vm_name = vm_name
        self._record = record  # told each command that ended

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def run(self, *arguments: str, check: bool = True, timeout: float = COMMAND_SECONDS) -> Completed:
        """Run one program and wait for its end. The arguments reach it as they are: they are quoted here.

        Args:
            check: raise where the exit status is not 0.
            timeout: seconds without any output after which the connection is given up.

        Raises:
            CommandFailed: another exit status than 0; carries the whole result.
            ConnectionLost: the connection ended before the command did.
        """
        command = shlex.join(arguments)
        completed = self._execute(command, timeout)
        self._record(arguments, completed.exit_status)
        if check and completed.exit_status != 0:
            raise CommandFailed(completed, self.vm_name)
        return completed

    def run_job(self, *arguments: str, once: bool = False, timeout: float = COMMAND_SECONDS) -> Completed:
        """Run one program that may take long; it goes on when the connection is lost, and is then picked up again.

        Args:
            once: also pick up what an earlier run has begun, or has ended well and not been told of: for what must not run
                twice, such as an installation.
            timeout: seconds after which it is left alone, still running.

        Raises:
            CommandFailed: another exit status than 0; carries the whole result.
            ConnectionFailed: the connection is lost and there is no new one.
            OperationTimeout: time is up; the same call picks it up again where `once` is set.
        """
        command = shlex.join(arguments)
        job = jobs.Job.of(command, once)
        deadline = time.monotonic() + timeout
        script = job.begin
        broken = 0
        while True:
            try:
                answer = self._execute(script, jobs.LOOK_SECONDS + ANSWER_SECONDS)
            except ConnectionLost:
                broken += 1
                if broken == BROKEN_IN_A_ROW:
                    raise
                self._client.close()
                self._client = self._connect()
                script = job.look
                continue
            if answer.exit_status == 0:
                break
            if answer.exit_status == jobs.RUNNING:
                broken, script = 0, job.look
            else:  # gone without a word: the connection was lost before it began, or the VM has been restarted
                broken += 1
                if broken == BROKEN_IN_A_ROW:
                    raise CommandFailed(replace(answer, command=command), self.vm_name)
                script = job.begin
            if time.monotonic() > deadline:
                again = "run this step again to go on" if once else "look at the VM before you run this step again"
                message = f"`{command}` still runs on {self.vm_name} after {timeout:.0f} s: {again}."
                raise OperationTimeout(message)
        completed = job.result(answer)
        self._forget(job)
        self._record(arguments, completed.exit_status)
        if completed.exit_status != 0:
            raise CommandFailed(completed, self.vm_name)
        return completed

    def _forget(self, job: jobs.Job) -> None:
        # Its result is here; what is left of it only takes place, and is taken up by nobody but a run of the same command.
        with contextlib.suppress(ConnectionLost):
            self._execute(job.end, 60)

    def retry(
        self,
        *arguments: str,
        within: float,
        hopeless: Callable[[Completed], str | None] = lambda completed: None,
        interval: float = 5.0,
    ) -> Completed:
        """Run a program until it ends with exit status 0.

        Args:
            within: seconds after which the last failure is raised.
            hopeless: told each failure; the reason it gives, if any, ends the waiting at once.
            interval: seconds between two tries.

        Raises:
            AccessDenied: `hopeless` gave a reason.
            CommandFailed: time is up.
        """
        deadline = time.monotonic() + within
        while True:
            completed = self.run(*arguments, check=False)
            if completed.exit_status == 0:
                return completed
            reason = hopeless(completed)
            if reason:
                raise AccessDenied(reason) from CommandFailed(completed, self.vm_name)
            if time.monotonic() + interval > deadline:
                raise CommandFailed(completed, self.vm_name)
            time.sleep(interval)

    def _execute(self, command: str, timeout: float) -> Completed:
        transport = self._client.get_transport()
        try:
            assert transport is not None
            channel = transport.open_session(timeout=60)
            channel.settimeout(timeout)
            # paramiko would wait for the answer without an end.
            watchdog = threading.Timer(ANSWER_SECONDS, channel.close)
            watchdog.start()
            try:
                channel.exec_command(command)
            finally:
                watchdog.cancel()
            channel.shutdown_write()
            stdout, stderr = _drain(channel)
            channel.status_event.wait(ANSWER_SECONDS)
            exit_status = channel.recv_exit_status() if channel.exit_status_ready() else -1
        except (paramiko.SSHException, OSError, EOFError, AssertionError) as error:
            raise self._lost(command, str(error) or type(error).__name__) from error
        if exit_status == -1:  # paramiko says so for a lost connection and for the end by a signal alike
            raise self._lost(command, "no exit status came")
        return Completed(command, exit_status, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"))

    def _lost(self, command: str, reason: str) -> ConnectionLost:
        message = (
            f"The SSH connection to {self.vm_name} ended before `{command}` did ({reason}): whether it finished is not "
            "known; run this step again."
        )
        return ConnectionLost(message)


def _drain(channel: paramiko.Channel) -> tuple[bytes, bytes]:
    """All of both streams. One after the other would stall a command that fills the second one's window."""
    errors: list[bytes] = []
    problems: list[Exception] = []

    def read_errors() -> None:
        try:
            while chunk := channel.recv_stderr(65536):
                errors.append(chunk)
        except OSError as problem:
            problems.append(problem)

    reader = threading.Thread(target=read_errors, daemon=True)
    reader.start()
    output = []
    while chunk := channel.recv(65536):
        output.append(chunk)
    reader.join()
    if problems:
        raise problems[0]
    return b"".join(output), b"".join(errors)


def ssh(azure: Azure, vm_name: str, *, within: float = CONNECT_SECONDS) -> Shell:
    """An SSH connection to a VM; waits while the VM still boots.

    The documented command: ``ssh azureuser@publicIpAddress``

    Args:
        within: seconds that the VM may take to answer.

    Raises:
        ConnectionFailed: no answer, an unknown or changed host key, or our key is not accepted.
    """
    vm = show_vm(azure, vm_name)
    address = public_address_of(azure, vm)

    def record(arguments: Sequence[str], exit_status: int) -> None:
        azure.journal.command(str(vm.vm_id), arguments, exit_status)

    return Shell(lambda: _connect(azure, vm, address, within), vm_name, record)


def _connect(azure: Azure, vm: VirtualMachine, address: str, within: float) -> paramiko.SSHClient:
    client = _client_that_knows(known_host_key(azure, vm), address)
    try:
        _sign_in(client, azure, vm, address, within)
    except BaseException:
        client.close()  # paramiko's thread and its socket would stay
        raise
    return client


def _sign_in(client: paramiko.SSHClient, azure: Azure, vm: VirtualMachine, address: str, within: float) -> None:
    assert vm.os_profile and vm.os_profile.admin_username and vm.id and vm.name
    private_key = paramiko.RSAKey.from_private_key_file(str(login_key(azure.folder)[0]))
    question = "Is it running, and does ssh_source admit this machine?"
    began = time.monotonic()
    while True:
        try:
            client.connect(
                address,
                username=vm.os_profile.admin_username,
                pkey=private_key,
                sock=open_socket(azure.proxy, address, 22),
                look_for_keys=False,
                allow_agent=False,
                disabled_algorithms=WEAK,
                timeout=HANDSHAKE_SECONDS,
                banner_timeout=HANDSHAKE_SECONDS,
                auth_timeout=HANDSHAKE_SECONDS,
            )
            if vm.vm_id:
                note_vm_id(azure.folder, vm.id, vm.vm_id)
            transport = client.get_transport()
            assert transport is not None
            transport.set_keepalive(30)  # a connection that a router has forgotten is noticed
            return
        except ConnectionFailed as error:
            raise ConnectionFailed(f"No SSH connection to the VM {vm.name}: {error}. {question}") from error
        except paramiko.BadHostKeyException as error:
            message = (
                f"The VM {vm.name} at {address} proved itself with another host key than the one that is known: "
                "somebody may be in between; nothing was sent. If its keys were changed on purpose, read them anew with "
                f"`runbook trust-vm {vm.name}`."
            )
            raise ConnectionFailed(message) from error
        except IncompatiblePeer as error:
            message = (
                f"The SSH server of the VM {vm.name} at {address} has only weak algorithms, or others than we have ({error}): "
                "nothing was sent. Bring its OpenSSH up to date."
            )
            raise ConnectionFailed(message) from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            client.close()
            refused = isinstance(error, paramiko.AuthenticationException) and not _BROKE_OFF.search(str(error))
            # A VM that still boots for the first time may not have our key yet.
            if refused and (not _is_new(vm) or time.monotonic() - began > FIRST_BOOT_SECONDS):
                message = (
                    f"The VM {vm.name} at {address} does not accept our key for {vm.os_profile.admin_username}: it was "
                    f"made with another key than the one in {azure.folder}."
                )
                raise ConnectionFailed(message) from error
            azure.wake()  # it says so where the sandbox has ended
            if not refused and time.monotonic() + 2 > began + within:
                message = f"No SSH connection to the VM {vm.name} at {address} within {within:.0f} s: {cause(error)}"
                raise ConnectionFailed(f"{message}. {question}") from error
        time.sleep(2)


def _is_new(vm: VirtualMachine) -> bool:
    made: datetime | None = getattr(vm, "time_created", None)
    return made is not None and (datetime.now(UTC) - made).total_seconds() < NEW_VM_SECONDS


def _client_that_knows(host_key: tuple[str, str], address: str) -> paramiko.SSHClient:
    kind, key = host_key
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.get_host_keys().add(address, kind, paramiko.PKey.from_type_string(kind, base64.b64decode(key)))
    return client
