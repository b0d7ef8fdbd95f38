"""The environment: what the libraries read of it does not lead a run in the sandbox astray."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runbook_helpers.environment import DROPPED

from ..conftest import clean_environment

ROOT = Path(__file__).parents[2]
NOWHERE, DEAD = "http://127.0.0.1:9", "/nowhere/at/all"
HOSTILE = {
    "AZURE_REGIONAL_AUTHORITY_NAME": "chinanorth3", "MSAL_FORCE_REGION": "chinanorth3", "REGION_NAME": "chinanorth3",
    "AZURE_AUTHORITY_HOST": "login.example.org", "AZURE_IDENTITY_DISABLE_MULTITENANTAUTH": "true",
    "AZURE_TENANT_ID": "other", "AZURE_CLIENT_ID": "other", "AZURE_CLIENT_SECRET": "wrong", "AZURE_USERNAME": "u",
    "AZURE_PASSWORD": "p", "AZURE_CLIENT_CERTIFICATE_PATH": DEAD, "AZURE_FEDERATED_TOKEN_FILE": DEAD,
    "AZURE_POD_IDENTITY_AUTHORITY_HOST": NOWHERE, "AZURE_TOKEN_CREDENTIALS": "nonsense", "MSI_ENDPOINT": NOWHERE,
    "MSI_SECRET": "x", "IDENTITY_ENDPOINT": NOWHERE, "IDENTITY_HEADER": "x", "IDENTITY_SERVER_THUMBPRINT": "x",
    "IMDS_ENDPOINT": NOWHERE, "AZURE_SDK_CLOUD_CONF": "nonsense", "AZURE_TRACING_ENABLED": "nonsense",
    "AZURE_LOG_LEVEL": "nonsense", "AZURE_SDK_TRACING_IMPLEMENTATION": "nonsense",
    "SSL_CERT_FILE": DEAD, "SSL_CERT_DIR": DEAD, "REQUESTS_CA_BUNDLE": DEAD, "CURL_CA_BUNDLE": DEAD,
    "HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE, "ALL_PROXY": NOWHERE, "NO_PROXY": "*", "https_proxy": NOWHERE,
    "http_proxy": NOWHERE, "all_proxy": NOWHERE, "no_proxy": "*", "SSH_AUTH_SOCK": DEAD, "PYTHONWARNINGS": "ignore",
    "JUPYTER_CONFIG_DIR": DEAD, "JUPYTER_CONFIG_PATH": DEAD, "JUPYTER_PATH": DEAD, "JUPYTER_NO_CONFIG": "1",
    "NBFORMAT_VALIDATOR": "jsonschema", "GITHUB_ACCESS_TOKEN": "x", "PAPERMILL_ANYTHING": "x", "JPY_SESSION_NAME": DEAD,
    "MPLBACKEND": "agg", "QT_API": "x", "TRAITLETS_ALL_DEPRECATIONS": "1",
}  # fmt: skip


def hostile(tmp_path: Path, folder: Path) -> dict[str, str]:
    """The environment, with hostile values of all; also files that the libraries find by themselves."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    own = {"RUNBOOK_SANDBOX": str(folder), "NETRC": str(netrc), "IPYTHONDIR": str(tmp_path / "ipython")}
    return {**clean_environment(), **HOSTILE, **own}


def test_a_run_in_the_sandbox_is_not_led_astray(fresh: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from runbook_helpers.commands.main import main; main()", "run", "-p", "sandbox", "true", "--only", "01",
         "--only", "02", "--output", str(tmp_path / "run")],
        cwd=ROOT, env=hostile(tmp_path, fresh), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["ok"]


ONE = """
from tests.conftest import connect_to
from runbook_helpers import create_resource_group
print(create_resource_group(connect_to("g")).name)
"""


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", [*sorted(HOSTILE), "NETRC"])
def test_each_alone_does_not_either(fresh: Path, tmp_path: Path, name: str, shared_folder: Path) -> None:
    every = hostile(tmp_path, shared_folder)
    environment = {**clean_environment(), "RUNBOOK_SANDBOX": str(shared_folder), name: every[name]}
    done = subprocess.run([sys.executable, "-c", ONE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "g\n", done.stderr[-2000:]


def test_the_page_has_each_of_them() -> None:
    page = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([A-Za-z_*]+)`", page))
    known = {*HOSTILE, *DROPPED, "NETRC", "IPYTHONDIR"} - {"PAPERMILL_ANYTHING"}
    assert not known - named
