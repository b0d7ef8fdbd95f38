"""SSH to the sandbox's VMs with the real client: what arrives, what is refused, what is reported when it breaks."""

from __future__ import annotations

import dataclasses
import re
import shlex
import socketserver
import subprocess
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_helpers import Azure, create_vm, ssh
from runbook_helpers.errors import CommandFailed, ConnectionFailed, ConnectionLost
from runbook_helpers.ssh.keys import new_host_key


def test_status_and_both_streams(vm: Azure) -> None:
    with ssh(vm, "vm") as shell:
        assert shell.run("echo", "a").stdout == "a\n"
        failed = shell.run("ls", "/nothing", check=False)
        assert failed.exit_status != 0 and failed.stdout == "" and "/nothing" in failed.stderr
        with pytest.raises(CommandFailed, match=r"`ls /nothing` ended with exit status") as error:
            shell.run("ls", "/nothing")
        assert error.value.completed == failed


@pytest.mark.parametrize("hostile", ["$(id)", "; id", "`id`", "a b", "'", '"', "&& id", "\\", "*", "", "-n\nx", "标识"])
def test_arguments_arrive_as_they_are(vm: Azure, hostile: str) -> None:
    with ssh(vm, "vm") as shell:
        assert shell.run("printf", "%s", hostile).stdout == hostile


@given(st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), min_size=1))
def test_quoting_survives_a_real_shell(arguments: list[str]) -> None:
    line = shlex.join(["printf", r"%s\0", *arguments])
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == arguments


def test_unknown_host_key_is_refused(vm: Azure) -> None:
    for path in (vm.keys.folder / "known_hosts").iterdir():
        if vm.resource_group in path.read_text():
            path.unlink()
    with pytest.raises(ConnectionFailed, match="host key of the VM vm is not known on this machine"):
        ssh(vm, "vm")


def test_changed_host_key_is_refused(vm: Azure) -> None:
    vm.keys.pin(str(vm.compute.virtual_machines.get(vm.resource_group, "vm").id), new_host_key()[1])
    with pytest.raises(ConnectionFailed, match="another host key"):
        ssh(vm, "vm")


def test_host_key_is_found_whatever_the_case_of_the_id(vm: Azure) -> None:
    vm_id = str(vm.compute.virtual_machines.get(vm.resource_group, "vm").id)
    assert vm.keys.pinned(vm_id.upper()) == vm.keys.pinned(vm_id.lower()) is not None


def test_security_group_that_does_not_admit_us(azure: Azure) -> None:
    create_vm(azure, "vm", ssh_source="192.0.2.1")
    with pytest.raises(ConnectionFailed, match=r"does not admit SSH from 192\.0\.2\.200"):
        ssh(azure, "vm")


def test_stopped_vm(vm: Azure) -> None:
    vm.compute.virtual_machines.begin_deallocate(vm.resource_group, "vm").wait()
    with pytest.raises(ConnectionFailed, match="the VM is deallocated"):
        ssh(vm, "vm")
    vm.compute.virtual_machines.begin_start(vm.resource_group, "vm").wait()
    with ssh(vm, "vm") as shell:
        assert shell.run("hostname").stdout == "vm\n"


GREETING = b"SSH-2.0-test\r\n"
OPEN = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "stays", "cause"),
    [
        (OPEN, False, "what answers there does not greet as an SSH server"),
        (OPEN + b"HTTP/1.1 400 Bad Request\r\n\r\n", False, "what answers there does not greet as an SSH server"),
        (OPEN + GREETING, False, "the connection was closed before the SSH handshake was done"),
        (OPEN + GREETING, True, "the SSH handshake was not done in 1 s"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 6\r\n\r\n<html>", False,
         "the proxy answered HTTP/1.1 407 Proxy Authentication Required"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: -5\r\n\r\n", False, "the proxy answered HTTP/1.1 502 Bad Gateway"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nbusy", False,
         "the proxy answered HTTP/1.1 502 Bad Gateway: busy"),
        (b"", False, "the proxy answered nothing"),
    ],
)  # fmt: skip
def test_the_cause_is_reported(vm: Azure, said: bytes, stays: bool, cause: str) -> None:
    """Whoever answers in the place of the VM, or of the proxy before it."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1000)
            self.request.sendall(said)
            if stays:
                time.sleep(2)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        short = dataclasses.replace(vm.timeouts, handshake=1.0)
        proxied = dataclasses.replace(vm, proxy=f"http://127.0.0.1:{server.server_address[1]}", timeouts=short)
        vars(proxied).update(compute=vm.compute, network=vm.network)  # the SDKs go on as before
        with pytest.raises(ConnectionFailed, match=rf"VM vm at [\d.]+ within 1 s: {re.escape(cause)}\. Is it running"):
            ssh(proxied, "vm", within=1)
        server.shutdown()


def test_lost_connection_is_an_error_and_never_a_result(vm: Azure) -> None:
    with ssh(vm, "vm") as shell:
        off = threading.Timer(0.5, lambda: vm.compute.virtual_machines.begin_power_off(vm.resource_group, "vm").wait())
        off.start()
        with pytest.raises(ConnectionLost, match="ended before `sleep 60` did"):
            shell.run("sleep", "60")
        off.join()


def test_private_key_is_ours_alone(vm: Azure) -> None:
    path, public = vm.keys.private_key_path(), vm.keys.public_key()
    assert path.stat().st_mode & 0o077 == 0
    assert public.startswith("ssh-rsa ")
    assert path.is_relative_to(vm.keys.folder)
