"""Another user of the machine reaches the port, and nothing else: no file, no token, no VM."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import paramiko
import pytest

from azure_sandbox import Sandbox, process
from azure_sandbox.errors import SandboxError
from azure_sandbox.files import check_owner
from azure_sandbox.sandbox import session
from runbook_helpers import Azure, assign_identity, create_registry, create_vm, show_vm
from runbook_helpers.files import write_atomic
from runbook_helpers.ssh.keys import KeyStore, new_host_key
from runbook_helpers.verbs.virtual_machines import public_address_of

from ..conftest import SSH_SOURCE, connect_to
from .conftest import ARM, IMDS, LOGIN, TOKEN
from .raw_http import proxy

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no file modes")
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not Path("/usr/bin/python3").exists(),
    reason="only root can be another user, who needs a Python",
)
NOBODY = 65534


def open_to_others(folder: Path) -> list[str]:
    """What of a folder, itself included, others may do anything with, whatever its parents allow."""
    return [
        str(path)
        for path in [folder, *folder.rglob("*")]
        if not path.is_symlink() and stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]


@posix
def test_nothing_is_readable_by_others_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "parents" / "sandbox"
    script = (
        "import os, sys; os.umask(0); os.environ['RUNBOOK_SANDBOX'] = sys.argv[1]\n"
        "from runbook_helpers import *\n"
        "from azure_sandbox import process, settings\n"
        "azure = connect('AzureChinaCloud', subscription_id='00000000-0000-0000-0000-000000000000',\n"
        "                resource_group='umask', location='chinanorth3', sandbox=True)\n"
        "create_vm(azure, 'vm1', ssh_source='192.0.2.200'); create_registry(azure, 'umask12345'); import_image(azure, 'umask12345', 'app:v1', 'mcr.microsoft.com/azuredocs/aci-helloworld:latest')\n"
        "with ssh(azure, 'vm1') as shell: shell.run('true')\n"
        "folder = process.default_folder()\n"
        "settings.Settings(folder).change(role_delay=1.0)\n"
        "process.traffic(process.find(folder), 'AzureChinaCloud')\n"
    )
    environment = os.environ | {"RUNBOOK_SANDBOX_CANARIES": "1"}
    try:
        subprocess.run([sys.executable, "-c", script, str(folder)], check=True, env=environment)
        assert {path.name for path in folder.iterdir()} > {"ca-key.pem", "operator.json", "settings.json", "ssh", "log"}
        assert open_to_others(tmp_path / "new") == []
    finally:
        process.reset(folder)


@posix
def test_folder_that_is_open_is_closed(fresh: Path) -> None:
    fresh.mkdir()
    fresh.chmod(0o777)
    process.start(fresh)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700


@as_root
def test_folder_of_another_user_is_refused(fresh: Path) -> None:
    fresh.mkdir(mode=0o700)
    os.chown(fresh, NOBODY, NOBODY)
    with pytest.raises(SandboxError, match="belongs to another user"):
        process.start(fresh)
    with pytest.raises(PermissionError):
        check_owner(fresh)


@posix
def test_key_files_are_new_files(tmp_path: Path) -> None:
    # Whoever has put a file or a link there before does not get the key.
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "key").symlink_to(tmp_path / "victim")
    write_atomic(tmp_path / "key", "secret")
    assert (tmp_path / "victim").read_text() == "kept" and not (tmp_path / "key").is_symlink()
    (tmp_path / "ssh").mkdir(mode=0o700)
    (tmp_path / "ssh" / "id_rsa").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        KeyStore(tmp_path / "ssh").public_key()
    assert not (tmp_path / "nowhere").exists()


@posix
def test_keys_of_ours_are_private_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        KeyStore(tmp_path / "a" / "ssh").public_key()
        KeyStore(tmp_path / "b" / "ssh").pin("/vm", new_host_key()[1])
    finally:
        os.umask(before)
    assert open_to_others(tmp_path / "a") == open_to_others(tmp_path / "b") == []


# What can be had at the port without a secret


def test_guessed_secrets_get_nothing(azure: Azure, sandbox: Sandbox, name: str) -> None:
    create_registry(azure, name)
    vm = create_vm(azure, name, ssh_source=SSH_SOURCE)
    assign_identity(azure, name)
    stranger, operator = sandbox.session, sandbox.running.operator("AzureChinaCloud")
    for guess in ("", "x", operator["client_id"], operator["tenant_id"], operator["client_secret"][:-1]):
        form = {"grant_type": "client_credentials", "client_id": operator["client_id"], "client_secret": guess}
        form["scope"] = f"{ARM}/.default"
        answer = stranger.request("POST", f"{LOGIN}/{operator['tenant_id']}/oauth2/v2.0/token", data=form)
        assert answer.status_code == 401 and "access_token" not in answer.text
    for user, password in ((vm.vm_id, ""), (vm.vm_id, vm.vm_id), ("", ""), (operator["client_id"], "x")):
        guessed = session(sandbox.proxy.replace("http://", f"http://{user}:{password}@"), sandbox.ca_file)
        try:
            answer = guessed.request(
                "GET", f"{TOKEN}?api-version=2018-02-01&resource={ARM}", headers={"Metadata": "true"}
            )
        except OSError:
            continue
        assert answer.status_code in (404, 407) and "access_token" not in answer.text
    answer = stranger.request("GET", f"{IMDS}/instance?api-version=2021-02-01", headers={"Metadata": "true"})
    assert answer.status_code == 404


def test_credentials_of_one_vm_are_not_those_of_another(azure: Azure, sandbox: Sandbox, name: str) -> None:
    first, second = (create_vm(azure, f"{name}{number}", ssh_source=SSH_SOURCE) for number in (1, 2))
    assign_identity(azure, f"{name}1")
    own = sandbox.vm(f"{name}2")
    assert own.proxy != sandbox.vm(f"{name}1").proxy
    mixed = session(own.proxy.replace(second.vm_id, first.vm_id), sandbox.ca_file)
    answer = mixed.request("GET", f"{TOKEN}?api-version=2018-02-01&resource={ARM}", headers={"Metadata": "true"})
    assert answer.status_code == 407
    answer = own.session.request("GET", f"{TOKEN}?api-version=2018-02-01&resource={ARM}", headers={"Metadata": "true"})
    assert answer.json()["error_description"] == "Identity not found"


@pytest.mark.parametrize("user", ["azureuser", "root", "nobody"])
def test_a_stranger_cannot_log_in_to_a_vm(azure: Azure, sandbox: Sandbox, name: str, user: str) -> None:
    create_vm(azure, name, ssh_source=SSH_SOURCE)
    address = public_address_of(azure, show_vm(azure, name))
    key = paramiko.RSAKey.generate(2048)
    for attempt in ("none", "password", "key"):
        with proxy(sandbox) as connection:
            connection.sendall(f"CONNECT {address}:22 HTTP/1.0\r\n\r\n".encode())
            assert connection.recv(39).startswith(b"HTTP/1.1 200")
            transport = paramiko.Transport(connection)
            transport.start_client(timeout=10)
            with pytest.raises(paramiko.AuthenticationException):
                if attempt == "none":
                    transport.auth_none(user)
                elif attempt == "password":
                    transport.auth_password(user, "azureuser", fallback=False)
                else:
                    transport.auth_publickey(user, key)
            assert not transport.is_authenticated()
            transport.close()


@as_root
def test_another_user_reads_no_file_and_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o755)  # as a home folder may be: only the sandbox's own folder protects it
        folder = Path(parent) / "sandbox"
        monkeypatch.setenv("RUNBOOK_SANDBOX", str(folder))
        try:
            assert as_nobody(folder) == f"[{NOBODY}, [], 404]"
        finally:
            process.reset(folder)


def as_nobody(folder: Path) -> str:
    """What another user could read of a running sandbox's folder, and the status of a token's refusal."""
    running = process.start(folder)
    create_registry(connect_to("others"), "others12345")
    script = (
        "import json, os, pathlib, socket, sys, urllib.request, urllib.error\n"
        "folder, port = pathlib.Path(sys.argv[1]), int(sys.argv[2])\n"
        "read = []\n"
        "for name in ('ca-key.pem', 'signing-key.pem', 'operator.json', 'AzureChinaCloud.sqlite', 'log', 'ca.pem'):\n"
        "    try: read.append((folder / name).read_bytes() and name)\n"
        "    except OSError: pass\n"
        "try: read += os.listdir(folder)\n"
        "except OSError: pass\n"
        "opener = urllib.request.build_opener(urllib.request.ProxyHandler({'http': f'http://127.0.0.1:{port}'}))\n"
        "request = urllib.request.Request('http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
        "&resource=https://management.azure.com/', headers={'Metadata': 'true'})\n"
        "try: status = opener.open(request).status\n"
        "except urllib.error.HTTPError as error: status = error.code\n"
        "print(json.dumps([os.geteuid(), read, status]))\n"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-c", script, str(folder), str(running.port)],
        user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    return done.stdout.strip() or done.stderr
