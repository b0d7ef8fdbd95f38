"""The network of a real machine: sockets that belong to the machine's network namespace and to this process.

Nothing is routed, forwarded or changed on the host. A machine's namespace has its loopback only; this process listens
there at the addresses of the cloud, so who connects is that machine. An emulated host is answered by the sandbox, a source
of apt or pip is connected through without being looked into, and nothing else is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from ...proxy import Caller, splice
from . import server_names
from .disk_image import CLOUD_ADDRESS

if TYPE_CHECKING:
    from ...proxy import Proxy

logger = logging.getLogger(__name__)
METADATA_ADDRESS = "169.254.169.254"
ADDRESSES = [METADATA_ADDRESS, CLOUD_ADDRESS]
_NEW_NET = 0x40000000
_HEAD_SECONDS = 30.0
_MAX_HEAD = 16 * 1024
T = TypeVar("T")


def in_network(pid: int, make: Callable[[], T]) -> T:
    """Call a function in the network namespace of a process, in a thread that enters it and ends there."""
    made: list[T] = []
    failed: list[BaseException] = []

    def enter() -> None:
        try:
            descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NET):
                    raise OSError(ctypes.get_errno(), "setns")
                made.append(make())
            finally:
                os.close(descriptor)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=enter, name="machine network")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


class MachineNetwork:
    """The listeners of one machine that runs."""

    def __init__(self, vm_id: str, pid: int, proxy: Proxy, sources: tuple[str, ...]) -> None:
        self._caller = Caller(vm_id)
        self._pid = pid
        self._proxy = proxy
        self._sources = frozenset(sources)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: list[socket.socket] = []

    def open(self) -> None:
        """Listen in the machine's network."""
        ports = {80, 443} | {int(source.rpartition(":")[2]) for source in self._sources}
        places = [(METADATA_ADDRESS, 80), *((CLOUD_ADDRESS, port) for port in sorted(ports))]
        for place in places:
            listener = in_network(self._pid, lambda place=place: socket.create_server(place, backlog=256))  # type: ignore[misc]
            listener.setblocking(False)
            self._sockets.append(listener)
            self._start(self._accept(listener, *place))
        names = in_network(self._pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        names.bind((CLOUD_ADDRESS, 53))
        names.setblocking(False)
        self._sockets.append(names)
        self._start(self._answer_names(names))

    async def connect(self, port: int) -> socket.socket:
        """A connection to a port of the machine's own."""
        made = in_network(self._pid, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        except BaseException:
            made.close()
            raise
        return made

    async def close(self) -> None:
        """Close the listeners, and every connection to a source; the machine's namespace can go then."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._sockets:
            each.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _knows(self, name: str) -> bool:
        return self._proxy.serves(name) or any(source.rpartition(":")[0] == name for source in self._sources)

    async def _answer_names(self, names: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(OSError, ValueError, struct.error, IndexError):
                query, client = await loop.sock_recvfrom(names, 4096)
                await loop.sock_sendto(names, server_names.answer(query, self._knows, CLOUD_ADDRESS), client)

    async def _accept(self, listener: socket.socket, address: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._serve(connection, address, port))

    async def _serve(self, connection: socket.socket, address: str, port: int) -> None:
        try:
            if address == METADATA_ADDRESS:
                await self._proxy.serve(connection, self._caller)
                return
            head = await asyncio.wait_for(_peek(connection), _HEAD_SECONDS)
            name, tls = server_names.asked_for(head)
            if f"{name}:{port}" in self._sources:
                reader, writer = await asyncio.open_connection(name, port)
                await splice(connection, reader, writer)
            elif self._proxy.serves(name) and tls == (port == 443):
                await self._proxy.serve(connection, self._caller, tls=tls)
            else:
                logger.info(
                    "a machine asked for %s:%d, which is neither emulated nor a source of apt or pip", name, port
                )
                connection.close()
        except (OSError, TimeoutError, ValueError) as error:
            logger.info("a connection of a machine to port %d: %s", port, error)
            connection.close()
        except BaseException:
            connection.close()
            raise


async def _peek(connection: socket.socket) -> bytes:
    """The beginning of what a client says, which stays to be read: enough to see whom it asks for."""
    loop = asyncio.get_running_loop()
    seen = b""
    while len(seen) < _MAX_HEAD:
        more: asyncio.Future[None] = loop.create_future()
        loop.add_reader(connection, lambda more=more: more.done() or more.set_result(None))  # type: ignore[misc]
        try:
            await more
        finally:
            loop.remove_reader(connection)
        before, seen = len(seen), connection.recv(_MAX_HEAD, socket.MSG_PEEK)
        if server_names.is_complete(seen):
            return seen
        if not seen:
            raise ConnectionResetError("it said nothing")
        if len(seen) == before:
            await asyncio.sleep(0.01)  # what is there was seen already; the rest is on its way
    raise ValueError("the head is too long")
