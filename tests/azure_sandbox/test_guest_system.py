"""The guest is what the VM's image and size say: release, processor, memory, packages."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox.guests.simulated.releases import RELEASES

from .raw_http import ARM_HOST
from .test_fuzz_requests import InProcessSandbox
from .test_never_yes import NEW, machine, sandbox  # noqa: F401 - a fixture
from .test_simulated_guest import SimulatedVM

SETUP = """codename=$(lsb_release -cs)
echo "deb [arch=$(dpkg --print-architecture)] https://packages.microsoft.com/repos/azure-cli/ $codename main" |
 sudo tee /etc/apt/sources.list.d/azure-cli.list; sudo apt-get update && sudo apt-get install -y azure-cli"""


@pytest.fixture
def noble(tmp_path: Path) -> Iterator[SimulatedVM]:
    """Ubuntu 24.04 on four ARM processors with 16 GiB."""
    guest = SimulatedVM(tmp_path, release="24.04", architecture="arm64", cores=4, memory_mib=16384)
    yield guest
    guest.close()


@pytest.fixture
def jammy(tmp_path: Path) -> Iterator[SimulatedVM]:
    """Ubuntu 22.04 on one processor with 1 GiB."""
    guest = SimulatedVM(tmp_path, release="22.04", cores=1, memory_mib=1024)
    yield guest
    guest.close()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (". /etc/os-release; echo $VERSION_ID $VERSION_CODENAME $UBUNTU_CODENAME", "24.04 noble noble\n"),
        ("lsb_release -cs; lsb_release -rs", "noble\n24.04\n"),
        ("uname -m; arch; dpkg --print-architecture", "aarch64\naarch64\narm64\n"),
        ("uname -r", "6.14.0-1012-azure\n"),
        ("nproc; grep -c ^processor /proc/cpuinfo", "4\n4\n"),
        ("free -g | grep Mem: | wc -w; grep -o 'MemTotal' /proc/meminfo", "7\nMemTotal\n"),
        ("cat /etc/apt/sources.list.d/ubuntu.sources | grep -c ports.ubuntu.com", "1\n"),
        ("python3 --version", "Python 3.12.3\n"),
        ("hostnamectl | grep -E 'Operating|Architecture'", "Operating System: Ubuntu 24.04.3 LTS\n    Architecture: arm64\n"),
        ("cat /etc/hostname; hostname; hostname -s", "myDockerVM\n" * 3),
    ],
)  # fmt: skip
def test_noble_on_arm(noble: SimulatedVM, command: str, expected: str) -> None:
    assert noble.run(command) == (0, expected, "")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (". /etc/os-release; echo $VERSION_ID $VERSION_CODENAME", "22.04 jammy\n"),
        ("uname -m; dpkg --print-architecture", "x86_64\namd64\n"),
        ("nproc; free -m | grep -c 'Mem: *1000 '", "1\n1\n"),
        ("python3 --version", "Python 3.10.6\n"),
        ("cut -d' ' -f3 /etc/apt/sources.list", "jammy\njammy-updates\njammy-security\n"),
    ],
)
def test_jammy_on_amd64(jammy: SimulatedVM, command: str, expected: str) -> None:
    assert jammy.run(command) == (0, expected, "")


def test_the_terminal_greets_with_the_release(noble: SimulatedVM) -> None:
    with contextlib.closing(noble.connect()) as client:
        channel = client.invoke_shell()
        channel.sendall(b"exit\n")
        assert b"Ubuntu 24.04.3 LTS (GNU/Linux 6.14.0-1012-azure aarch64)" in channel.makefile().read()


@pytest.mark.parametrize(
    "facts", [{"release": "22.04"}, {"release": "24.04"}, {"release": "24.04", "architecture": "arm64"}]
)
def test_packages_are_the_releases(tmp_path: Path, facts: dict[str, Any]) -> None:
    guest = SimulatedVM(tmp_path, **facts)
    try:
        assert guest.run(SETUP)[0] == 0
        codename = "jammy" if facts["release"] == "22.04" else "noble"
        assert guest.run("dpkg -s azure-cli | grep Version")[1] == f"Version: 2.91.0-1~{codename}\n"
        assert guest.run("dpkg -s azure-cli | grep Arch")[1] == f"Architecture: {facts.get('architecture', 'amd64')}\n"
        guest.run("sudo apt-get install -y docker.io")
        assert f"~{facts['release']}" in guest.run("dpkg-query -W docker.io")[1]
        assert facts["release"] in guest.run("sudo docker info | grep Operating")[1]
    finally:
        guest.close()


@pytest.mark.parametrize(
    ("codename", "update", "install"),
    [
        ("jammie", "E: The repository 'https://packages.microsoft.com/repos/azure-cli jammie Release' does not have a Release "
                   "file.\n", "E: Unable to locate package azure-cli\n"),
        ("noble", "", "azure-cli : Depends: libc6 (>= 2.39) but 2.35-0ubuntu3.10 is to be installed\n"
                      "E: Unable to correct problems, you have held broken packages.\n"),
        ("bookworm", "", "Depends: libc6 (>= 2.36)"),
    ],
)  # fmt: skip
def test_a_source_for_another_release(jammy: SimulatedVM, codename: str, update: str, install: str) -> None:
    jammy.run(
        f"echo deb https://packages.microsoft.com/repos/azure-cli/ {codename} main | sudo tee /etc/apt/sources.list.d/a.list"
    )
    status, _, errors = jammy.run("sudo apt-get update")
    assert (status, errors) == (100 if update else 0, update)
    status, _, errors = jammy.run("sudo apt-get install -y azure-cli")
    assert status == 100 and install in errors


def test_a_source_for_another_processor_offers_nothing(noble: SimulatedVM) -> None:
    status, _, errors = noble.run(SETUP.replace("$(dpkg --print-architecture)", "amd64"))
    assert (status, errors.splitlines()[-1]) == (100, "E: Unable to locate package azure-cli")


def test_sources_that_cannot_be_reached_or_read(jammy: SimulatedVM) -> None:
    jammy.run(
        "echo deb https://download.docker.com/linux/ubuntu jammy stable | sudo tee /etc/apt/sources.list.d/docker.list"
    )
    status, output, errors = jammy.run("sudo apt-get update")
    assert status == 0 and "Could not resolve 'download.docker.com'" in output
    assert errors.endswith(
        "W: Some index files failed to download. They have been ignored, or old ones used instead.\n"
    )
    assert jammy.run("sudo apt-get install -y docker-ce")[2] == "E: Unable to locate package docker-ce\n"
    jammy.run("echo what | sudo tee /etc/apt/sources.list.d/docker.list")
    status, _, errors = jammy.run("sudo apt-get update")
    assert (status, errors) == (100, "E: Type 'what' is not known on line 1 in source list /etc/apt/sources.list.d/docker.list\n"
                                     "E: The list of sources could not be read.\n")  # fmt: skip


def test_a_resize_changes_the_processors(jammy: SimulatedVM) -> None:
    jammy.do(jammy.guests.stop("vm1"))
    jammy.do(jammy.guests.boot(replace(jammy.machine, cores=8)))
    assert jammy.run("nproc; grep -c ^processor /proc/cpuinfo")[1] == "8\n8\n"


@pytest.mark.parametrize(
    ("publisher", "offer", "sku", "status"),
    [
        ("Canonical", "UbuntuServer", "18.04-LTS", 501),
        ("canonical", "0001-com-ubuntu-server-focal", "20_04-lts", 501),
        ("Debian", "debian-12", "12-gen2", 501),
        ("RedHat", "RHEL", "9-lvm-gen2", 501),
        ("Canonical", "0001-com-ubuntu-server-jammy", "strange", 404),
        ("nobody", "nothing", "strange", 404),
    ],
)
def test_an_image_that_the_guest_cannot_be_is_refused(
    sandbox: InProcessSandbox,  # noqa: F811
    publisher: str,
    offer: str,
    sku: str,
    status: int,
) -> None:
    image = {"publisher": publisher, "offer": offer, "sku": sku, "version": "latest"}
    with sandbox.undone():
        body = machine(storageProfile__imageReference=image)
        answered, text = sandbox.ask("PUT", ARM_HOST, NEW, "api-version=2024-03-01", body)
    message = json.loads(text)["error"]["message"]
    assert answered == status and ("its VMs are Ubuntu 22.04 and 24.04" in message) == (status == 501), message


PROVIDED = {
    "apt": ["apt", "apt-get"],
    "apt-transport-https": [],  # empty since apt speaks https itself
    "azure-cli": ["az"],
    "bash": ["bash"],
    "ca-certificates": [],
    "cloud-init": ["cloud-init"],
    "coreutils": ["ls", "cut", "sort"],
    "curl": ["curl"],
    "docker.io": ["docker"],
    "gnupg": ["gpg"],
    "libc6": [],
    "lsb-release": ["lsb_release"],
    "openssh-server": [],
    "python3": ["python3"],
    "software-properties-common": ["add-apt-repository"],
    "sudo": ["sudo"],
}
"""The packages that apt in the guest installs, and programs of theirs: there, or refused as the guest's lack."""


