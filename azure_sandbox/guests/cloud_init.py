"""The part of cloud-init that the guests have: ssh keys, write_files, packages, bootcmd, runcmd, and scripts.

What comes before systemd is a shell script for the new root file system; packages and commands are a second script,
which a unit of the machine runs once, after the network is there.
"""

from __future__ import annotations

import base64
import re
import shlex
from dataclasses import dataclass
from typing import Any

from . import Machine

KNOWN = frozenset(["bootcmd", "package_update", "package_upgrade", "packages", "runcmd", "ssh_authorized_keys"]).union(
    ["ssh_deletekeys", "ssh_keys", "users", "write_files"]
)
SCRIPT = "/var/lib/cloud/instance/scripts/part-001"
_OTHER_FORMATS = (
    "#cloud-boothook",
    "#include",
    "#part-handler",
    "#cloud-config-archive",
    "#upstart-job",
    "## template",
)
LOG = "/var/log/cloud-init-output.log"
MAX_DEPTH = 50  # lists and mappings of a configuration in each other
MAX_VALUES = 100_000  # of a configuration
FINAL = "/var/lib/cloud/final.sh"
_KEY = re.compile(r"(rsa|ecdsa|ed25519)_(private|public)")


@dataclass(frozen=True)
class FirstBoot:
    """The first boot of a machine: what is done once."""

    before: str
    """The shell script before systemd starts: files, users, keys."""
    final: str
    """The shell script once the machine runs: packages, commands; empty where there is nothing to do."""


def first_boot(machine: Machine) -> FirstBoot:
    """The scripts for the first boot of a machine with its custom data."""
    config, log = read(machine.custom_data, KNOWN, "this machine's cloud-init")
    before = [*_admin(machine), *_host_keys(config, log), *files(machine, config, log)]
    final = commands(machine, config, log)
    before.append(write(LOG, "".join(f"{line}\n" for line in log), "644", append=True))
    if final:
        before.append(write(FINAL, final, "700"))
    return FirstBoot("\n".join(before), final)


def refusal(custom_data: str) -> str:
    """Why the guests' cloud-init cannot do what custom data asks for, as a sentence; "" where it can.

    What cloud-init itself would not understand is no reason: Azure takes it too, and the machine's log says so.
    """
    if custom_data.startswith("\x1f\ufffd") or custom_data.lower().startswith(
        ("content-type: multipart", "mime-version:")
    ):
        return "its cloud-init takes #cloud-config and shell scripts only, not several parts or compressed custom data."
    if custom_data.lower().startswith(_OTHER_FORMATS):
        return f"its cloud-init takes #cloud-config and shell scripts only, not {custom_data.split()[0]}."
    if custom_data.startswith("#!") and not is_script(custom_data):
        return f"its cloud-init runs scripts of sh and bash only, not of {custom_data.splitlines()[0][2:].strip()}."
    if not custom_data.startswith("#cloud-config"):
        return ""
    config, _ = read(custom_data, KNOWN, "")
    unknown = sorted(str(name) for name in config if name not in KNOWN)
    if unknown:
        return f"its cloud-init does not do {', '.join(unknown)}: leave that out."
    if config.get("users") not in (None, [], ["default"], "default"):
        return "its cloud-init makes no users beside the VM's own: leave users out, or [default]."
    return ""


def is_script(custom_data: str) -> bool:
    """Whether custom data is a script of sh or bash."""
    return re.match(r"#!\s*(/usr)?/bin/(env )?(ba|da)?sh\b", custom_data) is not None


def read(text: str, known: frozenset[str], who: str) -> tuple[dict[str, Any], list[str]]:
    """The configuration that custom data holds, and the lines for the log about what is not done.

    Args:
        known: what of cloud-init's configuration is done; the rest is in the log as not done.
        who: does it.
    """
    if not text.strip():
        return {}, []
    if is_script(text):
        return {}, []
    if not text.startswith("#cloud-config"):
        return {}, [f"{who} knows no custom data other than #cloud-config and shell scripts; it was not used"]
    import yaml

    class Loader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise yaml.YAMLError(f"it is nested in more than {MAX_DEPTH} levels")
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    try:
        config = yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that there is not
        return {}, [f"Failed loading yaml blob: {error}"]
    if _weight(config) > MAX_VALUES:
        return {}, [f"Failed loading yaml blob: its aliases stand for more than {MAX_VALUES} values, or for themselves"]
    if not isinstance(config, dict):
        return {}, ["Failed loading yaml blob: not a mapping"]
    unknown = sorted(str(name) for name in config if name not in known)
    return config, [f"{who} has no {name}; it was not done" for name in unknown]


def _weight(value: Any, known: dict[int, int] | None = None) -> int:
    """How many values there are once each alias is written out; too many where one stands within itself."""
    known = {} if known is None else known
    if not isinstance(value, (dict, list, set, tuple)):
        return 1
    if id(value) not in known:
        known[id(value)] = MAX_VALUES + 1  # for who meets it again inside of it
        members = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_weight(member, known) for member in members)
    return known[id(value)]


def _list(config: dict[str, Any], name: str, log: list[str]) -> list[Any]:
    value = config.get(name) or []
    if isinstance(value, list):
        return value
    log.append(f"{name}: not a list; it was not done")
    return []


