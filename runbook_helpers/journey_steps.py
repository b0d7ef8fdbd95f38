"""The steps of a token's journey, found in what was recorded: the sandbox's traffic, or what this session saw itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .clouds import REGISTRY_AUDIENCE, Cloud

Json = dict[str, Any]
YOU, VM, METADATA, MANAGER, REGISTRY = "You", "VM", "Metadata service", "Resource Manager", "Registry"
METADATA_HOST = "169.254.169.254"
LOGIN, ACR_LOGIN, PULL, OTHER = "az login --identity", "az acr login", "docker pull", "az"
AGAIN = "the same claims as before"
_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True)
class Step:
    """One request and its answer, or a command where only that was seen."""

    part: str
    """What it belongs to, for instance ``az acr login``."""
    source: str
    target: str
    what: str
    status: str
    claims: dict[str, str] | None = None
    """What the token says that was answered, if one was; None otherwise."""
    refused: bool = False


def span(seconds: float) -> str:
    """How long a token lives: 75 min, 3 h 15 min."""
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def readable(claims: Json) -> dict[str, str]:
    """The claims that matter, as text. Times are told as a lifetime, so that two runs can be compared."""
    shown: dict[str, str] = {name: str(claims[name]) for name in ("aud", "oid") if name in claims}
    if "oid" not in shown and "sub" in claims:
        shown["sub"] = str(claims["sub"])
    if "xms_mirid" in claims:
        shown["xms_mirid"] = str(claims["xms_mirid"])
    if "access" in claims:
        granted = (f"{each['name']}: {', '.join(each['actions'])}" for each in claims["access"])
        shown["access"] = "; ".join(granted) or "none"
    if {"nbf", "exp"} <= claims.keys():
        shown["exp"] = f"valid for {span(claims['exp'] - claims['nbf'])}"
    return shown


def grant_step(requests: Iterable[Json], assignment_name: str, claims: dict[str, str]) -> Step | None:
    """The newest request that made a role assignment; None where none was recorded."""
    end = f"/roleassignments/{assignment_name}".lower()
    made = [each for each in requests if each["method"] == "PUT" and each["path"].lower().endswith(end)]
    for request in reversed(made):
        if request["status"] < 400:
            what = f"PUT roleAssignments/{assignment_name}"
            return Step("az role assignment create", YOU, MANAGER, what, str(request["status"]), claims)
    return None


# From the sandbox's traffic


@dataclass
class _Command:
    """The requests of one command on the VM."""

    requests: list[Json] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Which command it was; "" for one that is no part of the journey."""
        first, second = self.requests[0], self.requests[1] if len(self.requests) > 1 else None
        if first["host"] != METADATA_HOST:
            pushes = any("/blobs/uploads/" in each["path"] or each["method"] == "PUT" for each in self.requests)
            return "" if pushes else PULL
        if second and second["path"] == "/subscriptions":
            return LOGIN
        registry = [each for each in self.requests if "resource" not in each and not _is_manager(each)]
        if registry and all(_is_docker(each) or each["path"] in ("/v2/", "/oauth2/exchange") for each in registry):
            return ACR_LOGIN
        return OTHER if self.requests[-1]["status"] >= 400 else ""

    @property
    def _exchanged(self) -> bool:
        return any(each["path"] == "/oauth2/exchange" for each in self.requests)

    def ends_before(self, request: Json, cloud: Cloud) -> bool:
        """Whether a request is the first one of another command."""
        last = self.requests[-1]
        if request.get("resource", "").rstrip("/") in cloud.audiences:
            # `az acr login` may ask for a token for Resource Manager more than once before the exchange.
            looks_up = self.requests[0]["host"] == METADATA_HOST and self.name != LOGIN and _is_manager(last)
            return not looks_up
        if _is_docker(request) and _is_challenge(request):
            # The first one behind an exchange is az having docker store what it got.
            signs_in = self.name == ACR_LOGIN and self._exchanged and last["status"] < 400
            return not signs_in or any(_is_docker(each) for each in self.requests)
        return False


def _is_docker(request: Json) -> bool:
    return bool(request["agent"].startswith("docker/"))


def _is_challenge(request: Json) -> bool:
    return bool(request["path"] == "/v2/" and request["status"] == 401)


def _is_manager(request: Json) -> bool:
    return bool(request["host"].startswith("management."))


def from_traffic(
    traffic: Iterable[Json], cloud: Cloud, vm_id: str, identity_id: str, selector: str | None, login_server: str
) -> list[Step]:
    """The latest sign-in of a VM with an identity, and what followed it: the latest exchange, the latest pull.

    Args:
        traffic: the sandbox's.
        vm_id: the VM's vmId.
        identity_id: resource id of the identity; the VM's own for the system-assigned one.
        selector: what the VM names the identity by when it asks for a token; None where it names none.
        login_server: of the registry; what other registries answered is left out.
    """
    hosts = (METADATA_HOST, cloud.resource_manager, login_server)
    commands: list[_Command] = []
    for request in traffic:
        if request["vm"] == vm_id and request["host"] in hosts and not request["agent"].startswith("curl/"):
            if not commands or commands[-1].ends_before(request, cloud):
                commands.append(_Command())
            commands[-1].requests.append(request)
    chosen = _latest(commands, identity_id, selector)
    return _fold(step for command in chosen for step in _steps(command, cloud))


