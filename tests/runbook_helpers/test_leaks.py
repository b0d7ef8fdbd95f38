"""No secret in what a run leaves behind: every token of the sandbox is known to the test, and looked for everywhere."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from azure_sandbox import process
from azure_sandbox.server import CANARIES
from azure_sandbox.tokens import CANARY, Signer, new_key, token_id
from runbook_helpers.run.runner import run

from ..conftest import SUBSCRIPTION, clean_environment
from .leaks import Secrets, secrets_of, texts_of, watched_arguments

# What of the sandbox's own folder is there to be secret; nobody else can read it (see test_other_users.py).
SECRET_FILES = {"issued-tokens", "operator.json", "ca-key.pem", "signing-key.pem", "id_rsa"}

RUNBOOK = str(Path(sys.executable).with_name("runbook"))
FAILING_CELLS = """\
from runbook_helpers import connect, create_registry, ssh
azure = connect("AzureChinaCloud", subscription_id="{subscription}", resource_group="leaks", location="chinanorth3", sandbox=True)
registry = create_registry(azure, "leaks12345")
azure, registry, azure.credential, azure.transport
---
azure.registries.registries.get("leaks", "nothing")
---
azure.credential.get_token("https://nowhere.example/.default")
---
list(azure.registry_content("leaks12345.azurecr.cn").list_tag_properties("nothing"))
---
azure.registries.registries.begin_create("none", "x", {{"location": "nowhere", "sku": {{"name": "Basic"}}}}).result()
---
ssh(azure, "noVM")
---
import logging
logging.basicConfig(level=logging.INFO)
azure.registries.registries.list_credentials("leaks", "leaks12345")
"""


@dataclass
class Leavings:
    """What one run left behind."""

    output: Path
    sandbox: Path
    arguments: set[str]
    secrets: Secrets

    def files(self) -> dict[str, bytes]:
        found = {str(path): path.read_bytes() for path in self.output.rglob("*") if path.is_file()}
        for path in self.sandbox.rglob("*"):
            kept = path.suffix in (".sqlite",) or path.name.endswith(("-wal", "-shm"))
            if path.is_file() and path.name not in SECRET_FILES and not kept:
                found[str(path)] = path.read_bytes()
        for database in self.sandbox.glob("*.sqlite"):
            found |= dict(texts_of(database))
        return found


@pytest.fixture(scope="module")
def leavings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leavings]:
    """One run of the walkthrough, and one of a notebook whose cells fail, in a sandbox that keeps its tokens."""
    folder = tmp_path_factory.mktemp("leaks")
    sandbox, output = folder / "sandbox", folder / "output"
    environment = clean_environment() | {"RUNBOOK_SANDBOX": str(sandbox), CANARIES: "1"}
    output.mkdir()
    # 04 and 05 make all that 01 to 03 make, and sign in and pull; `make regression` runs them all.
    only = [] if os.environ.get("RUNBOOK_REGRESSION") else ["--only", "04,05"]
    command = [RUNBOOK, "run", *only, "--output", str(output / "run")]
    try:
        with watched_arguments() as arguments:
            done = subprocess.run(command, env=environment, capture_output=True, cwd=folder, check=False)
            (output / "printed").write_bytes(done.stdout + done.stderr)
            assert done.returncode == 0, done.stderr.decode()
            if shutil.which("ssh"):
                terminal = [RUNBOOK, "ssh", "--", "true"]
                subprocess.run(terminal, env=environment, capture_output=True, cwd=folder, check=True)
            before = dict(os.environ)
            os.environ.update(RUNBOOK_SANDBOX=str(sandbox))
            try:
                run([_failing_notebook(folder)], {}, output / "failing", print)
            finally:
                os.environ.clear()
                os.environ.update(before)
        yield Leavings(output, sandbox, arguments, secrets_of(sandbox))
    finally:
        process.stop(sandbox)


def _failing_notebook(folder: Path) -> Path:
    cells = [
        _cell(source, "raises-exception") for source in FAILING_CELLS.format(subscription=SUBSCRIPTION).split("---\n")
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / "failing.ipynb"
    notebook = {"cells": [*cells, _cell("1 / 0")], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook))
    return path


def _cell(source: str, *tags: str) -> dict[str, object]:
    common = {"id": f"cell{hash(source) % 10**8}", "metadata": {"tags": list(tags)}, "source": source}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **common}


def test_a_run_leaves_no_secret_behind(leavings: Leavings) -> None:
    files = leavings.files()
    names = {Path(name).name for name in files}
    assert {
        "result.json",
        "report.html",
        "junit.xml",
        "05_system_assigned_identity.ipynb",
        "failing.ipynb",
        "log",
    } <= names
    assert {name: found for name, content in files.items() if (found := leavings.secrets.found_in(content))} == {}
    assert len((leavings.sandbox / "issued-tokens").read_text().split()) > 10  # there was something to find


def test_no_command_line_holds_a_secret(leavings: Leavings) -> None:
    assert any("ipykernel_launcher" in each for each in leavings.arguments)  # the run was watched
    assert any("azure_sandbox" in each for each in leavings.arguments)
    found = {each: what for each in leavings.arguments if (what := leavings.secrets.found_in(each.encode()))}
    assert found == {}


def test_every_cell_of_the_failing_notebook_failed(leavings: Leavings) -> None:
    notebook = json.loads((leavings.output / "failing" / "failing.ipynb").read_text())
    outputs = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
    errors = [out["ename"] for out in outputs if out["output_type"] == "error"]
    assert len(errors) >= 6, errors


def test_the_vms_own_files_are_where_the_tokens_are(leavings: Leavings) -> None:
    # The exception that SECURITY.md names: Docker on the VM keeps what `az acr login` gave it. It shows that a token
    # which is written into a file is found.
    from .leaks import documents

    guests = [body for kind, _, body in documents(leavings.sandbox / "AzureChinaCloud.sqlite") if kind == "guest"]
    assert any(leavings.secrets.found_in(body.encode()) for body in guests)


@pytest.fixture(scope="module")
def planted() -> tuple[Secrets, str]:
    token = Signer(new_key()).sign({"jti": token_id(), "sub": "somebody"})
    secrets = Secrets()
    secrets.add("the canary", CANARY)
    secrets.add_token(token)
    secrets.add("a password", "pass/word+1234")
    return secrets, token


@pytest.mark.parametrize("length", range(3))
def test_planted_secrets_are_found(planted: tuple[Secrets, str], length: int) -> None:
    secrets, token = planted
    _, payload, signature = token.split(".")
    before = b"x" * length
    for text in (token, payload, signature, "pass/word+1234", f"user:{token}"):
        for content in (
            text.encode(),
            base64.b64encode(before + text.encode() + b"y"),
            b'{"out": "%s"}' % text.encode(),
        ):
            assert secrets.found_in(content), (text, content)
    assert secrets.found_in(b"https://host/?p=pass%2Fword%2B1234")
    assert secrets.found_in(b"-----BEGIN " + b"OPENSSH PRIVATE KEY-----")
    assert secrets.found_in(before + base64.b64decode(payload + "=" * (-len(payload) % 4)))  # the claims themselves
    assert secrets.found_in(base64.b64encode(before + b"-" + CANARY.encode() + b"0123"))
    assert not secrets.found_in(b"nothing but words, and 5A17 or c0de")


def test_every_kind_of_token_has_the_canary(leavings: Leavings) -> None:
    import jwt

    issued = (leavings.sandbox / "issued-tokens").read_text().split()
    kinds = set()
    for token in issued:
        claims = jwt.decode(token, options={"verify_signature": False})
        assert str(claims.get("uti") or claims.get("jti")).startswith(CANARY)
        kinds.add(claims.get("grant_type") or ("metadata" if claims["appidacr"] == "2" else "entra"))
    assert kinds == {"entra", "metadata", "refresh_token", "access_token"}
