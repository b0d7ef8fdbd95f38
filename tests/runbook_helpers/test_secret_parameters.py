"""A secret is no parameter: refused by name and by form, in every way that one can come; its value is shown nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runbook_helpers.errors import ParameterError
from runbook_helpers.fleet import read_fleet
from runbook_helpers.parameters import RULES, check_parameters, problems, read_parameters
from runbook_helpers.secrets import HIDDEN, is_secret_name, secret_in, shown, shown_name

from ..conftest import clean_environment

PROJECT = Path(__file__).parents[2]
# Made up here; none was ever a key of anything.
JWT = ".".join(("eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9", "eyJjYW5hcnkiOiJjYW5hcnkifQ", "c2lnbmF0dXJl"))
FORMS = {
    "jwt": JWT,
    "pem": "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END",
    "sas": "https://x.blob.core.windows.net/c?sv=2024-01-01&sig=aBcDeFgHiJkLmNoP%3D",
    "connection string": "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=Zm9vYmFy;",
    "sql": "Server=tcp:x;User ID=a;Password=hunter2",
    "client secret": "abc8" + "Q~" + "abcdefghijklmnopqrstuvwxyz-1234567",
    "registry password": "A" * 42 + "+ACR" + "DaBcDe",
    "storage key": "a1B2" * 21 + "aB==",
    "github": "ghp_" + "a1B2c3D4" * 5,
    "url": "https://user:hunter2@proxy.example",
    "header": "Bearer abcdefghijkl",
}


@pytest.mark.parametrize("form", FORMS)
def test_refused_by_form_under_every_name(form: str) -> None:
    for name in (*RULES, "note"):
        (problem,) = problems({name: FORMS[form]})
        assert problem.startswith(f"{name} holds what looks like ") and "its value is not shown" in problem.lower()
        assert FORMS[form] not in problem and "hunter2" not in problem


@pytest.mark.parametrize(
    "name",
    ["password", "admin_password", "adminPassword", "ACR-PASSWORD", "client_secret", "token", "accesstoken", "key",
     "ssh_key", "apiKey", "storageAccountKey", "connection_string", "pwd", "sas", "credentials", "mypasswd"],
)  # fmt: skip
def test_refused_by_name(name: str) -> None:
    (problem,) = problems({name: "hunter2"})
    assert name in problem and "a secret is never a parameter" in problem and "hunter2" not in problem


@pytest.mark.parametrize("name", [*RULES, "monkey", "keyboard", "vm_nmae", "compass", "ca_file", "path"])
def test_other_names_are_none(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "value",
    ["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "myContainerRegistry", "mcr.microsoft.com/azuredocs/aci-helloworld:v1",
     "Standard_D2s_v5", "My-Container-Registry-2026", "/home/somebody/results/run-20261125T0022/04.json", 7, True, None,
     "China North 3", "with-dash", "$(x)", "team/app@sha256:" + "0123456789abcdef" * 4, "训练-rg(1)_a"],
)  # fmt: skip
def test_other_values_are_shown(value: object) -> None:
    assert secret_in(value) is None and shown(value) == repr(value)


@pytest.mark.parametrize(
    "value", ["P@ssw0rd!", "Xk29fQpL7vB3nR8tZw5m", "0123456789abcdef0123456789abcdef", "kP9+xQ2/mV7nB4cZ1wL8aa=="]
)
def test_what_may_be_a_secret_is_not_repeated_by_the_other_rules(value: str) -> None:
    (problem,) = problems({"subscription_id": value})
    assert problem.endswith(f"; it is {HIDDEN}.")


@pytest.mark.parametrize(
    "value",
    [["hunter2"], {"password": "hunter2"}, b"hunter2", {"hunter2"}, 1 << 100000],
    ids=["list", "mapping", "bytes", "set", "number"],
)
def test_what_is_inside_of_other_values_is_not_shown(value: object) -> None:
    (problem,) = problems({"vm_name": value})
    assert problem.startswith("vm_name must ") and "hunter2" not in problem and len(problem) < 300


def test_a_name_with_the_value_in_it_is_cut() -> None:
    (problem,) = problems({"password=hunter2": "--only"})
    assert problem.startswith("password looks like") and "hunter2" not in problem
    assert shown_name(JWT) == shown_name(3) == "(a name)"


def test_injected_by_papermill() -> None:
    namespace = {"In": ["# Parameters\npassword = 'hunter2'\nvm_name = 'vm'\n"], "password": "hunter2", "vm_name": "vm"}
    with pytest.raises(ParameterError, match="password looks like the name of a secret") as error:
        check_parameters(namespace | {"token": "a variable of the reader's own"})
    assert len(error.value.problems) == 1 and "hunter2" not in str(error.value)


def test_command_line_and_files(tmp_path: Path) -> None:
    """Also where a run is taken up, and in a fleet's file."""
    file = tmp_path / "p.yaml"
    file.write_text((PROJECT / "parameters" / "sandbox.yaml").read_text() + "client_secret: hunter2\n")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "result.json").write_text(
        '{"schema": 1, "parameters": {}, "started": "", "notebooks": [], "clean_up": false}'
    )
    program = [sys.executable, "-c", "from runbook_helpers.commands.main import main; main()"]
    for arguments in (
        ["run", "-p", "password", "hunter2"],
        ["run", "-p", "password=hunter2", "--keep-going"],
        ["run", "-f", str(file)],
        ["ssh", "-f", str(file)],
        ["run", "--resume", str(tmp_path / "old"), "-p", "password", "hunter2"],
        ["run", "--resume", str(tmp_path / "old"), "-p", "vm_name", FORMS["url"]],
    ):
        done = subprocess.run(
            [*program, *arguments], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2, done.stderr
        assert "a secret is never a parameter" in done.stderr and "hunter2" not in done.stdout + done.stderr
    assert not (tmp_path / "runs").exists()
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(
        (PROJECT / "parameters" / "fleet.example.yaml").read_text() + f"token: hunter2\nnote: {FORMS['url']}\n"
    )
    with pytest.raises(ParameterError, match="token looks like the name") as error:
        read_fleet(fleet)
    assert "hunter2" not in str(error.value) and len(error.value.problems) == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("password: *hunter2\n", "line 1: an alias"),
        ("password: [hunter2\n", "line 2: "),
        ("password: 'hunter2\n", "line "),
        ("password: !hunter2 x\n", "line 1: could not determine a constructor"),
        ("vm_name: a\nvm_name: b\n", "a name is there twice"),
        ("<<: {password: hunter2}\nvm_name: x", "line 1: a merge"),
        ("vm_name: " + "[" * 5000, "nested too deeply"),
        ("vm_name: !!python/object:os.system x", "line 1: could not determine a constructor"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "line 2: an alias"),
        ("<<: &a {vm_name: b}\nb: *a", "line 2: an alias"),
        ("vm_name: x\0", "a character or a value"),
        ("vm_name: " + "x" * 300_000, "more than 256 KiB"),
        ("- hunter2", "must hold lines"),
        ("1: hunter2", "must hold lines"),
        ("a: b\n---\na: hunter2", "line 2: "),
    ],
)
def test_files_that_are_more_than_names_and_values(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(content)
    with pytest.raises(ParameterError) as error:
        read_parameters(path)
    assert reason in str(error.value) and str(path) in str(error.value) and "hunter2" not in str(error.value)


def test_bytes_and_folders_as_files(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"vm_name: \xff\xfe")
    for path in (tmp_path, tmp_path / "p.yaml", Path(os.devnull)):
        with pytest.raises(ParameterError, match=r"cannot be read|must hold lines"):
            read_parameters(path)


@pytest.mark.parametrize(
    "path", ["../r.json", "a/../../r.json", "~/r.json", "~x.json", "a\\..\\r.json", "r.json\0", ".."]
)
def test_result_path_does_not_lead_out(path: str) -> None:
    (problem,) = problems({"result_path": path})
    assert problem.startswith("result_path must be empty, or the path of a file that ends in .json, without '..'")
    assert not problems({"result_path": "a..b/..c/r...json"})


def test_result_path_overwrites_results_only(tmp_path: Path) -> None:
    from runbook_helpers.run.result import _write

    result = '{"schema": 1, "cloud": "x", "resource_group": "g"}\n'
    for name in ("r.json", "new/r.json"):
        _write(tmp_path / name, result)
        _write(tmp_path / name, result)
    (tmp_path / "package.json").write_text('{"name": "mine"}')
    (tmp_path / "link.json").symlink_to(tmp_path / "r.json")
    for name in ("package.json", "link.json"):
        with pytest.raises(ParameterError, match="no result of a notebook"):
            _write(tmp_path / name, result)
    assert (tmp_path / "package.json").read_text() == '{"name": "mine"}'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "new", "package.json", "r.json"]


def test_the_notebooks_own_folder_is_no_output() -> None:
    from runbook_helpers.run.inputs import NOTEBOOKS, new_output_folder

    for folder in (NOTEBOOKS, NOTEBOOKS / "deep"):
        with pytest.raises(ParameterError, match="is the notebooks' own"):
            new_output_folder(folder)
    assert not (NOTEBOOKS / "deep").exists()
