"""Faults: what clients see of them, over real sockets."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from click.testing import CliRunner, Result

from azure_sandbox import faults, process
from azure_sandbox.sandbox import session
from runbook_helpers import (
    Azure,
    assign_identity,
    assign_role,
    create_identity,
    create_registry,
    create_vm,
    import_image,
    ssh,
)
from runbook_helpers.commands.main import main
from runbook_helpers.errors import ConnectionFailed, ConnectionLost, RunbookError
from runbook_helpers.ssh.kept import KeptConnections
from runbook_helpers.ssh.transport import open_socket
from runbook_helpers.verbs.virtual_machines import public_address_of, show_vm

from ..conftest import SSH_SOURCE, connect_to


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One sandbox for this module: its faults would spoil the tests of others."""
    folder = tmp_path_factory.mktemp("faults") / "sandbox"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOK_SANDBOX", str(folder))
        yield folder
    process.reset(folder)


@pytest.fixture(scope="module")
def connected(folder: Path) -> Azure:
    """A connection, with a VM in its resource group."""
    azure = connect_to("faulty")
    create_vm(azure, "vm1", ssh_source=SSH_SOURCE)
    return azure


@pytest.fixture
def azure(connected: Azure, folder: Path) -> Iterator[Azure]:
    """The connection; the test's faults end with it."""
    yield connected
    faults.clear(folder)


def proxy(folder: Path) -> requests.Session:
    """A client that never tries again."""
    running = process.start(folder)
    return session(running.proxy, str(running.ca_file))


SCOPE = "https://management.chinacloudapi.cn/.default"
METADATA = "https://management.chinacloudapi.cn/metadata/endpoints?api-version=2022-09-01"


