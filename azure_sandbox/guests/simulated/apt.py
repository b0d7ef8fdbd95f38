"""apt and dpkg. The packages are known by name only: installing one makes its programs appear."""

from __future__ import annotations

import logging
import math
import re

from .apt_sources import AZURE_CLI_SUITES, Source, packages_of, sources
from .control import Interrupted
from .disk import ROOT, Disk
from .docker_daemon import unit_proxies
from .program import Failure, Process, Unsupported, program
from .proxies import Proxies, from_environment, problem_of
from .releases import release_of

logger = logging.getLogger(__name__)


@program("apt", "apt-get")
def _apt(process: Process, arguments: list[str]) -> int:
    pairs, words = process.options(
        arguments, "yqo:", ["yes", "assume-yes", "quiet", "option=", "no-install-recommends", "version"]
    )
    flags = {name for name, _ in pairs}
    if "--version" in flags:
        process.print(f"apt {process.disk['packages']['apt']} ({process.disk.machine.architecture})")
        return 0
    if process.name == "apt" and not process.terminal:
        process.warn("\nWARNING: apt does not have a stable CLI interface. Use with caution in scripts.\n")
    verb = words[0] if words else ""
    if verb not in ("update", "install", "remove", "purge", "upgrade"):
        raise Unsupported(process.name, f"command {verb}".strip())
    if not process.user.is_root:
        raise Failure(_NOT_ROOT_UPDATE if verb == "update" else _NOT_ROOT, 100)
    options = _configuration(process.disk)
    for name, value in pairs:
        if name in ("-o", "--option"):
            key, _, text = value.partition("=")
            options[key.lower()] = text
    if verb != "update":
        _wait_for_lock(process, options.get("dpkg::lock::timeout"))
    yes = bool(flags & {"-y", "--yes", "--assume-yes"})
    logger.info("%s: apt-get %s", process.disk.machine.computer_name, " ".join(words))  # how often it ran
    proxies = _proxies(process, options)
    if verb == "update":
        return _update(process, proxies)
    process.print("Reading package lists...\nBuilding dependency tree...\nReading state information...")
    if verb == "install":
        return _install(process, words[1:], proxies, yes=yes)
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


def _configuration(disk: Disk) -> dict[str, str]:
    """The options of apt.conf and apt.conf.d by their names in lower case."""
    folder = "/etc/apt/apt.conf.d"
    found: dict[str, str] = {}
    paths = [f"{folder}/{name}" for name in disk.names(folder, ROOT)] if disk.stat(folder, ROOT) else []
    for path in [*paths, "/etc/apt/apt.conf"]:
        if disk.stat(path, ROOT):
            found |= _options_of(disk.read(path, ROOT))
    return found


def _options_of(text: str) -> dict[str, str]:
    """The options of one file, whose names may stand in blocks: Acquire { http { Proxy "…"; } }."""
    found: dict[str, str] = {}
    blocks: list[str] = []
    text = re.sub(r"^\s*(#|//).*$", "", text, flags=re.M)
    for name, value, mark in re.findall(r'([A-Za-z0-9_:.-]*)\s*(?:"([^"]*)")?\s*([;{}])', text):
        if name and mark != "}":
            whole = "::".join([*blocks, name]).lower()
            if mark == ";":
                found[whole] = value
            else:
                blocks.append(name)
        elif mark == "}" and blocks:
            blocks.pop()
    return found


def _proxies(process: Process, options: dict[str, str]) -> Proxies:
    """The proxies that apt asks: its own options count before the environment's."""
    given = from_environment(process.environment)
    plain = options.get("acquire::http::proxy", "")
    secure = options.get("acquire::https::proxy", plain)
    direct = ("direct", "false")
    return Proxies(
        "" if plain.lower() in direct else plain or given.http,
        "" if secure.lower() in direct else secure or given.https or given.http,
        given.exceptions,
    )


