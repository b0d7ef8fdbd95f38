"""`runbook init`, as a user runs it: with its questions in a terminal, and with options where there is none."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from azure_sandbox import Sandbox
from runbook_helpers import Azure, create_registry
from runbook_helpers.commands.init import _refuse_taken
from runbook_helpers.errors import NotReady
from runbook_helpers.parameters import problems, read_parameters

from ..conftest import SUBSCRIPTION, clean_environment

OWN = "12345678-1234-1234-1234-123456789012"
COMMAND = [sys.executable, "-c", "from runbook_helpers.commands.main import main; main()", "init"]
REAL = ["-p", "subscription_id", OWN, "-p", "registry_name", "abcde12345", "-p", "ssh_source", "203.0.113.7"]


def environment(folder: Path, account: dict[str, object] | None = None) -> dict[str, str]:
    """A machine with an `az` that is signed in to this account, or to none; no way to any cloud."""
    az = folder / "bin" / "az"
    az.parent.mkdir(exist_ok=True)
    words = (
        f"echo '{json.dumps(account)}'"
        if account
        else "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1"
    )
    az.write_text(f"#!/bin/sh\n{words}\n")
    az.chmod(0o755)
    path = f"{az.parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **clean_environment(), "PATH": path, "HTTPS_PROXY": "http://127.0.0.1:9", "AZURE_TOKEN_CREDENTIALS": "AzureCliCredential",
    }  # fmt: skip


def init(folder: Path, *arguments: str, account: dict[str, object] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment(folder, account), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip


def in_terminal(folder: Path, answers: Sequence[str], account: dict[str, object] | None = None) -> str:
    """What a terminal shows when these answers are typed."""
    ours, its = pty.openpty()
    child = subprocess.Popen(COMMAND, cwd=folder, env=environment(folder, account), stdin=its, stdout=its, stderr=its)
    os.close(its)
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # its end is closed
            break
    os.close(ours)
    assert child.wait(60) == 0, shown
    return shown.decode()


def test_without_a_terminal_options_are_the_answers(tmp_path: Path) -> None:
    done = init(tmp_path, *REAL, "-p", "cloud", "AzureCloud", "-p", "vm_name", "myVM", "-f", "deep/my.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Written: deep/my.yaml. Next: `runbook check -f deep/my.yaml`\n"
    assert "Whether the name abcde12345 is free is not known: Nobody is signed in to AzureCloud: " in done.stderr
    values = read_parameters(tmp_path / "deep" / "my.yaml")
    assert problems(values) == []
    wanted = {"cloud": "AzureCloud", "sandbox": False, "subscription_id": OWN, "location": "eastus", "vm_name": "myVM"}
    assert wanted.items() <= values.items() and values["ssh_source"] == "203.0.113.7"
    text = (tmp_path / "deep" / "my.yaml").read_text(encoding="utf-8")
    assert "# az account show --query id" in text and "<" not in text


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "my-parameters.yaml").write_text("mine")
    done = init(tmp_path, *REAL)
    assert done.returncode == 2 and "my-parameters.yaml is there already: --force writes over it" in done.stderr
    assert (tmp_path / "my-parameters.yaml").read_text() == "mine"
    assert init(tmp_path, *REAL, "--force").returncode == 0
    assert read_parameters(tmp_path / "my-parameters.yaml")["registry_name"] == "abcde12345"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (REAL[:3], "registry_name is missing, and here is no terminal to ask in: `-p registry_name VALUE` with a name"),
        (["-p", "ssh_source", "0.0.0.0/0"], "ssh_source must be an IPv4 address"),
        (["-p", "registry_nmae", "abcde"], "did you mean registry_name?"),
        (["-p", "cloud", "Azure"], "cloud must be one of"),
        (["-p", "subscription_id", SUBSCRIPTION, *REAL[3:]], "subscription_id must be your own"),
    ],
)
def test_answers_are_checked_as_parameters_are_and_nothing_is_written(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = init(tmp_path, *arguments)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.yaml"))


def test_the_questions_in_a_terminal(tmp_path: Path) -> None:
    account = {"environmentName": "AzureChinaCloud", "id": OWN, "name": "Training"}
    shown = in_terminal(tmp_path, ["", "", "myGroup", "", "a b", "abcde12345", "here", "203.0.113.7"], account)
    assert "azure-cli is signed in to AzureChinaCloud, subscription Training." in shown
    assert "Error: registry_name must have 5 to 50" in shown and "Error: ssh_source must be" in shown
    assert "your client IP address" in shown and shown.rstrip().endswith("Next: `runbook check -f my-parameters.yaml`")
    values = read_parameters(tmp_path / "my-parameters.yaml")
    assert problems(values) == []
    assert [values[name] for name in ("subscription_id", "resource_group", "registry_name", "ssh_source")] == [
        OWN, "myGroup", "abcde12345", "203.0.113.7",
    ]  # fmt: skip


def test_a_sign_in_to_another_cloud_is_said(tmp_path: Path) -> None:
    account = {"environmentName": "AzureCloud", "id": OWN, "name": "Training"}
    done = init(tmp_path, "-p", "cloud", "AzureChinaCloud", *REAL, account=account)
    assert done.returncode == 0 and "signed in" not in done.stdout
    done = init(tmp_path, "-p", "cloud", "AzureChinaCloud", *REAL[3:], "--force", account=account)
    assert done.returncode == 2
    assert (
        "signed in to AzureCloud, not to AzureChinaCloud: `az cloud set -n AzureChinaCloud`, then `az login`"
        in done.stderr
    )


def test_for_the_sandbox_nothing_has_to_be_known(tmp_path: Path) -> None:
    assert init(tmp_path, "--sandbox", "-p", "cloud", "AzureCloud", "-p", "registry_name", "0123456").returncode == 0
    values = read_parameters(tmp_path / "my-parameters.yaml")
    assert problems(values) == [] and values["sandbox"] is True
    assert (values["cloud"], values["location"], values["registry_name"]) == ("AzureCloud", "eastus", "0123456")


def test_a_name_that_another_has_is_refused(azure: Azure, sandbox: Sandbox, name: str) -> None:
    create_registry(azure, name)
    values = {
        "cloud": "AzureChinaCloud", "sandbox": True, "subscription_id": SUBSCRIPTION, "location": "chinanorth3",
    }  # fmt: skip
    _refuse_taken(name, {**values, "resource_group": name})  # ours
    _refuse_taken(name + "x", {**values, "resource_group": "other"})
    with pytest.raises(NotReady, match=f"{name} cannot be had"):
        _refuse_taken(name, {**values, "resource_group": "other"})