def test_a_status_is_answered_instead(azure: Azure, folder: Path) -> None:
    rule = faults.add(folder, faults.Status(429, path="/metadata/*", nth=2, headers={"Retry-After": "1"}))
    client = proxy(folder)
    answers = [client.get(METADATA) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert answers[1].headers["Retry-After"] == "1"
    assert answers[1].json()["error"]["code"] == "TooManyRequests"
    assert [(hit["rule"], hit["method"], hit["path"]) for hit in faults.hits(folder)][-1:] == [
        (rule, "GET", "/metadata/endpoints")
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_connection_is_reset(azure: Azure, folder: Path, after: bool) -> None:
    faults.add(folder, faults.Reset(method="put", path="*/virtualNetworks/*", after=after))
    network = f"/subscriptions/{azure.subscription_id}/resourceGroups/faulty/providers/Microsoft.Network/virtualNetworks/reset{after}"
    with pytest.raises(requests.ConnectionError):
        put(azure, folder, network)
    assert put(azure, folder, network).status_code == (200 if after else 201)


def test_a_reset_is_one_for_the_kernel(azure: Azure, folder: Path) -> None:
    """Python's ssl takes it for an end, so this is seen without TLS."""
    faults.add(folder, faults.Reset(path="/metadata/*"))
    faults.add(folder, faults.ConnectionFault("reset"))
    port = process.start(folder).port
    vm = public_address_of(azure, show_vm(azure, "vm1"))
    metadata = b"GET http://169.254.169.254/metadata/versions HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"
    for request in (metadata, f"CONNECT {vm}:22 HTTP/1.0\r\n\r\n".encode()):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            with pytest.raises(ConnectionResetError):
                while connection.recv(1000):
                    pass


def put(azure: Azure, folder: Path, path: str) -> requests.Response:
    token = azure.credential.get_token(SCOPE).token
    body = {"location": azure.location, "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    url = f"https://management.chinacloudapi.cn{path}?api-version=2023-09-01"
    return proxy(folder).put(url, json=body, headers={"Authorization": f"Bearer {token}"})


def test_a_request_is_held_until_the_rule_is_cleared(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.Stall(path="/metadata/*"))
    timer = threading.Timer(0.3, faults.clear, [folder])
    timer.start()
    began = time.monotonic()
    assert proxy(folder).get(METADATA).status_code == 200
    assert time.monotonic() - began > 0.3
    timer.join()


def test_a_sandbox_that_ends_does_not_answer_what_it_holds(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.Stall(path="/metadata/*"))
    client = proxy(folder)
    timer = threading.Timer(0.3, process.stop, [folder])
    timer.start()
    with pytest.raises(requests.ConnectionError):
        client.get(METADATA)
    timer.join()


def test_an_answer_is_late(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.Delay(0.2, path="/metadata/*"))
    began = time.monotonic()
    assert proxy(folder).get(METADATA).status_code == 200
    assert time.monotonic() - began > 0.2


def test_an_answer_is_cut(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.TruncatedBody(10, path="/metadata/*"))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="10 bytes read"):
        proxy(folder).get(METADATA)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [("refused", "connection refused"), ("reset", "No SSH connection"), ("host_key", "another host key")],
)
def test_a_vm_does_not_let_us_in(azure: Azure, folder: Path, what: str, sentence: str) -> None:
    azure = replace(azure, connections=KeptConnections())
    rule = faults.add(folder, faults.ConnectionFault(what, vm="vm1"))
    with pytest.raises(ConnectionFailed, match=sentence):
        ssh(azure, "vm1", within=0)
    assert faults.hits(folder)[-1]["rule"] == rule
    with ssh(azure, "vm1") as shell:
        shell.run("true")


def test_a_vm_that_says_nothing(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.ConnectionFault("silent", vm="vm1"))
    connection = open_socket(azure.proxy, public_address_of(azure, show_vm(azure, "vm1")), 22)
    connection.settimeout(0.3)
    with connection, pytest.raises(TimeoutError):
        connection.recv(1)


def test_a_command_ends_as_the_fault_has_it(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.CommandExit("touch *", 7, vm="vm1", stderr="no\n"))
    with ssh(azure, "vm1") as shell:
        done = shell.run("touch", "untouched", check=False)
        assert (done.exit_status, done.stderr) == (7, "no\n")
        assert shell.run("test", "-e", "untouched", check=False).exit_status == 1


def test_a_connection_is_lost_while_the_command_runs_on(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.CommandReset("sh *", delay=0.1))
    with ssh(azure, "vm1") as shell, pytest.raises(ConnectionLost):
        shell.run("sh", "-c", "sleep 1; echo done > lasted")
    with ssh(azure, "vm1") as shell:
        shell.retry("test", "-e", "lasted", within=30, interval=0.2)


def test_a_command_is_held(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.CommandStall("true"))
    timer = threading.Timer(0.3, faults.clear, [folder])
    with ssh(azure, "vm1") as shell:
        began = time.monotonic()
        timer.start()
        shell.run("true")
    assert time.monotonic() - began > 0.3
    timer.join()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "says what happens"),
        ({"status": 500, "reset": True}, "status does not go with reset"),
        ({"status": 500, "command": "*"}, "status"),
        ({"exit_status": 1}, "exit_status"),
        ({"cut": 1, "after": True}, "after"),
        ({"ssh": "gone"}, "ssh"),
        ({"reset": True, "seconds": 1}, "seconds"),
        *(
            ({"status": 429, "headers": headers}, "headers")
            for headers in (
                {"Bad Name": "x"},
                {"": "x"},
                {"Café": "x"},
                {"X": "a\nb"},
                {"X": "标识"},
                {"Content-Length": "5"},
            )
        ),
    ],
)
def test_options_that_make_no_fault_are_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(faults.FaultError, match=named):
        faults.from_options(options)


# Resource Manager: long-running operations, and what is not seen yet


def test_a_stuck_operation_goes_on_when_the_rule_is_cleared(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.StuckOperation(method="PUT", path="*/publicIPAddresses/stuck"))
    addresses = azure.network.public_ip_addresses
    static = {"publicIPAllocationMethod": "Static"}
    body: Any = {"location": azure.location, "sku": {"name": "Standard"}, "properties": static}
    started: list[str] = []

    def keep(response: Any) -> None:
        started.append(response.http_response.headers["Azure-AsyncOperation"])

    addresses.begin_create_or_update("faulty", "stuck", body, polling=False, raw_response_hook=keep)
    operator = {"Authorization": f"Bearer {azure.credential.get_token(SCOPE).token}"}
    assert proxy(folder).get(started[0], headers=operator).json() == {"status": "InProgress"}
    assert addresses.get("faulty", "stuck").provisioning_state == "Updating"
    faults.clear(folder)
    assert proxy(folder).get(started[0], headers=operator).json() == {"status": "Succeeded"}
    assert addresses.get("faulty", "stuck").provisioning_state == "Succeeded"


