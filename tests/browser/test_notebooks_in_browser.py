"""The notebooks in real JupyterLab in a real browser: they run, they look right, and they can be used by a person."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runbook_helpers.outcome import Outcome
from runbook_helpers.run import html
from runbook_helpers.run.inputs import NOTEBOOKS
from runbook_helpers.run.report import NotebookRun, Report

from ..test_notebooks import load
from .conftest import BROKEN, KEPT, SLOW, Drive

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))


def nothing_disturbs(seen: dict[str, Any]) -> None:
    """No error of the page, no other host, no news, no hint of an update."""
    assert seen["errors"] == []
    assert seen["foreign"] == []
    assert not [path for path in seen["asked"] if path in ("/lab/api/news", "/lab/api/update")]


@pytest.fixture(scope="module")
def rendered() -> dict[str, dict[str, Any]]:
    """What was seen of the notebooks that were run."""
    return {}


@pytest.fixture
def run_all(drive: Drive, screenshots: Path, rendered: dict[str, dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    """Runs a notebook in the browser, once for all tests of it."""

    def run(name: str) -> dict[str, Any]:
        if name not in rendered:
            for old in screenshots.glob(f"{Path(name).stem}-*.png"):
                old.unlink()
            rendered[name] = drive("run_all.mjs", notebook=f"notebooks/{name}", screenshots=str(screenshots))
        return rendered[name]

    return run


@pytest.mark.parametrize("name", NAMES)
def test_all_cells_run(
    name: str, run_all: Callable[[str], dict[str, Any]], record_property: Callable[[str, object], None]
) -> None:
    seen = run_all(name)
    nothing_disturbs(seen)
    assert seen["notices"] == []
    code = [cell for cell in seen["cells"] if cell["cell_type"] == "code"]
    assert code and all(cell["execution_count"] for cell in code if "".join(cell["source"]).strip())
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert outputs, "the last cell shows the result"
    pictures = seen["screenshots"]
    record_property("figures", f"{name}: {len(code)} cells run; screenshots: {pictures[0]} … ({len(pictures)})")


@pytest.mark.parametrize("name", NAMES)
def test_readable_by_everybody(name: str, run_all: Callable[[str], dict[str, Any]]) -> None:
    seen = run_all(name)
    assert len(seen["titles"]) == 1
    assert not [picture for picture in seen["pictures"] if not picture["text"].strip() or not picture["drawn"]]
    assert seen["marks"] == []
    assert seen["sideways"] == []
    assert seen["barriers"] == []


def test_a_notebook_that_is_only_opened_is_not_changed_and_shows_its_pictures(drive: Drive) -> None:
    seen = drive("opened.mjs", notebooks=[f"{KEPT}/{name}" for name in NAMES])
    nothing_disturbs(seen)
    for name in NAMES:
        opened = seen["opened"][f"{KEPT}/{name}"]
        assert not opened["dirty"], name
        kept = nbformat.reads(json.dumps(opened["kept"]), as_version=4)  # type: ignore[no-untyped-call]
        kept.metadata.language_info.version = load(name)["metadata"]["language_info"]["version"]
        assert nbformat.writes(kept) + "\n" == (NOTEBOOKS / name).read_text(encoding="utf-8")  # type: ignore[no-untyped-call]
        journeys = [words for words in opened["outputs"] if words.startswith("The token's journey")]
        assert not journeys  # as text
    pictures = {name[:2]: opened["pictures"] for name, opened in zip(NAMES, seen["opened"].values(), strict=True)}
    assert [number for number, widths in pictures.items() if widths] == ["04", "05"]
    assert all(width > 0 for widths in pictures.values() for width in widths)


def test_what_is_wrong_is_seen(drive: Drive, tmp_path: Path) -> None:
    seen = drive("run_all.mjs", notebook=BROKEN, screenshots=str(tmp_path))
    failed, not_run = [cell for cell in seen["cells"] if cell["cell_type"] == "code"]
    assert [output["ename"] for output in failed["outputs"]] == ["ZeroDivisionError"]
    assert not_run["execution_count"] is None
    assert seen["foreign"] == ["https://example.com/picture.svg"]
    assert seen["titles"] == ["One", "Two"]
    assert seen["pictures"] == [{"text": "", "drawn": False}]
    assert seen["marks"] == ["**费用：**规格"]
    assert [words.split()[0] for words in seen["sideways"]] == ["Two"]
    assert [barrier.split(":")[0] for barrier in seen["barriers"]] == ["scrollable-region-focusable"]


def test_a_long_step_says_what_it_waits_for_and_leaves_one_line(drive: Drive) -> None:
    seen = drive("progress.mjs", notebook=SLOW)
    assert re.fullmatch(r"VM myDockerVM: \d+ s, Azure makes it\s*", seen["during"])
    (output,) = seen["after"]
    lines = [line.rstrip() for line in "".join(output["text"]).splitlines()]
    assert lines == ["VM myDockerVM: ready", "Docker on myDockerVM: ready"]


def test_a_report_reads_on_a_phone_and_in_the_dark(drive: Drive, screenshots: Path, tmp_path: Path) -> None:
    """Made of the notebooks as they are kept, and of one that failed with long words."""
    for name in NAMES:
        shutil.copy(NOTEBOOKS / name, tmp_path)
    steps = [NotebookRun(Path(name).stem, Outcome.OK, 1.0) for name in NAMES]
    steps[1] = NotebookRun(steps[1].notebook, Outcome.CLOUD_REFUSED, 1.0, "InvalidParameter: " + "far" * 200)
    page = html.write(Report({}, tmp_path, steps=steps), ["Go on with `runbook run --resume " + "a" * 100 + "`"])
    views = drive("report.mjs", report=page.as_uri(), screenshots=str(screenshots))["views"]
    assert [view["sideways"] for view in views] == [False] * 4
    assert [len(view["pictures"]) for view in views] == [2] * 4
    assert all(width > 0 for view in views for width in view["pictures"])
    light, dark = views[0]["colours"], views[1]["colours"]
    assert light == ["rgb(27, 27, 27)", "rgb(255, 255, 255)"] and dark == ["rgb(228, 230, 233)", "rgb(22, 25, 29)"]


def test_a_trainee_clicks_to_the_next_notebook_and_runs_it(drive: Drive, screenshots: Path) -> None:
    seen = drive(
        "click.mjs", notebooks=[f"notebooks/{name}" for name in NAMES[:2]], screenshot=str(screenshots / "clicked.png")
    )
    nothing_disturbs(seen)
    assert seen["title"].startswith("1 · ")
    assert seen["question"] == "Restart Kernel?"
    numbers = [int(prompt.strip("[]: \n")) for prompt in seen["prompts"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert seen["failed"] == []
    assert seen["last"].strip()
