"""What the browser tests share: Chromium, a driver for it, and a JupyterLab with a copy of the notebooks.

They are run by `make browser` and skipped elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import v4

from runbook_helpers.commands.contents import Contents
from runbook_helpers.run.inputs import PROJECT

from ..conformance.conftest import cache, system_program
from ..lab_server import Lab, lab_server

HERE = Path(__file__).parent
PACKAGES = ["playwright-core@1.65.1", "axe-core@4.14.1"]
DRIVE_SECONDS = 240
FIRST = PROJECT / "notebooks" / "00_start_here.ipynb"
KEPT = "kept"
BROKEN = "broken/broken.ipynb"
BROKEN_TEXTS = [
    "# One\n\n![](https://example.com/picture.svg)",
    "# Two\n\n**费用：**规格\n\n```\n" + "far" * 200 + "\n```",
]

SLOW = "broken/slow.ipynb"
SLOW_STEP = """\
import time
from runbook_helpers.run.progress import step

with step("VM myDockerVM") as progress:
    progress.waits_for("Azure makes it")
    time.sleep(4)
with step("Docker on myDockerVM"):
    pass
"""

Drive = Callable[..., dict[str, Any]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("RUNBOOK_BROWSER") == "1":
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs Chromium: run `make browser`"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser, with letters for the Chinese text: without them boxes are seen in their place."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None) or system_program("chromium")
    if not _chinese_font():
        if os.geteuid() == 0 and shutil.which("apt-get"):
            command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "fonts-noto-cjk"]
            subprocess.run(command, capture_output=True)
        if not _chinese_font():
            pytest.skip("no font for Chinese text is installed (fonts-noto-cjk), and apt with root is needed for it")
    return found


def _chinese_font() -> bool:
    listing = system_program("fc-list")
    return bool(subprocess.run([listing, ":lang=zh-cn"], capture_output=True, text=True).stdout.strip())


@pytest.fixture(scope="session")
def modules() -> Path:
    """The folder with the driver, installed by npm into the user's cache."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = cache().parent / "browser" / "-".join(PACKAGES).replace("@", "-")
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", *PACKAGES]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            pytest.skip(f"{', '.join(PACKAGES)} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        (folder / "complete").touch()
    return folder


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with copies of the notebooks, without their outputs and, in KEPT, with them: the repository is not changed."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("notebooks", "docs"):  # a notebook may show a picture of docs/
        shutil.copytree(PROJECT / name, folder / "project" / name, ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(PROJECT / "notebooks", folder / "project" / KEPT)
    for path in (folder / "project" / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    (folder / "project" / "broken").mkdir()
    broken = nbformat.read(FIRST, as_version=4)  # type: ignore[no-untyped-call]  # for its kernel
    broken.cells = [v4.new_markdown_cell(text) for text in BROKEN_TEXTS]  # type: ignore[no-untyped-call]
    broken.cells += [v4.new_code_cell(text) for text in ("1 / 0", "print()")]  # type: ignore[no-untyped-call]
    nbformat.write(broken, folder / "project" / BROKEN)  # type: ignore[no-untyped-call]
    slow = broken.copy()
    slow.cells = [v4.new_code_cell(SLOW_STEP)]  # type: ignore[no-untyped-call]
    nbformat.write(slow, folder / "project" / SLOW)  # type: ignore[no-untyped-call]
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder / 'project'}"]
    command.append(f"--ServerApp.contents_manager_class={Contents.__module__}.{Contents.__name__}")
    with lab_server([*command, "--LabApp.expose_app_in_browser=True"], folder) as running:
        yield running


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """The folder for pictures: RUNBOOK_SCREENSHOTS, else build/screenshots."""
    folder = Path(os.environ.get("RUNBOOK_SCREENSHOTS") or PROJECT / "build" / "screenshots").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def drive(chromium: str, modules: Path, lab: Lab) -> Drive:
    """Runs a script of this folder in the browser; returns what it saw."""

    def run(script: str, **options: Any) -> dict[str, Any]:
        values: dict[str, Any] = {"chromium": chromium, "modules": str(modules), "seconds": DRIVE_SECONDS}
        values |= {"url": lab.url, "token": lab.token, **options}
        done = subprocess.run(
            ["node", str(HERE / script), json.dumps(values)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DRIVE_SECONDS + 30,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen

    return run