def test_a_vm_that_cannot_be_allocated_is_made_by_the_next_try(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.FailedOperation(method="PUT", path="*/virtualMachines/vm2"))
    with pytest.raises(RunbookError, match="AllocationFailed"):
        create_vm(azure, "vm2", ssh_source=SSH_SOURCE)
    assert show_vm(azure, "vm2").provisioning_state == "Failed"
    with pytest.raises(ConnectionFailed, match="deallocated"):
        ssh(azure, "vm2")
    assert create_vm(azure, "vm2", ssh_source=SSH_SOURCE).provisioning_state == "Succeeded"
    with ssh(azure, "vm2") as shell:
        assert shell.run("whoami").stdout == "azureuser\n"


def test_an_operation_fails_with_the_error_that_was_asked_for(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.FailedOperation(path="*/vm1/runCommand", code="VMAgentStatusCommunicationError"))
    script: Any = {"commandId": "RunShellScript", "script": ["true"]}
    with pytest.raises(HttpResponseError, match="VMAgentStatusCommunicationError"):
        azure.compute.virtual_machines.begin_run_command("faulty", "vm1", script, polling_interval=0).result()
    assert show_vm(azure, "vm1").provisioning_state == "Succeeded"


def test_an_identity_and_its_role_are_not_seen_yet(azure: Azure, folder: Path) -> None:
    registry = create_registry(azure, "faultyregistry")
    identity = create_identity(azure, "unseen")
    attached = faults.add(folder, faults.Hide(1000, path="*/virtualMachines/vm1"))
    assigned = faults.add(folder, faults.Hide(1000, path="*/roleAssignments/*"))
    assign_identity(azure, "vm1", str(identity.id))
    assign_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(registry.id))
    assert metadata_token(folder, str(identity.client_id)).json()["error_description"] == "Identity not found"
    faults.clear(folder, attached)
    token = metadata_token(folder, str(identity.client_id)).json()["access_token"]
    exchange = {"grant_type": "access_token", "service": registry.login_server, "access_token": token}
    assert proxy(folder).post(f"https://{registry.login_server}/oauth2/exchange", exchange).status_code == 401
    faults.clear(folder, assigned)
    assert proxy(folder).post(f"https://{registry.login_server}/oauth2/exchange", exchange).status_code == 200


def metadata_token(folder: Path, client_id: str) -> requests.Response:
    """What the metadata service says to vm1."""
    proxies = {"http": process.vm_proxy(process.start(folder), "AzureChinaCloud", "vm1")}
    query = {"api-version": "2018-02-01", "resource": "https://management.chinacloudapi.cn/", "client_id": client_id}
    url = "http://169.254.169.254/metadata/identity/oauth2/token"
    return requests.get(url, query, headers={"Metadata": "true"}, proxies=proxies, timeout=10)


# The registry's content, and the machine


