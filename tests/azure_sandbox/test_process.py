"""The sandbox's process: one a folder, found by all, nothing lost when it is killed, nothing of others' touched."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from filelock import FileLock

from azure_sandbox import process
from azure_sandbox.errors import SandboxError
from azure_sandbox.guests.machine import state_folder
from azure_sandbox.process_identity import identity, send_signal
from runbook_helpers import create_identity, create_resource_group, show_identity
from runbook_helpers.errors import SandboxError as OurSandboxError

from ..conftest import connect_to


def wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while process.find(folder):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_many_starters_get_one_process(fresh: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: process.start(fresh), range(8)))
    assert len(found) == 1


def test_start_and_memory_figures(fresh: Path) -> None:
    began = time.monotonic()
    running = process.start(fresh)
    seconds = time.monotonic() - began
    status = Path(f"/proc/{running.pid}/status")
    resident = status.read_text().split("VmRSS:")[1].split("\n")[0].strip() if status.exists() else "not known here"
    print(f"\nstart {seconds:.2f} s, memory {resident}")
    assert process.find(fresh) == running


def test_killed_sandbox_has_lost_nothing(fresh: Path, name: str) -> None:
    azure = connect_to(name)
    made = create_identity(azure, "kept")
    running = process.find(fresh)
    assert running
    os.kill(running.pid, 9)
    wait_until_gone(fresh)
    assert (fresh / "address.json").exists()  # stale, and not believed
    assert show_identity(connect_to(name), "kept").principal_id == made.principal_id


def test_stop_and_start_again_keeps_state_and_secrets(fresh: Path) -> None:
    operator = process.start(fresh).operator("AzureCloud")
    assert process.stop(fresh)
    assert not process.stop(fresh)
    assert process.start(fresh).operator("AzureCloud") == operator


def test_one_that_is_just_starting_is_stopped_too(fresh: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(process.start, fresh)
        while not (fresh / "start.log").exists():
            time.sleep(0.001)
        assert process.stop(fresh)
        assert started.result().folder == fresh
    assert process.find(fresh) is None


def test_ends_by_itself_when_idle(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_SANDBOX_IDLE", "0.3")
    process.start(fresh)
    wait_until_gone(fresh)
    assert not (fresh / "address.json").exists()


def test_port_that_is_used(fresh: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SandboxError, match=f"port {port} of 127.0.0.1 cannot be used: Address already in use"):
            process.start(fresh, port)
    assert process.find(fresh) is None


def test_chosen_port(fresh: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert process.start(fresh, port).port == port
    with pytest.raises(SandboxError, match=f"runs on port {port} already"):
        process.start(fresh, port + 1)


def test_folder_with_other_things_is_left_alone(fresh: Path) -> None:
    fresh.mkdir()
    (fresh / "thesis.txt").write_text("mine")
    for act in (process.start, process.reset):
        with pytest.raises(SandboxError, match="holds files that are not a sandbox's"):
            act(fresh)
    assert [path.name for path in fresh.iterdir()] == ["thesis.txt"]


def test_damaged_state_is_reported(fresh: Path) -> None:
    process.start(fresh)
    process.stop(fresh)
    for leftover in fresh.glob("AzureCloud.sqlite*"):
        leftover.unlink()
    (fresh / "AzureCloud.sqlite").write_text("this is no database, and long enough to be sure of it" * 10)
    with pytest.raises(SandboxError, match="cannot be read: file is not a database"):
        process.start(fresh)
    process.reset(fresh)
    assert process.start(fresh)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_nobody_else_may_read_it(fresh: Path) -> None:
    process.start(fresh)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700
    for path in fresh.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_listens_on_loopback_only(fresh: Path) -> None:
    psutil = pytest.importorskip("psutil", reason="psutil is not installed")
    running = process.start(fresh)
    listening = [c.laddr.ip for c in psutil.Process(running.pid).net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_reset_of_a_sandbox_that_another_process_started(tmp_path: Path) -> None:
    """It is still closing its databases when it can be found no more."""
    folder = tmp_path / "sandbox"
    begin = "import sys, pathlib; from azure_sandbox import process; process.start(pathlib.Path(sys.argv[1]))"
    for _ in range(4):
        subprocess.run([sys.executable, "-c", begin, str(folder)], check=True)
        running = process.find(folder)
        assert running is not None
        process.reset(folder)
        assert not folder.exists()


def test_started_again_it_has_the_port_of_last_time_if_that_is_free(fresh: Path) -> None:
    port = process.start(fresh).port
    process.stop(fresh)
    assert process.start(fresh).port == port
    process.stop(fresh)
    with socket.create_server(("127.0.0.1", port)):
        assert process.start(fresh).port != port


def test_a_connection_outlives_the_sandbox(fresh: Path) -> None:
    """A trainee comes back after a break: the sandbox ended when nobody used it, or was killed."""
    azure = connect_to("group")
    create_resource_group(azure)
    process.stop(fresh)
    assert azure.resources.resource_groups.get("group").name == "group"
    running = process.find(fresh)
    assert running
    os.kill(running.pid, signal.SIGKILL)
    while psutil.pid_exists(running.pid) and psutil.Process(running.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert azure.resources.resource_groups.get("group").name == "group"
    process.stop(fresh)
    with (
        socket.create_server(("127.0.0.1", running.port)),
        pytest.raises(OurSandboxError, match="run the cell with `connect` again"),
    ):
        azure.resources.resource_groups.get("group")


def test_a_sandbox_whose_folder_was_removed_leaves_the_next_one_its_address(fresh: Path) -> None:
    first = process.start(fresh)
    shutil.rmtree(fresh)
    second = process.start(fresh)
    os.kill(first.pid, signal.SIGTERM)
    while psutil.pid_exists(first.pid) and psutil.Process(first.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert process.find(fresh) == second


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of the sandbox's."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def _claim(folder: Path, pid: object, **members: object) -> None:
    """A stale address.json whose number somebody else has by now."""
    path = folder / "address.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": pid, **members}))


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_process_that_took_over_the_number_is_not_signalled(fresh: Path, bystander: subprocess.Popen[bytes]) -> None:
    running = process.start(fresh)
    os.kill(running.pid, signal.SIGKILL)
    wait_until_gone(fresh)
    _claim(fresh, bystander.pid)
    with FileLock(fresh / "lock"):  # as another probe holds it for a moment, and a sandbox that is just starting
        assert process.find(fresh) is None
        assert not process.stop(fresh)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(process.stop, [fresh] * 3)) == [False] * 3
    assert bystander.poll() is None
    for pid in (0, -1, 1, "1", None, 2**70, True):
        _claim(fresh, pid)
        with FileLock(fresh / "lock"):
            assert process.find(fresh) is None
            assert not process.stop(fresh)


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize("seed", range(3))
def test_many_looks_kills_and_numbers_used_again(fresh: Path, bystander: subprocess.Popen[bytes], seed: int) -> None:
    """What is found is always the one that runs; three probes at once, in processes of their own."""
    looks = (
        "import sys, pathlib; from azure_sandbox import process\n"
        "for line in sys.stdin: print([getattr(process.find(pathlib.Path(sys.argv[1])), 'pid', None) for _ in range(200)])\n"
    )
    command = [sys.executable, "-uc", looks, str(fresh)]
    chance = random.Random(seed)
    with contextlib.ExitStack() as closing:
        probes = [closing.enter_context(subprocess.Popen(command, stdin=-1, stdout=-1, text=True)) for _ in range(3)]
        for _ in range(3):
            running: process.Running | None = process.start(fresh)
            if chance.random() < 0.7:
                assert running
                os.kill(running.pid, signal.SIGKILL)
                wait_until_gone(fresh)
                _claim(fresh, chance.choice([running.pid, bystander.pid, os.getpid()]))
                running = None
            for probe in probes:
                assert probe.stdin
                print(file=probe.stdin, flush=True)
            expected = [running and running.pid] * 200
            assert [probe.stdout and probe.stdout.readline() for probe in probes] == [f"{expected}\n"] * 3
            if running is None:
                with ThreadPoolExecutor(3) as pool:
                    assert not any(pool.map(process.stop, [fresh] * 3))
        for probe in probes:
            assert probe.stdin
            probe.stdin.close()
    assert bystander.poll() is None


def test_copy_of_a_running_sandbox_is_another_one(fresh: Path, tmp_path: Path) -> None:
    running = process.start(fresh)
    copy = tmp_path / "copy"
    shutil.copytree(fresh, copy)
    with FileLock(copy / "lock"):
        assert process.find(copy) is None
        assert not process.stop(copy)
    assert process.find(fresh) == running


def test_identity_of_a_process(bystander: subprocess.Popen[bytes]) -> None:
    known = identity(bystander.pid)
    assert known and known == identity(bystander.pid) != identity(os.getpid())
    send_signal(bystander.pid, identity(os.getpid()), signal.SIGTERM)
    send_signal(bystander.pid, None, signal.SIGTERM)
    assert bystander.poll() is None
    send_signal(bystander.pid, known, signal.SIGTERM)
    assert bystander.wait() == -signal.SIGTERM
    assert identity(bystander.pid) is None
    send_signal(bystander.pid, known, signal.SIGTERM)


@pytest.mark.skipif(os.name != "posix", reason="control groups are Linux's")
def test_copied_record_of_control_groups_removes_none(tmp_path: Path) -> None:
    """A machine's groups have the name of its sandbox's folder: those of another folder are another sandbox's."""
    other, machine = tmp_path / "runbook-other", tmp_path / "sandbox" / "machines" / "vm"
    other.mkdir()
    machine.mkdir(parents=True)
    (machine / "groups.json").write_text(json.dumps({"outer": [str(other)], "inner": []}))
    state_folder.remove_groups(machine)
    assert other.exists() and not (machine / "groups.json").exists()


def test_who_started_it_ends_without_a_word(fresh: Path) -> None:
    begin = "import sys, pathlib; from azure_sandbox import process; process.start(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", begin, str(fresh)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