def _unreachable(process: Process, proxies: Proxies, url: str) -> str:
    """Why a repository does not answer because of the proxy, in apt's words; "" where the proxy is no reason."""
    proxy = proxies.of(url)
    problem = problem_of(process.disk.machine, proxy) if proxy else None
    if problem is None:
        return ""
    if problem.kind == "name":
        return f"Temporary failure resolving '{problem.host}'"
    if problem.kind == "late":
        return f"Could not connect to {problem.host}:{problem.port} ({problem.host}), connection timed out"
    number, words = problem.system_error
    return f"Could not connect to {problem.host}:{problem.port} ({problem.host}). - connect ({number}: {words})"


def _update(process: Process, proxies: Proxies) -> int:
    """Learn what the sources offer; what cannot be reached is a warning, and what is not there an error."""
    warnings: list[str] = []
    errors: list[str] = []
    offered: dict[str, str] = {}
    for number, source in enumerate(sources(process.disk), 1):
        label = f"{source.url} {source.suite}"
        reason, packages = _fetch(process, proxies, source)
        if reason:
            process.print(f"Err:{number} {label} InRelease\n  {reason}")
            warnings.append(f"W: Failed to fetch {source.url}/dists/{source.suite}/InRelease  {reason}")
        elif packages is None:
            process.print(f"Ign:{number} {label} InRelease\nErr:{number} {label} Release\n  404  Not Found")
            errors.append(f"E: The repository '{label} Release' does not have a Release file.")
        else:
            process.print(
                f"{'Hit' if packages.keys() <= process.disk['lists'].keys() else 'Get'}:{number} {label} InRelease"
            )
            offered |= packages
    process.print("Reading package lists...")
    with process.disk.changing() as document:
        document["lists"] = {**document["lists"], **offered} if warnings else offered
    if warnings:
        warnings.append("W: Some index files failed to download. They have been ignored, or old ones used instead.")
    for line in [*warnings, *errors]:
        process.warn(line)
    if errors:
        return 100
    if process.name == "apt":
        process.print("Building dependency tree...\nReading state information...\nAll packages are up to date.")
    return 0


def _fetch(process: Process, proxies: Proxies, source: Source) -> tuple[str, dict[str, str] | None]:
    """Why a source cannot be reached, or else its packages; None where there is no such suite."""
    reason = _unreachable(process, proxies, source.url)
    if reason:
        return reason, {}
    try:
        return "", packages_of(source, process.disk)
    except LookupError as error:
        return f"Could not resolve '{error.args[0]}'", {}


def _check_dependencies(disk: Disk, versions: dict[str, str], names: list[str]) -> None:
    """Refuse a package that was built for a newer system."""
    suite = versions["azure-cli"].rpartition("~")[2] if "azure-cli" in names else ""
    needed, release = AZURE_CLI_SUITES.get(suite, ""), release_of(disk.machine)
    if needed > release.glibc:
        raise Failure(
            "Some packages could not be installed. This may mean that you have\n"
            "requested an impossible situation or if you are using the unstable\n"
            "distribution that some required packages have not yet been created\n"
            "or been moved out of Incoming.\n"
            "The following information may help to resolve the situation:\n\n"
            "The following packages have unmet dependencies:\n"
            f" azure-cli : Depends: libc6 (>= {needed}) but {disk['packages']['libc6']} is to be installed\n"
            "E: Unable to correct problems, you have held broken packages.",
            100,
        )


