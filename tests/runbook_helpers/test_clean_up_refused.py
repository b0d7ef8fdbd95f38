"""Clean-up that something stands against: a lock, a missing role, a deny assignment. It looks first and then takes nothing;
what is refused later says what is gone, what stays, and how to go on."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from azure_sandbox import faults
from runbook_helpers import (
    Azure,
    assign_role,
    create_identity,
    create_registry,
    delete_resource_group,
    show_registry,
)
from runbook_helpers.errors import CleanUpRefused
from runbook_helpers.verbs.tags import TAG

from ..conftest import SUBSCRIPTION, connect_to

AUTHORIZATION = "providers/Microsoft.Authorization"


def ask(azure: Azure, method: str, path: str, body: Any = None) -> Any:
    from azure.core.rest import HttpRequest

    version = "2024-07-01-preview" if "denyAssignments" in path else "2020-05-01"
    request = HttpRequest(
        method, f"{azure.cloud.resource_manager_url}{path}", params={"api-version": version}, json=body
    )
    answer = azure.resources._client.send_request(request)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def lock(azure: Azure, scope: str, level: str = "CanNotDelete") -> str:
    path = f"{scope}/{AUTHORIZATION}/locks/keep"
    ask(azure, "PUT", path, {"properties": {"level": level, "notes": "of the audit"}})
    return path


@pytest.fixture
def granted(azure: Azure, name: str) -> str:
    """The id of a role assignment of ours, in a group with a registry and an identity."""
    registry, identity = create_registry(azure, name), create_identity(azure, "id1")
    return str(assign_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(registry.id)).id)


def is_there(azure: Azure, assignment: str) -> bool:
    found = azure.authorization.role_assignments.list_for_resource_group(azure.resource_group)
    return assignment in [each.id for each in found]


@pytest.mark.parametrize("level", ["CanNotDelete", "ReadOnly"])
@pytest.mark.parametrize("where", ["the group", "the registry"])
def test_a_lock_is_found_before_anything_is_taken_away(
    where: str, level: str, azure: Azure, granted: str, name: str
) -> None:
    scope = (
        str(show_registry(azure, name).id)
        if where == "the registry"
        else f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
    )
    path = lock(azure, scope, level)
    try:
        with pytest.raises(CleanUpRefused) as error:
            delete_resource_group(azure)
        text = str(error.value)
        assert f"{level}, {path}: of the audit" in text and "nothing is deleted" in text and "cost money" in text
        assert f"az lock delete --ids {path}" in text
        assert is_there(azure, granted)
    finally:
        ask(azure, "DELETE", path)
    delete_resource_group(azure)
    assert not azure.resources.resource_groups.check_existence(name)


def test_a_lock_at_the_registry_of_others_is_found(azure: Azure, name: str) -> None:
    other = connect_to(f"{name}-other")
    registry = create_registry(other, f"{name}b")
    identity = create_identity(azure, "id1")
    grant = assign_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(registry.id))
    path = lock(azure, str(registry.id))
    with pytest.raises(CleanUpRefused, match="of the audit"):
        delete_resource_group(azure)
    assert is_there(other, str(grant.id))
    ask(azure, "DELETE", path)
    delete_resource_group(azure)
    assert not is_there(other, str(grant.id))
    delete_resource_group(other)


def test_a_lock_of_the_subscription_on_something_else_is_no_matter(azure: Azure, granted: str, name: str) -> None:
    other = connect_to(f"{name}-other")
    path = lock(azure, str(create_registry(other, f"{name}b").id))
    delete_resource_group(azure)
    ask(azure, "DELETE", path)
    delete_resource_group(other)


def test_a_deny_assignment_is_found(azure: Azure, granted: str, name: str) -> None:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
    path = f"{group}/{AUTHORIZATION}/denyAssignments/{uuid.uuid4()}"
    everyone = {"id": "00000000-0000-0000-0000-000000000000", "type": "SystemDefined"}
    denial = {
        "denyAssignmentName": f"keep {name}", "principals": [everyone],
        "excludePrincipals": [{"id": str(uuid.uuid4()), "type": "User"}],
        "permissions": [{"actions": ["Microsoft.Resources/subscriptions/resourceGroups/delete"], "notActions": []}],
    }  # fmt: skip
    ask(azure, "PUT", path, {"properties": denial})
    with pytest.raises(CleanUpRefused, match=f"the deny assignment 'keep {name}'"):
        delete_resource_group(azure)
    assert is_there(azure, granted)
    ask(azure, "DELETE", path)
    delete_resource_group(azure)


def test_a_refusal_that_comes_later_says_what_is_gone_and_what_stays(
    azure: Azure, granted: str, name: str, shared_folder: Path
) -> None:
    faults.add(shared_folder, faults.Status(403, method="DELETE", path=f"*/resourcegroups/{name}", times=1))
    with pytest.raises(CleanUpRefused) as error:
        delete_resource_group(azure)
    text = str(error.value)
    assert f"Gone: the role assignment {granted}" in text and "cost money" in text
    assert f"/registries/{name}" in text and "Run this step again" in text
    assert delete_resource_group(azure) is not None
    assert not azure.resources.resource_groups.check_existence(name)


@pytest.mark.parametrize("level", ["CanNotDelete", "ReadOnly"])
def test_what_a_lock_refuses(level: str, azure: Azure, granted: str, name: str) -> None:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
    path = lock(azure, group, level)
    listed = ask(azure, "GET", f"{group}/{AUTHORIZATION}/locks")["value"]
    assert [(each["id"], each["properties"]["level"]) for each in listed] == [(path, level)]
    with pytest.raises(HttpResponseError, match=r"ScopeLocked.*cannot perform delete operation.*resourceGroups/"):
        azure.authorization.role_assignments.delete_by_id(granted)
    changed: Any = {"tags": {**TAG, "a": "b"}}
    if level == "ReadOnly":
        with pytest.raises(HttpResponseError, match="cannot perform write operation"):
            azure.registries.registries.begin_update(name, name, changed)
    else:
        azure.registries.registries.begin_update(name, name, changed).result()
    ask(azure, "DELETE", path)
    delete_resource_group(azure)
