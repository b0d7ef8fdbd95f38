"""nbval compares each cell's output with the one that is kept; and a changed output does fail."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from runbook_helpers.commands.refresh import ANSWER

from .conftest import clean_environment, regression

PROJECT = Path(__file__).parents[1]
LEAST_COMPARED = {"00": 4, "01": 6, "02": 5, "03": 5, "04": 12, "05": 11, "06": 2, "07": 11}


def nbval(*paths: Path, variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Validate notebooks strictly, in the order given, each in a kernel of its own; pytest leaves a path out that it had."""
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=120", "--color=no", "-p", "no:cacheprovider"]
    options += ["-p", "tests.nbval_timeout"]
    sanitize = ["--nbval-sanitize-with", str(PROJECT / "tests" / "nbval-sanitize.cfg"), "-q", "-p", "no:xdist"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(PROJECT / "pyproject.toml"), *options, *sanitize, *map(str, paths)],
        cwd=PROJECT,
        env=clean_environment() | (variables or {}),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=1200,
    )


def all_compared(*paths: Path) -> re.Pattern[str]:
    """What pytest says when every code cell was compared but the answers of the exercises, whose outputs are not kept."""
    cells = [cell for path in paths for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    tags = [cell["metadata"].get("tags", []) for cell in cells if cell["cell_type"] == "code"]
    answers = sum(ANSWER in each for each in tags)
    skipped = f", {answers} skipped" if answers else ""
    return re.compile(rf"\b{len(tags) - answers} passed{skipped}(?!, \d+ (skipped|x\w+))")


def test_all_notebooks_strictly(fresh: Path) -> None:
    paths = sorted((PROJECT / "notebooks").glob("*.ipynb"))
    done = nbval(*paths)
    assert done.returncode == 0, done.stdout[-4000:]
    assert all_compared(*paths).search(done.stdout), done.stdout[-500:]


def test_each_notebook_has_cells_that_are_compared() -> None:
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        ignored = {"nbval-ignore-output", "nbval-skip"}
        compared = [
            cell
            for cell in cells
            if cell["cell_type"] == "code"
            and cell["execution_count"]
            and not ignored & set(cell["metadata"].get("tags", []))
        ]
        with_output = [cell for cell in compared if cell["outputs"]]
        assert len(compared) >= LEAST_COMPARED[path.name[:2]], path.name
        assert with_output, path.name


def test_a_changed_output_fails(fresh: Path, tmp_path: Path) -> None:
    changed = tmp_path / "01_registry.ipynb"
    shutil.copy(PROJECT / "notebooks" / "01_registry.ipynb", changed)
    text = changed.read_text(encoding="utf-8")
    changed.write_text(
        text.replace("'mycontainerregistry.azurecr.cn'", "'mycontainerregistry.azurecr.io'"), encoding="utf-8"
    )
    done = nbval(changed)
    assert done.returncode == 1
    assert "mismatch 'text/plain'" in done.stdout


@regression
def test_a_machine_that_is_slow_with_outputs(tmp_path: Path) -> None:
    """The kernel sends what follows the cell's reply 6 s later: nbval itself gives up after 5."""
    source = """import time
kernel = get_ipython().kernel
publish = kernel._publish_status
kernel._publish_status = lambda status, *rest: (time.sleep(6 * (status == "idle")), publish(status, *rest))
"""
    cell = nbformat.v4.new_code_cell(source)  # type: ignore[no-untyped-call]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "slow.ipynb")  # type: ignore[no-untyped-call]
    done = nbval(tmp_path / "slow.ipynb")
    assert done.returncode == 0, done.stdout[-2000:]
