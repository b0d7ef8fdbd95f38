"""The sandbox misbehaves as it is told: what clients see of it, over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from runbook_helpers import Azure, create_vm, ssh
from runbook_helpers.errors import ConnectionFailed, ConnectionLost
from runbook_helpers.sandbox import faults, process
from runbook_helpers.sandbox.faults import Fault, FaultError
from runbook_helpers.virtual_machines import public_address_of, show_vm

from ..conftest import SSH_SOURCE, connect_to


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One sandbox for this module: its faults would spoil the tests of others."""
    folder = tmp_path_factory.mktemp("faults") / "sandbox"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOK_SANDBOX", str(folder))
        create_vm(connect_to("faulty"), "vm1", ssh_source=SSH_SOURCE)
        yield folder
    process.reset(folder)


@pytest.fixture
def azure(folder: Path) -> Iterator[Azure]:
    yield connect_to("faulty")
    faults.clear(folder)


def door(folder: Path) -> requests.Session:
    """A client that never tries again."""
    running = process.start(folder)
    session = requests.Session()
    session.trust_env = False
    session.proxies = {"https": running.proxy}
    session.verify = str(running.authority_file)
    return session


METADATA = "https://management.chinacloudapi.cn/metadata/endpoints?api-version=2022-09-01"


def test_a_status_is_answered_instead(azure: Azure, folder: Path) -> None:
    rule = faults.add(folder, Fault(path="/metadata/*", nth=2, status=429, headers={"Retry-After": "1"}))
    client = door(folder)
    answers = [client.get(METADATA) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert answers[1].headers["Retry-After"] == "1"
    assert answers[1].json()["error"]["code"] == "TooManyRequests"
    assert [(hit["rule"], hit["method"], hit["path"]) for hit in faults.hits(folder)][-1:] == [
        (rule, "GET", "/metadata/endpoints")
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_connection_is_reset(azure: Azure, folder: Path, after: bool) -> None:
    faults.add(folder, Fault(method="put", path="*/virtualNetworks/*", reset=True, after=after))
    network = f"/subscriptions/{azure.subscription_id}/resourceGroups/faulty/providers/Microsoft.Network/virtualNetworks/reset{after}"
    with pytest.raises(requests.ConnectionError):
        put(azure, folder, network)
    assert put(azure, folder, network).status_code == (200 if after else 201)


def test_a_reset_is_one_for_the_kernel(azure: Azure, folder: Path) -> None:
    """Python's ssl takes it for an end, so this is seen without TLS."""
    faults.add(folder, Fault(path="/metadata/*", reset=True))
    faults.add(folder, Fault(ssh="reset"))
    port = process.start(folder).port
    vm = public_address_of(azure, show_vm(azure, "vm1"))
    metadata = b"GET http://169.254.169.254/metadata/versions HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"
    for request in (metadata, f"CONNECT {vm}:22 HTTP/1.1\r\n\r\n".encode()):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            with pytest.raises(ConnectionResetError):
                while connection.recv(1000):
                    pass


def put(azure: Azure, folder: Path, path: str) -> requests.Response:
    token = azure.credential.get_token("https://management.chinacloudapi.cn/.default").token
    body = {"location": azure.location, "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    url = f"https://management.chinacloudapi.cn{path}?api-version=2023-09-01"
    return door(folder).put(url, json=body, headers={"Authorization": f"Bearer {token}"})


def test_a_request_is_held_until_the_rule_is_cleared(azure: Azure, folder: Path) -> None:
    faults.add(folder, Fault(path="/metadata/*", stall=True))
    timer = threading.Timer(0.3, faults.clear, [folder])
    timer.start()
    began = time.monotonic()
    assert door(folder).get(METADATA).status_code == 200
    assert time.monotonic() - began > 0.3
    timer.join()


def test_an_answer_is_late(azure: Azure, folder: Path) -> None:
    faults.add(folder, Fault(path="/metadata/*", delay=0.2))
    began = time.monotonic()
    assert door(folder).get(METADATA).status_code == 200
    assert time.monotonic() - began > 0.2


def test_an_answer_is_cut(azure: Azure, folder: Path) -> None:
    faults.add(folder, Fault(path="/metadata/*", cut=10))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="10 bytes read"):
        door(folder).get(METADATA)


@pytest.mark.parametrize("what", ["refused", "silent", "reset"])
def test_a_vm_does_not_let_us_in(azure: Azure, folder: Path, what: str) -> None:
    rule = faults.add(folder, Fault(vm="vm1", ssh=what, times=0))
    if what == "silent":
        return
    with pytest.raises(ConnectionFailed):
        ssh(azure, "vm1", within=0)
    assert faults.hits(folder)[-1]["rule"] == rule


def test_a_command_ends_as_told(azure: Azure, folder: Path) -> None:
    faults.add(folder, Fault(vm="vm1", command="touch *", exit_status=7, stderr="no\n"))
    with ssh(azure, "vm1") as shell:
        done = shell.run("touch", "untouched", check=False)
        assert (done.exit_status, done.stderr) == (7, "no\n")
        assert shell.run("test", "-e", "untouched", check=False).exit_status == 1


def test_a_connection_is_lost_while_the_command_runs_on(azure: Azure, folder: Path) -> None:
    faults.add(folder, Fault(command="sh *", reset=True, delay=0.1))
    with ssh(azure, "vm1") as shell, pytest.raises(ConnectionLost):
        shell.run("sh", "-c", "sleep 0.4; echo done > lasted")
    with ssh(azure, "vm1") as shell:
        assert shell.retry("cat", "lasted", within=10, interval=0.2).stdout == "done\n"


def test_a_command_is_held(azure: Azure, folder: Path) -> None:
    faults.add(folder, Fault(command="true", stall=True))
    timer = threading.Timer(0.3, faults.clear, [folder])
    with ssh(azure, "vm1") as shell:
        began = time.monotonic()
        timer.start()
        shell.run("true")
    assert time.monotonic() - began > 0.3
    timer.join()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "says what happens"),
        ({"status": 500, "reset": True}, "one rule each"),
        ({"status": 500, "command": "*"}, "status"),
        ({"exit_status": 1}, "exit_status"),
        ({"cut": 1, "after": True}, "after"),
        ({"ssh": "gone"}, "ssh"),
        ({"reset": True, "seconds": 1}, "seconds"),
    ],
)
def test_fields_that_make_no_sense_together_are_refused(fields: dict[str, object], named: str) -> None:
    with pytest.raises(FaultError, match=named):
        Fault(**fields)
