"""The faults of SSH connections and of the commands that run over them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..guard import RequestRefused
from ..proxy import SshReset
from .active import Faults
from .rules import CommandDelay, CommandExit, CommandFault, CommandReset, CommandStall, ConnectionFault

if TYPE_CHECKING:
    import asyncssh


def fault_of_connection(faults: Faults, address: str, vm_name: str) -> str:
    """The fault of a connection to a VM: "", "silent" or "host_key". Raises what the proxy knows for the others."""
    fault = faults.take(ConnectionFault, vm=vm_name, address=address)
    kind = fault.ssh if fault else ""
    if kind == "refused":
        raise RequestRefused(502, f"{address}:22: connection refused")
    if kind == "reset":
        raise SshReset
    return kind


async def keep_silent(connection: socket.socket) -> None:
    """Receive without an answer, until the client closes the connection."""
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        while await reader.read(4096):
            pass
    finally:
        writer.close()


@dataclass(frozen=True)
class FaultyCommand:
    """A command that a fault affects."""

    fault: CommandFault
    faults: Faults

    async def run(
        self,
        ssh: asyncssh.SSHServerProcess[str],
        program: Callable[[], Coroutine[None, None, int]],
        let_go: Callable[[], object],
        reset: Callable[[], None],
    ) -> int:
        """Run the command as the fault lets it: its exit status.

        Args:
            program: runs the command to its end.
            let_go: the program goes on without its client.
            reset: resets the client's connection.
        """
        fault = self.fault
        match fault:
            case CommandExit():
                ssh.stderr.write(fault.stderr)
                return fault.exit_status
            case CommandReset():
                running = asyncio.ensure_future(program())
                await asyncio.wait([running], timeout=None if fault.after else fault.delay)
                let_go()
                reset()
                return await asyncio.shield(running)
            case CommandStall() | CommandDelay():
                if fault.after:
                    status = await program()
                    await self.faults.wait(fault, ssh.channel.is_closing)
                    return status
                gone = await self.faults.wait(fault, ssh.channel.is_closing)
                return 1 if gone else await program()  # it has never arrived, where its client is gone
        raise TypeError(fault)