def _admin(machine: Machine) -> list[str]:
    """The admin user, as Azure's images make it: with a key, without a password, and sudo for everything."""
    user, home = shlex.quote(machine.admin_username), f"/home/{machine.admin_username}"
    keys = "".join(f"{key.strip()}\n" for key in machine.public_keys)
    return [
        "set -e",
        f"id -u {user} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash --groups sudo {user}",
        f"install -d -m 700 {home}/.ssh",
        write(f"{home}/.ssh/authorized_keys", keys, "600"),
        f"chown -R {user}: {home}/.ssh",
        write("/etc/sudoers.d/90-cloud-init-users", f"{machine.admin_username} ALL=(ALL) NOPASSWD:ALL\n", "440"),
    ]


def _host_keys(config: dict[str, Any], log: list[str]) -> list[str]:
    """The keys that were given; where none were, new ones."""
    given = config.get("ssh_keys")
    lines = ["rm -f /etc/ssh/ssh_host_*"]
    for name, value in (given if isinstance(given, dict) else {}).items():
        matched = _KEY.fullmatch(str(name))
        if matched is None:
            log.append(f"ssh_keys: {name} is not known; it was not used")
            continue
        private = matched[2] == "private"
        path = f"/etc/ssh/ssh_host_{matched[1]}_key{'' if private else '.pub'}"
        lines.append(write(path, f"{str(value).strip()}\n", "600" if private else "644"))
    if len(lines) == 1:
        lines.append("ssh-keygen -A >/dev/null")
    return lines


def _file(file: Any, log: list[str]) -> list[str]:
    if not isinstance(file, dict) or not str(file.get("path", "")).startswith("/"):
        log.append("write_files: an entry has no absolute path; it was not written")
        return []
    path, encoding = str(file["path"]), str(file.get("encoding") or "text/plain")
    content: str | bytes = str(file.get("content", ""))
    if encoding in ("b64", "base64"):
        try:
            content = base64.b64decode(content)
        except ValueError as error:
            log.append(f"write_files: {path}: {error}; it was not written")
            return []
    elif encoding != "text/plain":
        log.append(f"write_files: {path}: the encoding {encoding} is not known; it was not written")
        return []
    line = write(path, content, str(file.get("permissions") or "0644"), append=bool(file.get("append")))
    if file.get("owner"):
        line += f" && chown {shlex.quote(str(file['owner']))} {shlex.quote(path)}"
    failed = shlex.quote(f"write_files: {path}: it was not done as it was asked for")
    return [f"{{ {line}; }} 2>>{LOG} || echo {failed} >>{LOG}"]


def files(machine: Machine, config: dict[str, Any], log: list[str]) -> list[str]:
    """Shell lines that write the files and the keys of the admin user."""
    lines = [line for file in _list(config, "write_files", log) for line in _file(file, log)]
    keys = "".join(f"{str(key).strip()}\n" for key in _list(config, "ssh_authorized_keys", log))
    if keys:
        lines.append(write(f"/home/{machine.admin_username}/.ssh/authorized_keys", keys, "600", append=True))
    if is_script(machine.custom_data):
        lines.append(write(SCRIPT, machine.custom_data, "700"))
    return lines


def commands(machine: Machine, config: dict[str, Any], log: list[str]) -> str:
    """Packages and commands, as one script. Of the commands of runcmd the last one's status counts."""
    lines = [_command(command) for command in _list(config, "bootcmd", log)]
    packages = [shlex.quote(_package(name)) for name in _list(config, "packages", log)]
    if packages or config.get("package_update") or config.get("package_upgrade"):
        lines.append("apt-get update || failed=1")
    if config.get("package_upgrade"):
        lines.append("apt-get upgrade -y || failed=1")
    if packages:
        lines.append(f"DEBIAN_FRONTEND=noninteractive apt-get install -y {' '.join(packages)} || failed=1")
    run = [_command(command) for command in _list(config, "runcmd", log)]
    if is_script(machine.custom_data):
        run.append(SCRIPT)
    if run:
        lines += [*run[:-1], f"{run[-1]} || failed=1"]
    return "".join(f"{line}\n" for line in lines) + "exit ${failed:-0}\n" if lines else ""


def _command(command: Any) -> str:
    if isinstance(command, list):
        return " ".join(shlex.quote(str(word)) for word in command)
    return f"sh -c {shlex.quote(str(command))}"


def _package(name: Any) -> str:
    """A package, or one and its version."""
    return f"{name[0]}={name[1]}" if isinstance(name, list) and len(name) == 2 else str(name)


def write(path: str, content: str | bytes, mode: str, *, append: bool = False) -> str:
    """A shell line that writes a file; the content is encoded, so that no shell reads it."""
    encoded = base64.b64encode(content.encode() if isinstance(content, str) else content).decode()
    target = shlex.quote(path)
    arrow = ">>" if append else ">"
    folder = shlex.quote(path.rpartition("/")[0] or "/")
    return f"mkdir -p {folder} && echo {encoded} | base64 -d {arrow} {target} && chmod {shlex.quote(mode)} {target}"
