"""Before anything is made: exactly what is missing is reported, by an operator who has all but that."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.mgmt.authorization.v2022_04_01.models import (
    Permission as ModelPermission,
)
from azure.mgmt.authorization.v2022_04_01.models import (
    RoleAssignmentCreateParameters,
    RoleDefinition,
)

from azure_sandbox import process
from azure_sandbox.access.roles import BUILT_IN_ROLES
from runbook_helpers import (
    Azure,
    assign_identity,
    assign_role,
    check_permissions,
    create_identity,
    create_registry,
    create_resource_group,
    create_vm,
    delete_resource_group,
    import_image,
    public_ip_address,
    remove_role,
    ssh,
)
from runbook_helpers.errors import NotReady, PermissionsMissing
from runbook_helpers.verbs.permissions import Permission, allows
from runbook_helpers.verbs.preflight import BUILT_IN, NEEDS, RequiredAction

from ..conftest import SSH_SOURCE, SUBSCRIPTION, clean_environment, connect_to, regression, store_of, writes

WHOLE = f"/subscriptions/{SUBSCRIPTION}"
ACTIONS = [need.action for need in NEEDS]
Limit = Callable[..., None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A sandbox for these tests alone: its operator loses rights."""
    path = tmp_path_factory.mktemp("preflight") / "sandbox"
    before = os.environ.get("RUNBOOK_SANDBOX")
    os.environ["RUNBOOK_SANDBOX"] = str(path)
    yield path
    process.reset(path)
    if before is None:
        del os.environ["RUNBOOK_SANDBOX"]
    else:
        os.environ["RUNBOOK_SANDBOX"] = before


@pytest.fixture
def here(folder: Path, name: str) -> Azure:
    return connect_to(name)


@pytest.fixture
def limit(folder: Path, here: Azure) -> Iterator[Limit]:
    """Give the operator these roles instead of Owner: (scope, actions, notActions, condition), until the test ends."""
    list(here.resources.resource_groups.list())  # it runs
    store = store_of(folder)
    before = [each for each in store.resources(type="Microsoft.Authorization/roleAssignments")
              if each["properties"]["scope"] == WHOLE]  # fmt: skip
    (owner,) = before
    operator = owner["properties"]["principalId"]

    def give(*roles: tuple[str, list[str], list[str]]) -> None:
        for scope, actions, less in roles:
            role = str(uuid.uuid4())
            definition = RoleDefinition(
                role_name=role,
                assignable_scopes=[WHOLE],
                permissions=[ModelPermission(actions=actions, not_actions=less)],
            )
            made = here.authorization.role_definitions.create_or_update(WHOLE, role, definition)
            grant = RoleAssignmentCreateParameters(
                role_definition_id=str(made.id), principal_id=operator, principal_type="ServicePrincipal"
            )
            here.authorization.role_assignments.create(scope, str(uuid.uuid4()), grant)
        store.delete(owner["id"])

    yield give
    store.put(owner)
    for each in store.resources(type="Microsoft.Authorization/roleAssignments"):
        if each["properties"]["principalId"] == operator and each["id"] != owner["id"]:
            store.delete(each["id"])
    store.close()


def check(azure: Azure) -> None:
    check_permissions(azure, registry_name=azure.resource_group, vm_name="vm", identity_name="id1")


def missing(azure: Azure) -> PermissionsMissing:
    with pytest.raises(PermissionsMissing) as error:
        check(azure)
    return error.value


def test_an_owner_misses_nothing_and_nothing_is_made(here: Azure, folder: Path) -> None:
    done = check_permissions(here, registry_name=here.resource_group, vm_name="vm", identity_name="id1")
    assert done.scope == WHOLE and "condition" in repr(done)
    made = [each for each in writes(folder) if not each.startswith("POST") or "checkNameAvailability" not in each]
    assert not [each for each in made if here.resource_group in each]


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_that_is_missing_is_reported_alone(here: Azure, limit: Limit, action: str) -> None:
    limit((WHOLE, ACTIONS, [action]))
    error = missing(here)
    assert (error.actions, error.scope) == ([action], WHOLE)
    assert f"- {action} at {WHOLE} (in the roles " in str(error) and ", Owner)" in str(error)


