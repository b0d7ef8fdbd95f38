"""Connections to SSH servers: through a proxy where there is one, without weak algorithms, to the right server only."""

from __future__ import annotations

import base64
import logging
import re
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from ..connection import Azure
from ..errors import ConnectionFailed
from ..timeouts import DEFAULTS
from .keys import Pin, load_private_key

if TYPE_CHECKING:
    from azure.mgmt.compute.models import VirtualMachine

# What goes wrong is raised; without a handler Python would print paramiko's tracebacks beside it.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
_BROKE_OFF = re.compile(
    "transport shut down|timeout", re.IGNORECASE
)  # no answer to our key: paramiko has one class for both

WEAK = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-md5", "hmac-md5-96", "hmac-sha1", "hmac-sha1-96"],
    "kex": ["diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1"],
    # SHA-1 and DSA: paramiko 5 has dropped them; named so that they stay out.
    "keys": ["ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com"],
    "pubkeys": ["ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com"],
}


def connect(
    azure: Azure, vm: VirtualMachine, address: str, host_key: Pin, private_key_path: Path, within: float
) -> paramiko.SSHClient:
    """A connection to a VM that has proved itself with its host key, signed in with our key.

    Args:
        within: seconds that the VM may take to answer.

    Raises:
        ConnectionFailed: no answer, another host key, or our key is not accepted.
    """
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    key = paramiko.PKey.from_type_string(host_key.kind, base64.b64decode(host_key.base64))
    client.get_host_keys().add(address, host_key.kind, key)
    try:
        _sign_in(client, azure, vm, address, paramiko.RSAKey(key=load_private_key(private_key_path)), within)
    except BaseException:
        client.close()  # paramiko's thread and its socket would stay
        raise
    return client


def _sign_in(
    client: paramiko.SSHClient, azure: Azure, vm: VirtualMachine, address: str, key: paramiko.PKey, within: float
) -> None:
    assert vm.os_profile and vm.os_profile.admin_username
    question = "Is it running, and does ssh_source admit this machine?"
    handshake, began = azure.timeouts.handshake, time.monotonic()
    while True:
        try:
            client.connect(
                address,
                username=vm.os_profile.admin_username,
                pkey=key,
                sock=open_socket(azure.proxy, address, 22, handshake),
                look_for_keys=False,
                allow_agent=False,
                disabled_algorithms=WEAK,
                timeout=handshake,
                banner_timeout=handshake,
                auth_timeout=handshake,
            )
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
            if refused and (not _is_new(azure, vm) or time.monotonic() - began > azure.timeouts.first_boot):
                message = (
                    f"The VM {vm.name} at {address} does not accept our key for {vm.os_profile.admin_username}: it was "
                    f"made with another key than the one in {azure.keys.folder}."
                )
                raise ConnectionFailed(message) from error
            azure.wake()  # it says so where the sandbox has ended
            if not refused and time.monotonic() + 2 > began + within:
                message = f"No SSH connection to the VM {vm.name} at {address} within {within:.0f} s: {cause(error, handshake)}"
                raise ConnectionFailed(f"{message}. {question}") from error
        time.sleep(2)


def _is_new(azure: Azure, vm: VirtualMachine) -> bool:
    made: datetime | None = getattr(vm, "time_created", None)
    return made is not None and (datetime.now(UTC) - made).total_seconds() < azure.timeouts.new_vm


def host_key_shown(azure: Azure, address: str) -> str:
    """Type and base64 of the host key that answers at an address now, whoever that is; nothing of ours is sent.

    Raises:
        ConnectionFailed: nobody answers, or with weak algorithms only.
    """
    seconds = azure.timeouts.handshake
    try:
        connection = open_socket(azure.proxy, address, 22, seconds)
        transport = paramiko.Transport(connection, disabled_algorithms=WEAK)
        try:
            transport.start_client(timeout=seconds)
            key = transport.get_remote_server_key()
        finally:
            transport.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise ConnectionFailed(f"No SSH server shows a host key at {address}: {cause(error, seconds)}.") from error
    return f"{key.get_name()} {key.get_base64()}"


def open_socket(proxy: str | None, host: str, port: int, timeout: float = DEFAULTS.handshake) -> socket.socket:
    """A TCP connection, through the proxy where there is one.

    paramiko would leave Nagle's algorithm on, which costs 40 ms an exchange, so the socket is made here.
    """
    parts = urlsplit(proxy or "")
    where = (parts.hostname or "", parts.port or 80) if proxy else (host, port)
    connection = socket.create_connection(where, timeout=timeout)
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


def cause(error: Exception, handshake: float) -> str:
    """The cause in words, since some of paramiko's own do not name it.

    Args:
        handshake: how long each part of a connection's beginning may have taken.
    """
    words = str(error).strip().rstrip(".")
    if not words:
        return "the connection was closed before the SSH handshake was done"
    if words == "No existing session":
        return f"the SSH handshake was not done in {handshake:.0f} s"
    if words.startswith("Error reading SSH protocol banner"):
        return "what answers there does not greet as an SSH server"
    return words
