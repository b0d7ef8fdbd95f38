"""skopeo, podman and the docker CLI: sign in with the exchanged token, pull, and push where the role allows it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from runbook_helpers import assign_identity, assign_role, create_registry, create_vm, import_image, show_image

from ..conftest import SSH_SOURCE, connect_to
from .conftest import Terminal, system_program

USER = "00000000-0000-0000-0000-000000000000"
SERVER = "conformance1.azurecr.cn"
IMAGE = f"{SERVER}/app:v1"


@dataclass
class Account:
    """A VM's terminal, and the registry's refresh token that its identity got; none where it was refused."""

    terminal: Terminal
    token: str
    status: int


@pytest.fixture(scope="module")
def accounts(folder: Path, terminal: Callable[..., Terminal]) -> dict[str, Account]:
    """VMs whose identities have the roles that the keys name; `nothing` has none."""
    previous = os.environ.get("RUNBOOK_SANDBOX")
    os.environ["RUNBOOK_SANDBOX"] = str(folder)
    try:
        azure = connect_to("conformance")
        registry = create_registry(azure, "conformance1")
        import_image(azure, "conformance1", "app:v1", "mcr.microsoft.com/azuredocs/aci-helloworld:latest")
        found = {}
        for role in ("AcrPull", "AcrPush", "nothing"):
            vm = create_vm(azure, f"vm{role}", ssh_source=SSH_SOURCE)
            principal = assign_identity(azure, str(vm.name)).identity.principal_id
            if role != "nothing":
                assign_role(azure, role, assignee=str(principal), scope=str(registry.id))
            found[role] = sign_in(terminal(vm=str(vm.name)))
        found["digest"] = show_image(azure, "conformance1", "app:v1")  # type: ignore[assignment]
        return found
    finally:
        if previous is None:
            del os.environ["RUNBOOK_SANDBOX"]
        else:
            os.environ["RUNBOOK_SANDBOX"] = previous


def sign_in(terminal: Terminal) -> Account:
    """What `az acr login --expose-token` does, on the VM."""
    session = requests.Session()
    session.trust_env = False
    proxy = terminal.variables["HTTPS_PROXY"]
    session.proxies, session.verify = {"http": proxy, "https": proxy}, terminal.variables["SSL_CERT_FILE"]
    url = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
    asked = session.get(f"{url}&resource=https://containerregistry.azure.net", headers={"Metadata": "true"})
    form = {"grant_type": "access_token", "service": SERVER, "access_token": asked.json()["access_token"]}
    exchanged = session.post(f"https://{SERVER}/oauth2/exchange", data=form)
    return Account(terminal, exchanged.json().get("refresh_token", ""), exchanged.status_code)


def login(program: str, account: Account, *, ok: bool = True) -> int:
    account.terminal.variables["TOKEN"] = account.token or "wrong"
    command = f"printenv TOKEN | {program} login --username {USER} --password-stdin {SERVER}"
    return account.terminal.run(command, ok=ok).returncode


def test_no_role_no_token(accounts: dict[str, Account]) -> None:
    assert accounts["nothing"].status == 401
    assert {accounts[role].status for role in ("AcrPull", "AcrPush")} == {200}


def test_skopeo(accounts: dict[str, Account], tmp_path: Path) -> None:
    skopeo = system_program("skopeo")
    reader, writer = accounts["AcrPull"], accounts["AcrPush"]
    for account in (reader, writer):
        account.terminal.variables["REGISTRY_AUTH_FILE"] = str(account.terminal.home / "auth.json")
    refused = reader.terminal.run(f"{skopeo} inspect docker://{IMAGE}", ok=False)
    assert refused.returncode and "unauthorized" in refused.stderr
    assert login(skopeo, Account(reader.terminal, "wrong", 0), ok=False)
    login(skopeo, reader)
    shown = json.loads(reader.terminal.run(f"{skopeo} inspect docker://{IMAGE}").stdout)
    listed = json.loads(reader.terminal.run(f"{skopeo} list-tags docker://{SERVER}/app").stdout)
    assert listed["Tags"] == ["v1"]
    reader.terminal.run(f"{skopeo} copy docker://{IMAGE} dir:{tmp_path}/image")
    refused = reader.terminal.run(f"{skopeo} copy dir:{tmp_path}/image docker://{SERVER}/pushed:v1", ok=False)
    assert refused.returncode and ("unauthorized" in refused.stderr or "denied" in refused.stderr)
    login(skopeo, writer)
    writer.terminal.run(f"{skopeo} copy dir:{tmp_path}/image docker://{SERVER}/pushed:v1")
    pushed = json.loads(writer.terminal.run(f"{skopeo} inspect docker://{SERVER}/pushed:v1").stdout)
    assert pushed["Digest"] == shown["Digest"]
    writer.terminal.run(f"{skopeo} copy --format oci dir:{tmp_path}/image docker://{SERVER}/pushed:oci")
    assert writer.terminal.run(
        f"{skopeo} delete docker://{SERVER}/pushed:v1", ok=False
    ).returncode  # AcrDelete is not theirs


def test_podman(accounts: dict[str, Account]) -> None:
    podman = system_program("podman")
    with tempfile.TemporaryDirectory(prefix="p") as storage:  # podman takes a short path only
        run = f"{podman} --storage-driver=vfs --root {storage}/a --runroot {storage}/b"
        reader, writer = accounts["AcrPull"], accounts["AcrPush"]
        for account in (reader, writer):
            account.terminal.variables["REGISTRY_AUTH_FILE"] = str(account.terminal.home / "podman.json")
        assert reader.terminal.run(f"{run} pull {IMAGE}", ok=False).returncode
        login(podman, reader)
        image = reader.terminal.value(f"{run} pull -q {IMAGE}")
        reader.terminal.run(f"{run} tag {image} {SERVER}/podman:v1")
        refused = reader.terminal.run(f"{run} push {SERVER}/podman:v1", ok=False)
        assert refused.returncode and ("unauthorized" in refused.stderr or "denied" in refused.stderr)
        login(podman, writer)
        writer.terminal.run(f"{run} push {SERVER}/podman:v1")
        writer.terminal.run(f"{run} rmi -a -f")
        assert writer.terminal.value(f"{run} pull -q {SERVER}/podman:v1") == image


def test_docker_login(accounts: dict[str, Account]) -> None:
    """Without a daemon the docker CLI signs in itself."""
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("the docker CLI is not installed")
    reader = accounts["AcrPull"]
    reader.terminal.variables["DOCKER_CONFIG"] = str(reader.terminal.home / "docker")
    assert login(docker, Account(reader.terminal, "wrong", 0), ok=False)
    login(docker, reader)
    config = json.loads((reader.terminal.home / "docker" / "config.json").read_text())
    assert SERVER in config["auths"]
