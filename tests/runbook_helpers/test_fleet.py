"""A fleet: its file's rules, and the pull matrix, whose every cell is the answer of a registry. Airflow is not needed."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import papermill
import pytest
import yaml

from azure_sandbox import process
from runbook_helpers import acr_login, assign_role, create_identity, show_registry, ssh, try_pull
from runbook_helpers.errors import CommandFailed, ParameterError
from runbook_helpers.fleet import COMMON, MOST_VMS, Fleet, read_fleet
from runbook_helpers.fleet.pull_matrix import NO_ANSWER, _try_pull, pull_matrix, try_pulls
from runbook_helpers.fleet.svg import as_svg
from runbook_helpers.parameters import RULES
from runbook_helpers.ssh.completed import Completed, FailureKind

from ..conftest import clean_environment, writes

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "parameters" / "fleet.example.yaml"
AIRFLOW = PROJECT / "examples" / "airflow"


def changed(tmp_path: Path, **values: Any) -> Path:
    """The example with other values; None leaves one out."""
    content = {**yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")), **values}
    path = tmp_path / "fleet.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in content.items() if value is not None}))
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(ParameterError) as error:
        read_fleet(path)
    return error.value.problems


def test_the_example_has_ten_vms_and_both_answers() -> None:
    fleet = read_fleet(EXAMPLE)
    assert list(fleet.vms) == [f"myDockerVM{number:02}" for number in range(1, 11)]
    assert {fleet.may_pull(vm, registry) for vm in fleet.vms for registry in fleet.registries} == {True, False}
    assert set(fleet.identities) == set(fleet.vms.values())


def test_every_notebook_gets_every_parameter(tmp_path: Path) -> None:
    fleet = read_fleet(EXAMPLE)
    assert set(COMMON) < set(RULES)
    runs = fleet.vm_runs(tmp_path)
    assert all(set(run["parameters"]) == set(RULES) for run in runs)
    assert len({run["output_nb"] for run in [*runs, *fleet.registry_runs(tmp_path)]}) == 12


def test_the_vms_of_an_identity_pull_from_its_first_registry(tmp_path: Path) -> None:
    last = read_fleet(EXAMPLE).vm_runs(tmp_path)[-1]["parameters"]
    assert (last["vm_name"], last["identity_name"], last["registry_name"]) == (
        "myDockerVM10", "myOtherId", "myOtherRegistry",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cloud": "here"}, "cloud must be one of"),
        ({"image": None}, "image is missing"),
        ({"vms": None}, "vms is missing"),
        ({"vm_name": "myVM"}, "vm_name is not a parameter of a fleet"),
        ({"registries": "myFleetRegistry"}, "registries must be a list"),
        ({"registries": ["myFleetRegistry", "myOtherRegistry", "no-dash"]}, "registry_name must have"),
        ({"registries": ["myFleetRegistry", "myOtherRegistry", "MYFLEETREGISTRY"]}, "MYFLEETREGISTRY is there twice"),
        ({"registries": ["myFleetRegistry", "myOtherRegistry", 7]}, "registry_name must have"),
        ({"registries": ["myFleetRegistry", "myOtherRegistry", ["x"]]}, "registry_name must have"),
        ({"identities": ["myFleetId"]}, "identities must have lines"),
        ({"identities": {"myFleetId": ["myFleetRegistry"], "myOtherId": []}}, "myOtherId must have a list of at least"),
        ({"identities": {"myFleetId": ["myFleetRegistry"], "myOtherId": ["who"]}}, "'who', which is not in registries"),
        ({"identities": {"myFleetId": ["myFleetRegistry"], "myOtherId": [["x"]]}}, "which is not in registries"),
        ({"vms": ["myVM"]}, "vms must have lines"),
        ({"vms": {}}, "vms must have lines"),
        ({"vms": {"myVM": "nobody"}}, "'nobody', which is not in identities"),
        ({"vms": {"myVM": ["myFleetId"]}}, "which is not in identities"),
        ({"vms": {"my VM": "myFleetId"}}, "vm_name must have"),
        ({"vms": {3: "myFleetId"}}, "vm_name must have"),
        ({"vms": {"vm01..03": "myFleetId", "vm03": "myOtherId"}}, "The VM vm03 is there twice"),
        ({"vms": {"vm9..1": "myFleetId"}}, "vms must count upwards"),
        ({"vms": {f"vm1..{MOST_VMS + 1}": "myFleetId"}}, f"at most {MOST_VMS}"),
        ({"vms": {f"vm1..{MOST_VMS}": "myFleetId", "one": "myFleetId"}}, f"they name {MOST_VMS + 1}"),
        ({"vms": {"vm1..999999999": "myFleetId"}}, f"at most {MOST_VMS}"),
    ],
)
def test_what_is_wrong_is_a_sentence(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    (problem,) = problems_of(changed(tmp_path, **values))
    assert words in problem and problem.endswith((".", "?"))


def test_all_that_is_wrong_is_listed_at_once(tmp_path: Path) -> None:
    path = changed(tmp_path, cloud="x", registries=["a"], identities={"i": []}, vms={"_": "j"}, ssh_source="*", extra=1)
    assert len(problems_of(path)) == 8


def test_an_empty_file_lacks_everything(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("{}")
    assert len([problem for problem in problems_of(path) if problem.endswith("is missing.")]) == len(COMMON) + 3


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ('Head "https://x.azurecr.cn/v2/a/manifests/v1": unauthorized: authentication required', True),
        ("denied: requested access to the resource is denied", True),
        ("denied: client with IP '192.0.2.1' is not allowed access", True),
        ("failed to fetch anonymous token: unexpected status: 401 Unauthorized", True),
        ("unexpected status from HEAD request to https://x.azurecr.cn/v2/: 403 Forbidden", True),
        ("permission denied while trying to connect to the Docker daemon socket", False),
        ("dial unix /var/run/docker.sock: connect: permission denied: retry", False),
        ("dial tcp: lookup x.azurecr.cn: no such host", False),
        ("manifest for x.azurecr.cn/a:v1 not found: manifest unknown", False),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", False),
        ("PermissionError: [Errno 13] Permission denied: '/home/azureuser/.docker/config.json'", False),
        (
            "open /home/azureuser/.docker/config.json: permission denied\nError: unauthorized: authentication required",
            False,
        ),
        ("ERROR: No access was configured for the managed identity, hence no subscriptions were found.", True),
        ("Access to registry 'x.azurecr.cn' was denied. Response code: 401. Please try running 'az login' again", True),
        ("CONNECTIVITY_FORBIDDEN_ERROR\nAccess to registry 'x.azurecr.cn' was denied. Response code: 403.", True),
        (
            "Access to registry 'x.azurecr.cn' was denied. Response code: 503. Please try running 'az login' again",
            False,
        ),
        ("ERROR: The rate of requests to the identity endpoint is too high: try again later.", False),
        ("ERROR: Please run 'az login' to setup account.", False),
        ("unauthorized: authentication required\n" + "WARNING: something else.\n" * 20, True),
    ],
)
def test_only_a_registrys_no_is_a_refusal(words: str, refusal: bool) -> None:
    assert Completed("docker pull x.azurecr.cn/a:v1", 1, "", words).failure.is_refusal is refusal


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("denied: client with IP '192.0.2.1' is not allowed access. Refer https://aka.ms/acr/firewall", "NOT_ADMITTED"),
        ("ERROR: Looks like you don't have access to registry 'x.azurecr.cn'. To see configured", "NOT_ADMITTED"),
        ('manifest for x.azurecr.cn/a:v9 not found: manifest unknown: manifest tagged by "v9" is not', "NO_SUCH_IMAGE"),
        ("Error response from daemon: repository x.azurecr.cn/b not found: name unknown: repository", "NO_SUCH_IMAGE"),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", "OTHER_PLATFORM"),
        ("no match for platform in manifest: not found", "OTHER_PLATFORM"),
        ("invalid reference format: repository name (X/A) must be lowercase", "BAD_REFERENCE"),
        ("denied: The operation is disallowed on this registry, repository or image. View troubleshooting", "LOCKED"),
    ],
)
def test_what_no_role_mends_is_its_own_failure(words: str, kind: str) -> None:
    failure = Completed("docker pull x.azurecr.cn/a:v1", 1, "", words).failure
    assert failure is FailureKind[kind]
    assert failure.lasts


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A fleet of two VMs in a sandbox of its own, made by the unmodified notebooks."""
    folder = tmp_path_factory.mktemp("fleet")
    before = pytest.MonkeyPatch()
    before.setenv("RUNBOOK_SANDBOX", str(folder / "sandbox"))
    fleet = replace(read_fleet(EXAMPLE), vms={"one": "myFleetId", "two": "myOtherId"})
    notebook = PROJECT / "notebooks" / "04_user_assigned_identity.ipynb"  # it makes the registries too
    for run in fleet.vm_runs(folder):
        papermill.execute_notebook(notebook, run["output_nb"], run["parameters"], progress_bar=False)
    azure = fleet.connect()
    scope = str(show_registry(azure, "myOtherRegistry").id)
    assign_role(azure, "AcrPull", assignee=str(create_identity(azure, "myFleetId").principal_id), scope=scope)
    yield fleet, azure, folder
    process.stop(folder / "sandbox")
    before.undo()


