"""The command `runbook`, as a user runs it: a process of its own, its words, its exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from azure_sandbox import process
from runbook_helpers import create_vm, show_image
from runbook_helpers.outcome import Outcome
from runbook_helpers.run.inputs import MARK, NOTEBOOKS, PROJECT, new_output_folder, select_notebooks
from runbook_helpers.run.report import NotebookRun, Report

from ..conftest import SSH_SOURCE, SUBSCRIPTION, clean_environment, connect_to, writes


def runbook(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from runbook_helpers.commands.main import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, timeout=300)


def test_run_twice_then_clean_up(fresh: Path, tmp_path: Path) -> None:
    done = runbook("run", "--output", tmp_path / "first")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "`runbook run --only 06`" in done.stdout.splitlines()[-1]
    result = json.loads((tmp_path / "first" / "result.json").read_text())
    assert [each["notebook"][:2] for each in result["notebooks"]] == ["00", "01", "02", "03", "04", "05"]
    assert all(each["ok"] and each["error"] is None and each["seconds"] > 0 for each in result["notebooks"])
    digest = show_image(connect_to("myResourceGroup"), "myContainerRegistry", "aci-helloworld:v1").digest
    reference = "mycontainerregistry.azurecr.cn/aci-helloworld:v1"
    assert result["pulls"] == [
        {"identity": identity, "image": reference, "digest": digest}
        for identity in ("user-assigned", "system-assigned")
    ]
    before = writes(fresh)
    done = runbook("run", "--output", tmp_path / "second", "--clean-up")
    assert done.returncode == 0, done.stdout + done.stderr
    after = writes(fresh)
    group = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/myResourceGroup"
    gone = after[len(before) :]
    assert after[: len(before)] == before and gone[-1] == f"DELETE {group}"
    assert [each.partition("/roleAssignments/")[0] for each in gone[:-1]] == [
        f"DELETE /subscriptions/{SUBSCRIPTION}/resourceGroups/myResourceGroup/providers/Microsoft.ContainerRegistry"
        "/registries/myContainerRegistry/providers/Microsoft.Authorization"
    ] * 2
    print(f"\nwrites of the first run {len(before)}, of the second 0; seconds {result['seconds']}")


@pytest.mark.parametrize(
    ("only", "clean_up", "chosen"),
    [
        ([], False, ["00", "01", "02", "03", "04", "05"]),
        ([], True, ["00", "01", "02", "03", "04", "05", "06"]),
        (["7", "06", "04"], False, ["04", "07", "06"]),
        (["07"], True, ["07", "06"]),
    ],
)
def test_exercises_are_run_by_name_and_clean_up_is_the_last(only: list[str], clean_up: bool, chosen: list[str]) -> None:
    assert [path.name[:2] for path in select_notebooks(only, clean_up)] == chosen


def test_bad_parameters_are_all_listed_and_nothing_is_started(fresh: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("cloud: Azure\nregistry_nmae: abcde\n")
    done = runbook("run", "-f", file, "-p", "vm_name", "a b", "--output", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 3 and "Traceback" not in done.stderr
    for words in ("cloud must be one of", "did you mean registry_name?", "vm_name must have"):
        assert words in done.stderr
    assert not fresh.exists() and not (tmp_path / "out").exists()


def test_unknown_notebook_and_missing_file() -> None:
    assert "There is no notebook 09" in runbook("run", "--only", "09").stderr
    assert "There is no notebook x:" in runbook("run", "--only", "01,x").stderr
    done = runbook("run", "--only", "")
    assert done.returncode == 2 and "--only names no notebook" in done.stderr
    done = runbook("run", "-f", "nowhere.yaml")
    assert done.returncode == 2 and "There is no parameter file nowhere.yaml" in done.stderr
    assert f"are in {NOTEBOOKS.parent / 'parameters'}." in done.stderr


def test_runs_that_start_at_once_have_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        folders = list(threads.map(lambda _: new_output_folder(), range(8)))
    assert len(set(folders)) == 8 and all(folder.is_dir() for folder in folders)
    assert all(re.fullmatch(r"runs/\d{8}T\d{6}Z(-[2-8])?", folder.as_posix()) for folder in folders)


def test_folder_that_cannot_be_taken(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "below"):
        done = runbook("run", "--only", "00", "--output", folder)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and f"{file}" in done.stderr
    (tmp_path / "01_registry.ipynb").write_text("kept")
    done = runbook("run", "--only", "00", "--output", tmp_path)
    assert done.returncode == 2 and "has files already (01_registry.ipynb)" in done.stderr
    (tmp_path / "result.json").write_text("{}")
    (tmp_path / MARK).write_text("")
    done = runbook("run", "--only", "00", "--output", tmp_path)
    assert done.returncode == 2 and done.stderr.endswith(f"use another folder, or `--resume {tmp_path}`.\n")
    assert (tmp_path / "01_registry.ipynb").read_text() == "kept"


def test_line_of_a_notebook_begins_with_it(fresh: Path, tmp_path: Path) -> None:
    code = "from runbook_helpers.commands.main import main; main()"
    command = [sys.executable, "-c", code, "run", "--only", "00", "--output", str(tmp_path / "o")]
    child = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    assert child.stdout
    head = "[1/1] 00_start_here"
    assert child.stdout.read(len(head)) == head
    assert json.loads((tmp_path / "o" / "result.json").read_text())["outcome"] == "not_run"  # it runs now
    rest, _ = child.communicate(timeout=60)
    assert re.match(r" \(\d+\.\d s\): ok\n", rest)


def test_hints_name_the_program_as_it_is_found(tmp_path: Path) -> None:
    new_output_folder(tmp_path)
    Report({}, tmp_path, steps=[NotebookRun("00_start_here", Outcome.OK)]).write()
    script = Path(sys.executable).with_name("runbook")
    path = os.environ["PATH"].split(os.pathsep)
    others = [folder for folder in path if not (Path(folder) / "runbook").exists()]
    for found, name in ((others, str(script)), ([str(script.parent), *path], "runbook")):
        done = subprocess.run(
            [script, "run", "--resume", tmp_path], capture_output=True, text=True, timeout=60,
            env={**clean_environment(), "PATH": os.pathsep.join(found)},
        )  # fmt: skip
        assert f"To delete it: `{name} run -f " in done.stdout, done.stderr


def test_foreign_group_is_not_deleted_and_no_command_for_it_is_reported(fresh: Path, tmp_path: Path) -> None:
    connect_to("foreign").resources.resource_groups.create_or_update("foreign", {"location": "chinanorth3"})
    done = runbook("run", "-p", "resource_group", "foreign", "--only", "06", "--output", tmp_path / "o")
    assert done.returncode == 1 and "was not made by this runbook" in done.stdout
    assert "What was made" not in done.stdout and "Not finished" not in done.stderr


def test_failed_notebook_names_the_cause_and_the_rest_is_not_run(fresh: Path, tmp_path: Path) -> None:
    other = "11111111-1111-1111-1111-111111111111"
    done = runbook("run", "-p", "subscription_id", other, "--only", "01,02", "--output", tmp_path / "out")
    assert done.returncode == 3
    assert f"The subscription '{other}' could not be found." in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert not result["ok"]
    assert [each["ok"] for each in result["notebooks"]] == [False, False]
    assert "not run" in done.stdout
    assert "What was made" not in done.stdout  # nothing was
    assert f"`runbook run -f {tmp_path / 'out' / 'parameters.yaml'} -p NAME VALUE --only 01,02`" in done.stderr


def test_another_cloud_from_the_command_line(fresh: Path, tmp_path: Path) -> None:
    other = ["-p", "cloud", "AzureCloud", "-p", "location", "eastus"]
    done = runbook("run", *other, "--only", "1", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stdout
    assert f"Report: {tmp_path / 'out' / 'report.html'}\n" in done.stdout
    assert "mycontainerregistry.azurecr.io" in (tmp_path / "out" / "01_registry.ipynb").read_text()


def test_kernel_that_dies(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed kernel leaves a notebook that looks completed; the run must not."""
    from runbook_helpers.run import runner

    notebook = json.loads((NOTEBOOKS / "00_start_here.ipynb").read_text())
    notebook["cells"][-1]["source"] = "import os; os.kill(os.getpid(), 9)"
    path = tmp_path / "00_dies.ipynb"
    path.write_text(json.dumps(notebook))
    lines: list[str] = []
    report = runner.run([path], {"sandbox": True}, tmp_path / "out", lines.append)
    assert not report.ok
    assert "kernel died" in lines[0]


