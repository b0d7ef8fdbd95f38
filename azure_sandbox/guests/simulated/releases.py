"""The releases of Ubuntu that a simulated machine can be: names, kernel, packages."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Machine


@dataclass(frozen=True)
class Release:
    """One release of Ubuntu, as Azure's image of it is."""

    version: str
    point: str
    """The version as the machine itself writes it."""
    codename: str
    name: str
    kernel: str
    glibc: str
    preinstalled: dict[str, str]
    """Packages and their versions."""
    offered: dict[str, str]
    """Packages that Ubuntu's own sources offer besides: only those whose programs this guest has."""
    dependencies: dict[str, str]
    """Packages that come with docker.io."""

    @property
    def os_release(self) -> str:
        """The content of /etc/os-release."""
        return (
            f'PRETTY_NAME="Ubuntu {self.point}"\nNAME="Ubuntu"\nVERSION_ID="{self.version}"\n'
            f'VERSION="{self.point} ({self.name})"\nVERSION_CODENAME={self.codename}\nID=ubuntu\nID_LIKE=debian\n'
            'HOME_URL="https://www.ubuntu.com/"\nSUPPORT_URL="https://help.ubuntu.com/"\n'
            f'BUG_REPORT_URL="https://bugs.launchpad.net/ubuntu/"\nUBUNTU_CODENAME={self.codename}\n'
        )

    @property
    def lsb_release(self) -> str:
        """The content of /etc/lsb-release."""
        return (
            f"DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE={self.version}\nDISTRIB_CODENAME={self.codename}\n"
            f'DISTRIB_DESCRIPTION="Ubuntu {self.point}"\n'
        )

    def package_version(self, name: str) -> str:
        """The version of a package without Debian's own part."""
        return {**self.preinstalled, **self.offered}[name].rpartition(":")[2].partition("-")[0]


RELEASES = {
    "22.04": Release(
        version="22.04",
        point="22.04.5 LTS",
        codename="jammy",
        name="Jammy Jellyfish",
        kernel="6.8.0-1030-azure",
        glibc="2.35",
        preinstalled={
            "apt": "2.4.14",
            "apt-transport-https": "2.4.14",
            "bash": "5.1-6ubuntu1.1",
            "ca-certificates": "20240203~22.04.1",
            "cloud-init": "25.1.4-0ubuntu0~22.04.1",
            "coreutils": "8.32-4.1ubuntu1.2",
            "curl": "7.81.0-1ubuntu1.20",
            "gnupg": "2.2.27-3ubuntu2.4",
            "libc6": "2.35-0ubuntu3.10",
            "lsb-release": "11.1.0ubuntu4",
            "openssh-server": "1:8.9p1-3ubuntu0.13",
            "python3": "3.10.6-1~22.04.1",
            "software-properties-common": "0.99.22.9",
            "sudo": "1.9.9-1ubuntu2.5",
        },
        offered={"docker.io": "28.2.2-0ubuntu1~22.04.1"},
        dependencies={
            "bridge-utils": "1.7-1ubuntu3",
            "containerd": "1.7.27-0ubuntu1~22.04.1",
            "dns-root-data": "2023112702~ubuntu0.22.04.1",
            "dnsmasq-base": "2.90-0ubuntu0.22.04.1",
            "pigz": "2.6-1",
            "runc": "1.2.5-0ubuntu1~22.04.1",
            "ubuntu-fan": "0.12.16",
        },
    ),
    "24.04": Release(
        version="24.04",
        point="24.04.3 LTS",
        codename="noble",
        name="Noble Numbat",
        kernel="6.14.0-1012-azure",
        glibc="2.39",
        preinstalled={
            "apt": "2.8.3",
            "apt-transport-https": "2.8.3",
            "bash": "5.2.21-2ubuntu4",
            "ca-certificates": "20240203",
            "cloud-init": "25.1.4-0ubuntu0~24.04.1",
            "coreutils": "9.4-3ubuntu6.1",
            "curl": "8.5.0-2ubuntu10.6",
            "gnupg": "2.4.4-2ubuntu17.3",
            "libc6": "2.39-0ubuntu8.5",
            "lsb-release": "12.0-2",
            "openssh-server": "1:9.6p1-3ubuntu13.13",
            "python3": "3.12.3-0ubuntu2",
            "software-properties-common": "0.99.49.2",
            "sudo": "1.9.15p5-3ubuntu5.24.04.1",
        },
        offered={"docker.io": "28.2.2-0ubuntu1~24.04.1"},
        dependencies={
            "bridge-utils": "1.7.1-1ubuntu2",
            "containerd": "1.7.27-0ubuntu1~24.04.1",
            "dns-root-data": "2024071801~ubuntu0.24.04.1",
            "dnsmasq-base": "2.90-2ubuntu0.1",
            "pigz": "2.8-1",
            "runc": "1.2.5-0ubuntu1~24.04.1",
            "ubuntu-fan": "0.12.16+24.04.1",
        },
    ),
}


def release_of(machine: Machine) -> Release:
    """The release that a machine runs."""
    return RELEASES[machine.release]


def processor_name(machine: Machine) -> str:
    """The architecture of a machine's processor, as its kernel calls it."""
    return "aarch64" if machine.architecture == "arm64" else "x86_64"


def ubuntu_sources(machine: Machine) -> tuple[str, str]:
    """The file with apt's sources of a new machine, and its content: since 24.04 in the form deb822."""
    release = release_of(machine)
    arm = machine.architecture == "arm64"
    url = "http://ports.ubuntu.com/ubuntu-ports/" if arm else "http://azure.archive.ubuntu.com/ubuntu/"
    suites, parts = (
        [f"{release.codename}{x}" for x in ("", "-updates", "-security")],
        "main restricted universe multiverse",
    )
    if release.version < "24.04":
        return "/etc/apt/sources.list", "".join(f"deb {url} {suite} {parts}\n" for suite in suites)
    key = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
    text = f"Types: deb\nURIs: {url}\nSuites: {' '.join(suites)}\nComponents: {parts}\nSigned-By: {key}\n"
    return "/etc/apt/sources.list.d/ubuntu.sources", text
