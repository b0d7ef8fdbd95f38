"""The first contact with a real cloud: who is not signed in, or signed in otherwise, learns which commands mend it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from azure_sandbox import Sandbox, faults
from runbook_helpers import Azure, connect, create_resource_group
from runbook_helpers.errors import RunbookError
from runbook_helpers.outcome import Outcome

from ..conftest import SUBSCRIPTION, clean_environment

TRACE = "Trace ID: a17928a5-e2ad-436b-a365-0e6235e51d00 Correlation ID: b17928a5-e2ad-436b-a365-0e6235e51d00 Timestamp: 2026-11-27 10:28:43Z"
EXPIRED = "AADSTS700082: The refresh token has expired due to inactivity. The token was issued on 2026-01-02T03:04:05.6Z and was inactive for 90.00:00:00."
ELSEWHERE = (
    "AADSTS500011: The resource principal named https://management.chinacloudapi.cn was not found in the tenant named x. "
    "You might have sent your authentication request to the wrong tenant."
)
FACTOR = "AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication to access it."
CLAIMS = "eyJhY2Nlc3NfdG9rZW4iOnsiYWNycyI6eyJlc3NlbnRpYWwiOnRydWUsInZhbHVlcyI6WyJwMSJdfX19"
AGAIN = (
    "Interactive authentication is needed. Please run:\naz login --scope https://management.chinacloudapi.cn/.default"
)


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a program `az` on the PATH that prints these words; the only way to sign in."""

    def put(stderr: str = "", stdout: str = "", status: int = 1) -> None:
        script = tmp_path / "az"
        (tmp_path / "out").write_text(stdout)
        (tmp_path / "err").write_text(stderr)
        script.write_text(f"#!/bin/sh\ncat {tmp_path}/out\ncat {tmp_path}/err >&2\nexit {status}\n")
        script.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    return put


@pytest.fixture
def real(sandbox: Sandbox) -> Azure:
    """A connection as to a real cloud, with DefaultAzureCredential; the sandbox answers."""
    return connect(
        "AzureChinaCloud", subscription_id=SUBSCRIPTION, resource_group="g", location="chinanorth3",
        proxy=sandbox.proxy, ca_file=sandbox.ca_file,
    )  # fmt: skip


def message_of(azure: Azure) -> str:
    with pytest.raises(RunbookError) as caught:
        create_resource_group(azure)
    assert caught.value.outcome is Outcome.CLOUD_REFUSED
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("ERROR: Please run 'az login' to setup account.", "Nobody is signed in to AzureChinaCloud: "),
        (f"ERROR: {EXPIRED} {TRACE}\n{AGAIN}", "The sign-in to AzureChinaCloud has expired (AADSTS700082: "),
        (f"ERROR: {ELSEWHERE} {TRACE}\n{AGAIN}", "The sign-in is of another cloud or tenant than "),
        (f"ERROR: {FACTOR} {TRACE}\n{AGAIN}", "AzureChinaCloud wants more for this sign-in, such as a second factor"),
        (
            f"ERROR: AADSTS99: Something new. {TRACE}",
            "No sign-in at https://login.chinacloudapi.cn (AADSTS99: Something",
        ),
    ],
)
def test_what_az_says_becomes_a_sentence_with_the_commands(
    az: Callable[..., None], real: Azure, words: str, sentence: str
) -> None:
    az(words)
    first, *rest = message_of(real).splitlines()
    assert first.startswith(sentence) and "`az cloud set -n AzureChinaCloud`, then `az login" in first
    assert rest[0] == "What was tried, and why it failed:" and len(rest) == 2
    assert rest[1].startswith("- AzureCliCredential: ")
    assert "Trace ID" not in first + rest[1] and "https://aka.ms" not in first + rest[1]


def test_nobody_is_signed_in(tmp_path: Path) -> None:
    """As a user sees it, on a machine without az: a line for each way that was tried, and exit status 3."""
    done = check(tmp_path, {"PATH": str(tmp_path)})
    first, head, *tried = done.stderr.splitlines()
    assert done.returncode == 3
    assert first.startswith(
        "Error: Nobody is signed in to AzureChinaCloud: `az cloud set -n AzureChinaCloud`, then `az"
    )
    assert "azure-cli is not installed here" in first and head == "What was tried, and why it failed:"
    assert len(tried) >= 7 and all(line.startswith("- ") and "Credential: " in line for line in tried)


def check(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    file = folder / "real.yaml"
    file.write_text(
        f"cloud: AzureChinaCloud\nsandbox: false\nsubscription_id: 1{SUBSCRIPTION[1:]}\nresource_group: g\n"
        "location: chinanorth3\nregistry_name: abcde12345\nvm_name: vm\nidentity_name: id1\n"
    )
    code = "from runbook_helpers.commands.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "check", "-f", file],
        env={**clean_environment(), "HTTPS_PROXY": "http://127.0.0.1:9", **environment},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "https://login.chinacloudapi.cn does not accept the sign-in (AADSTS7000215: Invalid client secret"),
        (ELSEWHERE, "The sign-in is of another cloud or tenant than "),
        (EXPIRED, "The sign-in to AzureChinaCloud has expired"),
    ],
)
def test_environment_variables_that_are_not_accepted(
    sandbox: Sandbox, real: Azure, monkeypatch: pytest.MonkeyPatch, words: str, sentence: str
) -> None:
    operator = sandbox.running.operator("AzureChinaCloud")
    monkeypatch.setenv("AZURE_TENANT_ID", operator["tenant_id"])
    monkeypatch.setenv("AZURE_CLIENT_ID", operator["client_id"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    azure = connect_again(real)
    if words:
        body = json.dumps({"error": "invalid_grant", "error_description": f"{words} {TRACE}"})
        sandbox.faults.add(faults.Status(400, host="login.*", method="POST", body=body, times=0))
    try:
        said = message_of(azure)
    finally:
        sandbox.faults.clear()
    assert said.startswith(sentence)
    assert "correct AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or unset them" in said.splitlines()[0]


def connect_again(azure: Azure) -> Azure:
    """The same connection, with a credential that has read the environment anew."""
    return connect(
        azure.cloud.name, subscription_id=azure.subscription_id, resource_group="g", location="chinanorth3",
        proxy=azure.proxy, ca_file=str(azure.ca_file),
    )  # fmt: skip


def test_a_second_factor_for_writes(az: Callable[..., None], sandbox: Sandbox, real: Azure) -> None:
    az(stdout=json.dumps({"accessToken": "x", "expires_on": 4102444800}), status=0)
    challenge = f'Bearer authorization_uri="https://login.windows.net/", error="insufficient_claims", claims="{CLAIMS}"'
    fault = faults.Status(401, host="management.*", headers={"WWW-Authenticate": challenge}, times=0)
    sandbox.faults.add(fault)
    try:
        said = message_of(real)
    finally:
        sandbox.faults.clear()
    assert "multi-factor authentication" in said and "`az logout`, then `az login --claims-challenge eyJ" in said
