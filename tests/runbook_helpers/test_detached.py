"""Detached commands, which outlive their connection: the scripts in a real shell, and over real SSH to a VM of the sandbox."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from runbook_helpers import Azure, Shell, create_vm, ssh
from runbook_helpers.errors import CommandFailed, ConnectionLost
from runbook_helpers.ssh.completed import Completed
from runbook_helpers.ssh.detached import RUNNING, Detached

from ..conftest import SSH_SOURCE

real_tools = pytest.mark.skipif(not (shutil.which("setsid") and shutil.which("flock")), reason="needs setsid and flock")
COUNTS = "echo begun >>count; sleep {seconds}; echo done; echo problem >&2; exit {status}"


def shell(folder: Path, script: str) -> Completed:
    done = subprocess.run(["sh", "-c", script], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return Completed(script, done.returncode, done.stdout, done.stderr)


def detached(seconds: float, status: int = 0, poll_seconds: float = 5) -> Detached:
    return Detached.of(f"sh -c '{COUNTS.format(seconds=seconds, status=status)}'", True, poll_seconds)


def begun(folder: Path) -> int:
    return len((folder / "count").read_text().splitlines())


@real_tools
def test_it_begins_once_however_many_ask(tmp_path: Path) -> None:
    wanted = detached(1)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: shell(tmp_path, wanted.begin), range(6)))
    assert begun(tmp_path) == 1
    assert {(answer.exit_status, answer.stdout, answer.stderr) for answer in answers} == {(0, "0\ndone\n", "problem\n")}
    assert wanted.result(answers[0]).stdout == "done\n"


@real_tools
def test_it_ended_well_and_nobody_was_notified(tmp_path: Path) -> None:
    wanted = detached(0)
    shell(tmp_path, wanted.begin)
    assert shell(tmp_path, wanted.begin).stdout == "0\ndone\n"
    assert begun(tmp_path) == 1
    shell(tmp_path, wanted.end)
    shell(tmp_path, wanted.begin)
    assert begun(tmp_path) == 2


@real_tools
def test_one_that_failed_is_begun_anew(tmp_path: Path) -> None:
    wanted = detached(0, status=100)
    assert wanted.result(shell(tmp_path, wanted.begin)).exit_status == 100
    shell(tmp_path, wanted.begin)
    assert begun(tmp_path) == 2
    assert wanted.result(shell(tmp_path, wanted.look)).exit_status == 100


@real_tools
def test_it_runs_still_or_is_gone(tmp_path: Path) -> None:
    wanted = detached(30, poll_seconds=1)
    assert shell(tmp_path, wanted.begin).exit_status == RUNNING
    ours = [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(tmp_path)]
    for process in sorted(ours, key=lambda each: each.pid):  # as a restart of the VM would: who waits first
        process.kill()
    answer = shell(tmp_path, wanted.look)
    assert answer.exit_status not in (0, RUNNING)
    assert shell(tmp_path, detached(31).look).exit_status not in (0, RUNNING)  # it was never begun


@real_tools
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_no_end(tmp_path: Path) -> None:
    """Its status cannot be written: it is gone, and what it said is reported."""
    wanted = detached(0)
    folder = tmp_path / wanted.begin.split()[4].rstrip(";")
    folder.mkdir(parents=True)
    (folder / "new").symlink_to("/dev/full")
    answer = shell(tmp_path, wanted.begin)
    assert answer.exit_status not in (0, RUNNING) and "problem" in answer.stderr


def cut_after(connected: Shell, seconds: float) -> threading.Thread:
    """Break the connection while a command runs."""

    def cut() -> None:
        time.sleep(seconds)
        transport = connected._client.get_transport()
        assert transport is not None
        transport.close()

    thread = threading.Thread(target=cut)
    thread.start()
    return thread


@pytest.fixture
def vm(azure: Azure) -> str:
    create_vm(azure, "detached", ssh_source=SSH_SOURCE)
    with ssh(azure, "detached") as connected:
        connected.run("rm", "-rf", "count")
    return "detached"


def test_a_lost_connection_is_made_again_and_the_command_goes_on(azure: Azure, vm: str) -> None:
    with ssh(azure, vm) as connected:
        cutter = cut_after(connected, 0.7)
        done = connected.run_detached("sh", "-c", COUNTS.format(seconds=2, status=0))
        cutter.join()
        assert (done.exit_status, done.stdout, done.stderr) == (0, "done\n", "problem\n")
        assert connected.run("cat", "count").stdout == "begun\n"
        assert connected.run("ls", ".cache/azure-acr-runbook/jobs").stdout == ""
        with pytest.raises(CommandFailed, match="exit status 3:\nproblem"):
            connected.run_detached("sh", "-c", COUNTS.format(seconds=0, status=3))


def test_a_later_run_picks_up_what_an_earlier_one_began(azure: Azure, vm: str) -> None:
    command = ("sh", "-c", COUNTS.format(seconds=2, status=0))
    with ssh(azure, vm) as connected:
        # The earlier run is gone as after kill -9: it makes no new connection.
        connected._connect = lambda: (_ for _ in ()).throw(ConnectionLost("gone"))
        cutter = cut_after(connected, 0.7)
        with pytest.raises(ConnectionLost):
            connected.run_detached(*command, once=True)
        cutter.join()
    with ssh(azure, vm) as connected:
        assert connected.run_detached(*command, once=True).stdout == "done\n"
        assert connected.run("cat", "count").stdout == "begun\n"


def test_a_restarted_vm_has_forgotten_what_ran_on_it_and_it_is_begun_anew(azure: Azure, vm: str) -> None:
    with ssh(azure, vm) as connected:
        restart = threading.Timer(0.7, azure.compute.virtual_machines.begin_restart, (azure.resource_group, vm))
        restart.start()
        assert connected.run_detached("sh", "-c", COUNTS.format(seconds=3, status=0), once=True).stdout == "done\n"
        restart.join()
        assert connected.run("cat", "count").stdout == "begun\nbegun\n"
