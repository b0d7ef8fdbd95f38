"""The pull matrix of a fleet: which VM can pull from which registry. The registries decide; nothing is computed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..connection import Azure
from ..errors import AccessDenied, CommandRefused
from ..verbs.azure_cli import acr_login, az_login
from ..verbs.docker import docker_pull
from ..verbs.identities import show_identity
from ..verbs.registries import show_registry
from . import Fleet

SCHEMA = 1
PULLED, DENIED, NO_ANSWER = "pulled", "denied", "no answer"


def try_pulls(azure: Azure, fleet: Fleet, vm_name: str) -> list[dict[str, Any]]:
    """Try to pull the fleet's image to a VM, from each registry, with the VM's identity; a "no" is a result too.

    Returns:
        For each registry {"vm", "registry", "image", "expected", "outcome", "digest", "words"}: "expected" (by the
        fleet's file) and "outcome" (by the registry) are "pulled" or "denied"; "words" is the end of what docker said
        to a refusal.

    Raises:
        RunbookError: no registry answered: the VM cannot be reached, docker or az does not work, a name is unknown.
    """
    az_login(azure, vm_name, str(show_identity(azure, fleet.vms[vm_name]).id))
    return [_try_pull(azure, fleet, vm_name, registry_name) for registry_name in fleet.registries]


def _try_pull(azure: Azure, fleet: Fleet, vm_name: str, registry_name: str) -> dict[str, Any]:
    expected = fleet.may_pull(vm_name, registry_name)
    image = f"{show_registry(azure, registry_name).login_server}/{fleet.common['image']}"
    # The pull is tried in any case: the registry has the last word, and it may admit everybody. Not so after a failure that
    # is no refusal: docker would ask as nobody, and that answer is not about the identity.
    with contextlib.suppress(AccessDenied, CommandRefused):
        # A role may take minutes to work; where there shall be none there is nothing to wait for.
        acr_login(azure, vm_name, registry_name, within=None if expected else 0)
    outcome, digest, words = PULLED, None, None
    try:
        digest = docker_pull(azure, vm_name, image)
    except CommandRefused as error:
        outcome, words = DENIED, error.completed.stderr.strip()[-300:]
    return {
        "vm": vm_name, "registry": registry_name, "image": image, "expected": PULLED if expected else DENIED,
        "outcome": outcome, "digest": digest, "words": words,
    }  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A VM: what its notebook pulled, and its cells of the matrix, one a registry."""

    vm: str
    identity: str
    notebook: Mapping[str, str] | None
    pulls: list[Mapping[str, Any]]

    @property
    def ok(self) -> bool:
        return self.notebook is not None and all(pull["outcome"] == pull["expected"] for pull in self.pulls)


@dataclass(frozen=True)
class PullMatrix:
    """The matrix: a row a VM, a column a registry."""

    fleet: Fleet
    rows: list[Row]

    @property
    def ok(self) -> bool:
        """Whether every VM's notebook ended, and every pull and every refusal is as the fleet's file says."""
        return all(row.ok for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """The matrix for programs."""
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "registries": self.fleet.registries,
            "identities": self.fleet.identities,
            "vms": [
                {"vm": row.vm, "identity": row.identity, "ok": row.ok, "notebook": row.notebook, "pulls": row.pulls}
                for row in self.rows
            ],
        }

    def as_text(self) -> str:
        """The VMs that the notebooks made, and the matrix, for a terminal or a log."""
        lines = []
        for row in self.rows:
            done = (
                f"pulled {row.notebook['image']} {row.notebook['digest']}"
                if row.notebook
                else "FAILED: its output notebook says why"
            )
            lines.append(f"{row.vm}: notebook 04 {done}")
        table = [["VM", "identity", *self.fleet.registries]]
        table += [[row.vm, row.identity, *(words(pull) for pull in row.pulls)] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines += ["", "Who can pull from which registry:"]
        lines += ["  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
                  for line in table]  # fmt: skip
        return "\n".join([*lines, "", self.sentence()])

    def sentence(self) -> str:
        """The matrix in one sentence."""
        pulls = [pull for row in self.rows for pull in row.pulls]
        pulled, denied = (sum(pull["outcome"] == outcome for pull in pulls) for outcome in (PULLED, DENIED))
        wrong = sum(pull["outcome"] != pull["expected"] for pull in pulls)
        end = f"{wrong} not as the file says" if wrong else "all as the file says"
        return f"{len(self.rows)} VMs, {len(pulls)} pulls tried: {pulled} pulled, {denied} denied, {end}."


def words(pull: Mapping[str, Any]) -> str:
    """A cell in words."""
    wanted = "" if pull["outcome"] == pull["expected"] else f" (expected: {pull['expected']})"
    return f"{pull['outcome']}{wanted}"


def pull_matrix(
    fleet: Fleet, pulls: Iterable[Mapping[str, Any]], results: Mapping[str, Mapping[str, Any] | None]
) -> PullMatrix:
    """The matrix of what the tasks of a fleet returned.

    Args:
        pulls: what `try_pulls` returned, of all VMs together; what is missing becomes "no answer".
        results: the result of each VM's notebook 04; None or nothing where it failed.
    """
    tried = {(pull["vm"], pull["registry"]): pull for pull in pulls}
    rows = []
    for vm, identity in fleet.vms.items():
        cells = [
            tried.get((vm, registry))
            or {
                "vm": vm,
                "registry": registry,
                "expected": PULLED if fleet.may_pull(vm, registry) else DENIED,
                "outcome": NO_ANSWER,
            }
            for registry in fleet.registries
        ]
        done = (results.get(vm) or {}).get("pulls") or [None]
        rows.append(Row(vm, identity, done[0], cells))
    return PullMatrix(fleet, rows)
