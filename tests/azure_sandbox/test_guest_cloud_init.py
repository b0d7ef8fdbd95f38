"""cloud-init of the simulated guest: what custom data asks for is done, said to be not done, or refused with the VM."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .raw_http import ARM_HOST
from .test_fuzz_requests import VALID, InProcessSandbox, provider
from .test_never_yes import NEW, machine, sandbox  # noqa: F401 - a fixture
from .test_simulated_guest import KEY, SimulatedVM

Boot = Callable[[str], SimulatedVM]


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Boot]:
    """Makes a VM with custom data."""
    with contextlib.ExitStack() as stack:

        def make(custom_data: str) -> SimulatedVM:
            guest = SimulatedVM(tmp_path, custom_data=custom_data)
            stack.callback(guest.close)
            return guest

        yield make


def test_packages_commands_and_files(boot: Boot) -> None:
    guest = boot(
        """#cloud-config
package_update: true
packages: [curl, [docker.io, 28.2.2-0ubuntu1~22.04.1]]
write_files:
  - {path: /etc/demo/plain, content: "one\\n"}
  - {path: /etc/demo/coded, content: dHdvCg==, encoding: b64, permissions: '0600', owner: azureuser}
bootcmd: ["echo first > /order"]
runcmd:
  - "echo $HOME; whoami >> /order"
  - [sh, -c, "usermod -aG docker azureuser; echo told"]
"""
    )
    assert (
        guest.run("cat /etc/demo/plain; cat /etc/demo/coded; ls -l /etc/demo/coded | cut -c1-10")[1]
        == "one\ntwo\n-rw-------\n"
    )
    assert guest.run("cloud-init status --wait") == (0, "\nstatus: done\n", "")
    status, output, _ = guest.run("cat /order; dpkg -s docker.io | grep -c installed; docker ps -q; groups")
    assert status == 0 and output.startswith("first\nroot\n1\n") and "docker" in output.split()
    log = guest.run("cat /var/log/cloud-init-output.log")[1]
    assert (
        "Setting up docker.io" in log
        and "/root\n" in log
        and "told\n" in log
        and log.endswith("Cloud-init finished.\n")
    )


def test_a_script(boot: Boot) -> None:
    guest = boot("#!/bin/sh\nset -e\nfor x in a b; do echo $x >> /made; done\necho said\n")
    assert guest.run("cloud-init status --wait; cat /made")[1] == "\nstatus: done\na\nb\n"
    assert "said\n" in guest.run("cat /var/log/cloud-init-output.log")[1]


@pytest.mark.parametrize(
    ("data", "status", "state"),
    [
        ("#cloud-config\npackages: [nosuchpackage]", 1, "status: error"),
        ("#cloud-config\nruncmd: [false]", 1, "status: error"),
        ("#cloud-config\nruncmd: ['false', 'true']", 0, "status: done"),
        ("#!/bin/bash\nexit 3", 1, "status: error"),
        ("#cloud-config\na: [", 2, "extended_status: degraded done"),
        ("#cloud-config\npackages: curl", 2, "packages: not a list"),
        ("echo no script", 2, "no custom data other than"),
        ("", 0, "status: done"),
    ],
)
def test_status(boot: Boot, data: str, status: int, state: str) -> None:
    done = boot(data).run("cloud-init status --wait --long")
    assert done[0] == status and state in done[1], done


def test_it_is_running_while_it_runs_and_goes_on_after_a_restart(boot: Boot) -> None:
    guest = boot("#cloud-config\nruncmd: ['[ -e /go ] || sleep 1000', 'touch /over']")
    assert guest.run("cloud-init status") == (0, "status: running\n", "")
    guest.run("sudo touch /go")
    guest.do(guest.guests.stop("vm1"))
    guest.do(guest.guests.boot(guest.machine))
    assert guest.run("cloud-init status --wait; ls /over")[1] == "\nstatus: done\n/over\n"


def test_keys_of_the_user(boot: Boot) -> None:
    guest = boot(f"#cloud-config\nssh_authorized_keys: ['ssh-rsa {KEY.get_base64()} second']")
    assert guest.run("grep -c second ~/.ssh/authorized_keys")[1] == "1\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("#cloud-config\nusers: [default, {name: other}]", "its cloud-init makes no users beside the VM's own"),
        ("#cloud-config\nntp: {enabled: true}\napt: {}", "its cloud-init does not do apt, ntp"),
        ("#!/usr/bin/python3\nprint(1)", "scripts of sh and bash only, not of /usr/bin/python3"),
        ("#include\nhttps://x", "#cloud-config and shell scripts only, not #include"),
        ("Content-Type: multipart/mixed; boundary=x\n", "not several parts"),
    ],
)
def test_what_it_does_not_do_is_refused_with_the_vm(
    sandbox: InProcessSandbox,  # noqa: F811
    data: str,
    reason: str,
) -> None:
    interface = provider("Network", "networkInterfaces/o")
    body = machine(osProfile__customData=base64.b64encode(data.encode()).decode())
    body["properties"]["networkProfile"]["networkInterfaces"] = [{"id": interface}]
    free = copy.deepcopy(VALID[provider("Network", "networkInterfaces/n")][1])
    del free["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"]
    with sandbox.undone():
        sandbox.ask("PUT", ARM_HOST, interface, "api-version=2023-09-01", free)
        status, text = sandbox.ask("PUT", ARM_HOST, NEW, "api-version=2024-03-01", body)
    assert status == 501 and reason in json.loads(text)["error"]["message"], text
