"""The sandbox's proxy, on loopback, that answers for the real host names.

CONNECT to a host of the emulated clouds on port 443 ends in this process: a TLS server whose certificate covers that name. CONNECT to
a VM's public address on port 22 ends in that VM's SSH server. A plain request (the metadata service speaks http) is
answered as it is. Every other destination is refused, so that nothing that uses this proxy can reach the internet.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
import ssl
import struct
import sys
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
from uvicorn import Config
from uvicorn.server import ServerState

from .guard import HEAD_TIMEOUT, Fields, RequestRefused, check_source
from .strict_http import StrictConnection, StrictProtocol

logger = logging.getLogger(__name__)
_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
QUICKACK = getattr(socket, "TCP_QUICKACK", None)


@dataclass(frozen=True)
class Caller:
    """A user of the proxy: the operator's machine, or the VM that owns the proxy credentials."""

    vm_id: str | None = None


class Connection:
    """The connection that a request came on, as far as an application may change it."""

    transport: asyncio.Transport

    def reset(self) -> None:
        """End it as a machine does that is switched off: the client sees a reset, not an end."""
        reset(self.transport)

    def close(self) -> None:
        """End it after what has been sent."""
        self.transport.close()

    def is_gone(self) -> bool:
        """Whether the client, or we, have ended it."""
        return self.transport.is_closing()


def reset(transport: asyncio.Transport) -> None:
    """Have the kernel send RST to the other side."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class SshReset(Exception):
    """The connection to a VM is to be reset."""


@dataclass
class Proxy:
    """The proxy; its arguments are what it asks the rest of the sandbox."""

    config: Config
    tls: ssl.SSLContext
    serves: Callable[[str], bool]
    """Whether a host name is one of ours, now."""
    caller: Callable[[str, str], Caller | None]
    """The VM of a proxy user name and password."""
    connect_ssh: Callable[[str, Caller], Awaitable[socket.socket]]
    """One end of a connection to the SSH server at an address; raises RequestRefused or SshReset."""
    patience: float = HEAD_TIMEOUT
    """Seconds a client has to send the head of a request."""

    def __post_init__(self) -> None:
        self.config.load()
        self.server_state = ServerState()
        self.ssh_connections = 0
        self.ssh_clients: dict[socket.socket, asyncio.Transport] = {}
        self.clients = weakref.WeakSet[asyncio.Transport]()
        self.tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references
        self.last_used = 0.0  # the loop's time

    async def listen(self, listener: socket.socket) -> asyncio.Server:
        """Listen on a loopback socket."""
        loop = asyncio.get_running_loop()
        self.last_used = loop.time()
        return await loop.create_server(lambda: _FirstRequest(self), sock=listener)

    async def abort(self) -> None:
        """End all connections: who still waits for an answer sees its connection end, not an answer of ours."""
        for transport in [*self.clients, *(each.transport for each in self.server_state.connections)]:
            if transport is not None:
                transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def reset_ssh(self, ssh: socket.socket) -> None:
        """Reset the client's connection to the SSH server behind a socket of `connect_ssh`."""
        if ssh in self.ssh_clients:
            reset(self.ssh_clients[ssh])

    @property
    def busy(self) -> bool:
        """Whether somebody is connected by SSH or waits for an answer."""
        return self.ssh_connections > 0 or bool(self.server_state.tasks)

    def http(self, caller: Caller) -> StrictProtocol:
        connection = Connection()
        protocol = _Http(self.config, self.server_state, {"caller": caller, "connection": connection})
        protocol.proxy, protocol.patience, protocol.connection = self, self.patience, connection
        return protocol

    async def serve(self, connection: socket.socket, caller: Caller, *, tls: bool = False) -> None:
        """Answer a connection that did not come through the proxy: whoever made it is known to be the caller."""
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: self.http(caller),
            connection,
            ssl=self.tls if tls else None,
            ssl_handshake_timeout=HEAD_TIMEOUT if tls else None,
        )

    def identify(self, headers: dict[str, str]) -> Caller:
        """The caller of a request's proxy credentials; without any it is the operator's machine."""
        scheme, _, encoded = headers.get("proxy-authorization", "").partition(" ")
        if not scheme:
            return Caller()
        user = password = ""
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):
                user, _, password = base64.b64decode(encoded, validate=True).decode("latin-1").partition(":")
        caller = self.caller(user, password)
        if caller is None:
            raise RequestRefused(407, "the sandbox knows no VM with these proxy credentials")
        return caller


