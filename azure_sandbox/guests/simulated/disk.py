"""The disk of a simulated machine: files, packages, services, groups, images. One document of the store a machine."""

from __future__ import annotations

import copy
import posixpath
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from ...store import Store
from .. import Machine
from .faults import GuestFaults
from .file_locks import Locks
from .proc_files import proc_files
from .releases import release_of, ubuntu_sources

if TYPE_CHECKING:
    from .control import Control

KIND = "guest"
ADMIN_ID = 1000


class DiskError(Exception):
    """Why the file system refuses; the text is the operating system's."""


@dataclass(frozen=True)
class User:
    """The user that a process runs as; the groups are those the login had."""

    name: str
    groups: frozenset[str]

    @property
    def is_root(self) -> bool:
        return self.name == "root"

    @property
    def home(self) -> str:
        return "/root" if self.is_root else f"/home/{self.name}"


ROOT = User("root", frozenset({"root"}))


def _machine(document: Mapping[str, Any]) -> Machine:
    """The facts of a machine as they are kept, also by an earlier version, which called the CA's file authority_file."""
    kept = {"ca_file": document.get("authority_file"), **document, "public_keys": tuple(document["public_keys"])}
    return Machine(**{each.name: kept[each.name] for each in fields(Machine) if each.name in kept})


