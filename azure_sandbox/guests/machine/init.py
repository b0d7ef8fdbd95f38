"""The first process of a real machine: makes its namespaces and mounts, and becomes systemd.

Run by guest.py as a program of its own, with nothing but the standard library. The first line of its standard input
says what to make (`Plan`); it answers with the pid of the machine, and waits for a second line, while the sandbox opens
its listeners in the new network. It ends when the machine ends: with status REBOOT where the machine asked for a restart.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn, TypedDict

REBOOT = 10
_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_MOUNT = 0x00020000
_NAMESPACES = _NEW_MOUNT | 0x02000000 | 0x04000000 | 0x08000000 | 0x40000000  # mount, cgroup, uts, ipc, net
_NEW_PID = 0x20000000
_READ_ONLY, _NO_SUID, _NO_DEV, _NO_EXEC, _REMOUNT, _BIND = 1, 2, 4, 8, 32, 4096
_RECURSIVE, _PRIVATE, _DETACH = 16384, 1 << 18, 2
_PARENT_DEATH_SIGNAL, _DROP_CAPABILITY, _PIVOT_ROOT = 1, 24, 155
# Nothing in the walkthrough needs these, and each reaches beyond the machine: files by handle, modules, raw I/O,
# accounting, the clock, security modules, the kernel's log, wake-ups.
_DROPPED = (2, 16, 17, 20, 25, 32, 33, 34, 35, 36)
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0),
            "net/tun": (10, 200), "fuse": (10, 229)}  # fmt: skip


class Plan(TypedDict):
    """The plan of a machine: what to make."""

    image: str
    """Folder of the root file system, which stays as it is."""
    disk: str
    """The machine's disk: a file with an ext4 file system, or a folder."""
    disk_point: str
    """An empty folder where the disk is mounted, for the machine alone."""
    root_point: str
    """An empty folder where the root file system is put together."""
    hostname: str
    addresses: list[str]
    groups: list[tuple[str, str]]
    """Controllers and folder of each control group that the machine is to be in."""
    before_boot: str
    """A shell script for the new root file system, run before systemd."""


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    arguments = [os.fsencode(word) if word is not None else None for word in (source, target, kind, data)]
    result = _LIBC.mount(arguments[0], arguments[1], arguments[2], ctypes.c_ulong(flags), arguments[3])
    _check(result, f"mount {kind or 'bind'} on {target}")


def _die_with_parent() -> None:
    _check(_LIBC.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL), "prctl")


def _read_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)  # one by one: the next line is for another process
        if not byte:
            sys.exit("the sandbox has gone")
        line += byte
    return line


def main() -> None:
    """Make the machine and wait for its end."""
    os.umask(0o022)
    plan: Plan = json.loads(_read_line())
    _die_with_parent()
    _check(_LIBC.unshare(_NEW_MOUNT), "unshare")
    _mount("none", "/", None, _RECURSIVE | _PRIVATE)
    _mount_disk(plan["disk"], plan["disk_point"])  # here, since a machine may open no loop device
    _check(_LIBC.unshare(_NEW_PID), "unshare")
    child = os.fork()
    if child == 0:
        _be_machine(plan)
    os.write(1, b"%d\n" % child)
    os.close(0)
    os.close(1)
    _, status = os.waitpid(child, 0)
    # The kernel ends the first process of a pid namespace with SIGHUP where it called for a reboot.
    sys.exit(REBOOT if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGHUP else 0)


def _be_machine(plan: Plan) -> NoReturn:
    try:
        _die_with_parent()
        for _, folder in plan["groups"]:
            Path(folder, "cgroup.procs").write_text("0")
        _check(_LIBC.unshare(_NAMESPACES), "unshare")
        name = plan["hostname"].encode()
        _check(_LIBC.sethostname(name, len(name)), "sethostname")
        _mount_root(plan)
        _mount_system(plan["root_point"], plan["groups"])
        _pivot(plan["root_point"])
        for capability in _DROPPED:  # before any program of the machine runs
            _check(_LIBC.prctl(_DROP_CAPABILITY, capability, 0, 0, 0), "prctl")
        _set_up_network(plan["addresses"])
        _run(["/bin/sh"], plan["before_boot"])
        os.write(1, b"ready\n")
        _read_line()
        _become_systemd()
    except BaseException as error:
        os.write(2, f"{error}\n".encode())
        os._exit(1)


def _mount_disk(disk: str, point: str) -> None:
    if os.path.isdir(disk):
        _mount(disk, point, None, _BIND)
    else:
        _run(["mount", "-n", "-t", "ext4", "-o", "loop,nodev", disk, point])  # the loop device goes with the mount


