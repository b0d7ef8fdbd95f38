"""apt and dpkg. The packages are known by name only: installing one makes its programs appear."""

from __future__ import annotations

import logging
import math

from .control import Interrupted
from .disk import PREINSTALLED, ROOT
from .program import Failure, Process, Unsupported, program

logger = logging.getLogger(__name__)
VERSIONS = {
    **PREINSTALLED,
    "azure-cli": "2.91.0-1~jammy",
    "bridge-utils": "1.7-1ubuntu3",
    "containerd": "1.7.27-0ubuntu1~22.04.1",
    "dns-root-data": "2023112702~ubuntu0.22.04.1",
    "dnsmasq-base": "2.90-0ubuntu0.22.04.1",
    "docker.io": "28.2.2-0ubuntu1~22.04.1",
    "jq": "1.6-2.1ubuntu3.1",
    "libjq1": "1.6-2.1ubuntu3.1",
    "libonig5": "6.9.7.1-2build1",
    "pigz": "2.6-1",
    "runc": "1.2.5-0ubuntu1~22.04.1",
    "ubuntu-fan": "0.12.16",
}
DEPENDENCIES = {
    "docker.io": ("bridge-utils", "containerd", "dns-root-data", "dnsmasq-base", "pigz", "runc", "ubuntu-fan"),
    "jq": ("libjq1", "libonig5"),
}
AZURE_SOURCE = "packages.microsoft.com/repos/azure-cli"
_SOURCES = "/etc/apt/sources.list.d"


@program("apt", "apt-get")
def _apt(process: Process, arguments: list[str]) -> int:
    pairs, words = process.options(
        arguments, "yqo:", ["yes", "assume-yes", "quiet", "option=", "no-install-recommends", "version"]
    )
    flags = {name for name, _ in pairs}
    if "--version" in flags:
        process.print("apt 2.4.14 (amd64)")
        return 0
    if process.name == "apt" and not process.terminal:
        process.warn("\nWARNING: apt does not have a stable CLI interface. Use with caution in scripts.\n")
    verb = words[0] if words else ""
    if verb not in ("update", "install", "remove", "purge", "upgrade"):
        raise Unsupported(process.name, f"command {verb}".strip())
    if not process.user.is_root:
        raise Failure(_NOT_ROOT_UPDATE if verb == "update" else _NOT_ROOT, 100)
    if verb != "update":
        options = [value.partition("=") for name, value in pairs if name in ("-o", "--option")]
        _wait_for_lock(process, {key.lower(): value for key, _, value in options}.get("dpkg::lock::timeout"))
    yes = bool(flags & {"-y", "--yes", "--assume-yes"})
    logger.info("%s: apt-get %s", process.disk.machine.computer_name, " ".join(words))  # how often it ran
    if verb == "update":
        return _update(process)
    process.print("Reading package lists...\nBuilding dependency tree...\nReading state information...")
    if verb == "install":
        return _install(process, words[1:], yes=yes)
    if verb in ("remove", "purge"):
        return _remove(process, words[1:], yes=yes)
    process.print("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.")
    return 0


_LOCK = "/var/lib/dpkg/lock-frontend"
_HELD = f"Could not get lock {_LOCK}. It is held by process 1955 (unattended-upgr)"


def _wait_for_lock(process: Process, timeout: str | None) -> None:
    """Wait while another program has the lock; by default apt-get does not, and apt does for two minutes."""
    fault = process.disk.faults.meet("apt_lock")
    if fault is None:
        return
    seconds = float(timeout or (0 if process.name == "apt-get" else -1 if process.terminal else 120))
    waits = math.inf if seconds < 0 else seconds
    if fault.outlast(waits, process.control.interrupt, lambda: process.print(f"Waiting for cache lock: {_HELD}...")):
        return
    if process.control.interrupt.is_set():
        raise Interrupted
    first = "" if waits else f"E: {_HELD}\n"
    raise Failure(f"{first}E: Unable to acquire the dpkg frontend lock ({_LOCK}), is another process using it?", 100)


_NOT_ROOT = """\
E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)
E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?"""
_NOT_ROOT_UPDATE = """\
Reading package lists...
E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)
E: Unable to lock directory /var/lib/apt/lists/"""