def test_the_registries_answers_fill_the_matrix(prepared: Any, tmp_path: Path) -> None:
    fleet, azure, folder = prepared
    pulls = [pull for vm in fleet.vms for pull in try_pulls(azure, fleet, vm)]
    assert [pull["outcome"] for pull in pulls] == ["pulled", "pulled", "denied", "pulled"]
    assert "unauthorized" in pulls[2]["words"] and pulls[2]["digest"] is None
    matrix = pull_matrix(fleet, json.loads(json.dumps(pulls)), fleet.vm_results(folder))
    assert matrix.ok
    content = json.loads(json.dumps(matrix.as_json()))
    assert content["schema"] == 1 and content["ok"] is True
    digests = {vm["notebook"]["digest"] for vm in content["vms"]} | {p["digest"] for p in pulls if p["digest"]}
    assert len(digests) == 1
    text = matrix.as_text()
    assert "one: notebook 04 pulled myfleetregistry.azurecr.cn/aci-helloworld:v1 sha256:" in text
    assert re.search(r"^two +myOtherId +denied +pulled$", text, re.MULTILINE)
    assert text.endswith("2 VMs, 4 pulls tried: 3 pulled, 1 denied, all as the file says.")


def test_an_attempt_that_fails_leaves_no_result_of_an_earlier_one(prepared: Any, tmp_path: Path) -> None:
    """A task that is retried or cleared writes over the notebook; the earlier result's file is still there."""
    fleet, _, folder = prepared
    shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("sandbox"))
    assert set(fleet.vm_results(tmp_path / "run")) == {"one", "two"}
    run = fleet.vm_runs(tmp_path / "run")[0]
    notebook, wrong = PROJECT / "notebooks" / "04_user_assigned_identity.ipynb", {**run["parameters"], "cloud": "here"}
    with pytest.raises(papermill.PapermillExecutionError):
        papermill.execute_notebook(notebook, run["output_nb"], wrong, progress_bar=False)
    assert (tmp_path / "run" / "one.json").exists()
    assert set(fleet.vm_results(tmp_path / "run")) == {"two"}


