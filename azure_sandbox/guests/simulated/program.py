"""A program that runs in a simulated machine: what it is given, and how programs are found by their names."""

from __future__ import annotations

import getopt
import posixpath
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .control import Control, Interrupted
from .disk import ROOT, Disk, DiskError, User
from .file_locks import Held
from .known_options import refusal

Output = Callable[[str], None]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


END_OF_INPUT = "\x04"


class Failure(Exception):
    """Ends a program: what goes to its standard error, and its exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Unsupported(Failure):
    """Something that the real program has and this one does not: refused in words, never ignored."""

    def __init__(self, program: str, what: str) -> None:
        super().__init__(f"{program}: the simulated guest has no {what}", 2)


class Input:
    """Standard input: text that arrives while a program runs.

    At a terminal Ctrl-D ends the input of one program only: it is a character of the text.
    """

    def __init__(self, text: str | None = None, control: Control | None = None, *, terminal: bool = False) -> None:
        self._end = END_OF_INPUT if terminal else None
        self._text = text or ""
        self._closed = text is not None
        self._control = control or Control()
        self._changed = threading.Condition()

    def feed(self, text: str) -> None:
        with self._changed:
            self._text += text
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget what was typed and not read yet."""
        with self._changed:
            self._text = ""

    def wake(self) -> None:
        """Let who waits look at the interrupt."""
        with self._changed:
            self._changed.notify_all()

    def readline(self) -> str:
        """One line with its end; "" at the end of the input."""
        return self._take(lambda: self._text.find("\n") + 1)

    def read(self) -> str:
        """The rest of the input."""
        return self._take(lambda: 0)

    def _take(self, length: Callable[[], int]) -> str:
        with self._changed:
            while not (end := length()) and not self._closed:
                if self._end and self._end in self._text:
                    end = self._text.index(self._end)
                    taken, self._text = self._text[:end], self._text[end + 1 :]
                    return taken
                if self._control.interrupt.is_set():
                    raise Interrupted
                self._changed.wait()
            end = end or len(self._text)
            taken, self._text = self._text[:end], self._text[end:]
            return taken


@dataclass
class Process:
    """A running program's surroundings."""

    disk: Disk
    user: User
    environment: dict[str, str]
    directory: str
    stdin: Input
    stdout: Output
    stderr: Output
    control: Control
    terminal: bool = False
    name: str = ""
    locks: tuple[Held, ...] = ()
    """Those that it has from the programs that started it (flock)."""
    failed: bool = False
    """Something of what it was to do was not done, and it has said so."""

    def print(self, text: object = "") -> None:
        self.stdout(f"{text}\n")

    def warn(self, text: object) -> None:
        self.stderr(f"{text}\n")

    def path(self, name: str) -> str:
        """A path as absolute one."""
        path = posixpath.normpath(posixpath.join(self.directory, name))
        return "/" + path.lstrip("/")

    def read_file(self, name: str) -> str:
        try:
            return self.disk.read(self.path(name), self.user)
        except DiskError as error:
            raise Failure(f"{self.name}: {name}: {error}") from error

    def write_file(self, name: str, text: str, *, append: bool = False, mode: int = 0o644) -> None:
        try:
            self.disk.write(self.path(name), text, self.user, append=append, mode=mode)
        except DiskError as error:
            raise Failure(f"{self.name}: {name}: {error}") from error

    def options(
        self, arguments: Sequence[str], short: str = "", long: Sequence[str] = (), *, anywhere: bool = True
    ) -> tuple[list[tuple[str, str]], list[str]]:
        """Options as getopt writes them, and the operands; options may stand behind operands where `anywhere`."""
        try:
            parse = getopt.gnu_getopt if anywhere else getopt.getopt
            return parse(list(arguments), short, list(long))
        except getopt.GetoptError as error:
            dashes = "-" if len(error.opt) == 1 else "--"
            written = next((word for word in arguments if word.startswith(f"--{error.opt}")), "")
            name = {"egrep": "grep", "fgrep": "grep"}.get(self.name, self.name)
            refused = refusal(name, error.opt, written, error.msg)
            if refused:
                raise Failure(*refused) from error
            if "requires argument" in error.msg:
                raise Failure(f"{self.name}: {error.msg}", 2) from error
            raise Unsupported(self.name, f"option {dashes}{error.opt}") from error

    def ask(self, prompt: str, *, hidden: bool = False) -> str:
        """A line that the user types."""
        if hidden:  # before who types sees the prompt
            self.control.echo(False)
        self.stdout(prompt)
        try:
            return self.stdin.readline().rstrip("\r\n")
        finally:
            if hidden:
                self.control.echo(True)
                self.print()

    def run(self, words: Sequence[str]) -> int:
        """Run a program here and return its exit status; raises UnknownProgram."""
        program = find(self.disk, words[0])
        process = replace(self, name=posixpath.basename(words[0]), failed=False)
        try:
            return program.function(process, list(words[1:]))
        except Failure as failure:
            if str(failure):
                self.warn(failure)
            return failure.status
        except DiskError as error:
            self.warn(f"{process.name}: {error}")
            return 1