def test_exactly_these_permissions_are_enough_for_the_walkthrough(here: Azure, limit: Limit, name: str) -> None:
    limit((WHOLE, ACTIONS, []))
    check(here)
    registry = create_registry(here, name)
    import_image(here, name, "app:v1", "mcr.microsoft.com/azuredocs/aci-helloworld:latest")
    create_vm(here, "vm", ssh_source=SSH_SOURCE)
    with ssh(here, "vm") as shell:
        shell.run("true")
    identity = create_identity(here, "id1")
    assign_identity(here, "vm", identity.id)
    vm = assign_identity(here, "vm")
    assign_role(here, "AcrPull", assignee=identity.principal_id, scope=registry.id)
    assign_role(here, "AcrPull", assignee=vm.identity.principal_id, scope=registry.id)
    remove_role(here, "AcrPull", assignee=identity.principal_id, scope=registry.id)
    check(here)
    delete_resource_group(here)


@regression
@pytest.mark.parametrize("action", [each for each in ACTIONS if not each.endswith("resourceGroups/delete")])
def test_without_any_one_of_them_the_walkthrough_is_refused(here: Azure, limit: Limit, name: str, action: str) -> None:
    """So nothing is asked for that is not needed."""
    limit((WHOLE, ACTIONS, [action]))
    with pytest.raises(
        Exception, match=r"(?i)AuthorizationFailed|AuthorizationError|does not accept our sign-in"
    ) as error:
        registry = create_registry(here, name)
        import_image(here, name, "app:v1", "mcr.microsoft.com/azuredocs/aci-helloworld:latest")
        create_vm(here, "vm", ssh_source=SSH_SOURCE)
        public_ip_address(here, "vm")
        identity = create_identity(here, "id1")
        assign_identity(here, "vm", identity.id)
        assign_role(here, "AcrPull", assignee=identity.principal_id, scope=registry.id)
        remove_role(here, "AcrPull", assignee=identity.principal_id, scope=registry.id)
    assert action.endswith("/pull/read") or action.lower() in str(error.value).lower()


def test_what_is_there_already_need_not_be_made(here: Azure, limit: Limit, name: str) -> None:
    """And a role at the registry itself is enough for what is done there."""
    registry = create_registry(here, name)
    create_vm(here, "vm", ssh_source=SSH_SOURCE)
    create_identity(here, "id1")
    group = f"{WHOLE}/resourceGroups/{name}"
    on_registry = [need.action for need in NEEDS if need.on == "registry" and not need.makes]
    rest = [need.action for need in NEEDS if need.on != "registry" and not need.makes]
    limit((str(registry.id), on_registry, []), (group, [*rest, "Microsoft.ContainerRegistry/registries/read"], []))
    check(here)


def test_a_group_that_others_made_needs_no_right_to_delete_it(here: Azure, limit: Limit, name: str) -> None:
    from azure.mgmt.resource.resources.models import ResourceGroup

    here.resources.resource_groups.create_or_update(name, ResourceGroup(location="chinanorth3"))
    group = f"{WHOLE}/resourceGroups/{name}"
    limit((group, ["*"], ["*/delete", "Microsoft.Resources/subscriptions/resourceGroups/write"]))
    error = missing(here)
    assert (error.actions, error.scope) == (["Microsoft.Authorization/roleAssignments/delete"], group)
    assert '--role "Role Based Access Control Administrator"' in str(error) and '--role "Contributor"' not in str(error)
    assert "let somebody make the resource group" not in str(error)


def test_no_role_at_all(here: Azure, limit: Limit, name: str) -> None:
    limit()
    error = missing(here)
    assert error.actions == ACTIONS
    assert f"{len(ACTIONS)} permissions are missing, and nothing was made" in str(error)
    assert f"let somebody make the resource group {name}" in str(error)
    for role in ("Contributor", "Role Based Access Control Administrator"):
        assert (
            f'az role assignment create --assignee-object-id {_operator(here)} --role "{role}" --scope {WHOLE}'
            in str(error)
        )


def _operator(azure: Azure) -> str:
    from runbook_helpers.verbs.permissions import object_id

    found = object_id(azure)
    assert found and uuid.UUID(found)
    return found


def test_notactions_take_away_from_their_own_role_only(here: Azure, limit: Limit) -> None:
    write = "Microsoft.Compute/virtualMachines/WRITE"
    limit((WHOLE, ["*"], [write]), (WHOLE, ["microsoft.compute/*/write"], []))
    check(here)


def test_a_contributor_lacks_the_assignment_of_roles(here: Azure, limit: Limit) -> None:
    contributor = BUILT_IN["Contributor"]
    limit((WHOLE, list(contributor.actions), list(contributor.not_actions)))
    assert missing(here).actions == [
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Authorization/roleAssignments/delete",
    ]


