"""Ways to an SSH server: sockets, through a proxy where there is one, and the algorithms that are refused."""

from __future__ import annotations

import base64
import re
import socket
from urllib.parse import SplitResult, urlsplit

import paramiko

from ..connection import Azure
from ..errors import ConnectionFailed

HANDSHAKE_SECONDS = 30.0  # how long each part of a connection may take
WEAK = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-md5", "hmac-md5-96", "hmac-sha1", "hmac-sha1-96"],
    "kex": ["diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1"],
    # SHA-1 and DSA: paramiko 5 has dropped them; named so that they stay out.
    "keys": ["ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com"],
    "pubkeys": ["ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com"],
}


def host_key_shown(azure: Azure, address: str) -> str:
    """Type and base64 of the host key that answers at an address now, whoever that is; nothing of ours is sent.

    Raises:
        ConnectionFailed: nobody answers, or with weak algorithms only.
    """
    try:
        transport = paramiko.Transport(open_socket(azure.proxy, address, 22), disabled_algorithms=WEAK)
        try:
            transport.start_client(timeout=30)
            key = transport.get_remote_server_key()
        finally:
            transport.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise ConnectionFailed(f"No SSH server shows a host key at {address}: {cause(error)}.") from error
    return f"{key.get_name()} {key.get_base64()}"


def open_socket(proxy: str | None, host: str, port: int) -> socket.socket:
    """A TCP connection, through the proxy where there is one.

    paramiko would leave Nagle's algorithm on, which costs 40 ms an exchange, so the socket is made here.
    """
    parts = urlsplit(proxy or "")
    where = (parts.hostname or "", parts.port or 80) if proxy else (host, port)
    connection = socket.create_connection(where, timeout=30)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proxy:
            _ask_proxy(connection, parts, f"{host}:{port}")
    except BaseException:
        connection.close()
        raise
    return connection


def _ask_proxy(connection: socket.socket, proxy: SplitResult, target: str) -> None:
    """Have a proxy go on to a target.

    Raises:
        ConnectionFailed: it refuses to.
        OSError: it cannot.
    """
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if proxy.username:
        credentials = base64.b64encode(f"{proxy.username}:{proxy.password or ''}".encode()).decode()
        head += f"Proxy-Authorization: Basic {credentials}\r\n"
    connection.sendall(f"{head}\r\n".encode())
    answer = b""
    # One byte at a time: what follows the head is the SSH server's greeting, which belongs to paramiko.
    while not answer.endswith(b"\r\n\r\n") and len(answer) < 16384:
        byte = connection.recv(1)
        if not byte:
            break
        answer += byte
    status = answer.split(b"\r\n", 1)[0].decode("latin-1")
    if " 200 " in f"{status} ":
        return
    length = re.search(rb"\r\ncontent-length: *(\d{1,4})\r\n", answer, re.IGNORECASE)
    body = connection.recv(int(length[1])) if length else b""
    # An ordinary proxy answers with a page; the sandbox with a sentence.
    reason = "" if body.lstrip().startswith(b"<") else body.decode("utf-8", "replace").strip()
    if " 403 " in status:
        raise ConnectionFailed(f"The proxy refuses {target}: {reason or status}")
    raise OSError(f"the proxy answered {status or 'nothing'}" + (f": {reason}" if reason else ""))


def cause(error: Exception) -> str:
    """The cause in words; some of paramiko's own do not tell it."""
    words = str(error).strip().rstrip(".")
    if not words:
        return "the connection was closed before the SSH handshake was done"
    if words == "No existing session":
        return f"the SSH handshake was not done in {HANDSHAKE_SECONDS:.0f} s"
    if words.startswith("Error reading SSH protocol banner"):
        return "what answers there does not greet as an SSH server"
    return words
