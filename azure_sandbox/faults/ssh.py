"""Carries out the faults of SSH connections and of the commands that run over them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..guard import RequestRefused
from ..proxy import Reset
from .active import Faults
from .rules import Fault, Rule

if TYPE_CHECKING:
    import asyncssh


def _of_connections(fault: Fault) -> bool:
    return bool(fault.ssh) and not fault.command


def _of_commands(fault: Fault) -> bool:
    return bool(fault.command)


def fault_of_connection(faults: Faults, address: str, vm_name: str) -> str:
    """What happens to a connection to a VM: "", "silent" or "host_key". Raises what the proxy does for the others."""
    rule = faults.take(_of_connections, vm=vm_name, address=address)
    what = rule.fault.ssh if rule else ""
    if what == "refused":
        raise RequestRefused(502, f"{address}:22: connection refused")
    if what == "reset":
        raise Reset
    return what


async def keep_silent(connection: socket.socket) -> None:
    """Take what comes and say nothing, until the client has had enough."""
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        while await reader.read(4096):
            pass
    finally:
        writer.close()


def fault_of_command(faults: Faults, vm_name: str, command: str) -> Rule | None:
    """What happens to a command that an SSH client runs on a VM."""
    return faults.take(_of_commands, vm=vm_name, command=command)


@dataclass(frozen=True)
class Misbehaviour:
    """A rule that happens to one command."""

    rule: Rule
    faults: Faults

    async def carry_out(
        self,
        ssh: asyncssh.SSHServerProcess[str],
        run: Callable[[], Coroutine[None, None, int]],
        let_go: Callable[[], object],
        reset: Callable[[], None],
    ) -> int:
        """What becomes of the command: its exit status.

        Args:
            run: runs the program to its end.
            let_go: the program no longer minds whether the client is there.
            reset: resets the client's connection.
        """
        fault = self.rule.fault
        if fault.exit_status is not None:
            ssh.stderr.write(fault.stderr)
            return fault.exit_status
        if fault.reset or fault.ssh:
            program = asyncio.ensure_future(run())
            await asyncio.wait([program], timeout=None if fault.after else fault.delay)
            let_go()
            reset()
            return await asyncio.shield(program)
        if fault.after:
            status = await run()
            await self._wait(ssh)
            return status
        await self._wait(ssh)
        # What was held until its client had gone was never more than on its way.
        return 1 if fault.stall and ssh.channel.is_closing() else await run()

    async def _wait(self, ssh: asyncssh.SSHServerProcess[str]) -> None:
        if self.rule.fault.stall:
            await self.faults.held(self.rule, ssh.channel.is_closing)
        await asyncio.sleep(self.rule.fault.delay)
