"""The pipelines to copy: valid for their schema, true to the clouds, and their own steps do run, in the sandbox."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from azure_sandbox.clouds import CLOUDS
from runbook_helpers.run.inputs import NOTEBOOKS, PROJECT

from .conftest import SSH_SOURCE, SUBSCRIPTION, clean_environment, regression

GITHUB = PROJECT / "examples" / "github-actions.yml"
AZURE = PROJECT / "examples" / "azure-pipelines.yml"
OWN = sorted((PROJECT / ".github" / "workflows").iterdir())
EACH = "${{ each target in parameters.targets }}"
AUDIENCES = {
    "AzureChinaCloud": "api://AzureADTokenExchangeChina",
    "AzureCloud": "api://AzureADTokenExchange",
    "AzureUSGovernment": "api://AzureADTokenExchangeUSGov",
}
REPORTS = "runs/**/junit.xml"
GIVEN = {"SUBSCRIPTION_ID": SUBSCRIPTION, "REGISTRY_NAME": "examplePipelines", "SSH_SOURCE": SSH_SOURCE}
"""What the services' settings and the step that asks for the public address would say."""


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def filled(part: Any, values: dict[str, str]) -> Any:
    """A part of a pipeline with its ${{ expressions }} replaced; one that has no value is an error."""
    text = re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda match: values[match[1]], json.dumps(part))
    return json.loads(text)


def azure_jobs() -> list[dict[str, Any]]:
    """The jobs of the Azure pipeline, with its loop over the targets unrolled as Azure does before a run."""
    pipeline = load(AZURE)
    ((targets,),) = [[each["default"] for each in pipeline["parameters"] if each["name"] == "targets"]]
    jobs: list[dict[str, Any]] = []
    for job in pipeline["jobs"]:
        for target in targets if EACH in job else []:
            jobs += filled(job[EACH], {f"target.{name}": value for name, value in target.items()})
        jobs += [] if EACH in job else [job]
    return jobs


def check_schema(kind: str, path: Path) -> subprocess.CompletedProcess[str]:
    # The vendors' schemas have patterns that are no strict ECMAScript.
    command = [sys.executable, "-m", "check_jsonschema", "--regex-variant", "nonunicode", "--builtin-schema", kind]
    return subprocess.run([*command, str(path)], env=clean_environment(), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("path", [GITHUB, *OWN], ids=lambda path: path.name)
def test_github_workflows_are_valid(path: Path) -> None:
    done = check_schema("vendor.github-workflows", path)
    assert done.returncode == 0, done.stdout


def test_azure_pipeline_is_valid(tmp_path: Path) -> None:
    unrolled = tmp_path / "azure-pipelines.yml"
    unrolled.write_text(yaml.safe_dump({**load(AZURE), "jobs": azure_jobs()}, sort_keys=False))
    done = check_schema("vendor.azure-pipelines", unrolled)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(
    ("kind", "path", "right", "wrong"),
    [
        ("vendor.github-workflows", GITHUB, "runs-on:", "runs-in:"),
        ("vendor.azure-pipelines", AZURE, "targetPath:", "targetPaht:"),
    ],
    ids=["github", "azure"],
)
def test_a_slip_is_found(kind: str, path: Path, right: str, wrong: str, tmp_path: Path) -> None:
    content = {**load(AZURE), "jobs": azure_jobs()} if path == AZURE else load(path)
    changed = tmp_path / path.name
    changed.write_text(yaml.safe_dump(content, sort_keys=False).replace(right, wrong))
    assert check_schema(kind, changed).returncode == 1


@pytest.mark.parametrize("path", [GITHUB, *OWN], ids=lambda path: path.name)
def test_actions_have_a_version_and_outputs_are_always_kept(path: Path) -> None:
    steps = [step for job in load(path)["jobs"].values() for step in job["steps"]]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|[0-9a-f]{40})", step["uses"]) for step in steps if "uses" in step)
    kept = [step for step in steps if re.match(r"actions/upload-artifact|mikepenz/", step.get("uses", ""))]
    assert kept and all(step["if"] == "always()" for step in kept)
    assert "concurrency" in load(path)


