"""The parts of a real machine that need no root; the machine itself is tested by `make conformance`."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
import ssl
import stat
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from uvicorn import Config

from azure_sandbox import process
from azure_sandbox.errors import SandboxError
from azure_sandbox.guard import RequestRefused
from azure_sandbox.guests import Machine, choice, cloud_init
from azure_sandbox.guests.machine import apt_sources, host, server_names
from azure_sandbox.proxy import Caller, Proxy

posix = pytest.mark.skipif(os.name != "posix", reason="a real machine's scripts are for sh")
MACHINE = Machine("id", "/resource", "myVM", "azureuser", ("ssh-ed25519 AAAA me",), "", "AzureChinaCloud", "", "ca.pem")


def first_boot(custom_data: str) -> cloud_init.FirstBoot:
    return cloud_init.first_boot(Machine(**{**MACHINE.__dict__, "custom_data": custom_data}))


def sh(script: str, path: str = os.environ.get("PATH", "")) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh"], input=script, capture_output=True, text=True, env={"PATH": path})


# cloud-init


@posix
def test_write_file_whatever_is_in_it(tmp_path: Path) -> None:
    path, content = tmp_path / "a folder" / "it's", "$HOME `id` 'quoted' \"twice\"\n\\n"
    script = "\n".join(
        [cloud_init.write(str(path), content, "640"), cloud_init.write(str(path), "2", "640", append=True)]
    )
    assert sh(script).stderr == ""
    assert path.read_text() == content + "2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@posix
def test_packages_and_commands(tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n')
    apt.chmod(0o755)
    final = first_boot(f'#cloud-config\npackages: [jq, curl]\nruncmd: [[touch, "{tmp_path}/a b"], "false"]\n').final
    assert sh(final, f"{tmp_path}:{os.environ['PATH']}").returncode == 1  # one command failed, and the others were done
    assert (tmp_path / "asked").read_text() == "update\ninstall -y jq curl\n"
    assert (tmp_path / "a b").exists()


def said(custom_data: str) -> str:
    """What the log of cloud-init has."""
    line = next(line for line in first_boot(custom_data).before.splitlines() if cloud_init.LOG in line)
    found = re.search(r"echo (\S*) \|", line)
    assert found
    return base64.b64decode(found[1]).decode()


@posix
@pytest.mark.parametrize(
    ("custom_data", "words"),
    [
        ("", ""),
        ("#!/usr/bin/perl\nid", "knows no custom data other than #cloud-config"),
        ("#cloud-config\nntp: {}\nusers: []\n", "has no ntp; it was not done"),
        ("#cloud-config\n[", "Failed loading yaml blob"),
        ("#cloud-config\nruncmd: id\n", "runcmd: not a list"),
        ("#cloud-config\nwrite_files: [{path: etc}]\n", "an entry has no absolute path"),
        (
            "#cloud-config\nwrite_files: [{path: /a, encoding: b64, content: abc}]\n",
            "/a: Incorrect padding; it was not",
        ),
        ("#cloud-config\nruncmd: 2026-13-45\n", "Failed loading yaml blob"),
    ],
)
def test_what_cloud_init_does_not_do_is_reported(custom_data: str, words: str) -> None:
    assert words in said(custom_data)


def test_given_host_keys_are_used() -> None:
    script = first_boot("#cloud-config\nssh_keys: {ed25519_private: one, ed25519_public: two}\n").before
    assert "/etc/ssh/ssh_host_ed25519_key.pub" in script
    assert "ssh-keygen" not in script
    assert "ssh-keygen -A" in first_boot("").before


# What it needs of the host


def test_missing_capabilities_are_named() -> None:
    assert host.missing_capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n") == []
    assert host.missing_capabilities("CapEff:\t00000000a80425fb\n") == [
        "CAP_NET_ADMIN",
        "CAP_SYS_PTRACE",
        "CAP_SYS_ADMIN",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the sentence names the system")
def test_without_root_it_refuses_in_a_sentence() -> None:
    script = (
        "import os; from azure_sandbox.guests.machine.host import refusal\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "print(refusal())"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(
        r"A real machine needs root, and this is user \d+ \(--guest simulated needs none of it\)\.\n", printed
    )


def test_a_refusal_makes_no_folder(fresh: Path) -> None:
    if not host.refusal():
        pytest.skip("a real machine is possible here")
    with pytest.raises(SandboxError, match="A real machine needs"):
        process.start(fresh, guest="machine")
    assert not fresh.exists()


def test_the_guest_stays_what_it_was(fresh: Path) -> None:
    assert choice.read(fresh).guest == choice.SIMULATED
    process.start(fresh)
    process.start(fresh, guest="simulated")
    with pytest.raises(SandboxError, match="runs with --guest simulated: stop it first"):
        process.start(fresh, guest="machine")


def test_an_image_that_is_gone_is_made_ready_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "guest.json").write_text('{"guest": "machine", "image": "/no/image", "sources": []}')
    monkeypatch.setenv("PATH", "")  # so that a real machine is possible nowhere
    with pytest.raises(SandboxError, match="A real machine needs"):
        choice.make_ready(tmp_path, None, print)


def test_a_start_removes_the_disks_of_vms_that_are_gone(fresh: Path) -> None:
    process.start(fresh)
    process.stop(fresh)
    (fresh / "machines" / "gone" / "disk").mkdir(parents=True)
    process.start(fresh)
    assert not (fresh / "machines" / "gone").exists()


def test_sources_are_those_of_the_distribution(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://no.example/debian bookworm main\n"
        "deb [signed-by=/k.gpg] http://one.example/debian bookworm main contrib # why\n"
        "deb-src http://no.example/debian bookworm main\ndeb file:/srv bookworm main\n"
    )
    (parts / "vendor.list").write_text("deb https://vendor.example/apt tool-bookworm main\n")
    (parts / "two.sources").write_text(
        "Types: deb deb-src\n# a comment\nURIs: https://two.example:8443/debian\n"
        "Suites: bookworm-security\n bookworm-updates\nComponents: main\n\nEnabled: no\nTypes: deb\nURIs: http://off.example\n"
        "Suites: bookworm\n"
    )
    found = apt_sources.apt_sources(tmp_path, "bookworm")
    assert [source.urls for source in found] == [("http://one.example/debian",), ("https://two.example:8443/debian",)]
    assert found[1].suites == ("bookworm-security", "bookworm-updates")
    base = apt_sources.base_source(found, "bookworm")
    assert (base.components, base.keyring) == (("main", "contrib"), "/k.gpg")
    assert apt_sources.host_and_port(found[1].urls[0]) == "two.example:8443"
    with pytest.raises(SandboxError, match="needs apt's source of trixie by http"):
        apt_sources.base_source(found, "trixie")


class _Index(BaseHTTPRequestHandler):
    """An index that lets one user in."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == f"Basic {base64.b64encode(b'me:p@ss').decode()}"
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(b'<a href="https://files.example/az.whl#sha256=0">')

    def log_message(self, *arguments: Any) -> None: ...


