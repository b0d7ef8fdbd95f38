"""What real Azure answered, against what the sandbox answers to the same request in the same state.

The recordings lie beside the project, not in it; where they are absent their tests are skipped, and the facts that were
taken from them (recorded_facts.json) are what the sandbox is compared with. Compared are the status,
the headers that clients act on, and the shape of the JSON: member names, types, error codes and the values of
enumerations; ids, names, times and sentences are not. What the sandbox does differently on purpose stands in
`DEVIATIONS`, and in docs/sandbox/operations.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .recorded_facts import FACTS, text
from .replay import PublicCloud, differences

PROJECT = Path(__file__).parents[2]
FILES = [PROJECT.parent / "shared" / "recordings" / "azure-answers.jsonl"]

# Recorded answers of services, or of faults, that the sandbox does not emulate: never replayed, with the reason.
NOT_EMULATED = {
    "acr-replication-put-201-retry-after": "geo-replications",
    "acr-replication-poll-creating": "geo-replications",
    "acr-replication-poll-succeeded": "geo-replications",
    "acr-child-delete-absent-204": "geo-replications",
    "vm-runcommand-windows-final": "Windows",
    "graph-404": "applications in Microsoft Graph",
    "arm-cae-401": "continuous access evaluation",
    "arm-resourcenotfound-404": "load balancers",
    "arm-429-subscription": "a limit of Media Services",
    "arm-429-resource": "a limit of Recovery Services",
    "arm-missing-registration-409": "Recovery Services; all providers are registered in the sandbox",
    "arm-location-not-available-400": "managed applications",
    "arm-invalid-request-content-400": "NetApp",
    "arm-failed-identity-operation-400": "storage accounts",
    "arm-503": "DNS zones, and a fault",
    "arm-504-gatewaytimeout": "Key Vault, and a fault",
    "arm-wrong-tenant-401": "no request was recorded; test_semantics.py asks the same",
    "arm-invalid-api-version-400": "no request was recorded; any version is taken",
    "roleassign-exists-new-text": "no request was recorded",
    "uami-put-429": "a limit of the identity service",
    "nic-put-dependency-429": "an operation on a dependency that is not finished: everything is done at once",
    "subnet-put-429-retry-after": "an operation on a dependency that is not finished: everything is done at once",
    "acrv1-operation-unknown-404": "artifact streaming",
}

# What is different on purpose: the recording, what each difference has in it, and why.
DEVIATIONS = {
    "blob-get-307": (["status 200"], "the sandbox has no storage account behind a registry: it serves blobs itself"),
    "rg-delete-poll-202": (
        ["header location"],
        "most recorded answers to this poll name the next one in a Location header, as the sandbox does; this one not",
    ),
    "vm-instanceview-200": (
        ["bootDiagnostics"],
        "the recorded VM keeps its boot diagnostics in a storage account and links to them; the sandbox has none",
    ),
    "roleassign-list-atscope": (
        ["createdBy", "updatedBy", "description"],
        "the recorded one was made by the platform, which names no creator",
    ),
    "imds-instance-compute-spec": (
        [".network is", ".customData is", ".dataDisks is empty", ".tagsList is empty", ".osType is"],
        "an example of the specification with invented values; the VM has neither data disks nor tags",
    ),
}


def recordings() -> list[dict[str, Any]]:
    found = [json.loads(line) for path in FILES if path.exists() for line in path.read_text().splitlines()]
    if not found:
        pytest.skip(f"the recordings are not here ({FILES[0].name})")
    return found


def test_the_sandbox_answers_as_azure_did(public: PublicCloud, record_property: Callable[[str, object], None]) -> None:
    record_property("figures", _replayed(public, recordings()))


def test_the_sandbox_answers_as_the_facts_of_the_recordings_say(
    public: PublicCloud, record_property: Callable[[str, object], None]
) -> None:
    """In a clone without the recordings too."""
    record_property("figures", _replayed(public, json.loads(FACTS.read_text())))


def test_the_facts_are_those_of_the_recordings() -> None:
    assert text(recordings()) == FACTS.read_text(), "`python -m tests.azure_sandbox.recorded_facts FILE` writes them"


def _replayed(public: PublicCloud, rows: list[dict[str, Any]]) -> str:
    """The figures of a replay in which nothing is different but what is so on purpose."""
    replayed, agree, wrong = 0, 0, []
    for group in grouped(rows):
        if group[0]["id"] in NOT_EMULATED:
            continue
        for recording, answer in public.replay([each for each in group if each["id"] not in NOT_EMULATED]):
            replayed += 1
            found = differences(recording, answer)
            expected = DEVIATIONS.get(recording["id"])
            if expected:
                assert found, f"{recording['id']} no longer deviates"
                found = [each for each in found if not any(part in each for part in expected[0])]
            else:
                agree += not found
            if found:
                wrong.append(f"{recording['id']}: " + "; ".join(found))
    total = len(rows)
    assert not wrong, "\n".join(wrong)
    assert replayed + len(NOT_EMULATED) == total
    assert f"{replayed} of {total} replayed, {agree} agree" in (PROJECT / "docs/sandbox/overview.md").read_text()
    known = f"{len(NOT_EMULATED)} not emulated, {len(DEVIATIONS)} different on purpose"
    return f"{total} recorded answers: {replayed} replayed, {agree} agree; {known}"


def grouped(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The steps of one long-running operation together, in their order."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        key = re.sub(r"-get$", "", row.get("group") or row["id"])
        groups.setdefault(key, []).append(row)
    return list(groups.values())
