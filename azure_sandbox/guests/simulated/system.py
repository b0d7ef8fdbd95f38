"""Programs that administer the machine: sudo, groups, services, cloud-init."""

from __future__ import annotations

import time
from dataclasses import replace

from .disk import ROOT
from .docker_daemon import daemon_proxies, unit_proxies
from .program import PATH, Failure, Process, UnknownProgram, Unsupported, program, system_environment
from .shell.interpreter import Interpreter
from .shell.session import Session
from .shell.state import State

SERVICES = {"docker": "docker.io", "containerd": "docker.io", "ssh": "openssh-server"}
START_SECONDS = 90  # how long systemd waits for a service that does not say that it is ready
_DESCRIPTIONS = {
    "docker": "Docker Application Container Engine",
    "containerd": "containerd container runtime",
    "ssh": "OpenBSD Secure Shell server",
}


@program("sudo")
def _sudo(process: Process, arguments: list[str]) -> int:
    pairs, words = process.options(
        arguments, "nu:EHsi", ["non-interactive", "user=", "preserve-env", "set-home"], anywhere=False
    )
    options = dict(pairs)
    name = options.get("-u", options.get("--user", "root"))
    user = process.disk.user(name)
    if user is None:
        raise Failure(f"sudo: unknown user: {name}\nsudo: error initializing audit plugin sudoers_audit")
    if not process.user.is_root and "sudo" not in process.user.groups:
        raise Failure("sudo: a password is required")
    kept = set(process.environment) if options.keys() & {"-E", "--preserve-env"} else {"TERM", "LANG"}
    environment = {key: value for key, value in process.environment.items() if key in kept}
    environment |= system_environment(process.disk)
    environment |= {"PATH": f"{PATH}:/snap/bin", "HOME": user.home, "USER": name, "LOGNAME": name}
    environment |= {"SUDO_USER": process.user.name}
    while words and "=" in words[0]:
        key, _, value = words.pop(0).partition("=")
        environment[key] = value
    target = replace(process, user=user, environment=environment)
    if not words:
        if not options.keys() & {"-s", "-i"}:
            raise Failure("usage: sudo [-EHn] [-u user] [VAR=value] command")
        login = "-i" in options
        shell = Interpreter(State.new(replace(target, directory=user.home) if login else target))
        return Session(shell).interact(login=login)
    try:
        return target.run(words)
    except UnknownProgram as unknown:
        if unknown.real:
            raise Failure(f"{unknown.name}: the simulated guest has no {unknown.name}", 127) from unknown
        raise Failure(f"sudo: {unknown.name}: command not found") from unknown


@program("groupadd", "addgroup", folder="/usr/sbin")
def _groupadd(process: Process, arguments: list[str]) -> int:
    _, names = process.options(arguments, "fr", ["force", "system"])
    if not process.user.is_root:
        raise Failure("groupadd: Permission denied.\ngroupadd: cannot lock /etc/group; try again later.", 10)
    with process.disk.changing() as document:
        for name in names:
            if name in document["groups"] and "-f" not in arguments:
                raise Failure(f"groupadd: group '{name}' already exists", 9)
            document["groups"].setdefault(name, [])
    return 0


@program("usermod", folder="/usr/sbin")
def _usermod(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "aG:", ["append", "groups="])
    options = {name.lstrip("-")[0].lower(): value for name, value in pairs}
    if not {"a", "g"} <= options.keys() or len(names) != 1:
        raise Unsupported("usermod", "form other than: usermod -aG GROUP USER")
    if not process.user.is_root:
        raise Failure("usermod: Permission denied.\nusermod: cannot lock /etc/passwd; try again later.")
    if process.disk.user(names[0]) is None:
        raise Failure(f"usermod: user '{names[0]}' does not exist", 6)
    with process.disk.changing() as document:
        for group in options["g"].split(","):
            if group not in document["groups"]:
                raise Failure(f"usermod: group '{group}' does not exist", 6)
            if names[0] not in document["groups"][group]:
                document["groups"][group].append(names[0])
    return 0


@program("systemctl")
def _systemctl(process: Process, arguments: list[str]) -> int:
    pairs, words = process.options(arguments, "q", ["now", "no-pager", "quiet"])
    if words == ["daemon-reload"]:
        if not process.user.is_root:
            raise Failure("Failed to reload daemon: Interactive authentication required.")
        with process.disk.changing() as document:
            document["docker_unit"] = unit_proxies(process.disk)
        return 0
    verb, names = (words or ["list-units"])[0], [word.removesuffix(".service") for word in words[1:]]
    if verb not in ("status", "start", "stop", "restart", "enable", "disable", "is-active", "is-enabled") or not names:
        raise Unsupported("systemctl", f"command {' '.join(words)}")
    status = 0
    for name in names:
        status = max(status, _service(process, verb, name, now=("--now", "") in pairs))
    return status


def _service(process: Process, verb: str, name: str, *, now: bool) -> int:
    installed = name in SERVICES and process.disk.has_package(SERVICES[name])
    active = installed and process.disk["services"].get(name, False)
    slow = process.disk.faults.meet("docker_slow") if name == "docker" and active else None
    if verb == "is-active":
        process.print("activating" if slow else "active" if active else "inactive")
        return 0 if active and not slow else 3
    if not installed:
        if verb == "status":
            raise Failure(f"Unit {name}.service could not be found.", 4)
        raise Failure(f"Failed to {verb} {name}.service: Unit {name}.service not found.", 5)
    if verb == "is-enabled":
        process.print("enabled")
    elif verb == "status":
        state = "activating (start)" if slow else "active (running)" if active else "inactive (dead)"
        process.print(f"● {name}.service - {_DESCRIPTIONS[name]}")
        process.print(f"     Loaded: loaded (/lib/systemd/system/{name}.service; enabled; vendor preset: enabled)")
        process.print(f"     Active: {state}")
        return 0 if active and not slow else 3
    elif not process.user.is_root:
        raise Failure(f"Failed to {verb} {name}.service: Interactive authentication required.")
    elif verb == "disable" and not now:
        raise Unsupported("systemctl", "disable without --now")
    elif verb != "enable" or now:
        if name == "docker" and verb not in ("stop", "disable") and (verb == "restart" or not active):
            _load_proxies(process)
        with process.disk.changing() as document:
            document["services"][name] = verb not in ("stop", "disable")
        if slow and verb != "stop":  # it tells when it is ready, and systemctl waits for that
            slow.outlast(min(START_SECONDS, slow.end - time.monotonic()), process.control.interrupt)
    return 0


def _load_proxies(process: Process) -> None:
    """Let Docker's daemon, which is being started, read by which proxies it asks."""
    if process.disk["docker_unit"] != unit_proxies(process.disk):
        process.warn(
            "Warning: The unit file, source configuration file or drop-ins of docker.service changed on disk. Run "
            "'systemctl daemon-reload' to reload units."
        )
    proxies = daemon_proxies(process.disk)
    with process.disk.changing() as document:
        document["services"]["docker"] = proxies is not None
        document["daemon_proxies"] = proxies or ["", "", ""]
    if proxies is None:
        raise Failure(
            "Job for docker.service failed because the control process exited with error code.\n"
            'See "systemctl status docker.service" and "journalctl -xeu docker.service" for details.'
        )


def root_environment() -> dict[str, str]:
    """What a program of the system itself finds around it."""
    return {
        "HOME": ROOT.home,
        "USER": ROOT.name,
        "LOGNAME": ROOT.name,
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
    }
