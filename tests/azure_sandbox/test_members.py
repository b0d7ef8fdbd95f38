"""The table of members: it knows all that the sandbox shows, and what it says of a member is so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox import members
from azure_sandbox.resource import REGISTRY, VIRTUAL_MACHINE

from .raw_http import ARM_HOST
from .test_fuzz_requests import VALID, InProcessSandbox


def unknown(value: Any, member: members.Member, path: str = "") -> list[str]:
    """The members of a JSON value that the table has no line for."""
    if isinstance(value, list):
        return [each for item in value for each in unknown(item, member, path)]
    if not isinstance(value, dict) or not member.members:
        return []
    return [
        each
        for name, inner in value.items()
        for where in (f"{path}.{name}",)
        for each in (unknown(inner, member.members[name], where) if name in member.members else [where])
    ]


def test_all_that_is_shown_is_in_the_table(tmp_path: Path) -> None:
    sandbox = InProcessSandbox(tmp_path / "sandbox")
    for path in VALID:
        for version in ("2018-06-01", "2022-09-01", "2024-11-01-preview", "2026-04-01-preview"):
            status, answered = sandbox.ask("GET", ARM_HOST, path, f"api-version={version}")
            resource = json.loads(answered)
            assert status == 200 and unknown(resource, members.TYPES[resource["type"]]) == [], path
    sandbox.server.close()


def test_each_line_has_a_kind_and_a_role() -> None:
    def walk(member: members.Member) -> None:
        assert member.json_type in ("string", "strings", "object", "objects", "free", "any")
        assert member.role in ("effect", "kept", "shown") or member.members
        for inner in member.members.values():
            walk(inner)

    for known in members.TYPES.values():
        walk(known)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"location": 5}, "location must be a string"),
        ({"properties": []}, "properties must be an object"),
        ({"properties": {"networkProfile": {"networkInterfaces": {}}}}, "networkInterfaces must be an array"),
        ({"properties": {"networkProfile": {"networkInterfaces": [1]}}}, "must be an array of objects"),
        ({"properties": {"networkProfile": {"networkInterfaces": [{"id": 1}]}}}, r"networkInterfaces\[0\].id must be"),
    ],
)
def test_a_member_of_another_kind_is_refused(body: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        members.checked(body, VIRTUAL_MACHINE)


def test_null_is_as_absent_but_in_a_free_object() -> None:
    kept = {"diagnosticsProfile": {"a": None, "b": 1}}
    body = {"location": None, "identity": {"userAssignedIdentities": {"x": None}}, "properties": kept}
    assert members.checked(body, VIRTUAL_MACHINE) == {
        "identity": {"userAssignedIdentities": {"x": None}},
        "properties": {"diagnosticsProfile": {"b": 1}},
    }


def test_a_version_shows_what_it_knows() -> None:
    registry = {"type": REGISTRY, "properties": {"roleAssignmentMode": "x", "metadataSearch": "y"}}
    shown = {
        version: set(members.shown(registry, version)["properties"])
        for version in ("2025-03-01-preview", "2025-04-01", "2025-11-01")
    }
    assert shown["2025-03-01-preview"] == {"roleAssignmentMode", "metadataSearch"}
    assert shown["2025-04-01"] == set() and shown["2025-11-01"] == {"roleAssignmentMode"}


def test_patch_changes_what_the_table_says() -> None:
    members.checked(
        {"tags": {"a": "b"}, "properties": {"hardwareProfile": {"vmSize": "x"}}}, VIRTUAL_MACHINE, patch=True
    )
    for fixed in ({"location": "x"}, {"strange": 1}, {"properties": {"osProfile": {"computerName": "x"}}}):
        with pytest.raises(members.NotEmulated):
            members.checked(fixed, VIRTUAL_MACHINE, patch=True)