class _Http(StrictProtocol):
    """uvicorn's HTTP protocol; acknowledges at once what a client sends in two parts."""

    proxy: Proxy
    connection: Connection
    early = b""  # what came in before connection_made: a TLS client may send with the end of its handshake

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.connection.transport = transport
        super().connection_made(transport)
        if self.early:
            super().data_received(self.early)

    def data_received(self, data: bytes) -> None:
        self.proxy.last_used = self.loop.time()
        if self.transport is None:
            self.early += data
            return
        # urllib3 leaves Nagle's algorithm on behind a proxy: a body waits for the acknowledgement of the head, and the
        # kernel would delay that by 40 ms. The option is not kept by the kernel, so it is set anew each time.
        if QUICKACK is not None:
            peer = self.transport.get_extra_info("socket")
            if peer is not None:
                with contextlib.suppress(OSError):
                    peer.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        super().data_received(data)


class _FirstRequest(asyncio.Protocol):
    """Reads a connection's first request head and hands the connection to what serves it."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._http = StrictConnection()
        self._received = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._proxy.clients.add(transport)
        # asyncio does this only for sockets that were made with an explicit protocol number.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._timer = self._loop.call_later(self._proxy.patience, transport.close)
        self._proxy.last_used = self._loop.time()

    def connection_lost(self, error: Exception | None) -> None:
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._task is not None:
            return
        try:
            self._http.receive_data(data)
            request = self._http.next_event()
            if isinstance(request, h11.Request):
                self._timer.cancel()
                self._begin(request.method.decode(), request.target.decode(), list(request.headers))
        except h11.RemoteProtocolError as error:
            self._timer.cancel()
            self._refuse(RequestRefused(error.error_status_hint, str(error)))
        except RequestRefused as refused:
            self._refuse(refused)

    def _begin(self, method: str, target: str, fields: Fields) -> None:
        check_source(method, target, fields, self._proxy.serves)
        caller = self._proxy.identify({name.decode(): value.decode("latin-1") for name, value in fields})
        if method != "CONNECT":
            self._hand_over(self._proxy.http(caller), self._transport, self._received)
            return
        self._transport.pause_reading()
        self._task = self._loop.create_task(self._connect(target, caller))
        self._proxy.tasks.add(self._task)
        self._task.add_done_callback(self._proxy.tasks.discard)

    def _refuse(self, refused: RequestRefused) -> None:
        body = f"{refused}\n".encode()
        authenticate = 'Proxy-Authenticate: Basic realm="sandbox"\r\n' if refused.status == 407 else ""
        head = (
            f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(body)}\r\n{authenticate}Connection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        self._transport.close()

    @staticmethod
    def _hand_over(protocol: asyncio.Protocol, transport: asyncio.Transport, received: bytes = b"") -> None:
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if received:
            protocol.data_received(received)

    async def _connect(self, target: str, caller: Caller) -> None:
        try:
            host, _, port = target.rpartition(":")
            host = host.lower()
            if port == "22":
                ssh = await self._proxy.connect_ssh(host, caller)
                self._established()
                self._proxy.ssh_connections += 1
                self._proxy.ssh_clients[ssh] = self._transport
                try:
                    await _splice(self._transport, ssh, self._loop)
                finally:
                    self._proxy.ssh_connections -= 1
                    del self._proxy.ssh_clients[ssh]
                    self._proxy.last_used = self._loop.time()
            elif port in ("443", "80") and self._proxy.serves(host):
                self._established()
                await self._serve(host, port, caller)
            else:
                message = f"the sandbox does not serve {host[:100]}:{port[:10]}; it reaches nothing outside itself"
                raise RequestRefused(502, message)
        except RequestRefused as refused:
            self._refuse(refused)
        except SshReset:
            self._established()
            reset(self._transport)
        except (OSError, ssl.SSLError) as error:
            logger.info("CONNECT %s: %s", target, error)
            self._transport.close()
        except Exception:
            logger.exception("CONNECT %s", target)
            self._transport.close()

    def _established(self) -> None:
        self._received = b""  # nothing follows a CONNECT before its answer
        self._transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def _serve(self, host: str, port: str, caller: Caller) -> None:
        http = self._proxy.http(caller)
        if port == "80":
            self._hand_over(http, self._transport)
            self._transport.resume_reading()
            return
        # start_tls resumes reading and makes `http` the protocol, but leaves connection_made to us.
        tls = await self._loop.start_tls(
            self._transport, http, self._proxy.tls, server_side=True, ssl_handshake_timeout=HEAD_TIMEOUT
        )
        assert tls is not None
        http.connection_made(tls)


async def _splice(transport: asyncio.Transport, other: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    """Carry bytes both ways between the client and another socket until either side closes."""
    reader, writer = await asyncio.open_connection(sock=other)
    incoming = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(incoming, loop=loop)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    transport.resume_reading()
    outgoing = asyncio.StreamWriter(transport, protocol, incoming, loop)
    await asyncio.gather(_copy(incoming, writer), _copy(reader, outgoing), return_exceptions=True)


async def splice(connection: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes both ways between a socket and a stream until either side closes."""
    incoming, outgoing = await asyncio.open_connection(sock=connection)
    await asyncio.gather(_copy(incoming, writer), _copy(reader, outgoing), return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: Any) -> None:
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    finally:
        target.close()
