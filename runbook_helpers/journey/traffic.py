"""The steps of a token's journey as the sandbox saw them: its traffic, put back into the commands that caused it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..clouds import Cloud
from .steps import ACR_LOGIN, LOGIN, MANAGER, METADATA, PULL, REGISTRY, VM, Json, Step, audience_name, readable

METADATA_HOST = "169.254.169.254"
OTHER = "az"  # a refused request for a token, of which nobody knows what it was for
_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass
class _VmCommand:
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
        return OTHER if second is None and first["status"] >= 400 else ""

    @property
    def _exchanged(self) -> bool:
        return any(each["path"] == "/oauth2/exchange" for each in self.requests)

    def ends_before(self, request: Json, cloud: Cloud) -> bool:
        """Whether a request is the first one of another command."""
        last = self.requests[-1]
        if request.get("resource", "").rstrip("/") in cloud.audiences:
            # `az acr login` asks for a second token for Resource Manager where it finds the registry in the list.
            listed = self.requests[0]["host"] == METADATA_HOST and last["path"].endswith("/resources")
            return not listed or request["status"] >= 400
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
    commands: list[_VmCommand] = []
    for moment, request in enumerate(traffic):
        answered = request["status"] != 0  # its client was gone before, or the sandbox ended
        if (
            answered
            and request["vm"] == vm_id
            and request["host"] in hosts
            and not request["agent"].startswith("curl/")
        ):
            if not commands or commands[-1].ends_before(request, cloud):
                commands.append(_VmCommand())
            commands[-1].requests.append({**request, "moment": moment})
    chosen = _latest(commands, identity_id, selector)
    return _fold(step for command in chosen for step in _steps(command, cloud))


def _latest(commands: list[_VmCommand], identity_id: str, selector: str | None) -> list[_VmCommand]:
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


def _steps(command: _VmCommand, cloud: Cloud) -> Iterable[Step]:
    content = [each for each in command.requests if re.search("^/v2/.+/(manifests|blobs)/", each["path"])]
    got = [each for each in content if each["status"] < 400]
    for request in command.requests:
        if got and request is got[0]:
            # One step for all of them: how many layers are sent depends on those that the VM has already.
            repository, _, tag = request["path"].removeprefix("/v2/").rpartition("/manifests/")
            what = f"GET manifest {repository}:{tag}, and the layers that the VM lacks"
            yield Step(command.name, VM, REGISTRY, what, str(request["status"]), moment=request["moment"])
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
    return Step(part, VM, target, what, status, claims, refused, request["moment"])


def _fold(steps: Iterable[Step]) -> list[Step]:
    """The same step several times in a row is one with a count."""
    folded: list[tuple[Step, int]] = []
    for step in steps:
        if folded and folded[-1][0] == step:
            folded[-1] = (step, folded[-1][1] + 1)
        else:
            folded.append((step, 1))
    return [step if count == 1 else replace(step, what=f"{step.what} ×{count}") for step, count in folded]
