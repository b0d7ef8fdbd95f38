"""Requirements of a real machine on this host, and the sentence for a missing one."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from ...errors import SandboxError

_CAPABILITIES = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7,
                 "CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_CHROOT": 18,
                 "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}  # fmt: skip
_PROGRAMS = {"apt-get": "apt", "dpkg-deb": "dpkg", "nsenter": "util-linux", "unshare": "util-linux",
             "setpriv": "util-linux", "mount": "mount",
             "mkfs.ext4": "e2fsprogs"}  # fmt: skip
_INSTEAD = "(--guest simulated needs none of it)"


def refusal() -> str:
    """Why there can be no real machine here; empty where there can."""
    if sys.platform != "linux":
        return f"A real machine needs Linux, and this is {platform.system()} {_INSTEAD}."
    if platform.machine() != "x86_64":  # the sandbox's images hold programs for it
        return f"A real machine needs an x86_64 processor, and this is {platform.machine()} {_INSTEAD}."
    if os.geteuid() != 0:
        return f"A real machine needs root, and this is user {os.geteuid()} {_INSTEAD}."
    missing = missing_capabilities(Path("/proc/self/status").read_text())
    if missing:
        return f"A real machine needs the capabilities that this root does not have: {', '.join(missing)} {_INSTEAD}."
    programs = [f"{name} (package {package})" for name, package in _PROGRAMS.items() if shutil.which(name) is None]
    if programs:
        return f"A real machine needs programs that are not installed: {', '.join(programs)} {_INSTEAD}."
    if "overlay" not in Path("/proc/filesystems").read_text():
        return f"A real machine needs the overlay file system, which this kernel does not have {_INSTEAD}."
    from . import cgroups

    groups = [hierarchy.own for hierarchy in cgroups.hierarchies()]
    if not groups:
        return f"A real machine needs control groups, and none are mounted here {_INSTEAD}."
    fixed = [str(group) for group in groups if os.statvfs(group).f_flag & os.ST_RDONLY]
    if fixed:
        return f"A real machine needs control groups that it may make, and {fixed[0]} is mounted read-only {_INSTEAD}."
    return ""


def missing_capabilities(status: str) -> list[str]:
    """The capabilities that a machine needs and a process with this /proc/self/status does not have."""
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    effective = int(line.split()[1], 16)
    return [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]


def check(folder: Path) -> None:
    """Refuse in one sentence where the sandbox's folder cannot have real machines. Raises SandboxError."""
    reason = refusal()
    if reason:
        raise SandboxError(reason)
    if not has_loop() and _file_system(folder) == "overlay":
        message = f"A real machine needs loop devices, or a sandbox folder that is not on an overlay, as {folder} is"
        raise SandboxError(f"{message} {_INSTEAD}.")


def has_loop() -> bool:
    """Whether a file can be mounted as a disk, which is what limits a machine's disk."""
    return Path("/dev/loop-control").exists()


def _file_system(folder: Path) -> str:
    best, kind = "", ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split(" ")[4]
        if (str(folder.resolve()) + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, kind = point, line.partition(" - ")[2].split(" ")[0]
    return kind