def test_sandbox_commands(fresh: Path) -> None:
    assert runbook("sandbox", "status").returncode == 1
    started = runbook("sandbox", "start").stdout
    assert runbook("sandbox", "status").stdout == started == runbook("sandbox", "start").stdout
    assert started.startswith(f"folder {fresh}\naddress http://127.0.0.1:")
    assert "did not" not in runbook("sandbox", "stop").stdout
    assert runbook("sandbox", "status").returncode == 1
    assert runbook("sandbox", "reset").returncode == 0
    assert not fresh.exists()


def test_env_turns_a_process_into_the_operator(fresh: Path) -> None:
    exports = runbook("sandbox", "env").stdout
    script = f'{exports}\n{sys.executable} -c "$CODE"'
    code = (
        "import os, requests\n"
        "tenant, authority = os.environ['AZURE_TENANT_ID'], os.environ['AZURE_AUTHORITY_HOST']\n"
        "form = {'grant_type': 'client_credentials', 'client_id': os.environ['AZURE_CLIENT_ID'],\n"
        "  'client_secret': os.environ['AZURE_CLIENT_SECRET'], 'scope': 'https://management.chinacloudapi.cn/.default'}\n"
        "token = requests.post(f'{authority}/{tenant}/oauth2/v2.0/token', data=form).json()['access_token']\n"
        "url = 'https://management.chinacloudapi.cn/subscriptions?api-version=2022-12-01'\n"
        "print(len(requests.get(url, headers={'Authorization': 'Bearer ' + token}).json()['value']))\n"
    )
    environment = {**clean_environment(), "CODE": code}
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "1\n", done.stderr