def test_azure_keeps_outputs_always() -> None:
    for job in azure_jobs():
        kept = [step for step in job["steps"] if step.get("task", "").startswith("Publish")]
        assert {step["task"] for step in kept} == {"PublishTestResults@2", "PublishPipelineArtifact@1"}
        assert all(step["condition"] == "always()" for step in kept)


def test_clouds_are_those_of_the_parameter_files() -> None:
    jobs = load(GITHUB)["jobs"]
    clouds = {each["cloud"]: each for each in jobs["cloud"]["strategy"]["matrix"]["include"]}
    assert list(clouds) == list(CLOUDS) == [job["job"] for job in azure_jobs()[1:]]
    for name, each in clouds.items():
        assert (PROJECT / "parameters" / f"{name}.yaml").exists()
        assert each["environment"] == name.lower() and each["audience"] == AUDIENCES[name]
    tenant = {each["cloud"]: each["location"] for each in jobs["sandbox"]["strategy"]["matrix"]["include"]}
    assert tenant == {name: cloud.default_location for name, cloud in CLOUDS.items()}
    also = {each["CLOUD"]: each["LOCATION"] for each in azure_jobs()[0]["strategy"]["matrix"].values()}
    assert also == tenant


def workspace(folder: Path) -> Path:
    """What a checkout has, as far as the steps need it; its parameter files stay in the sandbox."""
    (folder / "parameters").mkdir(parents=True)
    for path in (PROJECT / "parameters").glob("*.yaml"):
        text = path.read_text(encoding="utf-8").replace("sandbox: false", "sandbox: true")
        (folder / "parameters" / path.name).write_text(text, encoding="utf-8")
    (folder / "notebooks").symlink_to(NOTEBOOKS)
    return folder


def run_steps(scripts: list[str], folder: Path, variables: dict[str, str]) -> None:
    """Run scripts as the services do: each in a bash of its own that ends at the first error."""
    environment = clean_environment() | variables
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    for script in scripts:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def check_outputs(folder: Path, cleaned: bool) -> None:
    """What the pipelines publish is there, where they look for it."""
    (output,) = (folder / "runs").iterdir()
    assert json.loads((output / "result.json").read_text())["ok"]
    assert len(list(output.glob("0[0-5]_*.ipynb"))) == 6
    reports = {output, output / "clean_up"} if cleaned else {output}
    assert {path.parent for path in folder.glob(REPORTS)} == reports
    assert (output / "report.html").exists()
    if cleaned:
        result = json.loads((output / "clean_up" / "result.json").read_text())
        assert result["ok"] and [each["notebook"] for each in result["notebooks"]] == ["06_clean_up"]


def github_scripts(job: dict[str, Any], values: dict[str, str]) -> list[str]:
    """The job's own commands, without those that install packages or ask the internet."""
    found = [filled(step["run"], values) for step in job["steps"] if "run" in step]
    return [script for script in found if not re.search(r"pip install|curl", script)]


def azure_scripts(job: dict[str, Any]) -> list[str]:
    found = [step.get("bash") or step.get("inputs", {}).get("inlineScript") for step in job["steps"]]
    return [script for script in found if script and not re.search(r"pip install|curl", script)]


def test_all_reports_are_published() -> None:
    """Also the one of the clean-up, a folder deeper: ** is any number of folders in both services, as in Python."""
    steps = [step for job in load(GITHUB)["jobs"].values() for step in job["steps"]]
    found = [step["with"]["report_paths"] for step in steps if "report_paths" in step.get("with", {})]
    steps = [step for job in azure_jobs() for step in job["steps"]]
    found += [step["inputs"]["testResultsFiles"] for step in steps if "testResultsFiles" in step.get("inputs", {})]
    assert found == [REPORTS] * 6


@pytest.mark.parametrize("works", [True, False])
def test_an_address_that_cannot_be_found_out_fails_its_step(works: bool, tmp_path: Path) -> None:
    curl = tmp_path / "curl"
    curl.write_text("#!/bin/sh\necho 192.0.2.7\n" if works else "#!/bin/sh\nexit 22\n", encoding="utf-8")
    curl.chmod(0o755)
    environment = {**clean_environment(), "GITHUB_ENV": str(tmp_path / "variables")}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    (github,) = [step["run"] for step in load(GITHUB)["jobs"]["cloud"]["steps"] if "curl" in step.get("run", "")]
    (azure,) = [step["bash"] for step in azure_jobs()[1]["steps"] if "curl" in step.get("bash", "")]
    # GitHub's shell ends at the first error by itself, that of Azure Pipelines does not.
    for command in (["bash", "-e", "-c", github], ["bash", "-c", azure]):
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert (done.returncode == 0) is works and ("##vso" not in done.stdout or works)
    assert (tmp_path / "variables").exists() is works
    assert not works or (tmp_path / "variables").read_text() == "SSH_SOURCE=192.0.2.7\n"


