"""The steps of a token's journey, and those of them that this session saw itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..clouds import REGISTRY_AUDIENCE, Cloud

Json = dict[str, Any]
YOU, VM, METADATA, MANAGER, REGISTRY = "You", "VM", "Metadata service", "Resource Manager", "Registry"
LOGIN, ACR_LOGIN, PULL = "az login --identity", "az acr login", "docker pull"
AGAIN = "the same claims as before"


@dataclass(frozen=True)
class Step:
    """One request and its answer, or a command where only that was seen."""

    part: str
    """The command that it belongs to, for instance ``az acr login``."""
    source: str
    target: str
    what: str
    status: str
    claims: dict[str, str] | None = None
    """The claims of the token that was answered, if one was; None otherwise."""
    refused: bool = False
    moment: int = field(default=0, compare=False, repr=False)
    """Its place in what was recorded: a grant may have come too late."""


def span(seconds: float) -> str:
    """A token's lifetime in words: 75 min, 3 h 15 min."""
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def readable(claims: Json) -> dict[str, str]:
    """The claims that matter, as text. Times are shown as a lifetime, so that two runs can be compared."""
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
    for moment, request in reversed(list(enumerate(requests))):
        if request["method"] == "PUT" and request["path"].lower().endswith(end) and request["status"] < 400:
            what, status = f"PUT roleAssignments/{assignment_name}", str(request["status"])
            return Step("az role assignment create", YOU, MANAGER, what, status, claims, moment=moment)
    return None


def audience_name(audience: str, cloud: Cloud) -> str:
    """The audience of a token, in words."""
    if audience.rstrip("/") in cloud.audiences:
        return MANAGER
    return REGISTRY if audience == REGISTRY_AUDIENCE else audience


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
    signs_in = f"{ACR_LOGIN} --name {registry_name} ".lower()
    for part, begin in ((ACR_LOGIN, signs_in), (PULL, f"{PULL} {login_server}/")):
        found = [number for number, each in enumerate(rest) if f"{each['command']} ".lower().startswith(begin)]
        if found:
            steps.append(_command_step(part, REGISTRY, rest[found[-1]]))
            rest = rest[found[-1] + 1 :]
    return steps


def _selector(command: str) -> str:
    return command.split()[-1].lower() if len(command.split()) > 3 else ""


def _command_step(part: str, target: str, command: Json) -> Step:
    shown = re.sub(r"/subscriptions/\S+/", "…/", command["command"])
    status = f"exit status {command['status']}"
    return Step(part, VM, target, shown, status, None, command["status"] != 0, command["after"])