def test_a_vm_costs_as_many_writes_as_the_pools_size_is_made_for(prepared: Any) -> None:
    fleet, _, folder = prepared
    for vm in fleet.vms:
        assert sum(f"/{vm}" in write for write in writes(folder / "sandbox")) == 6
    assert "16 x 6 writes" in (AIRFLOW / "fleet_dag.py").read_text(encoding="utf-8")


def test_a_pull_that_should_not_work_is_not_ok(prepared: Any) -> None:
    fleet, azure, folder = prepared
    strict = replace(fleet, identities={**fleet.identities, "myFleetId": ["myFleetRegistry"]})
    matrix = pull_matrix(strict, try_pulls(azure, strict, "one"), fleet.vm_results(folder))
    assert not matrix.rows[0].ok
    assert "pulled (expected: denied)" in matrix.as_text() and "pulled (expected: denied)" in as_svg(matrix)


def test_a_pull_that_should_work_and_does_not_is_not_ok(prepared: Any) -> None:
    fleet, azure, folder = prepared
    wide = replace(fleet, identities={**fleet.identities, "myOtherId": fleet.registries})
    matrix = pull_matrix(wide, try_pulls(azure, wide, "two"), fleet.vm_results(folder))
    assert not matrix.rows[1].ok and "denied (expected: pulled)" in matrix.as_text()


def test_a_broken_sign_in_is_no_answer_of_the_registry(prepared: Any) -> None:
    """Docker, which asks as nobody then, hears "unauthorized", and that says nothing of the identity."""
    fleet, azure, _ = prepared
    with ssh(azure, "two") as shell:
        shell.run("az", "logout")
    with pytest.raises(CommandFailed, match="Please run 'az login'"):
        _try_pull(azure, fleet, "two", "myFleetRegistry")


