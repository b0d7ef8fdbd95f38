"""The folder of a real machine: its disk, and what it has outside of the folder, to be found again by another process."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
from pathlib import Path

from ...errors import SandboxError
from ...files import write_atomic
from . import cgroups, host

logger = logging.getLogger(__name__)
DISK_BYTES = 30 << 30  # as ARM says of the disk; the file is sparse


def make(folder: Path) -> None:
    """Make the folder of a machine, with an empty disk, where it is missing. Raises OSError where it cannot be made."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("disk-point", "root-point"):
        (folder / name).mkdir(exist_ok=True, mode=0o755)
    disk = folder / "disk.img"
    if not host.has_loop():
        (folder / "disk").mkdir(exist_ok=True, mode=0o755)
        logger.warning("this host has no loop devices: the machine's disk has no limit")
    elif not disk.exists():
        new = folder / "disk.new"
        with new.open("wb") as file:
            file.truncate(DISK_BYTES)
        done = subprocess.run(
            ["mkfs.ext4", "-q", "-F", "-m", "1", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", str(new)],
            capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        if done.returncode:
            raise OSError(f"mkfs.ext4: {done.stderr.strip()}")
        new.replace(disk)


def group_name(folder: Path, vm_id: str) -> str:
    """The name of a machine's control groups: VMs of the same name have the same id in every sandbox."""
    return f"runbook-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}-{vm_id}"


def make_groups(folder: Path, vm_id: str, memory: int) -> list[tuple[str, Path]]:
    """Make a machine's control groups: controllers and folder of each. They are written down before."""
    name = group_name(folder.parents[1], vm_id)
    outer = [str(path) for path in cgroups.paths(name)]
    _record_groups(folder, outer, [])
    groups = cgroups.create(name, memory)
    _record_groups(folder, outer, [str(path) for _, path in groups])
    return groups


def _record_groups(folder: Path, outer: list[str], inner: list[str]) -> None:
    # In one step: a sandbox that is killed here must find them again.
    write_atomic(folder / "groups.json", json.dumps({"outer": outer, "inner": inner}))


def groups(folder: Path) -> list[str]:
    """The control groups that the machine's processes are in."""
    found: list[str] = json.loads((folder / "groups.json").read_text())["inner"]
    return found


def remove_groups(folder: Path) -> None:
    """End what is still in a machine's control groups, and remove them."""
    record = folder / "groups.json"
    if record.exists():
        name = group_name(folder.parents[1], folder.name)
        for outer in json.loads(record.read_text())["outer"]:
            if Path(outer).name == name:  # others are those of the sandbox that this folder is a copy of
                cgroups.remove(Path(outer))
        record.unlink()


def remove(folder: Path) -> None:
    """Remove a machine that does not run, with its disk."""
    remove_groups(folder)
    shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path, kept: set[str]) -> None:
    """Remove the control groups that the machines of a killed sandbox left, and machines of VMs that are gone.

    Their processes, mounts and namespaces end with the sandbox's process, whatever ends it.

    Args:
        kept: ids of the VMs that there are; the disks of the others are removed.

    Raises:
        SandboxError: a control group is still in use.
    """
    for machine in (folder / "machines").glob("*"):
        try:
            remove_groups(machine)
            if machine.name not in kept:
                remove(machine)
        except OSError as error:
            raise SandboxError(f"What a killed sandbox left behind is still there: {error}.") from error
