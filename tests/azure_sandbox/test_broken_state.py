"""A broken state folder: each file that is emptied, garbled, missing or a folder is named, and `sandbox reset` begins anew."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from azure_sandbox import Sandbox, faults, process, settings
from azure_sandbox.errors import SandboxError, state_error
from azure_sandbox.faults import file
from runbook_helpers import create_identity, create_resource_group, create_vm, ssh
from runbook_helpers.commands.main import main
from runbook_helpers.errors import RunbookError

from ..conftest import SSH_SOURCE, connect_to

GARBAGE = [b"", b"{", b"\xff\xfe\x00", b"[]", b"7", b'{"a": 1}', b"[" * 40_000, b'{"last": "x", "rules": 7}']


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sandbox that was used and has ended."""
    folder = tmp_path_factory.mktemp("made") / "sandbox"
    with Sandbox(folder) as azure:
        azure.arm("PUT", f"/subscriptions/{azure.subscription_id}/resourceGroups/g", {"location": "chinanorth3"})
        azure.set(role_delay=0)
        azure.faults.add(faults.Status(503, path="nothing"))
    return folder


@pytest.fixture
def used(fresh: Path, made: Path) -> Path:
    shutil.copytree(made, fresh)
    return fresh


def lines(*arguments: str) -> tuple[int, str]:
    """A command's exit status, and what it printed."""
    done = CliRunner().invoke(main, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.mark.sample(6)
@pytest.mark.parametrize(
    "name",
    [
        "operator.json", "guest.json", "settings.json", "AzureChinaCloud.sqlite", "AzureCloud.sqlite", "ca.pem",
        "ca-key.pem", "signing-key.pem", "mcr.microsoft.com.sqlite",
    ],
)  # fmt: skip
@pytest.mark.parametrize("garbage", range(len(GARBAGE)))
def test_garbled_file_is_named(used: Path, name: str, garbage: int) -> None:
    for beside in used.glob(f"{name}-*"):
        beside.unlink()
    (used / name).write_bytes(GARBAGE[garbage])
    status, printed = lines("sandbox", "start")
    if status == 0:  # what can be made anew is
        assert name == "mcr.microsoft.com.sqlite"
        return
    assert status == 1 and str(used / name) in printed and "`runbook sandbox reset` begins anew" in printed
    assert len(printed.splitlines()) == 1
    assert lines("sandbox", "reset")[0] == 0 and not used.exists()


@pytest.mark.sample(2)
@pytest.mark.parametrize("garbage", range(len(GARBAGE)))
def test_garbled_faults_and_settings_of_a_running_sandbox(used: Path, garbage: int) -> None:
    azure = connect_to("g")
    for name, command in (("settings.json", ["set"]), ("faults.json", ["fault", "list"]), ("operator.json", ["env"])):
        kept = (used / name).read_bytes()
        (used / name).write_bytes(GARBAGE[garbage])
        status, printed = lines("sandbox", *command)
        assert status == 1 and str(used / name) in printed and len(printed.splitlines()) == 1
        if name == "settings.json":
            with pytest.raises(RunbookError, match=r"settings\.json"):
                create_resource_group(azure)
        if name == "faults.json":
            assert lines("sandbox", "fault", "clear")[0] == 0
            assert file.read(used) == []
        (used / name).write_bytes(kept)
    create_resource_group(azure)


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", ["lock", "start.lock", "address.json", "operator.json", "settings.json", "log", "blobs", "port",
                                  "AzureCloud.sqlite", "signing-key.pem", "start.log", "faults.json", "ca.pem"])  # fmt: skip
def test_folder_in_place_of_a_file_is_named(used: Path, name: str) -> None:
    if name == "blobs":
        shutil.rmtree(used / name)
        (used / name).write_text("")
    else:
        (used / name).unlink(missing_ok=True)
        (used / name).mkdir()
    status, printed = lines("sandbox", "fault", "list") if name == "faults.json" else lines("sandbox", "start")
    assert status == 1 and str(used / name) in printed, printed
    assert len(printed.splitlines()) == 1
    assert lines("sandbox", "reset")[0] == 0 and not used.exists()


def test_database_that_is_broken_while_it_runs_is_named(used: Path) -> None:
    azure = connect_to("g")
    with sqlite3.connect(used / "AzureChinaCloud.sqlite") as database:
        database.execute("DROP TABLE document")
    database.close()
    with pytest.raises(RunbookError, match=r"AzureChinaCloud\.sqlite"):
        create_identity(azure, "id1")


@pytest.mark.skipif(sys.platform != "linux", reason="another process's limits can be set on Linux")
def test_no_room_while_it_runs_is_told(used: Path) -> None:
    import resource

    azure = connect_to("g")
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    running = process.find(used)
    assert running
    with ssh(azure, "vm") as shell:
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        with pytest.raises(RunbookError, match="there is no space left"):
            create_identity(azure, "id1")
        with pytest.raises(RunbookError, match="there is no space left"):
            shell.run("touch", "file")
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert shell.run("touch", "file").exit_status == 0
    assert create_identity(azure, "id1").name == "id1"


def test_sentences() -> None:
    full = str(state_error(Path("/x/log"), OSError(errno.ENOSPC, "No space left on device")))
    assert full == "/x/log cannot be written: there is no space left: make room there, and run this step again."
    assert "make room" in str(state_error(Path("/x/a.sqlite"), sqlite3.OperationalError("database or disk is full")))
    closed = str(state_error(Path("/x"), OSError(errno.EROFS, "Read-only file system")))
    assert closed == (
        "/x cannot be used: Read-only file system: make it yours to write to, or set RUNBOOK_SANDBOX to another folder."
    )


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from pathlib import Path
from azure_sandbox import process
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
from runbook_helpers.commands.main import main
main(["sandbox", "start"])
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of files are POSIX")
@pytest.mark.parametrize("size", [0, 20_000])
def test_no_room_is_told(fresh: Path, size: int) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(fresh), str(size)], capture_output=True, text=True)
    assert done.returncode == 1 and "there is no space left" in done.stderr + done.stdout, done
    assert str(fresh) in done.stderr + done.stdout and len((done.stderr + done.stdout).splitlines()) == 1
    assert process.find(fresh) is None


def test_reading_names_the_file(fresh: Path) -> None:
    fresh.mkdir()
    (fresh / "settings.json").write_text('{"role_delay": "x"}')
    with pytest.raises(SandboxError, match=r"settings\.json cannot be read"):
        settings.read(fresh)
