"""`Sandbox` and the fixtures, as somebody uses them who does not know the runbook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from azure_sandbox import Sandbox, process
from azure_sandbox.errors import SandboxError
from azure_sandbox.faults import Status

from ..conftest import clean_environment

PROJECT = Path(__file__).parents[2]
TOKEN = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"


def without_the_runbook(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program where `runbook_helpers` cannot be imported."""
    code = f"import sys; sys.modules['runbook_helpers'] = None\n{code}"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=120)


@pytest.mark.sample(1)
@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "docs/testing.md"])
def test_the_lines_of_a_page_are_all_that_a_test_needs(tmp_path: Path, page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    blocks = dict(reversed(re.findall(r"```(python|ini)\n(.*?)```", text, re.DOTALL)))
    (tmp_path / "test_report.py").write_text(blocks["python"])
    (tmp_path / "pytest.ini").write_text(blocks["ini"])
    done = without_the_runbook(
        "import pytest; sys.exit(pytest.main(['-W', 'error', '-p', 'no:cacheprovider']))", tmp_path
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_it_needs_no_runbook_and_is_imported_late(tmp_path: Path) -> None:
    code = (
        "import azure_sandbox.pytest_plugin\n"
        "print([name for name in sys.modules if name.startswith('azure_sandbox') or name in ('asyncio', 'requests')])\n"
        "with azure_sandbox.Sandbox() as azure: print(azure.cloud.name, azure.subscription_id)\n"
    )
    done = without_the_runbook(code, tmp_path)
    late, running = done.stdout.splitlines()
    assert late == "['azure_sandbox', 'azure_sandbox.pytest_plugin']", done.stderr
    assert running == "AzureChinaCloud 00000000-0000-0000-0000-000000000000"


def test_nothing_is_left_of_it() -> None:
    before = set(threading.enumerate())
    with Sandbox() as azure:
        folder = azure.folder
        assert azure.arm("GET", f"/subscriptions/{azure.subscription_id}").ok
    assert not folder.exists() and set(threading.enumerate()) == before
    with pytest.raises(OSError):
        azure.session.get(azure.cloud.resource_manager_url)


def test_two_at_once_know_nothing_of_each_other(azure_sandbox: Sandbox) -> None:
    with Sandbox() as other:
        other.create_vm("web")
        answer = other.session.get(f"{other.cloud.resource_manager_url}/subscriptions?api-version=2022-12-01",
                                   headers={"Authorization": f"Bearer {azure_sandbox.token()}"})  # fmt: skip
        assert answer.status_code == 401
    with pytest.raises(SandboxError, match="no VM named web"):
        azure_sandbox.vm("web")


def test_a_given_folder_stays_and_others_find_it(tmp_path: Path) -> None:
    folder = tmp_path / "sandbox"
    with Sandbox(folder, operation_seconds="1m") as azure:
        azure.set(operation_seconds=0)
        azure.create_vm("web")
        assert process.find(folder) == azure.running
        with Sandbox(folder) as same:
            assert same.vm("web").principal_id
        assert process.find(folder) == azure.running
    assert process.find(folder) is None
    with Sandbox(folder) as azure:
        assert azure.vm("WEB").name == "web"


def test_the_process_is_its_operator(azure_sandbox: Sandbox) -> None:
    assert os.environ["AZURE_CLIENT_SECRET"] == azure_sandbox.client_secret
    assert requests.get(azure_sandbox.cloud.resource_manager_url).status_code == 401
    vm = azure_sandbox.create_vm("web")
    with vm.activate():
        assert os.environ["HTTPS_PROXY"] == vm.proxy and "AZURE_CLIENT_SECRET" not in os.environ
        asked = requests.get(TOKEN, {"resource": azure_sandbox.cloud.audiences[0]}, headers={"Metadata": "true"})
        assert asked.status_code == 200
    assert os.environ["HTTPS_PROXY"] == azure_sandbox.proxy and "AZURE_CLIENT_SECRET" in os.environ


def test_time_faults_and_traffic(azure_sandbox_session: Sandbox) -> None:
    azure, path = azure_sandbox_session, f"/subscriptions/{azure_sandbox_session.subscription_id}"
    before = azure.token()
    assert azure.token() == before
    assert azure.clock.advance("3h") >= 3 * 3600
    assert azure.token() != before
    rule = azure.faults.add(Status(429, path=path))
    assert [azure.arm("GET", path).status_code for _ in range(2)] == [429, 200]
    assert [hit["rule"] for hit in azure.faults.hits()] == [rule] and azure.faults.clear() == 1
    assert azure.traffic()[-1]["path"] == path


def test_an_exchange_is_in_the_traffic_log_before_its_answer_is_sent(azure_sandbox_session: Sandbox) -> None:
    azure = azure_sandbox_session
    for number in range(100):
        path = f"/subscriptions/{azure.subscription_id}/resourceGroups/none{number}"
        azure.arm("DELETE", path)
        assert azure.traffic()[-1]["path"] == path


@pytest.mark.parametrize("wrong", [{"cloud": "Azure"}, {"role_delay": "soon"}, {"colour": 1}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError), Sandbox(**wrong):
        pass
