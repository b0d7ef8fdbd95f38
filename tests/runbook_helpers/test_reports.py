"""What a run leaves behind, and how it ends: real runs that succeed, fail, go on, are taken up and interrupted."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import nbformat
import psutil  # type: ignore[import-untyped]
import pytest
from azure import identity
from azure.core import exceptions

from azure_sandbox import faults, process
from runbook_helpers import Journey, create_resource_group, create_vm, errors, refusals
from runbook_helpers.errors import outcome_of
from runbook_helpers.outcome import Outcome
from runbook_helpers.run import html, inputs, next_steps, runner
from runbook_helpers.run.report import NotebookRun, Report
from runbook_helpers.run.result import read_result
from runbook_helpers.run.runner import outcome_of_name
from runbook_helpers.ssh.completed import Completed

from ..conftest import SSH_SOURCE, clean_environment, connect_to, regression
from ..test_notebooks import load, papermill, source
from .test_cli import runbook

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "result.schema.json").read_text(encoding="utf-8"))


def check(content: Any, kind: str) -> None:
    jsonschema.validate(content, {**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{kind}"}]})


def result_of(folder: Path) -> dict[str, Any]:
    """The result.json of a run, which must fit the schema and agree with its junit.xml."""
    content: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    check(content, "run")
    (suite,) = ElementTree.parse(folder / "junit.xml").getroot()
    assert [case.get("name") for case in suite] == [each["notebook"] for each in content["notebooks"]]
    kinds = {"ok": None, "not_run": "skipped"}
    for case, each in zip(suite, content["notebooks"], strict=True):
        (found, failure) = next(((child.tag, child) for child in case), (None, None))
        assert found == kinds.get(each["outcome"], "failure")
        assert found != "failure" or (failure.text == each["error"] and failure.get("type") == each["outcome"])
    for name, tag in (("failures", "failure"), ("skipped", "skipped")):
        assert int(suite.get(name) or "") == len(suite.findall(f"testcase/{tag}"))
    return content


def outcomes(folder: Path) -> dict[str, str]:
    return {each["notebook"][:2]: each["outcome"] for each in result_of(folder)["notebooks"]}


def hint(text: str, flag: str) -> list[str]:
    """The command in the last lines that has a flag, as its arguments."""
    (command,) = [each for each in re.findall(r"`(runbook [^`]+)`", text) if flag in each]
    return shlex.split(command)[1:]


class Loads(HTMLParser):
    """What a page would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = [value or "" for name, value in attrs if name in ("src", "srcset", "data", "poster")]
        values += [value or "" for name, value in attrs if name == "href" and tag != "a"]
        self.found += [tag] * (tag in ("script", "iframe", "object"))
        self.found += [value for value in values if not value.startswith("data:")]