def test_what_apt_installs_is_there(jammy: SimulatedVM) -> None:
    assert jammy.run(SETUP)[0] == 0
    for release in RELEASES.values():
        assert release.preinstalled.keys() | release.offered.keys() | {"azure-cli"} == PROVIDED.keys()
    for package, names in PROVIDED.items():
        assert jammy.run(f"sudo apt-get install -y {package}; dpkg -s {package}")[0] == 0
        for name in names:
            status, output, errors = jammy.run(f"which {name} || {name}")
            there = (status, output.rpartition("/")[2]) == (0, f"{name}\n")
            assert there or (status, errors) == (127, f"{name}: the simulated guest has no {name}\n")


@pytest.mark.parametrize("package", ["jq", "pigz", "containerd", "git", "docker-ce"])
def test_a_package_that_the_guest_cannot_have_is_not_found(jammy: SimulatedVM, package: str) -> None:
    status, _, errors = jammy.run(f"sudo apt-get update -q; sudo apt-get install -y {package}")
    assert (status, errors) == (100, f"E: Unable to locate package {package}\n")
    assert jammy.run(f"dpkg -s {package}")[0] == 1


def test_what_comes_with_a_package_is_refused_as_the_guests_lack(jammy: SimulatedVM) -> None:
    assert jammy.run("sudo apt-get update -q; sudo apt-get install -y docker.io; dpkg -s pigz runc")[0] == 0
    assert jammy.run("runc --version") == (127, "", "runc: the simulated guest has no runc\n")
    status, _, errors = jammy.run("sudo apt-get remove -y pigz")
    assert status == 2 and "removal of pigz" in errors