def _latest(commands: list[_Command], identity_id: str, selector: str | None) -> list[_Command]:
    def is_ours(request: Json) -> bool:
        if "issued" in request:
            return bool(request["issued"].get("xms_mirid", "").lower() == identity_id.lower())
        return bool((request.get("identity") or "").lower() == (selector or "").lower())

    starts = [number for number, command in enumerate(commands) if command.name in (LOGIN, OTHER)]
    ours = [number for number in starts if is_ours(commands[number].requests[0])]
    if not ours:
        return []
    end = next((number for number in starts if number > ours[-1]), len(commands))
    chosen, rest = [commands[ours[-1]]], commands[ours[-1] + 1 : end]
    for name in (ACR_LOGIN, PULL):
        found = [number for number, command in enumerate(rest) if command.name == name]
        if found:
            chosen.append(rest[found[-1]])
            rest = rest[found[-1] + 1 :]
    return chosen


def _steps(command: _Command, cloud: Cloud) -> Iterable[Step]:
    content = [each for each in command.requests if re.search("^/v2/.+/(manifests|blobs)/", each["path"])]
    got = [each for each in content if each["status"] < 400]
    for request in command.requests:
        if got and request is got[0]:
            # One step for all of them: how many layers are sent depends on those that the VM has already.
            repository, _, tag = request["path"].removeprefix("/v2/").rpartition("/manifests/")
            what = f"GET manifest {repository}:{tag}, and the layers that the VM lacks"
            yield Step(command.name, VM, REGISTRY, what, str(request["status"]))
        elif request not in got:
            yield _step(command.name, request, cloud)


def _step(part: str, request: Json, cloud: Cloud) -> Step:
    status = str(request["status"])
    refused = request["status"] >= 400
    if _is_challenge(request):
        status, refused = f"{status} sign in first", False
    if request.get("found") == 0:
        status, refused = f"{status} no subscription", True
    if "issued" in request and request["host"] != METADATA_HOST:
        status += " refresh token" if request["path"] == "/oauth2/exchange" else " access token"
    target = MANAGER if _is_manager(request) else REGISTRY
    path = re.sub(rf"({_GUID}|sha256:[0-9a-f]+)", "…", request["path"], flags=re.IGNORECASE)
    what = f"{request['method']} {path}"
    if request["host"] == METADATA_HOST:
        target, what = METADATA, f"GET token: {audience_name(request.get('resource', ''), cloud)}"
    claims = readable(request["issued"]) if "issued" in request else None
    return Step(part, VM, target, what, status, claims, refused)


def audience_name(audience: str, cloud: Cloud) -> str:
    """What a token is for, in words."""
    if audience.rstrip("/") in cloud.audiences:
        return MANAGER
    return REGISTRY if audience == REGISTRY_AUDIENCE else audience


def _fold(steps: Iterable[Step]) -> list[Step]:
    """The same step several times in a row is one with a count."""
    folded: list[tuple[Step, int]] = []
    for step in steps:
        if folded and folded[-1][0] == step:
            folded[-1] = (step, folded[-1][1] + 1)
        else:
            folded.append((step, 1))
    return [step if count == 1 else replace(step, what=f"{step.what} ×{count}") for step, count in folded]


# From what this session saw


def from_commands(
    commands: Sequence[Json], vm_id: str, selector: str | None, registry_name: str, login_server: str
) -> list[Step]:
    """The latest sign-in of a VM with an identity and what followed it, as commands and their exit status.

    Args:
        commands: those of a journal.
        vm_id, selector, login_server: as for `from_traffic`.
    """
    ours = [each for each in commands if each["vm"] == vm_id]
    starts = [number for number, each in enumerate(ours) if each["command"].startswith(LOGIN)]
    wanted = [number for number in starts if _selector(ours[number]["command"]) == (selector or "").lower()]
    if not wanted:
        return []
    end = next((number for number in starts if number > wanted[-1]), len(ours))
    first, rest = ours[wanted[-1]], ours[wanted[-1] + 1 : end]
    steps = [_command_step(LOGIN, METADATA, first)]
    signs_in = f"{ACR_LOGIN} --name {registry_name}".lower()
    for part, begin in ((ACR_LOGIN, signs_in), (PULL, f"{PULL} {login_server}/")):
        found = [number for number, each in enumerate(rest) if each["command"].lower().startswith(begin)]
        if found:
            steps.append(_command_step(part, REGISTRY, rest[found[-1]]))
            rest = rest[found[-1] + 1 :]
    return steps


def _selector(command: str) -> str:
    return command.split()[-1].lower() if len(command.split()) > 3 else ""


def _command_step(part: str, target: str, command: Json) -> Step:
    shown = re.sub(r"/subscriptions/\S+/", "…/", command["command"])
    return Step(part, VM, target, shown, f"exit status {command['status']}", None, command["status"] != 0)