def _install(process: Process, names: list[str], proxies: Proxies, *, yes: bool) -> int:
    disk = process.disk
    known = disk["lists"] | disk["packages"]
    dependencies = release_of(disk.machine).dependencies
    versions = dependencies | known
    wanted = [name.partition("=")[0] for name in names]
    for given, name in zip(names, wanted, strict=True):
        if name not in known:
            raise Failure(f"E: Unable to locate package {name}", 100)
        if "=" in given and given.partition("=")[2] != versions[name]:
            raise Failure(f"E: Version '{given.partition('=')[2]}' for '{name}' was not found", 100)
    for name in wanted:
        if disk.has_package(name):
            process.print(f"{name} is already the newest version ({versions[name]}).")
    missing = [name for name in wanted if not disk.has_package(name)]
    _check_dependencies(disk, versions, missing)
    extra = [name for name in dependencies if "docker.io" in missing and not disk.has_package(name)]
    new = sorted({*missing, *extra})
    if extra:
        process.print("The following additional packages will be installed:\n  " + " ".join(sorted(set(extra))))
    if new:
        process.print("The following NEW packages will be installed:\n  " + " ".join(new))
    process.print(f"0 upgraded, {len(new)} newly installed, 0 to remove and 0 not upgraded.")
    if extra and not yes:
        _confirm(process)
    reason = _unreachable(process, proxies, sources(disk)[0].url) if new else ""
    if reason:
        raise Failure(
            "".join(f"E: Failed to fetch {name}_{versions[name]}.deb  {reason}\n" for name in new)
            + "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?",
            100,
        )
    if new and disk.faults.meet("disk_full"):
        raise Failure("E: You don't have enough free space in /var/cache/apt/archives/.", 100)
    for name in new:
        process.print(f"Selecting previously unselected package {name}.\nUnpacking {name} ({versions[name]}) ...")
    with disk.changing() as document:
        for name in new:
            document["packages"][name] = versions[name]
        if "docker.io" in new:
            document["groups"].setdefault("docker", [])
            document["services"] |= {"docker": True, "containerd": True}
            document["docker_unit"] = unit_proxies(disk)
            document["daemon_proxies"] = document["docker_unit"]
    for name in new:
        process.print(f"Setting up {name} ({versions[name]}) ...")
    return 0


def _confirm(process: Process) -> None:
    process.stdout("Do you want to continue? [Y/n] ")
    answer = process.stdin.readline()
    if not answer or answer.strip().lower() not in ("", "y", "yes"):
        process.print("Abort.")
        raise Failure("", 1)


def _remove(process: Process, names: list[str], *, yes: bool) -> int:
    here = [name for name in names if process.disk.has_package(name)]
    release = release_of(process.disk.machine)
    versions = release.offered | process.disk["lists"] | process.disk["packages"]
    for name in names:
        if name not in versions:
            raise Failure(f"E: Unable to locate package {name}", 100)
        if name in release.preinstalled or name in release.dependencies:
            raise Unsupported(process.name, f"removal of {name}")
        if name not in here:
            process.print(f"Package '{name}' is not installed, so not removed")
    process.print(f"0 upgraded, 0 newly installed, {len(here)} to remove and 0 not upgraded.")
    if here and not yes:
        _confirm(process)
    with process.disk.changing() as document:
        for name in here:
            del document["packages"][name]
            process.print(f"Removing {name} ({versions[name]}) ...")
    return 0


@program("dpkg", "dpkg-query")
def _dpkg(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "slWf:", ["status", "list", "show", "showformat=", "print-architecture"])
    flags, packages = dict(pairs), process.disk["packages"]
    if "--print-architecture" in flags:
        process.print(process.disk.machine.architecture)
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
                f"Package: {name}\nStatus: install ok installed\nArchitecture: {process.disk.machine.architecture}\nVersion: {packages[name]}"
            )
        elif flags.keys() & {"-l", "--list"}:
            process.print(f"ii  {name:<24} {packages[name]:<32} {process.disk.machine.architecture}")
        else:
            form = flags.get("-f", flags.get("--showformat", "${Package}\t${Version}\n")).replace("\\n", "\n")
            text = form.replace("${Package}", name).replace("${Version}", packages[name])
            process.stdout(text.replace("${Status}", "install ok installed").replace("\\t", "\t"))
    return 0
