"""What may stand between us and a VM: an SSH server of somebody else's, and the proxy that leads there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncssh


class Recorder(asyncssh.SSHServer):
    """Lets anybody in, and remembers what clients tell it."""

    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._seen.append("connection")

    def begin_auth(self, username: str) -> bool:
        self._seen.append(f"user {username}")
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._seen.append("public key")
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self._seen.append("password")
        return True


class _Steps(logging.Handler):
    """The steps of the protocol that asyncssh logs: they tell of a request for authentication however it ends."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().lower()
        if "request for service" in text or "auth for user" in text:
            self._seen.append(f"log: {text}")


async def _welcome(process: asyncssh.SSHServerProcess[str]) -> None:
    process.stdout.write("welcome\n")
    process.exit(0)


@contextlib.contextmanager
def ssh_server(keys: list[asyncssh.SSHKey], session: Any = _welcome, **options: Any) -> Iterator[tuple[int, list[str]]]:
    """A real SSH server on loopback, where a session is that of `session`: its port, and what it has seen."""
    seen: list[str] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: Recorder(seen),
            server_host_keys=keys,
            process_factory=session,
            **options,
        )

    steps = _Steps(seen)
    asyncssh.logging.logger.logger.addHandler(steps)
    level = asyncssh.logging.logger.logger.level
    asyncssh.set_log_level(logging.DEBUG)
    asyncssh.set_debug_level(2)
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    try:
        yield server.get_port(), seen
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        asyncssh.set_log_level(level)
        asyncssh.set_debug_level(1)
        asyncssh.logging.logger.logger.removeHandler(steps)


async def _end(server: asyncssh.SSHAcceptor) -> None:
    server.close()
    await server.wait_closed()
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


@contextlib.contextmanager
def detour(proxy: str, port: int) -> Iterator[str]:
    """A proxy that leads every CONNECT to a port 22 to `port` on this machine, and all others on to `proxy`: its URL."""
    upstream = urlsplit(proxy)
    assert upstream.hostname and upstream.port
    target = (upstream.hostname, upstream.port)
    listener = socket.create_server(("127.0.0.1", 0))
    open_ones: list[socket.socket] = [listener]
    threads: list[threading.Thread] = []

    def start(function: Any, *arguments: Any) -> None:
        threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        threads[-1].start()

    def serve(client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (data := client.recv(65536)):
            head += data
        if head.split(b" ")[1:2] and head.split(b" ")[1].endswith(b":22"):
            server = socket.create_connection(("127.0.0.1", port))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            server = socket.create_connection(target)
            server.sendall(head)
        open_ones.append(server)
        start(_pump, server, client)
        _pump(client, server)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                open_ones.append(client)
                start(serve, client)

    start(accept)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for each in open_ones:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in threads:
            thread.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
