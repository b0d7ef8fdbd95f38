"""`runbook lab` opens JupyterLab on the first notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import requests
import websocket

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
        assert Path(psutil.Process(lab.pid).cwd()) == PROJECT
    assert f"{lab.url}/lab/tree/notebooks/00_start_here.ipynb?token=" in (tmp_path / "lab.log").read_text()


@pytest.mark.skipif(os.name != "posix", reason="the shell is a POSIX one")
def test_its_terminals_find_runbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "runbook").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    with lab_server([sys.executable, "-c", COMMAND, "lab"], tmp_path) as lab, requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"token {lab.token}"
        # As the launcher does, which begins in the folder that is looked at.
        made = session.post(f"{lab.url}/api/terminals", json={"cwd": "notebooks"}, timeout=20).json()
        address = f"{lab.url.replace('http', 'ws', 1)}/terminals/websocket/{made['name']}?token={lab.token}"
        screen = websocket.create_connection(address, timeout=20, http_no_proxy=["*"])
        try:
            screen.send(json.dumps(["stdin", "echo $PWD: $(runbook --version)\r"]))
            printed = ""
            while f"{PROJECT}/notebooks: runbook, version" not in printed:
                kind, *text = json.loads(screen.recv())
                printed += text[0] if kind == "stdout" else ""
        finally:
            screen.close()
            session.delete(f"{lab.url}/api/terminals/{made['name']}", timeout=20)


def test_without_jupyterlab_it_says_what_to_do() -> None:
    hidden = f"import sys; sys.modules['jupyterlab'] = None; {COMMAND}"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "lab"], env=clean_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr == "Error: JupyterLab is not installed: `make lab` installs it.\n"