@regression
def test_a_vm_that_is_off_then_going_on_and_taking_up_and_cleaning_up(fresh: Path, tmp_path: Path) -> None:
    azure = connect_to("myResourceGroup")
    machines = azure.compute.virtual_machines
    create_vm(azure, "myDockerVM", ssh_source=SSH_SOURCE)
    machines.begin_deallocate("myResourceGroup", "myDockerVM").result()

    out = tmp_path / "a run"
    done = runbook("run", "--only", "01,02,00", "--output", out)
    assert done.returncode == 4, done.stdout
    assert "no answer from 203.0.113.1: the VM is deallocated" in done.stdout
    assert outcomes(out) == {"00": "ok", "01": "ok", "02": "vm_unreachable"}
    assert "What was made stays." in done.stdout.splitlines()[-1]
    assert hint(done.stdout, "--only") == ["run", "--only", "06"]
    assert "-p NAME VALUE --only 00,01,02`" in done.stderr

    machines.begin_start("myResourceGroup", "myDockerVM").result()
    kept = (out / "01_registry.ipynb").stat().st_mtime_ns
    done = runbook(*hint(done.stderr, "--resume"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("[3/3] 02_virtual_machine") and set(outcomes(out).values()) == {"ok"}
    assert kept == (out / "01_registry.ipynb").stat().st_mtime_ns
    assert hint(done.stdout, "--only") == ["run", "-f", str(out / "parameters.yaml"), "--only", "06"]

    machines.begin_power_off("myResourceGroup", "myDockerVM").result()
    done = runbook("run", "--only", "02", "--clean-up", "--output", tmp_path / "cleaned")
    assert done.returncode == 4 and "the VM is stopped" in done.stdout
    assert outcomes(tmp_path / "cleaned") == {"02": "vm_unreachable", "06": "ok"}
    assert "What was made" not in done.stdout and "clean-up:" not in done.stdout
    assert not list(azure.resources.resource_groups.list())
    create_resource_group(connect_to("another"))
    again = runbook("run", "--only", "06", "--output", tmp_path / "mistyped", "-p", "resource_group", "an0ther")
    assert "clean-up: The resource group another stays, which this runbook made too." in again.stdout
    assert "The resource group another stays" in (tmp_path / "mistyped" / "report.html").read_text()


def test_the_cloud_refuses_and_the_run_goes_on(fresh: Path, tmp_path: Path) -> None:
    other = ["-p", "subscription_id", "11111111-1111-1111-1111-111111111111"]
    done = runbook("run", *other, "--only", "00,01", "--keep-going", "--clean-up", "--output", tmp_path / "o")
    assert done.returncode == 3
    assert outcomes(tmp_path / "o") == dict.fromkeys(("00", "01", "06"), "cloud_refused")
    assert "What was made may still be there" in done.stdout.splitlines()[-1]
    again = runbook(*hint(done.stdout, "--only"), "--output", tmp_path / "again")
    assert again.returncode == 3 and "could not be found" in again.stdout


def test_a_pull_is_denied(fresh: Path, tmp_path: Path) -> None:
    notebook = load("04_user_assigned_identity.ipynb")
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and source(cell).startswith("grant = assign_role("):
            cell["source"] = ""
    changed = tmp_path / "04_user_assigned_identity.ipynb"
    changed.write_text(json.dumps(notebook), encoding="utf-8")
    report = runner.run([changed], {"sandbox": True}, tmp_path / "o", print)
    assert report.outcome is Outcome.PULL_DENIED and report.outcome.exit_code == 5
    assert outcomes(tmp_path / "o") == {"04": "pull_denied"}


@pytest.mark.parametrize(
    ("number", "status", "moment"),
    [
        pytest.param(signal.SIGINT, 130, "a cell runs", marks=regression),  # test_cli.py has it too
        (signal.SIGTERM, 143, "the kernel starts"),
        pytest.param(signal.SIGINT, 130, "the kernel starts", marks=regression),
        pytest.param(signal.SIGTERM, 143, "a cell runs", marks=regression),
    ],
)
def test_interrupted(number: int, status: int, moment: str, fresh: Path, tmp_path: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from runbook_helpers.commands.main import main; main()"
    )
    command = [sys.executable, "-c", code, "run", "--only", "02,03", "--output", str(tmp_path / "o")]
    child = subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        # The sandbox starts in a notebook's second cell.
        ready = (lambda: kernels(child.pid)) if moment == "the kernel starts" else fresh.exists
        for _ in range(600):
            if ready() or child.poll() is not None:
                break
            time.sleep(0.1)
        started = kernels(child.pid)
        assert started, (child.poll(), child.poll() is not None and child.communicate())
        os.kill(child.pid, number)
        _, printed = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == status, printed
    assert "Traceback" not in printed
    assert hint(printed, "--resume") == ["run", "--resume", str(tmp_path / "o")]
    assert outcomes(tmp_path / "o") == {"02": "interrupted", "03": "not_run"}
    assert (tmp_path / "o" / "report.html").exists()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


def test_a_long_wait_is_reported_while_it_goes_on(tmp_path: Path) -> None:
    code = """import time
from runbook_helpers.run.progress import step
with step("VM vm") as progress:
    progress.waits_for("Azure makes it")
    time.sleep(1)"""
    new: Any = nbformat.v4
    path = tmp_path / "01_long.ipynb"
    cells = [new.new_code_cell("", metadata={"tags": ["parameters"]}), new.new_code_cell(code)]
    nbformat.write(new.new_notebook(cells=cells, metadata=load("01_registry.ipynb")["metadata"]), path)  # type: ignore[no-untyped-call]
    printed: list[str] = []
    runner.run([path], {}, tmp_path / "o", lambda line: None, meanwhile=printed.append, interval=0.2)
    seconds = [int(match[1]) for line in printed if (match := re.fullmatch(r"(\d+) s: VM vm: Azure makes it", line))]
    assert len(seconds) > 1 and seconds == sorted(seconds)
    assert not (tmp_path / "o" / runner.MEANWHILE).exists()


def kernels(pid: int) -> list[psutil.Process]:
    """The kernels that a process has started."""
    return [each for each in psutil.Process(pid).children() if "ipykernel_launcher" in each.cmdline()]


def test_taking_up_what_cannot_be(tmp_path: Path) -> None:
    done = runbook("run", "--resume", tmp_path)
    assert done.returncode == 2 and f"There is no run in {tmp_path}" in done.stderr
    inputs.new_output_folder(tmp_path)
    report = Report({"vm_name": "one", "sandbox": True}, tmp_path, steps=[NotebookRun("01_registry", Outcome.OK)])
    report.write()
    done = runbook("run", "--resume", tmp_path, "-p", "vm_name", "two", "-p", "sandbox", "true")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "which had vm_name 'one' (not 'two'): start a new run" in done.stderr
    done = runbook("run", "--resume", tmp_path, "--only", "01")
    assert done.returncode == 2 and "leave --only and --output out" in done.stderr
    assert runbook("run", "--resume", tmp_path, "-p", "vm_name", "one").returncode == 0  # nothing was left to do
    (tmp_path / "result.json").write_text('{"schema": 2}')
    done = runbook("run", "--resume", tmp_path)
    assert done.returncode == 2 and "its schema is 2" in done.stderr


def test_clean_up_again_when_more_is_made(tmp_path: Path) -> None:
    inputs.new_output_folder(tmp_path)
    steps = [NotebookRun("01_registry", Outcome.FAILED), NotebookRun("06_clean_up", Outcome.OK)]
    Report({}, tmp_path, steps=steps, clean_up=True).write()
    report = inputs.resume(tmp_path, None, [], clean_up=False)
    assert report.clean_up and [step.outcome for step in report.steps] == [Outcome.NOT_RUN, Outcome.NOT_RUN]


@pytest.mark.parametrize(
    ("outcome", "made", "reported"),
    [
        (Outcome.BAD_PARAMETERS, False, False),
        (Outcome.CLOUD_REFUSED, False, False),
        (Outcome.CLOUD_REFUSED, True, True),
        (Outcome.INTERRUPTED, None, True),
        (Outcome.FAILED, None, True),
        (Outcome.OK, None, True),
    ],
)
def test_deleting_is_reported_where_something_may_have_been_made(
    outcome: Outcome, made: bool | None, reported: bool, tmp_path: Path
) -> None:
    steps = [NotebookRun("01_registry", outcome, 1.0, "words", made=made), NotebookRun("02_virtual_machine")]
    assert bool(next_steps.how_to_delete(Report({}, tmp_path, steps=steps), plain=True)) is reported


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        (faults.Reset(host="login.*", times=0), False),
        (faults.Status(503, method="GET", path="*/resourcegroups/*", times=0), False),
        (faults.Status(403, method="PUT", path="*/resourcegroups/*", times=0), False),
        (faults.Status(503, method="PUT", path="*/resourcegroups/*", times=0), True),
        (faults.Reset(method="PUT", path="*/resourcegroups/*", times=0), True),
        (faults.Status(400, method="PUT", path="*/registries/*", times=0), True),
    ],
)
def test_a_notebook_that_fails_says_whether_it_may_have_made_something(
    fresh: Path, tmp_path: Path, fault: faults.Fault, made: bool
) -> None:
    process.start(fresh)
    faults.add(fresh, fault)
    code = """from runbook_helpers import connect, create_registry
from runbook_helpers.timeouts import Timeouts
azure = connect("AzureChinaCloud", subscription_id="00000000-0000-0000-0000-000000000000", resource_group="g",
                location="chinanorth3", sandbox=True, timeouts=Timeouts(backoff=0.01))
create_registry(azure, "registry01")"""
    new: Any = nbformat.v4
    path = tmp_path / "01_registry.ipynb"
    cells = [new.new_code_cell("", metadata={"tags": ["parameters"]}), new.new_code_cell(code)]
    nbformat.write(new.new_notebook(cells=cells, metadata=load("01_registry.ipynb")["metadata"]), path)  # type: ignore[no-untyped-call]
    (step,) = runner.run([path], {}, tmp_path / "o", lambda line: None).steps
    assert (step.outcome, step.made) == (Outcome.CLOUD_REFUSED, made), step.error
    assert result_of(tmp_path / "o")["notebooks"][0]["exception"] == step.exception


