"""The notebooks as they are kept: built alike, executed, readable; and run by papermill as a user does."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runbook_helpers.commands.refresh import ANSWER
from runbook_helpers.parameters import RULES
from runbook_helpers.run.result import MIME_TYPE

from .conftest import clean_environment, regression

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((NOTEBOOKS / name).read_text(encoding="utf-8"))
    return found


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def code_cells(name: str) -> list[dict[str, Any]]:
    return [cell for cell in load(name)["cells"] if cell["cell_type"] == "code"]


def is_answer(cell: dict[str, Any]) -> bool:
    """Whether a cell is the answer of an exercise, which is kept without its output."""
    return ANSWER in cell["metadata"].get("tags", [])


def test_the_eight_are_there() -> None:
    assert [name[:2] for name in NAMES] == [f"{number:02}" for number in range(8)]


@pytest.mark.parametrize("name", NAMES)
def test_executed_in_order_without_errors_times_or_paths(name: str) -> None:
    notebook = load(name)
    cells = [cell for cell in code_cells(name) if not is_answer(cell)]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert all(set(cell["metadata"]) <= {"tags"} for cell in notebook["cells"] if not is_answer(cell))
    text = json.dumps([cell["outputs"] for cell in cells])
    assert not re.search(r"/home/|/root/|/tmp/|127\.0\.0\.1|eyJ[\w-]{20,}|\d{4}-\d\d-\d\dT\d\d:", text)


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_thin(name: str) -> None:
    for cell in code_cells(name):
        most = 18 if "parameters" in cell["metadata"].get("tags", []) else 12
        assert len(source(cell).splitlines()) <= most, cell["id"]
        kinds = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Try)
        assert not [node for node in ast.walk(ast.parse(source(cell))) if isinstance(node, kinds)]


def parameters(name: str) -> dict[str, str]:
    """The lines of the parameter cell, by the parameters' names."""
    (cell,) = [cell for cell in code_cells(name) if "parameters" in cell["metadata"].get("tags", [])]
    return {line.partition(":")[0]: line for line in source(cell).splitlines()}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_those_that_are_used_and_explained_alike(name: str) -> None:
    assert list(parameters("04_user_assigned_identity.ipynb")) == list(RULES)
    assert parameters(name).items() <= parameters("04_user_assigned_identity.ipynb").items()
    trees = [ast.parse(source(cell)) for cell in code_cells(name)]
    read = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)]
    used = {node.id for node in read if isinstance(node.ctx, ast.Load)}
    assert list(parameters(name)) == [each for each in RULES if each in used]


@pytest.mark.parametrize("name", NAMES)
def test_prose_has_one_title_no_skipped_level_and_both_languages(name: str) -> None:
    cells = [source(cell) for cell in load(name)["cells"] if cell["cell_type"] == "markdown"]
    prose = re.sub(r"```.*?```", "", "\n".join(cells), flags=re.DOTALL)
    levels = [len(marks) for marks in re.findall(r"^(#+) ", prose, re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for heading in re.findall(r"^#+ (.*)", prose, re.MULTILINE):
        assert re.search(r"[一-鿿]", heading) and " / " in heading, heading
    for link in re.findall(r"\]\(([^)]+\.ipynb)\)", prose):
        assert (NOTEBOOKS / link).exists()


@pytest.mark.parametrize("name", NAMES)
def test_last_cell_shows_the_result(name: str) -> None:
    last = code_cells(name)[-1]
    assert source(last).startswith("show_result(")
    assert MIME_TYPE in last["outputs"][0]["data"]


def papermill(name: str | Path, output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The plain command line, from the notebooks' folder as JupyterLab would."""
    command = [sys.executable, "-m", "papermill", "--log-level", "ERROR", "--no-progress-bar", str(name), str(output)]
    return subprocess.run(
        [*command, *arguments], cwd=NOTEBOOKS, env=clean_environment(), capture_output=True, text=True, timeout=300
    )


# 05 makes for itself what 01 to 03 make; tests below run 04 and 07 alone.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name[:2] in ("00", "05", "06") else regression) for name in NAMES]
)
def test_each_alone_in_a_fresh_sandbox(name: str, fresh: Path, tmp_path: Path) -> None:
    done = papermill(name, tmp_path / "out.ipynb")
    assert done.returncode == 0, done.stderr[-3000:]


def test_without_the_role_the_pull_is_refused_with_the_reason(fresh: Path, tmp_path: Path) -> None:
    notebook = load("04_user_assigned_identity.ipynb")
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and source(cell).startswith("grant = assign_role("):
            cell["source"] = ""
    changed = tmp_path / "without_role.ipynb"
    changed.write_text(json.dumps(notebook), encoding="utf-8")
    done = papermill(changed, tmp_path / "out.ipynb")
    assert done.returncode == 1
    assert "has no role assignment in the subscription" in done.stderr
    assert "grant it AcrPull" in done.stderr


ANSWERS = {
    "07-role-answer": r"refused: `az login --identity --resource-id \S+` failed .* has no role assignment",
    "07-role-repair": "pulled sha256:",
    "07-other-answer": "refused: `az acr login .*-without-role .* AcrPull on .* is held by the system-assigned identity",
    "07-other-repair": "pulled sha256:",
    "07-own-answer": "refused: `az login --identity` failed .* has no role assignment",
    "07-own-repair": "pulled sha256:",
}


@pytest.mark.sample(1)
@pytest.mark.parametrize("done", [True, False], ids=["done", "untouched"])
def test_the_answers_come_true(done: bool, fresh: Path, tmp_path: Path) -> None:
    """Whether a trainee has left the own cells as they are, or has done what the tasks ask for."""
    notebook = load("07_exercises.ipynb")
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for own, answer in itertools.pairwise(cells):
        if is_answer(answer):
            assert not ast.parse(source(own)).body and answer["metadata"]["jupyter"] == {"source_hidden": True}
            assert (answer["execution_count"], answer["outputs"]) == (None, [])
            own["source"] = answer["source"] if done else own["source"]
    changed = tmp_path / "exercises.ipynb"
    changed.write_text(json.dumps(notebook), encoding="utf-8")
    run = papermill(changed, tmp_path / "out.ipynb")
    assert run.returncode == 0, run.stderr[-3000:]
    cells = json.loads((tmp_path / "out.ipynb").read_text(encoding="utf-8"))["cells"]
    said = {cell["id"]: "".join(cell["outputs"][-1]["data"]["text/plain"]) for cell in cells if is_answer(cell)}
    assert said.keys() == ANSWERS.keys()
    assert not {each: text for each, text in said.items() if not re.match(ANSWERS[each], text)}
    (check,) = [cell for cell in cells if cell["id"] == "07-check"]
    assert "".join(text for output in check["outputs"] for text in output["text"]).count("pulled sha256:") == 2


def test_mistyped_and_bad_parameters_stop_before_any_call(fresh: Path, tmp_path: Path) -> None:
    bad = ["-p", "registry_nmae", "abcde", "-p", "vm_name", "-x"]
    done = papermill("01_registry.ipynb", tmp_path / "out.ipynb", *bad)
    assert done.returncode == 1
    assert "registry_nmae is not a parameter: did you mean registry_name?" in done.stderr
    assert "vm_name must have 1 to 64 letters" in done.stderr
    assert not fresh.exists()


def test_help_notebook_explains_every_parameter(tmp_path: Path) -> None:
    done = papermill("04_user_assigned_identity.ipynb", tmp_path / "out.ipynb", "--help-notebook")
    for name, rule in RULES.items():
        assert f"{name}: {rule.kind.__name__}" in done.stdout