def test_what_is_no_refusal_is_raised(prepared: Any) -> None:
    _, azure, _ = prepared
    identity_id = str(create_identity(azure, "myFleetId").id)
    with pytest.raises(CommandFailed, match="manifest unknown"):
        try_pull(azure, "one", "myFleetRegistry", "aci-helloworld:v2", identity_id)
    with ssh(azure, "one") as shell:
        shell.run("sudo", "systemctl", "stop", "docker")
    try:
        with pytest.raises(CommandFailed, match="Is the docker daemon running"):
            try_pull(azure, "one", "myFleetRegistry", "aci-helloworld:v1", identity_id)
        azure = replace(azure, timeouts=replace(azure.timeouts, transient=0.0))
        with pytest.raises(CommandFailed, match="Is the docker daemon running"):
            acr_login(azure, "one", "myFleetRegistry", within=1000)  # it does not wait for the registry
    finally:
        with ssh(azure, "one") as shell:
            shell.run("sudo", "systemctl", "start", "docker")


def made_up(**outcomes: str) -> tuple[Fleet, list[dict[str, Any]]]:
    fleet = replace(read_fleet(EXAMPLE), vms={"one": "myFleetId", "two": "myOtherId"})
    pulls = [
        {"vm": vm, "registry": registry, "expected": "pulled", "outcome": outcome}
        for vm, outcome in outcomes.items()
        for registry in fleet.registries
    ]
    return fleet, pulls


def test_what_nobody_tried_has_no_answer_and_is_not_ok(tmp_path: Path) -> None:
    fleet, pulls = made_up(one="pulled")
    results = {"one": {"pulls": [{"image": "i", "digest": "d"}]}}
    matrix = pull_matrix(fleet, pulls, results)
    assert [row.ok for row in matrix.rows] == [True, False] and not matrix.ok
    assert [pull["outcome"] for pull in matrix.rows[1].pulls] == [NO_ANSWER, NO_ANSWER]
    assert "two: notebook 04 FAILED" in matrix.as_text()
    assert fleet.vm_results(tmp_path) == {}


def test_the_picture_says_all_in_words() -> None:
    fleet, pulls = made_up(one="pulled", two="denied")
    fleet = replace(fleet, vms={**fleet.vms, "three": "myFleetId"})
    matrix = pull_matrix(fleet, pulls, {})
    root = ElementTree.fromstring(as_svg(matrix))
    space = "{http://www.w3.org/2000/svg}"
    title, description = root.find(f"{space}title"), root.find(f"{space}desc")
    assert title is not None and description is not None and root.get("role") == "img"
    assert "two with the identity myOtherId: myFleetRegistry: denied (expected: pulled)" in str(description.text)
    cells = [str(text.text) for text in root.iter(f"{space}text")]
    assert {"✓ pulled", "✕ denied (expected: pulled)", "? no answer (expected: pulled)"} <= set(cells)


def test_the_dag_is_python_and_uses_what_there_is() -> None:
    source = (AIRFLOW / "fleet_dag.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runbook_helpers"):
            module = __import__(str(node.module), fromlist=["_"])
            assert all(hasattr(module, alias.name) for alias in node.names), node.module
    for notebook in re.findall(r'"(\w+\.ipynb)"', source):
        assert (PROJECT / "notebooks" / notebook).exists()
    assert "expand_kwargs" in source and "try_pulls" in source


@pytest.mark.parametrize("linked", [True, False], ids=["link", "copy"])
def test_the_dag_may_be_linked_to_and_not_copied(linked: bool, tmp_path: Path) -> None:
    """Up to where Airflow begins, which is no more than names here."""
    for module, names in {
        "sdk": "Param = dag = task",
        "providers/papermill/operators/papermill": "PapermillOperator",
    }.items():
        path = tmp_path / "airflow" / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{names} = None\n", encoding="utf-8")
    folder = tmp_path / "dags" / "of" / "airflow"
    folder.parent.mkdir(parents=True)
    if linked:
        folder.symlink_to(AIRFLOW)
    else:
        shutil.copytree(AIRFLOW, folder)
    done = subprocess.run(
        [sys.executable, str(folder / "fleet_dag.py")],
        env={**clean_environment(), "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    words = "notebooks is not there: link to this file's folder in the checkout instead of copying it."
    last = done.stderr.splitlines()[-1]
    assert ("TypeError" if linked else words) in last, done.stderr


def test_airflow_is_not_among_the_projects_own_packages() -> None:
    for name in ("environment.yml", "requirements.lock", "requirements-dev.lock"):
        assert "airflow" not in (PROJECT / name).read_text(encoding="utf-8")
    lines = (AIRFLOW / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"#.*|apache-airflow[a-z-]*>=[0-9.]+,<[0-9]+", line) for line in lines)
