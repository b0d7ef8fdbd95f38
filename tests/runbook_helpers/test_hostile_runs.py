"""A run where things stand against it: a folder of the user's, a full disk, no files left to open, a kernel that hangs, a
terminal that goes. No file of the user's is overwritten, and what costs money is deleted where that was asked for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from azure_sandbox import process
from runbook_helpers import create_resource_group
from runbook_helpers.run.inputs import MARK, new_output_folder
from runbook_helpers.run.report import NotebookRun, Report

from ..conftest import clean_environment, connect_to, regression

resource = pytest.importorskip("resource")
MAIN = "from runbook_helpers.commands.main import main; main()"


def start(
    *arguments: object, code: str = MAIN, limit: Callable[[], None] | None = None, **options: object
) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": clean_environment(), **options}

    def before() -> None:
        for number in (signal.SIGHUP, signal.SIGINT):  # which nohup, or a shell's `&` around the tests, has ignored
            signal.signal(number, signal.SIG_DFL)
        if limit:
            limit()

    return subprocess.Popen(command, text=True, preexec_fn=before, **pipes)  # type: ignore[call-overload, no-any-return]


def end(child: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    try:
        printed = child.communicate(timeout=200)
    finally:
        child.kill()
        child.wait()
    return subprocess.CompletedProcess(child.args, child.returncode, *printed)


def run(
    *arguments: object, code: str = MAIN, limit: Callable[[], None] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    return end(start("run", *arguments, code=code, limit=limit, **options))


def limited(what: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(what, (most, most))


@pytest.fixture
def group(fresh: Path) -> Path:
    """A sandbox that runs, in which something is there that costs money."""
    create_resource_group(connect_to("myResourceGroup"))
    return fresh


def groups() -> list[str]:
    return [str(group.name) for group in connect_to("myResourceGroup").resources.resource_groups.list()]


def test_files_of_the_users_are_not_overwritten(fresh: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("parameters.yaml", "report.html", "junit.xml", "notes.txt"):
        (mine / name).write_text("# mine\nvm_name: abc\n")
        done = (
            run("-f", "parameters.yaml", "--output", ".", cwd=mine)
            if name == "parameters.yaml"
            else run("--output", mine)
        )
        assert done.returncode == 2 and "a run overwrites no file of yours" in done.stderr
        assert [path.read_text() for path in mine.iterdir()] == ["# mine\nvm_name: abc\n"]
        (mine / name).unlink()
    assert not fresh.exists()  # no call was made


@pytest.mark.skipif(
    os.geteuid() == 0 and not all(each.stat().st_mode & 0o001 for each in Path(__file__).resolve().parents),
    reason="another user cannot read this checkout",
)
def test_a_folder_that_cannot_be_written(fresh: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    code = "import os, runbook_helpers.run.runner, runbook_helpers.run.next_steps\n" + (
        "os.seteuid(65534) if os.geteuid() == 0 else None\n" + MAIN
    )
    tmp_path.chmod(0o755)
    done = run("--only", "00", "--output", closed, code=code)
    assert done.returncode == 2 and "cannot be made or written: Permission denied." in done.stderr, done.stderr
    assert not fresh.exists() and not list(closed.iterdir())


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ["result.json", "parameters.yaml", "report.html", "00_start_here.ipynb", MARK])
def test_no_link_in_the_folder_of_a_run_is_followed(name: str, fresh: Path, tmp_path: Path) -> None:
    folder, mine = new_output_folder(tmp_path / "o"), tmp_path / "mine"
    Report({}, folder, steps=[NotebookRun("00_start_here")]).write()
    mine.write_text((folder / name).read_text() if (folder / name).exists() else "mine")
    before = mine.read_bytes()
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(mine)
    done = run("--resume", folder)
    assert done.returncode == 2 and f"{name} is no plain file" in done.stderr
    assert mine.read_bytes() == before and not fresh.exists()


@regression
def test_links_at_the_places_of_working_files_are_not_followed(fresh: Path, tmp_path: Path) -> None:
    folder, mine = new_output_folder(tmp_path / "o"), tmp_path / "mine"
    Report({}, folder, steps=[NotebookRun("00_start_here")]).write()
    for name in ("kernel.log", ".progress"):
        (folder / name).symlink_to(mine)
    assert run("--resume", folder).returncode == 0
    assert not mine.exists()


def test_a_run_is_taken_up_in_its_own_folder_only(tmp_path: Path) -> None:
    Report({}, tmp_path, steps=[NotebookRun("00_start_here")]).write()
    done = run("--resume", tmp_path)
    assert done.returncode == 2 and f"it has no {MARK}, so no run made it" in done.stderr


@regression
def test_files_that_become_too_large_cost_the_report_only(group: Path, tmp_path: Path) -> None:
    limit = limited(resource.RLIMIT_FSIZE, 4096)
    done = run("--only", "01", "--clean-up", "--output", tmp_path / "o", limit=limit)
    assert done.returncode == 0, done.stderr
    assert "06_clean_up  ok" in done.stdout and "Traceback" not in done.stderr
    assert f"Not written into {tmp_path / 'o'}: 01_registry.ipynb" in done.stderr and "File too large" in done.stderr
    assert groups() == []


def test_a_full_disk_costs_the_report_only(group: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=60k tmpfs '{small}' || exit 77; "
    script = mount + f"exec '{sys.executable}' -c '{MAIN}' run --only 01,02,03 --clean-up --output '{small}/o'"
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare")
    done = subprocess.run(
        [unshare, "--mount", "sh", "-c", script], env=clean_environment(), capture_output=True, text=True, timeout=200
    )
    if done.returncode in (1, 77) and "[" not in done.stdout:
        pytest.skip("no mount namespace")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert "No space left on device" in done.stderr and "06_clean_up" in done.stdout
    assert groups() == []


@regression
def test_a_folder_that_vanishes_costs_the_report_only(group: Path, tmp_path: Path) -> None:
    child = start("run", "--only", "00", "--clean-up", "--output", tmp_path / "o")
    assert child.stdout and child.stdout.read(5) == "[1/2]"
    shutil.rmtree(tmp_path / "o")
    done = end(child)
    assert done.returncode == 0 and "06_clean_up    ok" in done.stdout and "Not written into" in done.stderr, done
    assert groups() == [] and not (tmp_path / "o").exists()


@pytest.mark.sample(1)
@pytest.mark.parametrize("files", [20, 32, 44])
def test_without_files_to_open_it_is_cleaned_up_all_the_same(files: int, group: Path, tmp_path: Path) -> None:
    code = f"from runbook_helpers.run import runner; runner.START_TIMEOUT = 5; {MAIN}"
    limit = limited(resource.RLIMIT_NOFILE, files)
    done = run("--only", "01", "--clean-up", "--output", tmp_path / "o", code=code, limit=limit)
    assert done.returncode == 1 and "could not be executed" in done.stdout
    assert "06_clean_up  ok" in done.stdout
    assert groups() == []


def test_a_kernel_that_hangs_at_its_start_is_ended(group: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\nif 'ipykernel_launcher' in sys.orig_argv:\n    print('eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.x', file=sys.stderr, flush=True)\n    time.sleep(1000)\n"
    )
    code = f"from runbook_helpers.run import runner; runner.START_TIMEOUT = 3; {MAIN}"
    environment = {**clean_environment(), "PYTHONPATH": str(tmp_path)}
    child = start("run", "--only", "01", "--clean-up", "--output", tmp_path / "o", code=code, env=environment)
    assert child.stdout and child.stdout.read(5) == "[1/2]"
    done = end(child)
    assert done.returncode == 1 and "Kernel didn't respond in 3 seconds" in done.stdout, done
    assert "06_clean_up  ok" in done.stdout and groups() == []
    assert "eyJ" not in (tmp_path / "o" / "kernel.log").read_text()
    assert not [each for each in psutil.process_iter(["cmdline", "environ"]) if _is_kernel_of(each, tmp_path)]


def _is_kernel_of(found: psutil.Process, folder: Path) -> bool:
    launched = "ipykernel_launcher" in (found.info["cmdline"] or ())
    return launched and (found.info["environ"] or {}).get("PYTHONPATH") == str(folder)


@regression
def test_a_kernel_that_is_stopped_is_ended(group: Path, tmp_path: Path) -> None:
    code = f"from runbook_helpers.run import runner; runner.SILENCE = 2; {MAIN}"
    child = start("run", "--only", "02", "--clean-up", "--output", tmp_path / "o", code=code)
    notebook = tmp_path / "o" / "02_virtual_machine.ipynb"
    while not (notebook.exists() and '"execution_count": 1' in notebook.read_text()):
        assert child.poll() is None
    (kernel,) = [each for each in psutil.Process(child.pid).children() if "ipykernel_launcher" in each.cmdline()]
    kernel.send_signal(signal.SIGSTOP)
    done = end(child)
    assert done.returncode == 1 and "did not answer for 2 s, and was ended" in done.stdout, done
    assert groups() == [] and not kernel.is_running()


@pytest.mark.sample(1)
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_who_is_gone_has_asked_for_clean_up(number: signal.Signals, group: Path, tmp_path: Path) -> None:
    child = start("run", "--only", "02", "--clean-up", "--output", tmp_path / "o")
    notebook = tmp_path / "o" / "02_virtual_machine.ipynb"
    while not (notebook.exists() and '"execution_count": 1' in notebook.read_text()):
        assert child.poll() is None
    if number == signal.SIGHUP:  # the terminal is gone
        assert child.stdout and child.stderr
        child.stdout.close()
    os.kill(child.pid, number)
    if number == signal.SIGHUP:
        os.kill(child.pid, number)  # from the shell, too
        child.stdout = None
    done = end(child)
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr and "Interrupted; " in done.stderr
    content = json.loads((tmp_path / "o" / "result.json").read_text())
    last = "not_run" if number == signal.SIGINT else "ok"
    assert [each["outcome"] for each in content["notebooks"]] == ["interrupted", last]
    assert (groups() == []) is (last == "ok")


@regression
def test_an_output_that_takes_nothing_ends_no_run(group: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run("--only", "00", "--clean-up", "--output", tmp_path / "o", stdout=full)
    assert done.returncode == 0 and "06_clean_up    ok" in done.stderr and groups() == []


@regression
def test_a_name_with_braces(fresh: Path, tmp_path: Path) -> None:
    done = run("--only", "00", "--output", tmp_path / "{vm_name} {0}")
    assert done.returncode == 0 and (tmp_path / "{vm_name} {0}" / "00_start_here.ipynb").exists()
    process.stop(fresh)


def test_the_fleet_example_overwrites_no_files_either(tmp_path: Path) -> None:
    (tmp_path / "airflow.log").write_text("mine")
    script = Path(__file__).parents[2] / "examples" / "airflow" / "try_fleet.py"
    command = [sys.executable, str(script), "--output", str(tmp_path)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "has files already" in done.stderr
    assert (tmp_path / "airflow.log").read_text() == "mine"