def test_a_run_takes_no_result_path(fresh: Path, tmp_path: Path) -> None:
    done = runbook("run", "-p", "result_path", "r.json", "--output", tmp_path / "o")
    assert done.returncode == 2 and "result_path is for one notebook by itself" in done.stderr
    assert not (tmp_path / "o").exists()


def test_papermill_writes_the_result_that_it_displays(fresh: Path, tmp_path: Path) -> None:
    done = papermill("01_registry.ipynb", tmp_path / "o.ipynb", "-p", "result_path", str(tmp_path / "o.json"))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    notebook = nbformat.read(tmp_path / "o.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert read_result(notebook) == written
    assert json.loads(notebook.cells[-1].outputs[0].data["text/plain"]) == written


@pytest.mark.parametrize("path", sorted(inputs.NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_kept_results_fit_the_schema_and_the_page(path: Path) -> None:
    result = read_result(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
    check(result, "notebook")
    lines = (DOCS / "results.md").read_text(encoding="utf-8").splitlines()
    for name in result:
        (line,) = [line for line in lines if line.startswith(f"| `{name}` | ") and line.count("|") == 4][:1]
        where = line.split("|")[2].strip()
        assert where == "all" or path.name[:2] in where


def test_the_page_tells_every_outcome_and_its_exit_status() -> None:
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    for outcome in Outcome:
        status = "–" if outcome is Outcome.NOT_RUN else outcome.exit_code
        assert f"| `{outcome.value}` | {status} | " in text
    assert SCHEMA["$defs"]["outcome"]["enum"] == [outcome.value for outcome in Outcome]


def test_every_error_has_a_family() -> None:
    ours = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}
    others = {"RunbookError", "SandboxError", "NotFound", "NotOurs", "CommandFailed"}
    assert {name for name in ours if outcome_of_name(name) is Outcome.FAILED} == others
    for module in (exceptions, identity, refusals):
        for name, kind in vars(module).items():
            if inspect.isclass(kind) and issubclass(kind, exceptions.AzureError):
                assert outcome_of_name(name) is Outcome.CLOUD_REFUSED
    assert outcome_of_name("KeyboardInterrupt") is Outcome.INTERRUPTED
    assert {outcome_of_name(name) for name in ("ValueError", "Completed", "no such class")} == {Outcome.FAILED}


@pytest.mark.parametrize(
    ("command", "said", "outcome"),
    [
        ("docker pull r.azurecr.cn/a:v1", "Error response from daemon: unauthorized: authentication required", 5),
        ("az login --identity", "No access was configured for the VM, hence no subscriptions were found.", 5),
        ("docker pull r.azurecr.cn/a:v1", "manifest for r.azurecr.cn/a:v1 not found: manifest unknown", 1),
        ("sudo apt-get update", "E: Permission denied", 1),
        ("docker pull r.azurecr.cn/a:v1", "permission denied while trying to connect to the Docker daemon socket", 1),
        ("docker pull r.azurecr.cn/unauthorized:v1", "no space left on device", 1),
        ("az acr login --name r", "PermissionError: [Errno 13] Permission denied: '/home/a/.docker/config.json'", 1),
        ("az acr login --name r", "Access to registry 'r.azurecr.cn' was denied. Response code: 401. Please try", 5),
    ],
)
def test_a_denied_pull_differs_from_another_command(command: str, said: str, outcome: int) -> None:
    error = errors.command_failed(Completed(command, 1, "", said), "vm")
    assert outcome_of(type(error)).exit_code == outcome


def test_what_to_do_is_reported_by_what_was_said() -> None:
    failed = Completed(
        "sudo apt-get install docker.io", 100, "Need to get 502 kB of archives.", "E: Failed to fetch it"
    )
    assert "did not get what it asked the network for" in str(errors.command_failed(failed, "vm"))
    failed = Completed("az login --identity", 1, "", '{"error": {"code": "TooManyRequests"}}')
    assert "A service that the VM vm asked does not answer as it should" in str(errors.command_failed(failed, "vm"))


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    """Pictures in the prose and in the outputs, control characters, markup in an error."""
    picture = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><title>a &lt; b</title></svg>'
    path = next(inputs.NOTEBOOKS.glob("*.svg"))
    new: Any = nbformat.v4
    cells = [
        new.new_markdown_cell(f"# One\n\n![words]({path.name})\n\n[next](02_virtual_machine.ipynb) $x$"),
        new.new_code_cell(
            "1",
            outputs=[
                new.new_output("display_data", {"image/svg+xml": picture}),
                new.new_output("error", ename="E", evalue="<b>", traceback=["\x1b[31mE\x1b[0m: <script>"]),
            ],
        ),
    ]
    nbformat.write(new.new_notebook(cells=cells), tmp_path / "01_registry.ipynb")  # type: ignore[no-untyped-call]
    error = "E: \x1b[31m<script>alert(1)</script>\x00\nsecond line"
    steps = [
        NotebookRun("01_registry", Outcome.FAILED, 1.5, error),
        NotebookRun("02_virtual_machine"),
        NotebookRun("03_x", Outcome.FAILED),
    ]
    report = Report({"cloud": "AzureCloud"}, tmp_path, steps=steps)
    report.write()
    text = html.write(report).read_text(encoding="utf-8")
    assert Loads(text).found == []
    assert text.count("<h1") == 1 and 'href="#02_virtual_machine"' in text and 'alt="words"' in text
    assert text.count("data:image/svg+xml") + text.count("<svg") == 2
    assert 'alt="a &lt; b"' in text and "No description" not in text
    assert "The notebook cannot be shown" in text  # 03 has left none
    assert "<h1>The run did not finish: failed</h1>" in text
    report.steps[1].outcome = Outcome.FAILED
    assert "<h1>The run failed</h1>" in html.write(report).read_text(encoding="utf-8")
    ElementTree.parse(tmp_path / "junit.xml")


def test_the_page_says_at_its_head_where_it_was_and_what_to_do_next(tmp_path: Path) -> None:
    subscription = "11111111-1111-1111-1111-111111111111"
    steps = [NotebookRun("01_x", Outcome.CLOUD_REFUSED, 1.5, "QuotaExceeded: <no>"), NotebookRun("02_y")]
    parameters = {"cloud": "AzureCloud", "sandbox": False, "subscription_id": subscription, "resource_group": "训练"}
    report = Report(parameters, tmp_path, steps=steps)
    text = html.write(report, ["Go on with `runbook run --resume <x>`"]).read_text(encoding="utf-8")
    head, _, table = text.partition("<table>")
    for words in ("AzureCloud (real Azure", subscription, "训练", "01_x: QuotaExceeded: &lt;no&gt;"):
        assert words in head
    assert "Go on with <code>runbook run --resume &lt;x&gt;</code>" in head
    assert '<td class="not-run">not run</td><td class="number"></td>' in table
    report.parameters = {}  # as the notebooks have it
    assert "AzureChinaCloud (the sandbox" in html.write(report).read_text(encoding="utf-8")


def test_the_page_shows_the_journey_and_leaves_out_what_has_not_happened(tmp_path: Path) -> None:
    new: Any = nbformat.v4
    journey = Journey("The token's journey: vm to <r>", [], "The image is pulled.", [], {})
    failure = {"application/vnd.azure-acr-runbook.failure+json": {"schema": 1, "made": True}}
    cells = [
        new.new_code_cell(
            "show_journey()", execution_count=1, outputs=[new.new_output("display_data", journey._repr_mimebundle_())]
        ),
        new.new_code_cell("pull()", execution_count=2, outputs=[new.new_output("display_data", failure)]),
        new.new_markdown_cell("The image is there now."),
        new.new_code_cell("never()"),
    ]
    nbformat.write(new.new_notebook(cells=cells), tmp_path / "04_x.ipynb")  # type: ignore[no-untyped-call]
    report = Report({}, tmp_path, steps=[NotebookRun("04_x", Outcome.PULL_DENIED, 1.0, "no")])
    text = html.write(report).read_text(encoding="utf-8")
    open_part, _, folded = text.partition("<details open>")
    assert (
        "<h2>The token&#x27;s journey: vm to &lt;r&gt;</h2>" in open_part
        and '<figure tabindex="0"><img alt=' in open_part
    )
    assert "The image is there now" not in text and "never" not in text
    assert "The rest of the notebook was not run: 1 cells with code." in folded
    report.steps[0].outcome = Outcome.OK
    assert "The image is there now" in html.write(report).read_text(encoding="utf-8")


def test_without_nbconvert_a_run_says_so(fresh: Path, tmp_path: Path) -> None:
    inputs.new_output_folder(tmp_path)
    Report({}, tmp_path, steps=[NotebookRun("00_start_here", Outcome.OK)]).write()
    code = "import sys; sys.modules['nbconvert'] = None; from runbook_helpers.commands.main import main; main()"
    command = [sys.executable, "-c", code, "run", "--resume", str(tmp_path)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == "report.html is not written: nbconvert is not installed.\n"


def test_a_page_that_cannot_be_written_does_not_hide_how_the_run_ended(tmp_path: Path) -> None:
    inputs.new_output_folder(tmp_path)
    Report({}, tmp_path, steps=[NotebookRun("00_start_here", Outcome.OK)]).write()
    code = "import nbconvert; nbconvert.HTMLExporter = None; from runbook_helpers.commands.main import main; main()"
    command = [sys.executable, "-c", code, "run", "--resume", str(tmp_path)]
    (tmp_path / "00_start_here.ipynb").write_text(json.dumps(load("00_start_here.ipynb")), encoding="utf-8")
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr.startswith("report.html is not written: ") and "Traceback" not in done.stderr
    assert hint(done.stdout, "--only")
    (tmp_path / "report.html").mkdir()
    done = runbook("run", "--resume", tmp_path)
    assert done.returncode == 2 and "report.html is no plain file" in done.stderr
