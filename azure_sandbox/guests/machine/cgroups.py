"""The control groups of a real machine: made below the group that the sandbox runs in, and nowhere else.

A machine gets two levels: the outer group has the limits, the inner one is what the machine sees as its root, so that
root in the machine cannot take the limits away.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

REMOVE_SECONDS = 10.0
_INNER = "machine"
_OPTIONS = {"rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode"}  # of a mount, and no controllers
# What the programs in a machine may open: null zero full random urandom tty ptmx pts, and tun and fuse.
# Making any device file is allowed: layers of images hold some.
_DEVICES = ["c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
            "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm", "c 10:200 rwm", "c 10:229 rwm"]  # fmt: skip


@dataclass(frozen=True)
class Hierarchy:
    """One mounted hierarchy of control groups."""

    controllers: str
    """As in /proc/self/cgroup: `cpu,cpuacct` or `name=systemd`; empty for version 2."""
    own: Path
    """The folder of the group that this process is in."""


def hierarchies() -> list[Hierarchy]:
    """All that are mounted here: those of version 1, the one of version 2, or both."""
    mounted = _mounted()
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers not in mounted:
            continue
        root, point = mounted[controllers]
        with contextlib.suppress(ValueError):  # this process's group is outside of what is mounted
            found.append(Hierarchy(controllers, point / Path(group).relative_to(root)))
    return found


def _mounted() -> dict[str, tuple[str, Path]]:
    """By controllers: which group is the root of the mount, and where it is mounted."""
    found: dict[str, tuple[str, Path]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ")
        root, point = before.split(" ")[3:5]
        if kind == "cgroup2":
            found.setdefault("", (root, Path(point)))
        elif kind == "cgroup":
            names = [name for name in options.split(",") if name not in _OPTIONS]
            # /proc/self/cgroup tells the same names, in the kernel's order.
            found.setdefault(
                ",".join(name for name in names if not name.startswith("release_agent")), (root, Path(point))
            )
    return found


def create(name: str, memory: int) -> list[tuple[str, Path]]:
    """Make the groups of a machine: controllers and folder of each inner group."""
    made = []
    for hierarchy in hierarchies():
        outer = hierarchy.own / name
        inner = outer / _INNER
        for folder in (outer, inner):
            folder.mkdir()
            if "cpuset" in hierarchy.controllers.split(","):
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (folder / file).write_text((folder.parent / file).read_text())
            if folder == outer:  # devices can be denied only while there are no groups below
                _limit(hierarchy, outer, memory)
        made.append((hierarchy.controllers, inner))
    return made


def paths(name: str) -> list[Path]:
    """The folders that `create` makes, outer ones."""
    return [hierarchy.own / name for hierarchy in hierarchies()]


def _limit(hierarchy: Hierarchy, outer: Path, memory: int) -> None:
    names = hierarchy.controllers.split(",")
    if "memory" in names:
        (outer / "memory.limit_in_bytes").write_text(str(memory))
    if "devices" in names:
        (outer / "devices.deny").write_text("a")
        for device in _DEVICES:
            (outer / "devices.allow").write_text(device)
    if not hierarchy.controllers:
        # What the group that the sandbox runs in does not hand down is not there: that group is not ours to change.
        for controller in ("memory", "pids", "cpu"):
            with contextlib.suppress(OSError):
                (outer / "cgroup.subtree_control").write_text(f"+{controller}")
        if (outer / "memory.max").exists():
            (outer / "memory.max").write_text(str(memory))


def memory_used(name: str) -> int:
    """Bytes of memory that a machine uses now, its page cache left out; 0 where that is not counted."""
    for hierarchy in hierarchies():
        for file, inactive in (("memory.usage_in_bytes", "total_inactive_file"), ("memory.current", "inactive_file")):
            counted = hierarchy.own / name / file
            if counted.exists():
                lines = (hierarchy.own / name / "memory.stat").read_text().splitlines()
                cached = dict(line.split(" ", 1) for line in lines).get(inactive, "0")
                return int(counted.read_text()) - int(cached)
    return 0


def remove(outer: Path) -> None:
    """End every process in a group that `create` made, and remove it with all groups below."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while outer.exists():
        for folder, _, _ in os.walk(outer, topdown=False):
            with contextlib.suppress(OSError):
                for pid in Path(folder, "cgroup.procs").read_text().split():
                    if int(pid):  # 0: of another pid namespace
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)
                os.rmdir(folder)
        if time.monotonic() > deadline:
            raise OSError(f"the control group {outer} cannot be removed")
        if outer.exists():
            time.sleep(0.01)
