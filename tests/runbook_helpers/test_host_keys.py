"""Host keys: read through Azure for a VM that others made, kept where nobody else can write; an impostor learns nothing."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from azure.mgmt.compute.models import RunCommandInput

from azure_sandbox import process
from runbook_helpers import Azure, create_vm, ssh, trust_vm
from runbook_helpers.errors import ConnectionFailed
from runbook_helpers.ssh.host_keys import admission, best_key, fingerprint
from runbook_helpers.ssh.keys import KeyStore, Pin, new_host_key
from runbook_helpers.ssh.transport import host_key_shown

from ..conftest import SSH_SOURCE, clean_environment, connect_to, writes
from .impostor import detour, ssh_server

posix = pytest.mark.skipif(os.name == "nt", reason="Windows keeps rights otherwise")


@pytest.fixture(scope="module")
def standing(shared_folder: Path) -> Iterator[Azure]:
    """A VM for the tests that pin another key for it anyway."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOK_SANDBOX", str(shared_folder))
        process.start(shared_folder)
        azure = connect_to("t" + uuid.uuid4().hex[:12])
        create_vm(azure, "vm", ssh_source=SSH_SOURCE)
        yield azure


def resource_id(azure: Azure) -> str:
    return str(azure.compute.virtual_machines.get(azure.resource_group, "vm").id)


def foreign(azure: Azure) -> None:
    """Make the VM one that this machine knows nothing of."""
    azure.keys.forget(resource_id(azure))


def test_the_key_of_a_foreign_vm_is_read_through_azure(vm: Azure, shared_folder: Path) -> None:
    pinned = vm.keys.pinned(resource_id(vm))
    foreign(vm)
    with pytest.raises(ConnectionFailed, match=r"not known on this machine.*with `runbook trust-vm vm`"):
        ssh(vm, "vm")
    printed = trust_vm(vm, "vm")
    assert vm.keys.pinned(resource_id(vm)) == pinned
    assert pinned and printed == fingerprint(pinned.public_key) and printed.startswith("SHA256:") and len(printed) == 50
    with ssh(vm, "vm") as shell:
        assert shell.run("hostname").stdout == "vm\n"
    asked = [each for each in writes(shared_folder) if vm.resource_group in each and not each.startswith("PUT ")]
    assert len(asked) == 1 and asked[0].startswith("POST ") and asked[0].endswith("/runCommand")