def _update(process: Process) -> int:
    """Learn what the sources offer: Ubuntu's own packages, and Azure CLI's once its source is there."""
    sources = [process.disk.read(f"{_SOURCES}/{name}", ROOT) for name in process.disk.names(_SOURCES, ROOT)]
    lines = [line for source in sources for line in source.splitlines() if line.startswith("deb ")]
    azure = any(AZURE_SOURCE in line for line in lines)
    for line in lines:
        if AZURE_SOURCE not in line:
            raise Failure(f"E: the simulated guest's apt has no such source: {line}", 100)
    process.print("Hit:1 http://azure.archive.ubuntu.com/ubuntu jammy InRelease")
    if azure:
        process.print("Get:2 https://packages.microsoft.com/repos/azure-cli jammy InRelease [3596 B]")
    process.print("Reading package lists...")
    if process.name == "apt":
        process.print("Building dependency tree...\nReading state information...\nAll packages are up to date.")
    with process.disk.changing() as document:
        document["available"] = [name for name in VERSIONS if name != "azure-cli" or azure]
    return 0


def _install(process: Process, names: list[str], *, yes: bool) -> int:
    disk = process.disk
    wanted = [name.partition("=")[0] for name in names]
    for given, name in zip(names, wanted, strict=True):
        if name not in disk["available"] and not disk.has_package(name):
            raise Failure(f"E: Unable to locate package {name}", 100)
        if "=" in given and given.partition("=")[2] != VERSIONS[name]:
            raise Failure(f"E: Version '{given.partition('=')[2]}' for '{name}' was not found", 100)
    for name in wanted:
        if disk.has_package(name):
            process.print(f"{name} is already the newest version ({VERSIONS[name]}).")
    missing = [name for name in wanted if not disk.has_package(name)]
    extra = [x for name in missing for x in DEPENDENCIES.get(name, ()) if not disk.has_package(x) and x not in missing]
    new = sorted({*missing, *extra})
    if extra:
        process.print("The following additional packages will be installed:\n  " + " ".join(sorted(set(extra))))
    if new:
        process.print("The following NEW packages will be installed:\n  " + " ".join(new))
    process.print(f"0 upgraded, {len(new)} newly installed, 0 to remove and 0 not upgraded.")
    if extra and not yes:
        _confirm(process)
    if new and disk.faults.meet("disk_full"):
        raise Failure("E: You don't have enough free space in /var/cache/apt/archives/.", 100)
    for name in new:
        process.print(f"Selecting previously unselected package {name}.\nUnpacking {name} ({VERSIONS[name]}) ...")
    with disk.changing() as document:
        for name in new:
            document["packages"][name] = VERSIONS[name]
        if "docker.io" in new:
            document["groups"].setdefault("docker", [])
            document["services"] |= {"docker": True, "containerd": True}
    for name in new:
        process.print(f"Setting up {name} ({VERSIONS[name]}) ...")
    return 0


def _confirm(process: Process) -> None:
    process.stdout("Do you want to continue? [Y/n] ")
    answer = process.stdin.readline()
    if not answer or answer.strip().lower() not in ("", "y", "yes"):
        process.print("Abort.")
        raise Failure("", 1)


def _remove(process: Process, names: list[str], *, yes: bool) -> int:
    here = [name for name in names if process.disk.has_package(name)]
    for name in names:
        if name not in VERSIONS:
            raise Failure(f"E: Unable to locate package {name}", 100)
        if name in PREINSTALLED:
            raise Unsupported(process.name, f"removal of {name}")
        if name not in here:
            process.print(f"Package '{name}' is not installed, so not removed")
    process.print(f"0 upgraded, 0 newly installed, {len(here)} to remove and 0 not upgraded.")
    if here and not yes:
        _confirm(process)
    with process.disk.changing() as document:
        for name in here:
            del document["packages"][name]
            process.print(f"Removing {name} ({VERSIONS[name]}) ...")
    return 0


@program("dpkg", "dpkg-query")
def _dpkg(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "slWf:", ["status", "list", "show", "showformat=", "print-architecture"])
    flags, packages = dict(pairs), process.disk["packages"]
    if "--print-architecture" in flags:
        process.print("amd64")
        return 0
    listing = bool(flags.keys() & {"-l", "--list"}) and not names
    if not flags or (not names and not listing):
        raise Unsupported(process.name, "form other than -s, -l, -W and --print-architecture")
    for name in sorted(packages) if listing else names:
        if name not in packages:
            if flags.keys() & {"-s", "--status"}:
                raise Failure(f"dpkg-query: package '{name}' is not installed and no information is available")
            raise Failure(f"dpkg-query: no packages found matching {name}")
        if flags.keys() & {"-s", "--status"}:
            process.print(
                f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {packages[name]}"
            )
        elif flags.keys() & {"-l", "--list"}:
            process.print(f"ii  {name:<24} {packages[name]:<32} amd64")
        else:
            form = flags.get("-f", flags.get("--showformat", "${Package}\t${Version}\n")).replace("\\n", "\n")
            text = form.replace("${Package}", name).replace("${Version}", packages[name])
            process.stdout(text.replace("${Status}", "install ok installed").replace("\\t", "\t"))
    return 0
