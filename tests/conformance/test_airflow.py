"""The fleet's DAG with a real Airflow: what `make fleet` runs, with two VMs, and once where a role is one too many."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from runbook_helpers import assign_role, create_identity, create_registry
from runbook_helpers.fleet import read_fleet

from ..conftest import clean_environment

PROJECT = Path(__file__).parents[2]


def fleet_file(folder: Path) -> Path:
    """The example, with two VMs."""
    content = yaml.safe_load((PROJECT / "parameters" / "fleet.example.yaml").read_text(encoding="utf-8"))
    content["vms"] = {"one": "myFleetId", "two": "myOtherId"}
    path = folder / "fleet.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def try_fleet(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "examples/airflow/try_fleet.py", "--fleet", str(fleet_file(folder)),
         "--output", str(folder / "output"), "--sandbox", str(folder / "sandbox")],
        cwd=PROJECT, env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1500,
    )  # fmt: skip


def test_airflow_runs_the_notebooks_and_the_matrix_is_as_the_file_says(tmp_path: Path) -> None:
    done = try_fleet(tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "2 VMs, 4 pulls tried: 3 pulled, 1 denied, all as the file says." in done.stdout
    assert_nothing_runs_in(tmp_path)


def test_a_pull_that_should_not_work_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_SANDBOX", str(tmp_path / "sandbox"))
    azure = read_fleet(fleet_file(tmp_path)).connect()
    identity, registry = create_identity(azure, "myOtherId"), create_registry(azure, "myFleetRegistry")
    assign_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(registry.id))
    done = try_fleet(tmp_path)
    assert done.returncode == 1, f"{done.stdout}\n{done.stderr}"
    assert "4 pulled, 0 denied, 1 not as the file says." in done.stdout
    (path,) = (tmp_path / "output").glob("*/pull-matrix.json")
    assert [vm["ok"] for vm in json.loads(path.read_text())["vms"]] == [True, False]
    assert_nothing_runs_in(tmp_path)


def assert_nothing_runs_in(folder: Path, within: float = 10) -> None:
    """No process is left that was told of the folder (seen on Linux)."""
    deadline = time.monotonic() + within  # a process that was told to end may be on its way out
    while left := processes_in(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def processes_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if process.name != str(os.getpid()) and str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found
