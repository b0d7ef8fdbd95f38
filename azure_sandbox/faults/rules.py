"""How a sandbox is made to misbehave: rules that say where, when and what, in a file of its folder.

The rules stand in ``faults.json``, which a command writes in one step and a running sandbox reads when it has changed.
Each time a rule did something, a line goes to ``faults.log``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..files import write_atomic

OPERATIONS = ("stuck", "failed")
SSH = ("refused", "silent", "reset", "host_key")
GUEST = ("apt_lock", "docker_slow", "disk_full")
LOCK_SECONDS = 60


class FaultError(ValueError):
    """A rule whose fields make no sense together; says which field."""


@dataclass(frozen=True)
class Fault:
    """One rule. Where nothing is said it matches everything; of what happens, exactly one is said."""

    host: str = ""
    """Of a request: a glob, such as management.*"""
    method: str = ""
    path: str = ""
    """Of a request: a glob on its path without the query; no regard to case."""
    vm: str = ""
    """The name of the VM that asks, or that is connected to."""
    command: str = ""
    """A glob on the command line that an SSH client runs; a rule with it matches such commands only."""

    nth: int = 1
    """The first match that it happens to, counted from 1."""
    times: int = 1
    """How many matches it happens to from there on; 0 is all."""
    probability: float = 1.0
    """How likely it happens to a match that it would happen to."""
    seed: int = 0
    """The same seed makes the same choices."""

    status: int = 0
    """Answer this instead."""
    headers: dict[str, str] = field(default_factory=dict)
    """Of the answer."""
    body: str = ""
    """Of the answer; without one, an error in the words of the host."""
    after: bool = False
    """It happens once the sandbox has done the work; only the answer is lost, late or another."""
    reset: bool = False
    """The connection is reset."""
    stall: bool = False
    """Held until the rule is cleared."""
    delay: float = 0.0
    """Seconds later; with a reset of a command, how long the command has run by then."""
    cut: int | None = None
    """The connection is closed after so many bytes of the answer's body."""
    flip: int | None = None
    """The byte at this place of the answer's body is another one."""
    operation: str = ""
    """Of the long-running operation that the request starts: stuck, until the rule is cleared; or failed."""
    code: str = ""
    message: str = ""
    """The error of an operation that fails."""
    hide: float = 0.0
    """For how many seconds an identity or role assignment that the request makes is not seen."""
    ssh: str = ""
    """The connection to a VM: refused, silent (no greeting), reset, or host_key (another one)."""
    guest: str = ""
    """On the VM: apt_lock (somebody else has it), docker_slow (the daemon does not answer yet), disk_full."""
    seconds: float = 0.0
    """For how long it is so on the VM, from the first time that it is noticed."""
    exit_status: int | None = None
    """A command is not run, and ends so."""
    stderr: str = ""
    """What such a command says."""

    def __post_init__(self) -> None:
        complaint = next((sentence for broken, sentence in _RULES if broken(self)), None)
        if complaint:
            raise FaultError(complaint)

    @property
    def what(self) -> str:
        """The one thing that happens."""
        return _what(self)[0]

    def given(self) -> dict[str, Any]:
        """The fields that are not as they are by default."""
        plain: dict[str, Any] = {each.name: {} if each.name == "headers" else each.default for each in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != plain[name]}


def _what(fault: Fault) -> list[str]:
    """What a rule says that happens, by the name of the field."""
    said = [name for name in ("status", "operation", "hide", "ssh", "guest", "stall") if getattr(fault, name)]
    said += [name for name in ("cut", "flip", "exit_status") if getattr(fault, name) is not None]
    if fault.reset:
        said.append("reset")
    late = fault.command and (fault.reset or fault.ssh == "reset")  # there the delay says when
    if fault.delay and not late:
        said.append("delay")
    return said


def _with(fault: Fault, names: str, wanted: str) -> bool:
    """Whether any of the fields is given though the rule is about something else."""
    about = set(_what(fault)) & set(wanted.split())
    return any(getattr(fault, name) for name in names.split()) and not about


_HEADER_NAME, _HEADER_VALUE = re.compile(r"[A-Za-z0-9-]+"), re.compile(r"[ -~]*")
_HTTP_ONLY = {"status", "cut", "flip", "operation", "hide"}

