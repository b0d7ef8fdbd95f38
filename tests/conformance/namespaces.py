"""A network namespace in which the emulated cloud have their real names and ports: no proxy is set in it.

Each name has an address on the namespace's loopback, in its own /etc/hosts; the metadata service has its real one. A
thread listens there for each and passes the connection on to the sandbox's proxy, with the VM's credentials.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import os
import socket
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000
METADATA = "169.254.169.254"


def available() -> str:
    """Why there can be no namespace here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("unshare", "nsenter", "ip", "mount"):
        if not any(os.access(Path(folder) / program, os.X_OK) for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin")):
            return f"network namespaces need the program {program}"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)
    return tried.stderr.strip()


@contextlib.contextmanager
def namespace(folder: Path, names: list[str], proxy: str) -> Iterator[list[str]]:
    """Yields what to put before a command so that it runs in the namespace."""
    addresses = {name: f"127.0.1.{number}" for number, name in enumerate(names, 1)}
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items()))
    script = (
        f"ip link set lo up && ip addr add {METADATA}/32 dev lo && mount --bind {hosts} /etc/hosts "
        "&& echo ready && exec sleep infinity"
    )
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    stop = threading.Event()
    listeners: list[socket.socket] = []
    try:
        assert holder.stdout
        line = holder.stdout.readline()
        assert line == "ready\n", line
        for name, address in [*((name, addresses[name]) for name in names), (METADATA, METADATA)]:
            listener = _listen(holder.pid, address, 80 if name == METADATA else 443)
            listeners.append(listener)
            threading.Thread(target=_serve, args=(listener, name, proxy, stop), daemon=True).start()
        yield ["nsenter", f"--target={holder.pid}", "--net", "--mount"]
    finally:
        stop.set()
        for listener in listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        holder.kill()
        holder.wait()
        assert holder.stdout
        holder.stdout.close()


def _listen(pid: int, address: str, port: int) -> socket.socket:
    """A listening socket inside the namespace of a process; a thread enters it, and ends there."""
    made: list[socket.socket | OSError] = []

    def enter() -> None:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
                made.append(OSError(ctypes.get_errno(), "setns"))
            else:
                made.append(socket.create_server((address, port)))
        except OSError as error:
            made.append(error)
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def _serve(listener: socket.socket, name: str, proxy: str, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_connect, args=(client, name, proxy), daemon=True).start()


def _connect(client: socket.socket, name: str, proxy: str) -> None:
    parts = urllib.parse.urlsplit(proxy)
    credentials = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode() if parts.username else ""
    authorization = f"Proxy-Authorization: Basic {credentials}\r\n" if credentials else ""
    assert parts.hostname and parts.port
    with client, contextlib.suppress(OSError), socket.create_connection((parts.hostname, parts.port)) as server:
        if name == METADATA:
            head = b""
            while b"\r\n" not in head and (more := client.recv(4096)):
                head += more
            line, _, rest = head.partition(b"\r\n")
            method, _, target = line.partition(b" ")
            server.sendall(method + b" http://" + METADATA.encode() + target + b"\r\n" + authorization.encode() + rest)
        else:
            server.sendall(f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n{authorization}\r\n".encode())
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                byte = server.recv(1)
                if not byte:
                    return
                answer += byte
            if b" 200 " not in answer.partition(b"\r\n")[0]:
                return
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join(60)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