class Disk:
    """The disk of one machine."""

    def __init__(self, store: Store, document: dict[str, Any]) -> None:
        self.store = store
        self._document = document
        document.setdefault("daemon_proxies", ["", "", ""])  # those that Docker's daemon was started with
        document.setdefault("docker_unit", ["", "", ""])  # those in its unit, as systemd has read it
        document.setdefault("cloud_init", {"state": "done", "warnings": [], "script": ""})
        document.setdefault("lists", {})  # what apt knows of its sources: packages and their versions
        self._lock = threading.RLock()
        self._depth = 0
        self._erased = False
        self.faults = GuestFaults()
        self.locks = Locks()
        self.background: set[Control] = set()
        """What goes on running without a connection."""
        self.machine = _machine(document["machine"])

    @classmethod
    def open(cls, store: Store, vm_id: str) -> Disk | None:
        """The disk of a machine that was made before."""
        document = store.read(KIND, vm_id)
        return cls(store, document) if document else None

    @classmethod
    def format(cls, store: Store, machine: Machine) -> Disk:
        """The disk of a new machine: Ubuntu as it is after its first boot."""
        admin, release = machine.admin_username, release_of(machine)
        disk = cls(
            store,
            {
                "machine": asdict(machine),
                "running": True,
                "booted": time.time(),
                "files": {},
                "packages": dict(release.preinstalled),
                "lists": {},
                "services": {"ssh": True},
                "groups": {"adm": [admin], "sudo": [admin], admin: [], "root": []},
                "images": {},
                "containers": [],
            },
        )
        with disk.changing():
            for path in (
                "/",
                "/etc/apt/apt.conf.d",
                "/etc/apt/sources.list.d",
                "/etc/apt/keyrings",
                "/etc/ssh",
                "/home",
                "/opt",
                "/root",
                "/usr/share/keyrings",
                "/var/log",
            ):
                disk.make_directory(path, ROOT, parents=True)
            disk.make_directory("/tmp", ROOT, mode=0o1777)
            disk.set_mode("/root", 0o700)
            disk.make_directory(f"/home/{admin}", ROOT, mode=0o750)
            disk.make_directory(f"/home/{admin}/.ssh", ROOT, mode=0o700)
            keys = f"/home/{admin}/.ssh/authorized_keys"
            disk.write(keys, "".join(f"{key.strip()}\n" for key in machine.public_keys), ROOT, mode=0o600)
            for path in (f"/home/{admin}", f"/home/{admin}/.ssh", keys):
                disk.set_owner(path, admin)
            disk.write("/etc/os-release", release.os_release, ROOT)
            disk.write("/etc/lsb-release", release.lsb_release, ROOT)
            disk.write("/etc/issue", f"Ubuntu {release.point} \\n \\l\n\n", ROOT)
            disk.write("/etc/hostname", machine.computer_name + "\n", ROOT)
            disk.write("/etc/hosts", "127.0.0.1 localhost\n", ROOT)
            disk._write_facts()
            path, text = ubuntu_sources(machine)
            disk.write(path, text, ROOT)
        return disk

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """The document, to change; it is in the store when the (outermost) block ends."""
        with self._lock:
            self._depth += 1
            try:
                yield self._document
            finally:
                self._depth -= 1
                if self._depth == 0 and not self._erased:
                    self.store.write(KIND, self.machine.vm_id, self._document)

    def update_machine(self, machine: Machine) -> None:
        """What may differ from one boot to the next, such as the proxy's port."""
        self.machine = machine
        with self.changing() as document:
            document["machine"] = asdict(machine)
            document["running"] = True
            self._write_facts()

    def _write_facts(self) -> None:
        """The files that say what the machine's size is; a size may change."""
        self.make_directory("/proc", ROOT, parents=True)
        for path, text in proc_files(self.machine).items():
            self.write(path, text, ROOT, mode=0o444)

    def stop(self) -> None:
        self._end_background()
        with self.changing() as document:
            document["running"] = False

    def _end_background(self) -> None:
        for control in list(self.background):
            control.interrupt.set()

    def erase(self) -> None:
        self._end_background()
        with self._lock:
            self._erased = True  # a program that still runs must not bring it back
            self.store.erase(KIND, self.machine.vm_id)

    def __getitem__(self, name: str) -> Any:
        """A part of the document; a copy, since another session may change the original meanwhile."""
        with self._lock:
            return copy.deepcopy(self._document[name])

    def has_package(self, name: str) -> bool:
        with self._lock:
            return name in self._document["packages"]

    def user(self, name: str) -> User | None:
        """A user with the groups of now."""
        if name == "root":
            return ROOT
        if name != self.machine.admin_username:
            return None
        return User(name, frozenset({name} | {group for group, members in self["groups"].items() if name in members}))

    # Files. Paths are absolute; `who` is the user that asks.

    def _node(self, path: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._document["files"].get(path)
        return found

    def _allowed(self, node: dict[str, Any], who: User, bit: int) -> bool:
        if who.is_root:
            return True
        shift = 6 if node["owner"] == who.name else 3 if node["group"] in who.groups else 0
        return bool(node["mode"] >> shift & bit)

    def _walk(self, path: str, who: User) -> None:
        """Check that each folder above the path can be passed."""
        parent = posixpath.dirname(path)
        if parent != path:
            self._walk(parent, who)
            self._require(parent, who, 1, directory=True)

    def _require(self, path: str, who: User, bit: int, *, directory: bool) -> dict[str, Any]:
        node = self._node(path)
        if node is None:
            raise DiskError("No such file or directory")
        if directory != ("content" not in node):
            raise DiskError("Not a directory" if directory else "Is a directory")
        if not self._allowed(node, who, bit):
            raise DiskError("Permission denied")
        return node

    def stat(self, path: str, who: User) -> dict[str, Any] | None:
        """Owner, group, mode, time and, of a file, content; None where nothing is there that the user may see."""
        with self._lock:
            try:
                self._walk(path, who)
            except DiskError:
                return None
            return self._node(path)

    def allows(self, path: str, who: User, bit: int) -> bool:
        """Whether the user may read (4), write (2) or execute (1) what is there."""
        node = self.stat(path, who)
        return node is not None and self._allowed(node, who, bit)

    def read(self, path: str, who: User) -> str:
        if path == "/dev/null":
            return ""
        with self._lock:
            self._walk(path, who)
            return str(self._require(path, who, 4, directory=False)["content"])

    def write(self, path: str, text: str, who: User, *, append: bool = False, mode: int = 0o644) -> None:
        if path == "/dev/null":
            return
        with self.changing():
            self._walk(path, who)
            if self._node(path) is None:
                self._create(path, who, {"mode": mode, "content": ""})
            node = self._require(path, who, 2, directory=False)
            node["content"] = node["content"] + text if append else text
            node["time"] = time.time()

    def _create(self, path: str, who: User, node: dict[str, Any]) -> None:
        if path != "/":
            self._require(posixpath.dirname(path), who, 2, directory=True)
        self._document["files"][path] = {"owner": who.name, "group": who.name, "time": time.time(), **node}

    def make_directory(self, path: str, who: User, *, parents: bool = False, mode: int = 0o755) -> None:
        with self.changing():
            if self._node(path) is not None:
                if parents and "content" not in (self._node(path) or {}):
                    return
                raise DiskError("File exists")
            if parents and path != "/":
                self.make_directory(posixpath.dirname(path), who, parents=True)
            self._walk(path, who)
            self._create(path, who, {"mode": mode})

    def names(self, path: str, who: User) -> list[str]:
        """What is in a folder, in order."""
        with self._lock:
            self._walk(path, who)
            self._require(path, who, 4, directory=True)
            files: dict[str, Any] = self._document["files"]
            return sorted(posixpath.basename(x) for x in files if x != "/" and posixpath.dirname(x) == path)

    def remove(self, path: str, who: User) -> None:
        """Remove a file, or a folder with all that is in it."""
        with self.changing() as document:
            self._walk(path, who)
            if self._node(path) is None:
                raise DiskError("No such file or directory")
            parent = self._require(posixpath.dirname(path), who, 2, directory=True)
            if parent["mode"] & 0o1000 and not who.is_root and document["files"][path]["owner"] != who.name:
                raise DiskError("Operation not permitted")
            for name in [name for name in document["files"] if name == path or name.startswith(path + "/")]:
                del document["files"][name]

    def set_mode(self, path: str, mode: int) -> None:
        with self.changing() as document:
            document["files"][path]["mode"] = mode

    def set_owner(self, path: str, owner: str) -> None:
        with self.changing() as document:
            document["files"][path] |= {"owner": owner, "group": owner}