def test_an_index_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), _Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for password, hosts in (("p%40ss", {"files.example:443", f"127.0.0.1:{server.server_port}"}), ("no", set())):
            monkeypatch.setenv("PIP_INDEX_URL", f"http://me:{password}@127.0.0.1:{server.server_port}/simple")
            found = apt_sources.package_index()
            assert set(found.hosts if found else ()) == hosts
        server.shutdown()
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@index.example:port/simple")
    assert apt_sources.package_index() is None


def test_a_password_is_neither_shown_nor_readable() -> None:
    assert apt_sources.without_password("E: http://me:a@b@c.example/x y") == "E: http://c.example/x y"
    assert apt_sources.mode(["deb http://a.example/x@y bookworm"]) == 0o644
    assert apt_sources.mode(["deb http://me:secret@a.example/x bookworm"]) == 0o600


# Names in DNS and TLS


def query(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">HH", kind, 1)


def test_names_are_answered() -> None:
    def ask(name: str, kind: int = 1) -> bytes:
        return server_names.answer(query(name, kind), lambda asked: asked == "mcr.microsoft.com", "10.255.0.1")

    answer = ask("MCR.microsoft.com")
    assert answer[:2] == b"\0\7"
    assert answer[3] & 15 == 0
    assert socket.inet_ntoa(answer[-4:]) == "10.255.0.1"
    assert ask("mcr.microsoft.com", kind=28)[6:8] == b"\0\0"  # there is no IPv6 address, and the name exists
    assert ask("example.com")[3] & 15 == 3
    for damaged in (b"", b"abc", answer, query("a.b", 1)[:-3]):
        with pytest.raises((ValueError, IndexError, struct.error)):
            server_names.answer(damaged, lambda name: True, "10.255.0.1")


def test_the_name_in_a_tls_greeting() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="login.chinacloudapi.cn")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    assert server_names.is_complete(hello)
    assert not server_names.is_complete(hello[:-1])
    assert server_names.asked_for(hello) == ("login.chinacloudapi.cn", True)
    with pytest.raises(ValueError, match="TLS greeting"):
        server_names.asked_for(hello[:60])


def test_the_name_in_an_http_request() -> None:
    assert server_names.asked_for(b"GET / HTTP/1.1\r\nHost: Deb.Example:80\r\n\r\n") == ("deb.example", False)
    with pytest.raises(ValueError, match="no Host"):
        server_names.asked_for(b"GET / HTTP/1.0\r\n\r\n")


# The proxy


async def _tell_caller(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["state"]["caller"].vm_id.encode()})


@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_from_inside_is_that_vm(tls: bool) -> None:
    ca = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("mcr.microsoft.com").configure_cert(server)
    ca.configure_trust(client)

    async def refuse(host: str, caller: Caller) -> socket.socket:
        raise RequestRefused(403, host)

    async def ask() -> bytes:
        config = Config(_tell_caller, http="h11", ws="none", log_config=None, lifespan="off")
        proxy = Proxy(config, server, lambda host: True, lambda user, password: None, refuse)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            name = "mcr.microsoft.com" if tls else None
            connecting = asyncio.open_connection(
                *listener.getsockname(), ssl=client if tls else None, server_hostname=name
            )
            task = asyncio.ensure_future(connecting)
            accepted, _ = await asyncio.to_thread(listener.accept)
        accepted.setblocking(False)
        serving = asyncio.ensure_future(proxy.serve(accepted, Caller("the-vm"), tls=tls))
        reader, writer = await task
        await serving
        writer.write(b"GET / HTTP/1.1\r\nHost: mcr.microsoft.com\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    assert b"the-vm" in asyncio.run(ask())