@pytest.fixture(scope="module")
def docker(connected: Azure, folder: Path) -> str:
    """An image that vm1 may pull."""
    azure = connected
    registry = create_registry(azure, "faultyimages")
    import_image(azure, "faultyimages", "app:v1", "mcr.microsoft.com/azuredocs/aci-helloworld:latest")
    with ssh(azure, "vm1") as shell:
        shell.run("sudo", "apt-get", "update")
        shell.run("sudo", "apt-get", "install", "-y", "docker.io")
        token = azure.credential.get_token(SCOPE).token
        form = {"grant_type": "access_token", "service": registry.login_server, "access_token": token}
        refresh = proxy(folder).post(f"https://{registry.login_server}/oauth2/exchange", form).json()["refresh_token"]
        user = "00000000-0000-0000-0000-000000000000"
        shell.run("sudo", "docker", "login", str(registry.login_server), "-u", user, "-p", refresh)
    return f"{registry.login_server}/app:v1"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            faults.InvertedByte(3, host="faultyimages.*", path="*/blobs/*", nth=2, times=5),
            "filesystem layer verification failed",
        ),
        (faults.TruncatedBody(10, host="faultyimages.*", path="*/blobs/*", nth=2, times=5), "unexpected EOF"),
        (faults.OperatingSystemFault("disk_full", vm="vm1"), "no space left on device"),
        (faults.OperatingSystemFault("docker_slow", vm="vm1"), "Is the docker daemon running?"),
    ],
    ids=["flip", "cut", "disk_full", "docker_slow"],
)
def test_a_pull_fails_in_dockers_words_and_not_the_next_time(
    azure: Azure, folder: Path, docker: str, fault: faults.Fault, says: str
) -> None:
    rule = faults.add(folder, fault)
    with ssh(azure, "vm1") as shell:
        failed = shell.run("sudo", "docker", "pull", docker, check=False)
        assert failed.exit_status == 1
        assert says in failed.stderr
        assert [hit["rule"] for hit in faults.hits(folder)].count(rule) == fault.times
        shell.run("sudo", "docker", "pull", docker)
        shell.run("sudo", "docker", "rmi", docker)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (faults.InvertedByte(3, host="faultyimages.*", path="*/blobs/*", nth=2), "Retrying in"),
        (faults.TruncatedBody(10, host="faultyimages.*", path="*/blobs/*", nth=2, times=4), "Retrying in"),
        (faults.Reset(host="faultyimages.*", path="*/blobs/*", nth=2, times=2), "Retrying in"),
        (faults.Status(503, host="faultyimages.*", path="*/blobs/*", nth=2), "Retrying in"),
        (faults.Status(503, host="faultyimages.*", method="GET", path="*/manifests/*", times=2), "Downloaded"),
    ],
    ids=["flip", "cut", "reset", "503", "manifest"],
)
def test_docker_tries_again(azure: Azure, folder: Path, docker: str, fault: faults.Fault, says: str) -> None:
    rule = faults.add(folder, fault)
    with ssh(azure, "vm1") as shell:
        assert says in shell.run("sudo", "docker", "pull", docker).stdout
        assert [hit["rule"] for hit in faults.hits(folder)].count(rule) == fault.times
        shell.run("sudo", "docker", "rmi", docker)


def test_docker_does_not_try_again_what_is_refused(azure: Azure, folder: Path, docker: str) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "no"}]})
    rule = faults.add(folder, faults.Status(403, host="faultyimages.*", path="*/blobs/*", nth=2, times=0, body=body))
    with ssh(azure, "vm1") as shell:
        assert shell.run("sudo", "docker", "pull", docker, check=False).exit_status == 1
    assert [hit["rule"] for hit in faults.hits(folder)].count(rule) == 1


def test_docker_is_slow_to_start(azure: Azure, folder: Path, docker: str) -> None:
    faults.add(folder, faults.OperatingSystemFault("docker_slow", seconds=0.5))
    with ssh(azure, "vm1") as shell:
        assert shell.run("sudo", "docker", "info", check=False).exit_status == 1
        assert shell.run("systemctl", "is-active", "docker", check=False).stdout == "activating\n"
        shell.run("sudo", "systemctl", "start", "docker")
        shell.run("sudo", "docker", "info")