def system_environment(disk: Disk) -> dict[str, str]:
    """The variables of /etc/environment, which every sign-in reads."""
    if disk.stat("/etc/environment", ROOT) is None:
        return {}
    lines = re.findall(r"^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*?)\s*$", disk.read("/etc/environment", ROOT), re.M)
    return {name: value.strip("\"'") for name, value in lines}


@dataclass(frozen=True)
class Program:
    """A program of the machine."""

    name: str
    function: Callable[[Process, list[str]], int]
    package: str | None
    folder: str


PROGRAMS: dict[str, Program] = {}

# Programs of a real Ubuntu that this guest does not have: they are refused as such, not as misspelt.
NOT_IMPLEMENTED = frozenset(
    [
        "add-apt-repository",
        "awk",
        "bc",
        "brctl",
        "bzip2",
        "chgrp",
        "clear",
        "cmp",
        "comm",
        "containerd",
        "crontab",
        "ctr",
        "dd",
        "diff",
        "dig",
        "dmesg",
        "dnsmasq",
        "dos2unix",
        "du",
        "ed",
        "expr",
        "fanctl",
        "file",
        "find",
        "fmt",
        "fold",
        "gawk",
        "gcc",
        "getent",
        "gpg",
        "gpgconf",
        "gunzip",
        "gzip",
        "helm",
        "hexdump",
        "host",
        "htop",
        "hwclock",
        "ifconfig",
        "ip",
        "iptables",
        "journalctl",
        "jobs",
        "join",
        "kill",
        "killall",
        "kubectl",
        "last",
        "less",
        "ln",
        "locale",
        "localectl",
        "logger",
        "login",
        "logname",
        "lsblk",
        "lsof",
        "make",
        "man",
        "mktemp",
        "more",
        "mount",
        "nano",
        "nc",
        "netstat",
        "newgrp",
        "nice",
        "node",
        "nohup",
        "npm",
        "nslookup",
        "od",
        "openssl",
        "passwd",
        "paste",
        "patch",
        "perl",
        "pgrep",
        "pigz",
        "ping",
        "pip",
        "pip3",
        "pkill",
        "podman",
        "ps",
        "readlink",
        "realpath",
        "reboot",
        "rsync",
        "runc",
        "scp",
        "service",
        "sftp",
        "sg",
        "sha256sum",
        "shutdown",
        "skopeo",
        "snap",
        "split",
        "ss",
        "ssh",
        "ssh-keygen",
        "stat",
        "strace",
        "stty",
        "su",
        "swapon",
        "sync",
        "sysctl",
        "tar",
        "time",
        "timeout",
        "timedatectl",
        "tmux",
        "top",
        "traceroute",
        "tree",
        "truncate",
        "tty",
        "ufw",
        "umount",
        "unpigz",
        "unzip",
        "useradd",
        "vi",
        "vim",
        "vmstat",
        "w",
        "watch",
        "wget",
        "who",
        "xxd",
        "xz",
        "yes",
        "zip",
    ]
)


class UnknownProgram(Exception):
    """No program of that name; `real` when a real machine has it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        self.real = posixpath.basename(name) in NOT_IMPLEMENTED


def program(
    *names: str, package: str | None = None, folder: str = "/usr/bin"
) -> Callable[[Callable[[Process, list[str]], int]], Callable[[Process, list[str]], int]]:
    """Register a function as the program of these names, there once the package is installed."""

    def register(function: Callable[[Process, list[str]], int]) -> Callable[[Process, list[str]], int]:
        for name in names:
            PROGRAMS[name] = Program(name, function, package, folder)
        return function

    return register


def is_there(disk: Disk, found: Program) -> bool:
    """Whether the program's package is installed."""
    return found.package is None or disk.has_package(found.package)


def find(disk: Disk, name: str) -> Program:
    """The program that a word names, by its name alone or by its path."""
    folder, _, base = name.rpartition("/")
    found = PROGRAMS.get(base)
    here = found and folder in ("", found.folder, found.folder.removeprefix("/usr"))
    if found and here and is_there(disk, found):
        return found
    raise UnknownProgram(name)