def test_env_of_a_vm_forgets_the_operators_secret(fresh: Path) -> None:
    create_vm(connect_to("myResourceGroup"), "vm", ssh_source=SSH_SOURCE)
    script = 'eval "$OPERATOR"; eval "$VM"; echo "$AZURE_CLIENT_SECRET"; echo "$HTTP_PROXY"'
    exports = {"OPERATOR": runbook("sandbox", "env").stdout, "VM": runbook("sandbox", "env", "--vm", "vm").stdout}
    done = subprocess.run(["sh", "-c", script], env={**clean_environment(), **exports}, capture_output=True, text=True)
    secret, proxy = done.stdout.splitlines()
    assert secret == "" and "@127.0.0.1:" in proxy


def test_env_of_an_unknown_vm(fresh: Path) -> None:
    done = runbook("sandbox", "env", "--vm", "nobody")
    assert done.returncode == 1
    assert "The sandbox has no VM named nobody" in done.stderr


def test_interrupt_leaves_no_process_and_says_how_to_go_on(fresh: Path, tmp_path: Path) -> None:
    # A background job of a script ignores Ctrl-C, and so would its children: the child listens again.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from runbook_helpers.commands.main import main; main()"
    )
    command = [sys.executable, "-c", code, "run", "--output", str(tmp_path / "o")]
    child = subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout
    assert "00_start_here" in child.stdout.readline()
    time.sleep(1)
    os.kill(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert "Run it again to go on" in errors
    assert requests.__version__ and process.find(fresh)


def test_real_azure_in_a_terminal_of_the_sandbox_is_said_to_be_played(fresh: Path, tmp_path: Path) -> None:
    exports = runbook("sandbox", "env").stdout
    code = "from runbook_helpers.commands.main import main; main()"
    script = f'{exports}\n{sys.executable} -c "{code}" ssh -f "{tmp_path}/real.yaml"'
    content = (PROJECT / "parameters" / "sandbox.yaml").read_text().replace("sandbox: true", "sandbox: false")
    # Not the sandbox's own subscription, which is refused as a parameter.
    content = content.replace("00000000-0000-0000-0000-000000000000", "11111111-1111-1111-1111-111111111111")
    (tmp_path / "real.yaml").write_text(content)
    done = subprocess.run(["sh", "-c", script], env=clean_environment(), capture_output=True, text=True, timeout=60)
    assert done.stderr.startswith("This terminal is in the sandbox"), done.stderr
    assert done.returncode == 3 and "SubscriptionNotFound" in done.stderr
