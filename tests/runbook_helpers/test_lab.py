"""`runbook lab` opens JupyterLab on the first notebook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import requests

from runbook_helpers.run.inputs import PROJECT

from ..conftest import clean_environment
from ..lab_server import lab_server

COMMAND = "from runbook_helpers.commands.main import main; main()"


def test_it_serves_the_project_and_opens_the_first_notebook(tmp_path: Path) -> None:
    with lab_server([sys.executable, "-c", COMMAND, "lab"], tmp_path) as lab, requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"token {lab.token}"
        assert "version" in session.get(f"{lab.url}/api", timeout=20).json()
        first = session.get(f"{lab.url}/api/contents/notebooks/00_start_here.ipynb?content=0", timeout=20)
        assert first.json()["type"] == "notebook"
        assert session.get(f"{lab.url}/", timeout=20).url.endswith("/lab/tree/notebooks/00_start_here.ipynb")
        assert Path(psutil.Process(lab.pid).cwd()) == PROJECT  # a terminal in it finds .venv/bin/runbook
    assert f"{lab.url}/lab/tree/notebooks/00_start_here.ipynb?token=" in (tmp_path / "lab.log").read_text()


def test_without_jupyterlab_it_says_what_to_do() -> None:
    hidden = f"import sys; sys.modules['jupyterlab'] = None; {COMMAND}"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "lab"], env=clean_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == "Error: JupyterLab is not installed: `make lab` installs it.\n"
