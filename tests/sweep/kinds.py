"""Which faults fit which point, and what they are called."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from azure_sandbox import faults

from .points import METADATA, Point

UNKNOWN_IDENTITY = json.dumps({"error": "invalid_request", "error_description": "Identity not found"})
REFUSED_LOGIN = json.dumps(
    {"error": "invalid_client", "error_description": "AADSTS7000222: The client secret expired."}
)
APT_LOCK = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)\n"
BLOBS = ("/manifests/", "/blobs/")


def _arm_error(code: str, message: str) -> str:
    return json.dumps({"error": {"code": code, "message": message}})


def _denied(point: Point) -> str:
    scope, action = point.path.replace("[", "").replace("]", ""), "write" if point.writes else "read"
    return _arm_error(
        "AuthorizationFailed",
        "The client 'c' with object id 'o' does not have authorization to perform action "
        f"'Microsoft.Sweep/{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, "
        "please refresh your credentials.",
    )


def _busy(point: Point) -> str:
    return _arm_error("AnotherOperationInProgress", f"Another operation on {point.path} is in progress. Retry later.")


@dataclass(frozen=True)
class Cell:
    """One fault at one point."""

    point: Point
    kind: str
    fault: faults.Fault = field(repr=False)
    until: bool = False
    """Whether the fault shows in a later step: the steps up to the next pull are run too."""
    also: Cell | None = field(default=None, repr=False)
    """A second fault at the same time."""

    @property
    def both(self) -> list[Cell]:
        """The cell, and the one that it is paired with."""
        return [self, self.also] if self.also else [self]

    @property
    def name(self) -> str:
        return f"{self.point.step.name} | {self.point.what} | {self.kind}"


def cells(point: Point) -> Iterable[Cell]:
    """The faults that fit a point."""
    makers = {"request": _request, "connection": _connection, "command": _command}
    return makers[point.kind](point)


def _request(point: Point) -> Iterable[Cell]:
    def cell(kind: str, fault: faults.RequestFault, until: bool = False) -> Cell:
        here = replace(fault, host=point.host, method=point.method, path=point.path, nth=point.nth)
        return Cell(point, kind, here, until)

    yield cell("503", faults.Status(503))
    yield cell("503 always", faults.Status(503, times=0))
    yield cell("429", faults.Status(429, headers={"Retry-After": "1"}, times=2))
    yield cell("429 in an hour", faults.Status(429, headers={"Retry-After": "3600"}))
    yield cell("reset", faults.Reset())
    yield cell("stall", faults.Stall())
    if point.method != "HEAD" and point.status not in (202, 204):
        yield cell("cut", faults.TruncatedBody(10))
    if point.host.startswith("management."):
        yield cell("403", faults.Status(403, body=_denied(point)))
    if point.writes:
        yield cell("500 after", faults.Status(500, after=True))
        yield cell("reset after", faults.Reset(after=True))
        yield cell("stall after", faults.Stall(after=True))
        if point.method != "POST":
            yield cell("409", faults.Status(409, body=_busy(point)))
    if point.operation:
        yield cell("operation stuck", faults.StuckOperation())
        yield cell(
            "operation failed", faults.FailedOperation(code="OverconstrainedAllocationRequest", message="No room.")
        )
    if "operations/" in point.path or "operationresults/" in point.path.lower():
        yield cell("404", faults.Status(404))
    if point.host == METADATA:
        yield cell("404", faults.Status(404))
        yield cell("410", faults.Status(410, times=2))
        yield cell("400 unknown identity", faults.Status(400, body=UNKNOWN_IDENTITY))
    if "roleassignments" in point.path.lower() and point.method == "PUT":
        yield cell("hidden", faults.Hide(2.0), until=True)
    gives = not point.step.title.startswith("remove_identity")  # what is taken away cannot be hidden
    if "virtualmachines" in point.path.lower() and point.method == "PATCH" and gives:
        yield cell("hidden", faults.Hide(2.0), until=True)
    if point.method == "GET" and any(part in point.path for part in BLOBS) and point.status == 200:
        yield cell("flip", faults.InvertedByte(5))
    # In an exercise a refusal is the result, whoever has made it.
    if ".azurecr." in point.host and point.status == 200 and not point.step.title.startswith("try_pull"):
        yield cell("401", faults.Status(401))
    if point.host.startswith("login.") and point.method == "POST":
        yield cell("401", faults.Status(401, body=REFUSED_LOGIN))


def _connection(point: Point) -> Iterable[Cell]:
    for kind, what, times in (
        ("refused", "refused", 2), ("refused always", "refused", 0), ("silent", "silent", 1), ("reset", "reset", 1),
        ("reset always", "reset", 0), ("host key", "host_key", 1),
    ):  # fmt: skip
        yield Cell(point, kind, faults.ConnectionFault(what, nth=point.nth, times=times))
    for guest in ("apt_lock", "docker_slow", "disk_full"):
        if point.nth == 1 and _fits(guest, point.step.title):
            yield Cell(point, f"{guest} 2 s", faults.OperatingSystemFault(guest, seconds=2.0, times=0))
            yield Cell(point, f"{guest} always", faults.OperatingSystemFault(guest, seconds=3600.0, times=0))


def _fits(guest: str, title: str) -> bool:
    if guest == "apt_lock":
        return title.startswith("install_")
    # Where an identity has no role, docker is not asked to pull.
    return title.startswith(("install_docker", "docker_pull")) or title in ("try_pull", "try_pull after")


def _command(point: Point) -> Iterable[Cell]:
    def cell(kind: str, fault: faults.CommandFault) -> Cell:
        return Cell(point, kind, replace(fault, nth=point.nth))

    command = point.command
    yield cell("exit 1", faults.CommandExit(command, 1, stderr="The simulated program failed.\n"))
    yield cell("reset", faults.CommandReset(command))
    yield cell("reset later", faults.CommandReset(command, delay=0.2))
    yield cell("stall", faults.CommandStall(command))
    yield cell("stall after", faults.CommandStall(command, after=True))
    if "apt-get" in command or "InstallAzureCLI" in command:
        yield cell("apt lock", faults.CommandExit(command, 100, stderr=APT_LOCK))
    if "docker" in command:
        text = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n"
        yield cell("no docker", faults.CommandExit(command, 1, stderr=text))