def test_a_taken_name_and_a_provider_that_may_not_be_registered(here: Azure, limit: Limit, name: str) -> None:
    create_registry(here, name)
    other = dataclasses.replace(here, resource_group=name + "other")
    here.resources.providers.unregister("Microsoft.Network")
    try:
        check(here)  # an Owner may: the SDK registers it then
        limit((WHOLE, ["*"], ["*/register/action"]))
        with pytest.raises(NotReady) as error:
            check_permissions(other, registry_name=name, vm_name="vm", identity_name="id1")
        with pytest.raises(Exception, match="MissingSubscriptionRegistration"):
            create_vm(here, "vm", ssh_source=SSH_SOURCE)
    finally:
        limit((WHOLE, ["*"], []))
        here.resources.providers.register("Microsoft.Network")
    assert [problem.split(":")[0] for problem in error.value.problems] == [
        "The resource provider Microsoft.Network is not registered in the subscription, and you may not register it",
        f"The registry's name {name} cannot be had (The registry {name} is already in use.)",
    ]
    assert "az provider register --namespace Microsoft.Network" in str(error.value)
    check(here)


def test_a_registry_with_permissions_for_repositories_needs_a_data_action(here: Azure, limit: Limit, name: str) -> None:
    create_resource_group(here)
    body = {"location": "chinanorth3", "sku": {"name": "Premium"},
            "properties": {"roleAssignmentMode": "AbacRepositoryPermissions"}}  # fmt: skip
    here.registries.registries.begin_create(name, name, body).result()
    error = missing(here)  # an Owner has no data actions
    assert error.actions == ["Microsoft.ContainerRegistry/registries/repositories/metadata/read"]
    assert "(in the role Container Registry Repository Reader)" in str(error)
    assert "--assignee-principal-type ServicePrincipal" in str(error)


def test_a_new_group_gives_no_role_on_a_registry_elsewhere(here: Azure, limit: Limit, name: str) -> None:
    theirs = dataclasses.replace(here, resource_group=f"{name}-platform")
    create_resource_group(theirs)
    body = {"location": "chinanorth3", "sku": {"name": "Basic"},
            "properties": {"roleAssignmentMode": "AbacRepositoryPermissions"}}  # fmt: skip
    here.registries.registries.begin_create(theirs.resource_group, name, body).result()
    error = missing(dataclasses.replace(here, registry_resource_group=theirs.resource_group))
    assert error.actions == ["Microsoft.ContainerRegistry/registries/repositories/metadata/read"]
    assert "let somebody make the resource group" not in str(error)


def test_unknown_subscription_is_reported_as_such(here: Azure) -> None:
    wrong = dataclasses.replace(here, subscription_id="11111111-1111-1111-1111-111111111111")
    with pytest.raises(Exception, match="SubscriptionNotFound"):
        check(wrong)


def test_the_command(here: Azure, limit: Limit, name: str, tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from runbook_helpers.commands.main import main; main()", "check"]
    names = ["-p", "resource_group", name, "-p", "registry_name", name]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *names], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60
        )

    done = run()
    assert done.returncode == 0 and done.stdout.startswith("No permission is missing. What cannot be"), done.stderr
    limit((WHOLE, ["*"], ["Microsoft.Compute/*/write"]))
    done = run()
    assert done.returncode == 3 and "- Microsoft.Compute/virtualMachines/write at" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("pattern", "action", "yes"),
    [
        ("*", "a/b/c", True),
        ("*/read", "A/b/C/Read", True),
        ("a/*/read", "a/read", True),
        ("a/*/read", "aread", False),
        ("a/*/read", "a/b/c/read", True),
        ("a.b/c", "axb/c", False),
        ("a/b", "a/b/c", False),
        ("", "a", False),
        ("a/(b", "a/(b", True),
    ],
)
def test_patterns(pattern: str, action: str, yes: bool) -> None:
    assert allows([Permission((pattern,))], action) is yes
    assert allows([Permission(("*",), (pattern,))], action) is not yes
    assert allows([Permission(data_actions=(pattern,))], action, data=True) is yes


def test_the_built_in_roles_are_those_of_azure() -> None:
    """As far as the sandbox has them: each gives of what is needed what it gives there."""
    for role in BUILT_IN_ROLES.values():
        if role.name in BUILT_IN:
            real = Permission(role.actions, role.not_actions, role.data_actions)
            for need in (
                *NEEDS,
                RequiredAction("Microsoft.ContainerRegistry/registries/repositories/metadata/read", "", data=True),
            ):
                assert BUILT_IN[role.name].allows(need.action, need.data) == real.allows(need.action, need.data), need