def test_apt_waits_for_the_lock_as_long_as_the_fault_lasts(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.OperatingSystemFault("apt_lock", vm="vm1", seconds=0.6))
    with ssh(azure, "vm1") as shell:
        at_once = shell.run("sudo", "apt-get", "install", "-y", "docker.io", check=False)
        waited = shell.run("sudo", "apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "docker.io")
    held = "Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1955 (unattended-upgr)"
    unable = "Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?"
    assert (at_once.exit_status, at_once.stdout, at_once.stderr) == (100, "", f"E: {held}\nE: {unable}\n")
    assert waited.stdout.startswith(f"Waiting for cache lock: {held}...\nReading package lists...")


def test_there_is_no_space_for_packages(azure: Azure, folder: Path) -> None:
    with ssh(azure, "vm1") as shell:
        shell.run("sudo", "apt-get", "update")  # whichever tests came before
    faults.add(folder, faults.OperatingSystemFault("disk_full", vm="vm1", seconds=100))
    with ssh(azure, "vm1") as shell:
        shell.run("sudo", "apt-get", "remove", "-y", "docker.io")
        full = shell.run("sudo", "apt-get", "install", "-y", "docker.io", check=False)
        assert (full.exit_status, full.stderr) == (
            100,
            "E: You don't have enough free space in /var/cache/apt/archives/.\n",
        )
        assert "100%" in shell.run("df", "-h").stdout
        faults.clear(folder)
        shell.run("sudo", "apt-get", "install", "-y", "docker.io")  # whichever tests come after


# The rules themselves


def test_the_same_seed_makes_the_same_choices(azure: Azure, folder: Path) -> None:
    def choices(seed: int) -> list[int]:
        faults.clear(folder)
        faults.add(folder, faults.Status(503, path="/metadata/*", times=0, probability=0.5, seed=seed))
        client = proxy(folder)
        return [client.get(METADATA).status_code for _ in range(12)]

    assert choices(1) == choices(1)
    assert set(choices(1)) == {200, 503}
    assert choices(1) != choices(2)


def test_a_killed_sandbox_does_not_begin_anew(azure: Azure, folder: Path) -> None:
    faults.add(folder, faults.Status(503, path="/metadata/*", nth=2, times=2))
    answers = [proxy(folder).get(METADATA).status_code for _ in range(2)]
    running = process.start(folder)
    os.kill(running.pid, signal.SIGKILL)
    while process.find(folder) == running:
        time.sleep(0.02)
    answers += [proxy(folder).get(METADATA).status_code for _ in range(2)]
    assert answers == [200, 503, 503, 200]


def test_the_commands(azure: Azure, folder: Path) -> None:
    def runbook(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["sandbox", "fault", *arguments, "--folder", str(folder)])

    added = runbook("add", "--path", "/metadata/*", "--status", "429", "--header", "Retry-After", "7", "--times", "0")
    assert proxy(folder).get(METADATA).headers["Retry-After"] == "7"
    rule = added.output.strip()
    printed, _, options = runbook("list").output.partition(": ")
    assert printed == f"{rule} happened 1 times"
    assert shlex.split(options) == [
        "--path",
        "/metadata/*",
        "--times",
        "0",
        "--status",
        "429",
        "--header",
        "Retry-After",
        "7",
    ]
    refused = runbook("add", "--status", "500", "--seconds", "5m")
    assert (refused.exit_code, refused.output.splitlines()[-1]) == (2, "Error: status does not go with seconds.")
    refused = runbook("add", "--delay", "soon")
    assert refused.exit_code == 2
    assert "'--delay': 'soon' is not a duration" in refused.output
    refused = runbook("add", "--method", "", "--status", "500")
    assert refused.exit_code == 2 and "--method is empty" in refused.output
    refused = runbook("clear", "f99")
    assert refused.exit_code == 2 and "there is no rule f99" in refused.output
    assert runbook("clear").output == "1 removed\n"
    assert runbook("list").output == ""


def test_a_rule_that_is_listed_can_be_added_again(tmp_path: Path) -> None:
    def runbook(*arguments: str) -> str:
        return CliRunner().invoke(main, ["sandbox", "fault", *arguments, "--folder", str(tmp_path)]).output

    added = [
        faults.Status(503, path="/a b/*", body='{"a": "it\'s"}', headers={"Retry-After": "7", "x": "y z"}, after=True),
        faults.CommandExit("sudo *", 0, stderr="no\nmore"),
        faults.TruncatedBody(0, host="h", probability=0.25, seed=7, nth=2),
        faults.OperatingSystemFault("apt_lock", seconds=1234567.25),
        faults.Status(500, probability=0.00000125),
    ]
    for fault in added:
        faults.add(tmp_path, fault)
    listed = re.findall(r"^f\d+ happened 0 times: (.*(?:\n(?!f\d).*)*)$", runbook("list").rstrip(), re.MULTILINE)
    assert runbook("clear") == "5 removed\n"
    for line in listed:
        runbook("add", *shlex.split(line))
    assert faults.read(tmp_path) == added


def test_a_folder_with_other_files_gets_no_rules(tmp_path: Path) -> None:
    """A reset would take it for a sandbox's, and delete it."""
    (tmp_path / "thesis.txt").write_text("mine")
    refused = CliRunner().invoke(main, ["sandbox", "fault", "add", "--status", "500", "--folder", str(tmp_path)])
    assert refused.exit_code == 1 and "holds files that are not a sandbox's" in refused.output
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_rules_of_another_version_are_refused_in_a_sentence(folder: Path, azure: Azure) -> None:
    (folder / "faults.json").write_text('{"last": 1, "rules": [{"id": "f1", "unknown": 1}]}')
    assert proxy(folder).get(METADATA).status_code == 200
    listed = CliRunner().invoke(main, ["sandbox", "fault", "list", "--folder", str(folder)])
    assert listed.exit_code == 1 and re.search(r"faults\.json cannot be read: .* clear` empties it", listed.output)
