"""The SSH client: a shell on a VM, which runs commands and returns what they print and how they end."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType

import paramiko

from ..arguments import checked
from ..connection import Azure
from ..errors import CommandFailed, CommandRefused, ConnectionLost, OperationTimeout, command_failed
from ..verbs.virtual_machines import public_address_of, show_vm
from .completed import Completed
from .detached import RUNNING, Detached
from .output import Output
from .transport import connect

BROKEN_IN_A_ROW = 4  # connections lost, or detached commands gone, after which a command is given up


@checked
def ssh(azure: Azure, vm_name: str, *, within: float | None = None) -> Shell:
    """An SSH connection to a VM, kept for the next one who asks; waits while the VM still boots.

    The documented command: ``ssh azureuser@publicIpAddress``

    Args:
        within: seconds that the VM may take to answer; `Timeouts.connect` where left out.

    Raises:
        ConnectionFailed: no answer, an unknown or changed host key, or our key is not accepted.
    """
    return Shell(azure, vm_name, azure.timeouts.connect if within is None else within)


class Shell:
    """An SSH connection to a VM; made by `ssh`, and left by ``with`` to the next one."""

    def __init__(self, azure: Azure, vm_name: str, within: float) -> None:
        self.vm = show_vm(azure, vm_name)
        self.vm_name = vm_name
        self._timeouts = azure.timeouts
        self._record = partial(azure.journal.command, str(self.vm.vm_id))
        host_key, private_key_path = azure.keys.host_key_of(self.vm), azure.keys.private_key_path()
        # A VM that was made anew has another id, and one whose host key was read anew another host key.
        admin = self.vm.os_profile and self.vm.os_profile.admin_username
        key = (self.vm.vm_id, admin, host_key.public_key, private_key_path, azure.proxy)

        def make() -> paramiko.SSHClient:
            return connect(azure, self.vm, public_address_of(azure, self.vm), host_key, private_key_path, within)

        self._connect, self._give = make, partial(azure.connections.give, key)
        self._client = azure.connections.take(key) or make()

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the connection to the next one; it stays open for a while."""
        self._give(self._client)

    def renew(self) -> None:
        """Go on over a new connection: what has changed about the user, such as his groups, counts for that."""
        self._client.close()
        self._client = self._connect()

    def run(self, *arguments: str, check: bool = True) -> Completed:
        """Run one program and wait for its end. The arguments reach it as they are: they are quoted here.

        The connection is given up after `Timeouts.command` without any output, and after `Timeouts.command_total` with it. Of
        long output the beginning and the end are kept.

        Args:
            check: raise where the exit status is not 0.

        Raises:
            CommandFailed: another exit status than 0; carries the whole result.
            ConnectionLost: the connection ended before the command did.
            OperationTimeout: time is up.
        """
        completed = self._execute(shlex.join(arguments), self._timeouts.command)
        return self._finish(arguments, completed, check)

    def run_detached(self, *arguments: str, once: bool = False) -> Completed:
        """Run one program that may take long; it goes on when the connection is lost, and is then picked up again.

        It is left alone, still running, after `Timeouts.detached`.

        Args:
            once: also pick up what an earlier run has begun, or what has ended well unseen: for what must not run twice,
                such as an installation.

        Raises:
            CommandFailed: another exit status than 0; carries the whole result.
            ConnectionFailed: the connection is lost and there is no new one.
            OperationTimeout: time is up; the same call picks it up again where `once` is set.
        """
        detached = Detached.of(shlex.join(arguments), once, self._timeouts.detached_poll)
        answer = self._follow(detached, once)
        # Its result is here; what is left of it only takes place, and only a run of the same command takes it up.
        with contextlib.suppress(ConnectionLost):
            self._execute(detached.end, self._timeouts.command_response)
        try:
            completed = detached.result(answer)
        except ValueError as error:
            raise command_failed(replace(answer, command=detached.command), self.vm_name) from error
        return self._finish(arguments, completed, check=True)

    def _follow(self, detached: Detached, once: bool) -> Completed:
        """Begin a detached command and wait for its end; returns what the last look printed."""
        deadline = time.monotonic() + self._timeouts.detached
        script, broken = detached.begin, 0
        while True:
            try:
                answer = self._execute(script, detached.poll_seconds + self._timeouts.command_response)
            except ConnectionLost:
                broken += 1
                if broken == BROKEN_IN_A_ROW:
                    raise
                self.renew()
                script = detached.look
                continue
            if answer.exit_status == 0:
                return answer
            if answer.exit_status == RUNNING:
                broken, script = 0, detached.look
            else:  # gone without a word: the connection was lost before it began, or the VM has been restarted
                broken += 1
                if broken == BROKEN_IN_A_ROW:
                    raise command_failed(replace(answer, command=detached.command), self.vm_name)
                script = detached.begin
            if time.monotonic() > deadline:
                again = "run this step again to go on" if once else "look at the VM before you run this step again"
                message = (
                    f"`{detached.command}` still runs on {self.vm_name} after {self._timeouts.detached:.0f} s: {again}."
                )
                raise OperationTimeout(message)

    def _finish(self, arguments: Sequence[str], completed: Completed, check: bool) -> Completed:
        self._record(arguments, completed.exit_status)
        if check and completed.exit_status != 0:
            raise command_failed(completed, self.vm_name)
        return completed

    def retry(
        self,
        *arguments: str,
        within: float,
        on_refusal: Callable[[CommandRefused], None] = lambda error: None,
        interval: float = 5.0,
    ) -> Completed:
        """Run a program until it ends with exit status 0.

        A refusal for want of a role lasts until a role assignment has an effect; one that no role mends (`FailureKind.lasts`)
        is raised at once. What is no refusal (a new identity that the metadata service
        does not know yet, Docker that is just starting) passes within `Timeouts.transient`, or it does not pass.

        Args:
            within: seconds after which the last failure is raised.
            on_refusal: called with each refusal; what it raises ends the waiting at once.
            interval: seconds between two tries.

        Raises:
            CommandFailed: time is up.
        """
        deadline, since = time.monotonic() + within, None
        while True:
            try:
                return self.run(*arguments)
            except CommandFailed as error:
                if error.failure.lasts:
                    raise
                now = time.monotonic()
                if isinstance(error, CommandRefused):
                    since = None
                    on_refusal(error)
                else:
                    since = now if since is None else since
                if now + interval > deadline or (since is not None and now - since >= self._timeouts.transient):
                    raise
            time.sleep(interval)

    def _execute(self, command: str, timeout: float) -> Completed:
        channel = self._session(command)
        ended = threading.Event()

        def end() -> None:
            ended.set()
            channel.close()

        limit = threading.Timer(self._timeouts.command_total, end)
        limit.daemon = True
        limit.start()
        try:
            channel.settimeout(timeout)
            # paramiko would wait for the answer without an end.
            watchdog = threading.Timer(self._timeouts.command_response, channel.close)
            watchdog.start()
            try:
                channel.exec_command(command)
            finally:
                watchdog.cancel()
            channel.shutdown_write()
            stdout, stderr = _drain(channel)
            channel.status_event.wait(self._timeouts.command_response)
            exit_status = channel.recv_exit_status() if channel.exit_status_ready() else -1
        except (paramiko.SSHException, OSError, EOFError) as error:
            if not ended.is_set():
                raise self._lost(command, str(error) or type(error).__name__) from error
            exit_status = -1
        finally:
            limit.cancel()
            channel.close()
        if exit_status == -1 and ended.is_set():
            raise self._too_long(command)
        if exit_status == -1:  # paramiko says so for a lost connection and for the end by a signal alike
            raise self._lost(command, "no exit status came")
        return Completed(command, exit_status, stdout.text, stderr.text, stdout.left_out + stderr.left_out)

    def _session(self, command: str) -> paramiko.Channel:
        """A session for a command; on a new connection where the one that was kept has ended, since nothing was begun on it.

        Raises:
            ConnectionFailed: there is no new one.
            ConnectionLost: nor does the new one have a session.
        """
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            return self._open()
        self.renew()
        try:
            return self._open()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(command, str(error) or type(error).__name__) from error

    def _open(self) -> paramiko.Channel:
        transport = self._client.get_transport()
        if transport is None:
            raise EOFError
        return transport.open_session(timeout=self._timeouts.handshake)

    def _too_long(self, command: str) -> OperationTimeout:
        seconds = self._timeouts.command_total
        message = (
            f"`{command}` on {self.vm_name} has not ended after {seconds:.0f} s, whatever it prints: the connection was left, "
            "and it may still run; look at the VM before you run this step again."
        )
        return OperationTimeout(message)

    def _lost(self, command: str, reason: str) -> ConnectionLost:
        message = (
            f"The SSH connection to {self.vm_name} ended before `{command}` did ({reason}): whether it finished is not "
            "known; run this step again."
        )
        return ConnectionLost(message)


def _drain(channel: paramiko.Channel) -> tuple[Output, Output]:
    """Both streams to their ends. One after the other would stall a command that fills the second one's window."""
    output, errors = Output(), Output()
    problems: list[Exception] = []

    def read_errors() -> None:
        try:
            while chunk := channel.recv_stderr(65536):
                errors.add(chunk)
        except OSError as problem:
            problems.append(problem)

    reader = threading.Thread(target=read_errors, daemon=True)
    reader.start()
    while chunk := channel.recv(65536):
        output.add(chunk)
    reader.join()
    if problems:
        raise problems[0]
    return output, errors
