"""Raw bytes to the sandbox's proxy, as no decent client would send them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from azure_sandbox import Sandbox

ARM_HOST = "management.chinacloudapi.cn"


@contextmanager
def proxy(sandbox: Sandbox) -> Iterator[socket.socket]:
    """A connection to the proxy itself."""
    with socket.create_connection(("127.0.0.1", sandbox.running.port), timeout=10) as connection:
        yield connection


@contextmanager
def inside(sandbox: Sandbox, host: str = ARM_HOST) -> Iterator[ssl.SSLSocket]:
    """A TLS connection to one of the sandbox's hosts, through the proxy."""
    with proxy(sandbox) as connection:
        connection.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        assert connection.recv(100) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        context = ssl.create_default_context(cafile=sandbox.ca_file)
        with context.wrap_socket(connection, server_hostname=host) as encrypted:
            yield encrypted


def answer(connection: socket.socket, request: bytes, seconds: float = 3) -> bytes:
    """All that comes back until the connection ends, or nothing more comes."""
    received = b""
    connection.settimeout(seconds)
    try:
        connection.sendall(request)
        while data := connection.recv(65536):
            received += data
            connection.settimeout(0.2)
    except OSError:  # a time-out, or a reset
        pass
    return received


def status(received: bytes) -> int:
    """The status of the first answer; 0 where there is none."""
    return int(received[9:12]) if received.startswith(b"HTTP/1.1 ") else 0
