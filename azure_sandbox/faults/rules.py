"""Fault rules: one small type a kind of fault, and the options of the command ``fault add`` that make them."""

from __future__ import annotations

import math
import re
from dataclasses import MISSING, dataclass, field, fields
from typing import Annotated, Any, ClassVar, get_type_hints

from ..errors import SandboxError


class FaultError(SandboxError, ValueError):
    """A rule that cannot be; names the field."""


@dataclass(frozen=True)
class _Range:
    low: float
    high: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"at least {self.low}" if self.high == math.inf else f"from {self.low} to {self.high}"


class _OneOf(tuple[str, ...]):
    def __str__(self) -> str:
        return f"one of {', '.join(self)}"


_Count = Annotated[int, _Range(0)]
_Seconds = Annotated[float, _Range(0)]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A rule: of the requests, connections or commands that it matches it affects `times`, from the `nth` on.

    What it matches is said in globs, without regard to case but for commands; without one it matches all.
    """

    flags: ClassVar[dict[str, Any]] = {}
    """The options of `fault add` that say the kind, where no field does."""

    id: str = field(default="", compare=False)
    """Given by `add`."""
    nth: Annotated[int, _Range(1)] = 1
    times: _Count = 1
    """0 is all."""
    probability: Annotated[float, _Range(0, 1)] = 1.0
    """How likely it affects a match that it would affect."""
    seed: int = 0
    """The same seed makes the same choices."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            for allowed in getattr(hint, "__metadata__", ()):
                if getattr(self, name) not in allowed:
                    raise FaultError(f"{name} is {allowed}.")

    def options(self) -> dict[str, Any]:
        """The options of `fault add` that make this fault, by the names of their fields."""
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.compare}
        plain = {each.name: each.default for each in fields(self)} | {"headers": {}}
        return self.flags | {name: value for name, value in given.items() if value != plain[name]}


@dataclass(frozen=True, kw_only=True)
class RequestFault(Fault):
    """A fault of what an HTTP request asks for."""

    host: str = ""
    method: str = ""
    path: str = ""
    """Without the query."""


@dataclass(frozen=True)
class StuckOperation(RequestFault):
    """The long-running operation that the request starts is in progress until the rule is cleared."""

    flags = {"operation": "stuck"}


@dataclass(frozen=True, kw_only=True)
class FailedOperation(RequestFault):
    """The long-running operation that the request starts fails, with this error."""

    flags = {"operation": "failed"}
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class Hide(RequestFault):
    """The identity or role assignment that the request makes is not visible for so many seconds."""

    hide: _Seconds


@dataclass(frozen=True, kw_only=True)
class HttpFault(RequestFault):
    """A fault of the exchange itself: of a request and its answer."""

    vm: str = ""
    """The VM that asks."""


@dataclass(frozen=True, kw_only=True)
class _After:
    """A fault that can come before the work or after it."""

    after: bool = False
    """The work is done first; only its answer is lost, late or another."""


@dataclass(frozen=True)
class Status(_After, HttpFault):
    """The answer has this status; without a body it is an error in the form of the host's errors."""

    status: Annotated[int, _Range(200, 599)]
    headers: dict[str, str] = field(default_factory=dict, kw_only=True)
    body: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in self.headers.items():
            if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not re.fullmatch(r"[ -~]*", value):
                raise FaultError("headers are a name of letters, digits and hyphens, a value in printable ASCII.")
            if name.lower() in ("content-length", "transfer-encoding"):
                raise FaultError("headers do not include the answer's length: cut it instead.")


@dataclass(frozen=True)
class Reset(_After, HttpFault):
    """The connection is reset."""

    flags = {"reset": True}


@dataclass(frozen=True)
class Stall(_After, HttpFault):
    """The request is held until the rule is cleared."""

    flags = {"stall": True}


@dataclass(frozen=True)
class Delay(_After, HttpFault):
    """The answer comes so many seconds later."""

    delay: _Seconds


@dataclass(frozen=True)
class TruncatedBody(HttpFault):
    """The connection is closed after so many bytes of the answer's body."""

    cut: _Count


@dataclass(frozen=True)
class InvertedByte(HttpFault):
    """The byte at this place of the answer's body is inverted."""

    flip: _Count


@dataclass(frozen=True)
class ConnectionFault(Fault):
    """A fault of a connection to a VM."""

    ssh: Annotated[str, _OneOf(("refused", "silent", "reset", "host_key"))]
    """silent: no greeting; host_key: another one than the VM's."""
    vm: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class OperatingSystemFault(Fault):
    """A fault of a VM's operating system: dpkg's lock is taken, the docker daemon activating, the disk full."""

    guest: Annotated[str, _OneOf(("apt_lock", "docker_slow", "disk_full"))]
    seconds: _Seconds = field(default=0.0, kw_only=True)
    """How long it lasts from the first program that meets it on; 0 is for this program, until the rule is cleared."""
    vm: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class CommandFault(Fault):
    """A fault of a command line that an SSH client runs."""

    command: str
    vm: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class CommandExit(CommandFault):
    """The command is not run, and ends with this status."""

    exit_status: Annotated[int, _Range(0, 255)]
    stderr: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class CommandReset(_After, CommandFault):
    """The connection is reset when the command has run for so many seconds; it runs to its end all the same."""

    flags = {"reset": True}
    delay: _Seconds = field(default=0.0, kw_only=True)


@dataclass(frozen=True)
class CommandStall(_After, CommandFault):
    """The command is held until the rule is cleared."""

    flags = {"stall": True}


@dataclass(frozen=True)
class CommandDelay(_After, CommandFault):
    """The command is run, or its end is reported, so many seconds later."""

    delay: _Seconds


KINDS: tuple[type[Fault], ...] = (
    Status, Reset, Stall, Delay, TruncatedBody, InvertedByte, StuckOperation, FailedOperation, Hide,
    ConnectionFault, OperatingSystemFault, CommandExit, CommandReset, CommandStall, CommandDelay,
)  # fmt: skip


def from_options(options: dict[str, Any]) -> Fault:
    """The fault that options of `fault add` make: of the one kind that has them all.

    Raises:
        FaultError: there is none, or a value is not allowed.
    """

    def needs(kind: type[Fault]) -> list[str]:
        return [each.name for each in fields(kind) if each.default is each.default_factory is MISSING]

    def unknown(kind: type[Fault]) -> list[str]:
        return sorted(options.keys() - kind.flags.keys() - {each.name for each in fields(kind)})

    possible = [kind for kind in KINDS if kind.flags.items() <= options.items() and options.keys() >= set(needs(kind))]
    if not possible:
        raise FaultError(
            "A fault says what happens: status, reset, stall, delay, cut, flip, operation (stuck or failed), hide, ssh, "
            "guest, or exit_status of a command."
        )
    kind = min(possible, key=lambda each: len(unknown(each)))
    if unfit := unknown(kind):
        flags = [name if value is True else f"{name} {value}" for name, value in kind.flags.items()]
        raise FaultError(f"{[*needs(kind), *flags][-1]} does not go with {', '.join(unfit)}.")
    return kind(**{name: value for name, value in options.items() if name not in kind.flags})