# What a rule must not be, each with the sentence that refuses it.
_RULES: list[tuple[Callable[[Fault], bool], str]] = [
    (lambda f: len(_what(f)) == 0, "A fault says what happens: status, reset, stall, delay, cut, flip, operation, hide, "
     "ssh, guest or exit_status."),
    (lambda f: f.nth < 1, "nth counts from 1."),
    (lambda f: f.times < 0, "times is a count; 0 is always."),
    (lambda f: not 0 < f.probability <= 1, "probability is above 0 and at most 1."),
    (lambda f: bool(f.status) and not 200 <= f.status <= 599, "status is an HTTP status from 200 to 599."),
    (lambda f: min(f.delay, f.hide, f.seconds) < 0, "delay, hide and seconds are not below 0."),
    (lambda f: min(f.cut or 0, f.flip or 0) < 0, "cut and flip count bytes from 0."),
    (lambda f: f.exit_status is not None and not 0 <= f.exit_status <= 255, "exit_status is from 0 to 255."),
    (lambda f: f.operation not in ("", *OPERATIONS), f"operation is one of {', '.join(OPERATIONS)}."),
    (lambda f: f.ssh not in ("", *SSH), f"ssh is one of {', '.join(SSH)}."),
    (lambda f: f.guest not in ("", *GUEST), f"guest is one of {', '.join(GUEST)}."),
    (lambda f: len(_what(f)) > 1, "A fault is one thing that happens: add one rule each."),
    (lambda f: _with(f, "headers body", "status"), "headers and body go with status."),
    (lambda f: _with(f, "code message", "operation") or (f.operation == "stuck" and bool(f.code or f.message)),
     "code and message go with the operation failed."),
    (lambda f: not all(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) for name, value in f.headers.items()),
     "headers are of HTTP: a name of letters, digits and hyphens, a value in printable ASCII."),
    (lambda f: any(name.lower() in ("content-length", "transfer-encoding") for name in f.headers), "headers cannot say how "
     "long the answer is: cut it instead."),
    (lambda f: bool(f.stderr) and f.exit_status is None, "stderr goes with exit_status."),
    (lambda f: _with(f, "seconds", "guest"), "seconds goes with guest."),
    (lambda f: _with(f, "after", "status reset stall delay"), "after goes with status, reset, stall or delay."),
    (lambda f: f.exit_status is not None and not f.command, "exit_status needs command."),
    (lambda f: bool(f.command and (f.host or f.method or f.path)), "command is of SSH; host, method and path are of HTTP."),
    (lambda f: bool(f.command) and bool(_HTTP_ONLY & set(_what(f))), "status, cut, flip, operation and hide are of HTTP, "
     "not of a command."),
    (lambda f: bool(f.command) and f.ssh in ("refused", "silent", "host_key"), "ssh with command can only be reset: "
     "the rest happens before a command."),
    (lambda f: bool(f.command and f.guest), "guest happens on the VM whatever the command is: leave command out."),
    (lambda f: bool(f.ssh or f.guest) and bool(f.host or f.method or f.path), "ssh and guest are of a VM: host, method and "
     "path do not fit."),
    (lambda f: bool(f.vm) and bool(f.operation or f.hide), "vm does not fit operation and hide: say the path of the request."),
]  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """A fault that was added."""

    id: str
    fault: Fault


def read(folder: Path) -> list[Rule]:
    """The rules of a sandbox's folder, in the order in which they were added."""
    return [Rule(each.pop("id"), Fault(**each)) for each in _load(folder)["rules"]]


def add(folder: Path, fault: Fault) -> str:
    """Add a rule, which takes effect at once. Returns its id."""
    with _changing(folder):
        kept = _load(folder)
        kept["last"] += 1
        rule_id = f"f{kept['last']}"
        kept["rules"].append({"id": rule_id, **fault.given()})
        _store(folder, kept)
    return rule_id


def clear(folder: Path, rule_id: str | None = None) -> int:
    """Remove a rule, or all of them; what they hold goes on. Returns how many there were."""
    if not (folder / "faults.json").exists():
        return 0
    with _changing(folder):
        kept = _load(folder)
        left = [each for each in kept["rules"] if rule_id not in (None, each["id"])]
        removed = len(kept["rules"]) - len(left)
        _store(folder, {**kept, "rules": left})
    return removed


def hits(folder: Path) -> list[dict[str, Any]]:
    """What the rules did, in order: the rule's id, the time, and the request or command that it happened to."""
    try:
        lines = (folder / "faults.log").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [json.loads(line) for line in lines]


def _load(folder: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads((folder / "faults.json").read_text(encoding="utf-8"))
        return kept
    except (FileNotFoundError, NotADirectoryError):
        return {"last": 0, "rules": []}


def _store(folder: Path, kept: dict[str, Any]) -> None:
    write_atomic(folder / "faults.json", json.dumps(kept))


def _changing(folder: Path) -> FileLock:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The lock of a start, so that a folder with nothing but rules is known to be a sandbox's.
    return FileLock(folder / "start.lock", timeout=LOCK_SECONDS, mode=0o600)
