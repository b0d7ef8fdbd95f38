"""What the other side may send without an end, or without sense: a VM's output, answers of Azure and of a registry."""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import psutil  # type: ignore[import-untyped]
import pytest
from azure.core import PipelineClient
from azure.core.exceptions import ServiceResponseError
from azure.core.rest import HttpRequest

from azure_sandbox import faults
from runbook_helpers import (
    Azure,
    assign_identity,
    assign_role,
    check_permissions,
    create_identity,
    create_registry,
    create_vm,
    delete_resource_group,
    import_image,
    install_azure_cli,
    show_image,
    show_registry,
    show_vm,
    ssh,
)
from runbook_helpers.connection import transport
from runbook_helpers.errors import CommandFailed, OperationTimeout, RunbookError
from runbook_helpers.ssh.output import KEPT
from runbook_helpers.timeouts import DEFAULTS

from ..conftest import SSH_SOURCE, connect_to
from .impostor import detour, ssh_server

SOURCE = "mcr.microsoft.com/azuredocs/aci-helloworld:v1"
DEEP = "[" * 40_000 + "]" * 40_000
NONSENSE = ["{}", '{"properties": 5}', '{"properties": {}, "identity": [1], "value": {"a": 1}}', '{"value": [3, "x"]}',
            f'{{"value": {DEEP}}}', DEEP, "null", "7", '"text"', "[{}]", "\ufeff{", '{"error": "no"}']  # fmt: skip


@contextlib.contextmanager
def speaking(vm: Azure, speak: Callable[[asyncssh.SSHServerProcess[bytes]], Any], **timeouts: float) -> Iterator[Azure]:
    """A connection whose VM is an SSH server of the test's own, with the host key that we know."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    vm.keys.pin(str(show_vm(vm, "vm").vm_id and show_vm(vm, "vm").id), key.export_public_key().decode())
    with ssh_server([key], session=speak, encoding=None) as (port, _), detour(str(vm.proxy), port) as proxy:
        yield replace(vm, proxy=proxy, timeouts=replace(vm.timeouts, **timeouts))


async def endless(process: asyncssh.SSHServerProcess[bytes]) -> None:
    block = b"x" * 65_535 + b"\n"
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            process.stdout.write(block)
            process.stderr.write(block)
            await process.stdout.drain()


async def slow(process: asyncssh.SSHServerProcess[bytes]) -> None:
    import asyncio

    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            process.stdout.write(b".")
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("speak", [endless, slow])
def test_output_without_an_end_is_ended(vm: Azure, speak: Any) -> None:
    before = psutil.Process().memory_info().rss
    with (
        speaking(vm, speak, command_total=3) as azure,
        ssh(azure, "vm") as shell,
        pytest.raises(OperationTimeout, match=r"`report` on vm has not ended after 3 s, .* it may still run"),
    ):
        shell.run("report")
    assert psutil.Process().memory_info().rss - before < 200 << 20


@pytest.mark.parametrize("speak", [endless, slow])
def test_detached_output_without_an_end_is_ended(vm: Azure, speak: Any) -> None:
    with speaking(vm, speak, command_total=2) as azure, ssh(azure, "vm") as shell, pytest.raises(OperationTimeout):
        shell.run_detached("report")


def test_long_output_is_kept_in_part_and_says_so(vm: Azure) -> None:
    async def speak(process: asyncssh.SSHServerProcess[bytes]) -> None:
        status = b"0\n" if b"flock" in (process.command or "").encode() else b""
        process.stdout.write(status + b"begin" + b"x" * (10 << 20) + b"end")
        process.stderr.write(b"short")
        await process.stdout.drain()
        process.exit(0)

    with speaking(vm, speak) as azure, ssh(azure, "vm") as shell:
        for completed in (shell.run("report"), shell.run_detached("report")):
            assert completed.stderr == "short"
            assert completed.stdout.startswith("beginxxx") and completed.stdout.endswith("xxxend")
            assert len(completed.stdout) < 2 * KEPT + 65536 + 100 and " bytes are left out …]" in completed.stdout
            assert completed.left_out > 8 << 20


def test_output_up_to_the_limit_is_whole(vm: Azure) -> None:
    async def speak(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write("é".encode() * KEPT)
        process.exit(0)

    with speaking(vm, speak) as azure, ssh(azure, "vm") as shell:
        completed = shell.run("report")
        assert completed.stdout == "é" * KEPT and completed.left_out == 0


@pytest.fixture
def folder(shared_folder: Path) -> Iterator[Path]:
    yield shared_folder
    faults.clear(shared_folder)


@pytest.mark.sample(4)
@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("host", ["management.*", "*.azurecr.cn", "login.*"])
def test_nonsense_in_an_answer_is_an_error_in_a_sentence(
    azure: Azure, folder: Path, name: str, host: str, body: str
) -> None:
    create_registry(azure, name)
    import_image(azure, name, "app:v1", SOURCE)
    scope = str(show_registry(azure, name).id)
    azure = replace(connect_to(name), timeouts=replace(DEFAULTS, backoff=0.01, polling_interval=0))
    calls: list[Callable[[], object]] = [
        lambda: show_image(azure, name, "app:v1"),
        lambda: show_registry(azure, name),
        lambda: create_registry(azure, name),
        lambda: import_image(azure, name, "app:v2", SOURCE),
        lambda: create_identity(azure, "id1"),
        lambda: create_vm(azure, "vm", ssh_source=SSH_SOURCE),
        lambda: assign_identity(azure, "vm", "id1"),
        lambda: assign_role(azure, "AcrPull", assignee=str(uuid.uuid4()), scope=scope),
        lambda: ssh(azure, "vm"),
        lambda: check_permissions(azure, registry_name=name, vm_name="vm", identity_name="id1"),
        lambda: delete_resource_group(azure),
    ]
    for status in (200, 403) if host == "login.*" else (200, 201, 202, 403):
        rule = faults.add(folder, faults.Status(status, host=host, path="*", body=body, times=0))
        for call in calls:
            with contextlib.suppress(RunbookError):  # each other error fails the test
                call()
        faults.clear(folder, rule)


def test_nonsense_of_a_program_is_an_error_in_a_sentence(vm: Azure, folder: Path) -> None:
    install_azure_cli(vm, "vm")
    faults.add(folder, faults.CommandExit("az version*", 0))  # and prints nothing
    with pytest.raises(CommandFailed, match="az version"):
        install_azure_cli(vm, "vm")


@contextlib.contextmanager
def answering(*parts: bytes, pause: float = 0.0) -> Iterator[str]:
    """An HTTP server whose answer begins with all parts, and repeats the last one without an end."""
    stopped = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError):
                    client.recv(65536)
                    client.sendall(b"".join(parts))
                    while not stopped.wait(pause):
                        client.sendall(parts[-1])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"])
@pytest.mark.parametrize("size, pause", [(1, 0.02), (65536, 0.0)])
def test_answer_without_an_end_is_ended(head: bytes, size: int, pause: float) -> None:
    part = b"x" * size
    if b"chunked" in head:
        part = b"%x\r\n%s\r\n" % (size, part)
    before = psutil.Process().memory_info().rss
    timeouts = replace(DEFAULTS, answer_total=2.0)
    with (
        answering(head, part, pause=pause) as url,
        PipelineClient(url, **transport(None, None, timeouts)) as client,
        pytest.raises(ServiceResponseError, match=r"longer than|did not end"),
    ):
        client.send_request(HttpRequest("GET", url))
    assert psutil.Process().memory_info().rss - before < 300 << 20
