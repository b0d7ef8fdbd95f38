"""`runbook ssh`: the system's OpenSSH client gets to the VM, and to no other machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from azure_sandbox import faults
from runbook_helpers import create_vm
from runbook_helpers.ssh.keys import KeyStore, Pin, new_host_key

from ..conftest import SSH_SOURCE, clean_environment, connect_to

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no OpenSSH client on this machine")


def runbook_ssh(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from runbook_helpers.commands.main import main; main()", "ssh", *arguments]
    return subprocess.run(
        command, env=clean_environment(), input=typed, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_terminal_a_command_and_an_impostor(fresh: Path) -> None:
    azure = connect_to("myResourceGroup")
    vm = create_vm(azure, "myDockerVM", ssh_source=SSH_SOURCE)
    file, pin = azure.keys.known_hosts_file(str(vm.id)), azure.keys.pinned(str(vm.id))
    assert pin
    file.write_text(f"{pin.public_key} {vm.id}\n")  # as an early version did
    done = runbook_ssh(typed="whoami\nexit 3\n")
    assert (done.returncode, done.stdout) == (3, "azureuser\n"), done.stderr
    assert runbook_ssh("--", "hostname").stdout == "myDockerVM\n"
    assert runbook_ssh("--", "false").returncode == 1
    assert runbook_ssh("echo", "-p", "a").stdout == "-p a\n"
    assert "No such option" in runbook_ssh("--vm", "other").stderr
    rule = faults.add(fresh, faults.ConnectionFault("refused"))
    done = runbook_ssh("--", "hostname")
    faults.clear(fresh, rule)
    assert done.returncode == 255 and done.stderr.startswith("No SSH connection: ") and "Traceback" not in done.stderr
    azure.keys.pin(str(vm.id), new_host_key()[1])
    done = runbook_ssh("--", "hostname")
    assert done.returncode == 255 and "Host key verification failed" in done.stderr
    for file in (azure.keys.folder / "known_hosts").iterdir():
        file.unlink()
    done = runbook_ssh("--", "hostname")
    assert done.returncode == 4 and "The host key of the VM myDockerVM is not known" in done.stderr


def test_a_pin_of_an_early_version_and_an_empty_one(tmp_path: Path) -> None:
    keys, public = KeyStore(tmp_path), new_host_key()[1]
    file = keys.known_hosts_file("vm")
    file.parent.mkdir()
    file.write_text(f"{public} vm\n")
    assert keys.pinned("vm") == Pin(*public.split())
    file.write_text("")
    assert keys.pinned("vm") is None


def test_what_is_missing_in_a_parameter_file_is_reported(fresh: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("vm_name: myDockerVM\n")
    done = runbook_ssh("-f", str(file))
    assert done.returncode == 2 and "cloud is missing." in done.stderr and "Traceback" not in done.stderr


def test_no_such_vm(fresh: Path) -> None:
    done = runbook_ssh("-p", "vm_name", "nobody")
    assert done.returncode == 3
    assert (
        done.stderr.startswith("Error: Azure does not find the VM nobody: (Resource") and "Traceback" not in done.stderr
    )
