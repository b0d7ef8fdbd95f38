"""Clean-up deletes what this runbook made and nothing else: role assignments first, and what stays is reported."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

from runbook_helpers import (
    Azure,
    assign_identity,
    assign_role,
    create_identity,
    create_registry,
    create_resource_group,
    create_vm,
    delete_resource_group,
    show_registry,
)
from runbook_helpers.errors import NotOurs
from runbook_helpers.verbs.tags import TAG

from ..conftest import SSH_SOURCE, SUBSCRIPTION, connect_to, writes

READER = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"


@pytest.fixture
def other(azure: Azure, name: str) -> Iterator[Azure]:
    """A resource group of this runbook's beside the one that is deleted."""
    beside = connect_to(f"{name}-other")
    create_resource_group(beside)
    yield beside
    beside.resources.resource_groups.begin_delete(beside.resource_group).wait()


def by_hand(azure: Azure, principal_id: object, scope: str) -> str:
    grant = RoleAssignmentCreateParameters(
        role_definition_id=READER, principal_id=str(principal_id), principal_type="ServicePrincipal"
    )
    return str(azure.authorization.role_assignments.create(scope, str(uuid.uuid4()), grant).id)


def granted(azure: Azure, principal_id: object) -> set[str]:
    found = azure.authorization.role_assignments.list_for_subscription(filter=f"principalId eq '{principal_id}'")
    return {str(each.id) for each in found}


def mine(left: list[str], *words: str) -> list[str]:
    """Of what stays, what is this test's: other tests have groups in the same sandbox."""
    return [each for each in left if any(word in each for word in words)]


def test_everything_that_is_made_has_our_tag(azure: Azure, name: str) -> None:
    create_registry(azure, name)
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    create_identity(azure, "id1")
    found = {each.type: each.tags for each in azure.resources.resources.list_by_resource_group(name)}
    assert len(found) == 7 and all(tags == TAG for tags in found.values()), found
    delete_resource_group(azure)


def test_role_assignments_go_first_wherever_they_are(
    azure: Azure, other: Azure, name: str, shared_folder: Path
) -> None:
    registry, elsewhere = create_registry(azure, name), create_registry(other, f"{name}b")
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    vm, identity = assign_identity(azure, "vm"), create_identity(azure, "id1")
    principals = (vm.identity.principal_id, identity.principal_id)
    for principal in principals:
        for scope in (registry.id, elsewhere.id):
            assign_role(azure, "AcrPull", assignee=str(principal), scope=str(scope))
    foreign_inside = by_hand(azure, identity.principal_id, str(registry.id))
    foreign_outside = by_hand(azure, identity.principal_id, str(elsewhere.id))
    nobodys = by_hand(azure, uuid.uuid4(), str(elsewhere.id))
    left = delete_resource_group(azure)
    done = [each.lower() for each in writes(shared_folder) if each.startswith("DELETE") and name in each.lower()]
    assert [each.split("/")[-2] for each in done] == ["roleassignments"] * 4 + ["resourcegroups"]
    assert not [each for each in done if foreign_inside.lower() in each or foreign_outside.lower() in each]
    assert granted(other, principals[0]) == set() and granted(other, principals[1]) == {foreign_outside}
    assert mine(left, foreign_outside, foreign_inside, nobodys) == [
        f"The role assignment {foreign_outside} of the identity id1 stays, which this runbook did not make: it is nobody's now."
    ]
    assert mine(left, name) != [] and mine(left, f"group {name}-other ") == [
        f"The resource group {name}-other stays, which this runbook made too."
    ]
    assert not mine(delete_resource_group(azure), "role assignment")


def test_what_others_put_into_our_group_is_not_deleted(azure: Azure, name: str, shared_folder: Path) -> None:
    create_registry(azure, name)
    address: Any = {"location": "chinanorth3", "sku": {"name": "Standard"},
               "properties": {"publicIPAllocationMethod": "Static"}}  # fmt: skip
    addresses = azure.network.public_ip_addresses
    made = addresses.begin_create_or_update(name, "theirs", address).result()
    identity = create_identity(azure, "id1")
    assign_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(show_registry(azure, name).id))
    with pytest.raises(NotOurs, match="is what this runbook did not make") as error:
        delete_resource_group(azure)
    assert f"\n- {made.id}\n" in str(error.value) and str(error.value).count("\n- ") == 1
    assert f"--tags made-by=azure-acr-runbook --ids {made.id}`" in str(error.value)
    assert not [each for each in writes(shared_folder) if each.startswith("DELETE") and name in each]
    assert len(granted(azure, identity.principal_id)) == 1
    addresses.update_tags(name, "theirs", {"tags": TAG})
    delete_resource_group(azure)
    assert not azure.resources.resource_groups.check_existence(name)


def test_a_grant_of_ours_with_a_condition_is_not_ours_any_more(azure: Azure, other: Azure, name: str) -> None:
    identity, elsewhere = create_identity(azure, "id1"), create_registry(other, f"{name}b")
    ours = assign_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(elsewhere.id))
    azure.authorization.role_assignments.delete_by_id(str(ours.id))
    changed = RoleAssignmentCreateParameters(
        role_definition_id=str(ours.role_definition_id), principal_id=str(identity.principal_id),
        principal_type="ServicePrincipal", condition_version="2.0",
        condition="@Resource[Microsoft.ContainerRegistry/registries/repositories:name] StringEquals 'app'",
    )  # fmt: skip
    azure.authorization.role_assignments.create(str(elsewhere.id), str(ours.name), changed)
    left = delete_resource_group(azure)
    assert len(mine(left, str(ours.id))) == 1 and granted(other, identity.principal_id) == {ours.id}