def _mount_root(plan: Plan) -> None:
    """The image below, the machine's own disk above; Docker's folder is on the disk itself, as overlays need it."""
    point, root = plan["disk_point"], plan["root_point"]
    for name in ("upper", "work", "docker", "containerd"):
        Path(point, name).mkdir(exist_ok=True)
    Path(point, "upper").chmod(0o755)
    _mount("overlay", root, "overlay", 0, f"lowerdir={plan['image']},upperdir={point}/upper,workdir={point}/work")
    for name in ("docker", "containerd"):
        target = _no_link(root, f"var/lib/{name}")
        Path(target).mkdir(exist_ok=True, mode=0o711)
        _mount(f"{point}/{name}", target, None, _BIND)


def _no_link(root: str, name: str) -> str:
    """A folder of the machine; refused where its root user made a link of it, which would lead to one of the host."""
    path = os.path.join(os.path.realpath(root), name)
    if os.path.realpath(path) != path:
        raise OSError(f"/{name} is behind a link, which is not followed here")
    return path


def _mount_system(root: str, groups: list[tuple[str, str]]) -> None:
    plain = _NO_SUID | _NO_DEV | _NO_EXEC
    for name in ("proc", "sys", "dev", "run"):
        _no_link(root, name)
    _mount("proc", f"{root}/proc", "proc", plain)
    # The kernel's settings are the host's; only those of the network are the machine's own.
    for part in ("sys", "sys/net"):
        _mount(f"{root}/proc/{part}", f"{root}/proc/{part}", None, _BIND)
    _mount("none", f"{root}/proc/sys", None, _BIND | _REMOUNT | _READ_ONLY | plain)
    _mount("sysfs", f"{root}/sys", "sysfs", plain | _READ_ONLY)
    _mount("tmpfs", f"{root}/dev", "tmpfs", _NO_SUID, "mode=755,size=65536k")
    _make_devices(f"{root}/dev")
    _mount("tmpfs", f"{root}/run", "tmpfs", _NO_SUID | _NO_DEV, "mode=755")
    _mount_groups(f"{root}/sys/fs/cgroup", groups)
    if os.path.exists(f"{root}/proc/sysrq-trigger"):
        _mount("/dev/null", f"{root}/proc/sysrq-trigger", None, _BIND)


def _make_devices(dev: str) -> None:
    for folder in ("net", "pts", "shm", "mqueue"):
        os.mkdir(f"{dev}/{folder}")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(f"{dev}/{name}", 0o666 | stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(f"{dev}/{name}", 0o666)
    for name, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
                         "ptmx": "pts/ptmx"}.items():  # fmt: skip
        os.symlink(target, f"{dev}/{name}")
    _mount("devpts", f"{dev}/pts", "devpts", _NO_SUID | _NO_EXEC, "newinstance,gid=5,mode=620,ptmxmode=666")
    _mount("tmpfs", f"{dev}/shm", "tmpfs", _NO_SUID | _NO_DEV, "mode=1777")
    _mount("mqueue", f"{dev}/mqueue", "mqueue", _NO_SUID | _NO_DEV | _NO_EXEC)


def _mount_groups(point: str, groups: list[tuple[str, str]]) -> None:
    plain = _NO_SUID | _NO_DEV | _NO_EXEC
    if [controllers for controllers, _ in groups] == [""]:
        _mount("cgroup2", point, "cgroup2", plain)
        return
    _mount("tmpfs", point, "tmpfs", plain, "mode=755")
    for controllers, _ in groups:
        name = controllers.removeprefix("name=") or "unified"
        os.mkdir(f"{point}/{name}")
        if not controllers:
            _mount("cgroup2", f"{point}/{name}", "cgroup2", plain)
            continue
        options = f"none,{controllers}" if controllers.startswith("name=") else controllers
        _mount("cgroup", f"{point}/{name}", "cgroup", plain, options)
        for one in name.split(","):
            if one != name:
                os.symlink(name, f"{point}/{one}")
    # systemd would mount what this host does not have mounted, and make groups there that nobody could find.
    _mount("none", point, None, _BIND | _REMOUNT | _READ_ONLY | plain)


def _pivot(root: str) -> None:
    os.chdir(root)
    here = os.fsencode(".")
    _check(_LIBC.syscall(_PIVOT_ROOT, here, here), "pivot_root")
    _check(_LIBC.umount2(here, _DETACH), "umount")
    os.chdir("/")


def _set_up_network(addresses: list[str]) -> None:
    _run(["/sbin/ip", "link", "set", "lo", "up"])
    for address in addresses:
        _run(["/sbin/ip", "address", "add", f"{address}/32", "dev", "lo"])


def _environment() -> dict[str, str]:
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "container": "other",
        "LANG": "C.UTF-8",
    }


def _run(command: list[str], given: str = "") -> None:
    options: dict[str, Any] = {"input": given, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, env=_environment(), text=True, errors="replace", **options)
    if done.returncode:
        raise OSError(f"{' '.join(command)[:60]}: {done.stdout.strip()}")


def _become_systemd() -> NoReturn:
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.setsid()
    os.execve("/lib/systemd/systemd", ["/lib/systemd/systemd"], _environment())


if __name__ == "__main__":
    main()