def test_the_command_says_the_fingerprint_and_how_to_be_let_in(vm: Azure, tmp_path: Path) -> None:
    foreign(vm)
    program = [sys.executable, "-c", "from runbook_helpers.commands.main import main; main()", "trust-vm", "vm"]
    done = subprocess.run(
        [*program, "-p", "resource_group", vm.resource_group],
        cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    key = vm.keys.pinned(resource_id(vm))
    assert done.returncode == 0 and key, done.stderr
    assert f"has the host key {fingerprint(key.public_key)}; it is pinned." in done.stdout
    assert f"az vm user update --resource-group {vm.resource_group} --name vm --username azureuser" in done.stdout
    assert vm.keys.public_key() in admission(vm, "vm") and "PRIVATE" not in done.stdout


def test_what_the_advised_command_does_lets_this_runbook_in(vm: Azure) -> None:
    """`az vm user update` is a PUT of the extension VMAccessForLinux."""
    machines = vm.compute.virtual_machines
    emptied = RunCommandInput(command_id="RunShellScript", script=["rm /home/azureuser/.ssh/authorized_keys"])
    machines.begin_run_command(vm.resource_group, "vm", emptied).result()
    with pytest.raises(ConnectionFailed):
        ssh(dataclasses.replace(vm, timeouts=dataclasses.replace(vm.timeouts, first_boot=0)), "vm")
    words = shlex.split(admission(vm, "vm"))
    options = dict(zip(words[4::2], words[5::2], strict=True))
    extension: Any = {
        "location": vm.location,
        "properties": {
            "publisher": "Microsoft.OSTCExtensions",
            "type": "VMAccessForLinux",
            "typeHandlerVersion": "1.5",
            "protectedSettings": {"username": options["--username"], "ssh_key": options["--ssh-key-value"]},
        },
    }
    vm.compute.virtual_machine_extensions.begin_create_or_update(
        vm.resource_group, "vm", "enablevmaccess", extension
    ).result()
    with ssh(vm, "vm") as shell:
        assert shell.run("whoami").stdout == "azureuser\n"


@pytest.mark.parametrize("output", ["", "ssh-ed25519\n", "ssh-dss AAAA x\n", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 x\n"])
def test_a_vm_without_a_usable_key(vm: Azure, output: str) -> None:
    script = [f"printf %s '{output}' > /etc/ssh/ssh_host_ed25519_key.pub"]
    vm.compute.virtual_machines.begin_run_command(
        vm.resource_group, "vm", RunCommandInput(command_id="RunShellScript", script=script)
    ).result()
    before = vm.keys.known_hosts_file(resource_id(vm)).read_text()
    with pytest.raises(ConnectionFailed, match="The VM vm shows no SSH host key that counts"):
        trust_vm(vm, "vm")
    assert vm.keys.known_hosts_file(resource_id(vm)).read_text() == before


def test_the_best_key_counts() -> None:
    rsa, ecdsa = (asyncssh.generate_private_key(kind).export_public_key().decode().strip()
                  for kind in ("ssh-rsa", "ecdsa-sha2-nistp256"))  # fmt: skip
    ed25519 = new_host_key()[1]
    assert best_key("\n".join([rsa, ecdsa, f"{ed25519} root@vm"])) == ed25519
    assert best_key(f"garbage\n{rsa} x\n\n{ecdsa} x") == " ".join(ecdsa.split()[:2])
    assert best_key(f"ssh-ed25519 {rsa.split()[1]}") is None  # it says one kind and is another


def test_a_vm_that_was_made_anew_by_others_is_no_attack(vm: Azure) -> None:
    machine = vm.compute.virtual_machines.get(vm.resource_group, "vm")
    pin = vm.keys.host_key_of(machine)
    assert pin == vm.keys.pinned(str(machine.id)) and pin.vm_id == machine.vm_id
    vm.keys.pin(str(machine.id), new_host_key()[1], "00000000-0000-0000-0000-000000000001")
    with pytest.raises(ConnectionFailed, match=r"made anew by other means .* no attack: .*`runbook trust-vm vm`"):
        vm.keys.host_key_of(machine)
    trust_vm(vm, "vm")
    assert vm.keys.host_key_of(machine)


def test_first_use_only_by_name_and_only_once(standing: Azure, tmp_path: Path) -> None:
    """It believes what answers, and sends nothing; then the pin holds."""
    impostor = asyncssh.generate_private_key("ssh-ed25519")
    foreign(standing)
    with ssh_server([impostor]) as (port, seen), detour(str(standing.proxy), port) as proxy:
        astray = dataclasses.replace(standing, proxy=proxy)
        with pytest.raises(ConnectionFailed, match="not known on this machine"):
            ssh(astray, "vm")
        assert seen == []
        assert trust_vm(astray, "vm", first_use=True) == impostor.get_fingerprint("sha256")
        assert seen == ["connection"]
    with pytest.raises(ConnectionFailed, match="another host key"):
        ssh(standing, "vm")
    with pytest.raises(ConnectionFailed, match="is known already: first use is over"):
        trust_vm(standing, "vm", first_use=True)
    foreign(standing)
    program = [
        sys.executable,
        "-c",
        "from runbook_helpers.commands.main import main; main()",
        "trust-vm",
        "vm",
        "--first-use",
    ]
    done = subprocess.run(
        [*program, "-p", "resource_group", standing.resource_group],
        cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and "Nobody vouches for it" in done.stdout and "SHA256:" in done.stdout, done.stderr
    with ssh(standing, "vm") as shell:
        assert shell.run("hostname").stdout == "vm\n"


def test_the_vm_of_a_pin_is_noted_where_making_it_was_interrupted(standing: Azure) -> None:
    trust_vm(standing, "vm")
    pin = standing.keys.pinned(resource_id(standing))
    assert pin and pin.vm_id
    standing.keys.pin(resource_id(standing), pin.public_key)
    create_vm(standing, "vm", ssh_source=SSH_SOURCE)
    assert standing.keys.pinned(resource_id(standing)) == pin


def test_what_a_pin_remembers(tmp_path: Path) -> None:
    keys, public = KeyStore(tmp_path), new_host_key()[1]
    keys.note_vm_id("/vm", "id")
    assert keys.pinned("/vm") is None
    keys.pin("/vm", f"{public} somebody's comment")
    keys.note_vm_id("/VM", "id1")
    keys.note_vm_id("/vm", "id2")
    kind, key, *_ = public.split()
    assert keys.pinned("/vm") == Pin(kind, key, "id1")
    assert "comment" not in keys.known_hosts_file("/vm").read_text()


@posix
def test_files_are_ours_alone_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state" / "ssh"
    keys = KeyStore(folder, key_bits=1024)
    before = os.umask(0)
    try:
        keys.public_key()
        keys.pin("/vm", new_host_key()[1])
    finally:
        os.umask(before)
    every = [each for each in (tmp_path / "deep").rglob("*")] + [tmp_path / "deep"]
    assert {each.stat().st_mode & 0o7777 for each in every if each.is_dir()} == {0o700}
    assert {each.stat().st_mode & 0o7777 for each in every if each.is_file()} == {0o600}
    assert keys.private_key_path() in every and not [each for each in every if each.name.startswith(".")]
    folder.chmod(0o755)
    keys.public_key()
    assert folder.stat().st_mode & 0o777 == 0o700


@posix
def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path, key_bits=1024)
    with pytest.raises(ConnectionFailed, match="Our SSH key is missing in"):
        keys.private_key_path()
    public = keys.public_key()
    for mode in (0o640, 0o604, 0o660, 0o644):
        keys.private_key_path().chmod(mode)
        for use in (keys.private_key_path, keys.public_key):
            with pytest.raises(ConnectionFailed, match=f"mode {mode:04o}"):
                use()
        (tmp_path / "id_rsa").chmod(0o600)
    assert keys.public_key() == public


@posix
def test_a_link_in_the_place_of_a_pin_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    keys = KeyStore(tmp_path)
    path = keys.known_hosts_file("/vm")
    path.parent.mkdir(mode=0o700)
    path.symlink_to(victim)
    keys.pin("/vm", new_host_key()[1])
    assert victim.read_text() == "mine" and not path.is_symlink()


def test_an_impostor_gets_nothing_of_our_sign_in(standing: Azure) -> None:
    """And with the right key the same server does, so that the recording is known to work."""
    impostor = asyncssh.generate_private_key("ssh-ed25519")
    with ssh_server([impostor]) as (port, seen), detour(str(standing.proxy), port) as proxy:
        astray = dataclasses.replace(standing, proxy=proxy)
        with pytest.raises(ConnectionFailed, match="proved itself with another host key"):
            ssh(astray, "vm")
        assert seen.count("connection") == 1
        assert not [each for each in seen if each != "connection"], seen
        standing.keys.pin(resource_id(standing), impostor.export_public_key().decode())
        with ssh(astray, "vm") as shell:
            assert shell.run("id").stdout == "welcome\n"
        assert {"user azureuser", "public key"} <= set(seen) and [each for each in seen if each.startswith("log: ")]


WEAK = {
    "group1": {"kex_algs": ["diffie-hellman-group1-sha1"]},
    "group14-sha1": {"kex_algs": ["diffie-hellman-group14-sha1"]},
    "group-exchange-sha1": {"kex_algs": ["diffie-hellman-group-exchange-sha1"]},
    "cbc": {"encryption_algs": ["aes128-cbc", "aes256-cbc", "3des-cbc"]},
    "hmac-sha1": {
        "encryption_algs": ["aes128-ctr"],
        "mac_algs": ["hmac-sha1", "hmac-sha1-96", "hmac-sha1-etm@openssh.com"],
    },
    "hmac-md5": {
        "encryption_algs": ["aes128-ctr"],
        "mac_algs": ["hmac-md5", "hmac-md5-96", "hmac-md5-etm@openssh.com"],
    },
    "arcfour": {"encryption_algs": ["arcfour", "arcfour128", "blowfish-cbc"]},
    "ssh-rsa": {},
}


@pytest.fixture(scope="module")
def rsa_key() -> Iterator[asyncssh.SSHKey]:
    yield asyncssh.generate_private_key("ssh-rsa", key_size=2048)


@pytest.mark.parametrize("offer", WEAK)
def test_a_server_that_offers_only_what_is_weak_is_refused(
    standing: Azure, rsa_key: asyncssh.SSHKey, offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    if offer == "ssh-rsa":  # with SHA-1: newer names of the same key are not offered
        key = rsa_key
        monkeypatch.setattr(type(key), "sig_algorithms", (b"ssh-rsa",))
    standing.keys.pin(resource_id(standing), key.export_public_key().decode())
    with ssh_server([key], **WEAK[offer]) as (port, seen), detour(str(standing.proxy), port) as proxy:
        with pytest.raises(ConnectionFailed, match="has only weak algorithms, or others"):
            ssh(dataclasses.replace(standing, proxy=proxy), "vm")  # at once
        with pytest.raises(ConnectionFailed, match="No SSH server shows a host key"):
            host_key_shown(dataclasses.replace(standing, proxy=proxy), "192.0.2.1")
        assert set(seen) == {"connection"}, seen


def test_a_strong_rsa_key_is_taken(standing: Azure, rsa_key: asyncssh.SSHKey) -> None:
    standing.keys.pin(resource_id(standing), rsa_key.export_public_key().decode())
    with (
        ssh_server([rsa_key]) as (port, _),
        detour(str(standing.proxy), port) as proxy,
        ssh(dataclasses.replace(standing, proxy=proxy), "vm", within=0) as shell,
    ):
        assert shell.run("id").stdout == "welcome\n"


def test_fingerprint_is_the_one_of_openssh() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    public = key.export_public_key().decode()
    assert fingerprint(public) == key.get_fingerprint("sha256")
