"""The documentation does what it says: every shell line in it is run, or it is reported here who runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from azure_sandbox import process
from runbook_helpers.parameters import RULES

from .conftest import clean_environment

PROJECT = Path(__file__).parents[1]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
README_FIRST = [PROJECT / "README.md", *(page for page in PAGES if page != PROJECT / "README.md")]


def by_path(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


# Lines that are not run here, and why. A line of the pages that is in neither group fails the test.
ELSEWHERE = {
    r"make (run|test|lab|check|lint|lock|clean|conformance|browser|fleet|regression|sweep|soak|fuzz|audit|docs|test-coverage)\b.*": "the targets themselves",
    r"conda .*": "needs conda's channels",
    r"pip install .*": "the lines of Windows; make does the same",
    r"pre-commit install": "changes the hooks of the checkout",
    r".*parameters/Azure\w+\.yaml.*": "needs a subscription",
    r"runbook (lab|refresh)\b.*": "tests/runbook_helpers/test_lab.py; the notebooks' own test",
    r"az .*": "tests/conformance",
    r"runbook sandbox start --guest machine": "tests/conformance/test_machine.py",
}


# A remark that says so, in the languages of the pages.
REFUSED = re.compile(r"refused|被拒绝")


def fences(page: Path) -> list[tuple[str, str]]:
    """The blocks of a page, each with its language; "" for none."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shell_lines(page: Path) -> list[str]:
    """The lines that a reader types, without what stands behind a comment sign."""
    lines = []
    for kind, block in fences(page):
        if kind == "console":
            found = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
        else:
            found = block.replace("\\\n", " ").splitlines() if kind in ("bash", "sh", "shell") else []
        lines += [as_said(*line.partition("  #")[::2]) for line in found]
    return [line for line in lines if line and not line.startswith("#")]


def as_said(line: str, remark: str) -> str:
    """A line, made to fail where its remark says that the request is refused, and nobody says no with 4xx."""
    line = line.strip()
    if not REFUSED.search(remark):
        return line
    return f"[[ $({line} --silent --output /dev/null --write-out '%{{http_code}}') == 4?? ]]"


def is_run_elsewhere(line: str) -> bool:
    line = line.removeprefix(".venv/bin/")
    return any(re.fullmatch(pattern, line) for pattern in ELSEWHERE)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A copy of the project's files with the tests' own environment as its .venv, and a sandbox of its own."""
    folder = tmp_path / "project"
    ignore = shutil.ignore_patterns(".git", ".venv", "runs", "build", "__pycache__", ".mypy_cache", ".ruff_cache")
    shutil.copytree(PROJECT, folder, ignore=ignore)
    (folder / ".venv").symlink_to(sys.prefix)
    yield folder
    process.stop(tmp_path / "sandbox")


@pytest.mark.parametrize("page", PAGES, ids=by_path)
def test_a_block_that_is_typed_says_its_language(page: Path) -> None:
    """Otherwise its lines are no shell lines, and nothing runs them."""
    assert not [block for kind, block in fences(page) if not kind and re.search(r"^(\$ |runbook)", block, re.MULTILINE)]


@pytest.mark.sample(4)
@pytest.mark.parametrize("page", README_FIRST, ids=by_path)
def test_every_shell_line_runs(page: Path, checkout: Path, tmp_path: Path) -> None:
    before_it = [shell_lines(other) for other in PAGES[: PAGES.index(page)]]
    if shell_lines(page) in before_it:  # a translation
        return
    lines = [line for line in shell_lines(page) if not is_run_elsewhere(line)]
    if not lines:
        return
    environment = {**clean_environment(), "RUNBOOK_SANDBOX": str(tmp_path / "sandbox"), "HOME": str(tmp_path)}
    environment["PATH"] = os.pathsep.join([str(checkout / ".venv" / "bin"), environment["PATH"]])
    # The pages use what `make run` has made before: the walkthrough's VM.
    before = ".venv/bin/runbook run --only 02 >/dev/null" if any("sandbox" in line for line in lines) else ":"
    script = "\n".join(["set -ex", before, *lines])
    done = subprocess.run(
        ["bash", "-c", script], cwd=checkout, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


def test_the_page_of_parameters_has_them_all_with_their_defaults() -> None:
    page = (PROJECT / "docs" / "parameters.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", page, re.MULTILINE))
    assert list(rows) == list(RULES)
    notebook = json.loads((PROJECT / "notebooks" / "04_user_assigned_identity.ipynb").read_text(encoding="utf-8"))
    (cell,) = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    for name, default in re.findall(r"^(\w+): \w+ = ([^#\n]+)", "".join(cell["source"]), re.MULTILINE):
        words = {"True": "true", "False": "false", '""': "empty"}.get(default.strip(), default.strip().strip('"'))
        assert rows[name].startswith(words), name


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=by_path)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", page.read_text(encoding="utf-8")):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


def test_the_index_has_every_page() -> None:
    index = (PROJECT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.relative_to(PROJECT / "docs").as_posix() for page in PAGES if page.is_relative_to(PROJECT / "docs")}
    assert {page for page in pages if f"({page})" not in index} == {"README.md"}


def test_the_map_names_what_is_there_and_every_room() -> None:
    """A path in ARCHITECTURE.md counts from the project or from one of its packages."""
    text = (PROJECT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = [PROJECT / "azure_sandbox", PROJECT / "runbook_helpers"]
    named = set(re.findall(r"`([\w./]+(?:\.py|/))`", text))
    assert {name for name in named if not any((folder / name).exists() for folder in (PROJECT, *packages))} == set()
    rooms = {
        f"{path.parent.relative_to(package)}/" for package in packages for path in package.glob("*/**/__init__.py")
    }
    modules = {path.name for package in packages for path in package.glob("[!_]*.py")}
    assert (rooms | modules) - named == set()


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_a_readme_is_read_in_one_sitting(page: str) -> None:
    assert len((PROJECT / page).read_text(encoding="utf-8").splitlines()) <= 120