def test_both_services_run_the_same_commands() -> None:
    job = load(GITHUB)["jobs"]["cloud"]
    assert all(github_scripts(job, {}) == azure_scripts(each) for each in azure_jobs()[1:])


@pytest.mark.parametrize("number", [pytest.param(number, marks=regression) for number in (0, 1, 2)])
def test_github_sandbox_job(number: int, fresh: Path, tmp_path: Path) -> None:
    job = load(GITHUB)["jobs"]["sandbox"]
    values = {f"matrix.{name}": value for name, value in job["strategy"]["matrix"]["include"][number].items()}
    folder = workspace(tmp_path / "work")
    run_steps(github_scripts(job, values), folder, filled(job["env"], values))
    check_outputs(folder, cleaned=False)
    assert list(folder.glob("runs/*/papermill_01_registry.ipynb"))


@pytest.mark.parametrize("number", [pytest.param(number, marks=regression) for number in (0, 1, 2)])
def test_github_cloud_job_in_the_sandbox(number: int, fresh: Path, tmp_path: Path) -> None:
    job = load(GITHUB)["jobs"]["cloud"]
    values = {f"matrix.{name}": value for name, value in job["strategy"]["matrix"]["include"][number].items()}
    settings = {"vars.AZURE_SUBSCRIPTION_ID": GIVEN["SUBSCRIPTION_ID"], "vars.REGISTRY_NAME": GIVEN["REGISTRY_NAME"]}
    variables = filled(job["env"], values | settings | {"github.run_id": "1234"})
    folder = workspace(tmp_path / "work")
    scripts = github_scripts(job, values)
    assert len(scripts) == 2
    run_steps(scripts, folder, variables | {"SSH_SOURCE": GIVEN["SSH_SOURCE"]})
    check_outputs(folder, cleaned=True)


@pytest.mark.parametrize("name", [pytest.param(name, marks=regression) for name in ("china", "public", "usgov")])
def test_azure_sandbox_job(name: str, fresh: Path, tmp_path: Path) -> None:
    job = azure_jobs()[0]
    folder = workspace(tmp_path / "work")
    run_steps(azure_scripts(job), folder, job["strategy"]["matrix"][name])
    check_outputs(folder, cleaned=False)


@pytest.mark.parametrize("number", [pytest.param(number, marks=regression) for number in (1, 2, 3)])
def test_azure_cloud_job_in_the_sandbox(number: int, fresh: Path, tmp_path: Path) -> None:
    job = azure_jobs()[number]
    variables = {each["name"]: each["value"] for each in job["variables"] if "name" in each}
    variables["RESOURCE_GROUP"] = re.sub(r"\$\([\w.]+\)", "1", variables["RESOURCE_GROUP"])
    folder = workspace(tmp_path / "work")
    scripts = azure_scripts(job)
    assert len(scripts) == 2
    run_steps(scripts, folder, variables | GIVEN)
    check_outputs(folder, cleaned=True)


@regression
def test_the_install_steps_are_enough(fresh: Path, tmp_path: Path) -> None:
    """In an empty environment, as on a fresh machine."""
    job = load(GITHUB)["jobs"]["sandbox"]
    (install,) = [step["run"] for step in job["steps"] if step.get("name") == "Install"]
    assert [step["bash"] for step in azure_jobs()[0]["steps"] if step.get("displayName") == "Install"] == [install]
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    copy = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(copy)], check=True)
    path = f"{tmp_path / 'venv' / 'bin'}:/usr/bin:/bin"
    script = f"export PATH={path}\n{install}\nrunbook --help"
    done = subprocess.run(["bash", "-ec", script], cwd=copy, env=clean_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
