"""Identities with a history: made anew, signed out, with roles of others, of groups, or at another registry."""

from __future__ import annotations

import dataclasses
import time
import uuid
from typing import Any

import pytest
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters
from azure.mgmt.compute.models import UserAssignedIdentitiesValue, VirtualMachineIdentity, VirtualMachineUpdate

from azure_sandbox import Sandbox, faults
from runbook_helpers import (
    Azure,
    acr_login,
    assign_identity,
    assign_role,
    az_login,
    create_identity,
    create_registry,
    create_vm,
    delete_resource_group,
    docker_pull,
    import_image,
    install_azure_cli,
    install_docker,
    remove_identity,
    remove_role,
    ssh,
    try_pull,
)
from runbook_helpers.errors import AccessDenied, CommandFailed
from runbook_helpers.ssh.completed import FailureKind
from runbook_helpers.verbs.identities import principals_of
from runbook_helpers.verbs.permissions import object_id
from runbook_helpers.verbs.roles import role_assignments

from ..conftest import SSH_SOURCE, connect_to, writes

SOURCE = "mcr.microsoft.com/azuredocs/aci-helloworld:latest"


def ready(azure: Azure, name: str) -> Any:
    """A registry with the image, and a VM with Docker and Azure CLI; returns the registry."""
    registry = create_registry(azure, name)
    import_image(azure, name, "app:v1", SOURCE)
    ready_vm(azure)
    return registry


def ready_vm(azure: Azure) -> None:
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    install_docker(azure, "vm")
    install_azure_cli(azure, "vm")


def pulls(azure: Azure, registry: Any) -> Any:
    """The cells of notebook 04; returns the identity."""
    identity = create_identity(azure, "id1")
    assign_identity(azure, "vm", identity.id)
    assign_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=registry.id)
    az_login(azure, "vm", identity.id)
    acr_login(azure, "vm", registry.name)
    assert docker_pull(azure, "vm", f"{registry.login_server}/app:v1")
    return identity


def make_group(sandbox: Sandbox, *members: Any) -> str:
    """A security group with these members; its object id."""
    graph = next(
        host for host in ("https://microsoftgraph.chinacloudapi.cn",) if sandbox.cloud.name == "AzureChinaCloud"
    )
    headers = {"Authorization": f"Bearer {sandbox.token(graph)}"}
    body = {"displayName": "g", "mailEnabled": False, "mailNickname": "g", "securityEnabled": True}
    made = sandbox.session.post(f"{graph}/v1.0/groups", json=body, headers=headers)
    assert made.status_code == 201, made.text
    group = str(made.json()["id"])
    for member in members:
        reference = {"@odata.id": f"{graph}/v1.0/directoryObjects/{member}"}
        added = sandbox.session.post(f"{graph}/v1.0/groups/{group}/members/$ref", json=reference, headers=headers)
        assert added.status_code == 204, added.text
    return group


def grant_group(azure: Azure, group: str, role_id: str, scope: str) -> str:
    """A role assignment of a group, by an administrator; its id."""
    definition = f"/subscriptions/{azure.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/{role_id}"
    given = RoleAssignmentCreateParameters(role_definition_id=definition, principal_id=group, principal_type="Group")
    return str(azure.authorization.role_assignments.create(scope, str(uuid.uuid4()), given).id)


# Made anew


def test_an_identity_made_anew_under_its_name_pulls(
    azure: Azure, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = ready(azure, name)
    for elsewhere in (str(object_id(azure)), str(uuid.uuid4())):  # people, and identities of other subscriptions
        assign_role(azure, "AcrPull", assignee=elsewhere, scope=registry.id)
    other = create_identity(azure, "other")
    assign_identity(azure, "vm")
    assign_identity(azure, "vm", other.id)
    first = pulls(azure, registry)
    azure.identities.user_assigned_identities.delete(name, "id1")
    second = create_identity(azure, "id1")
    began = time.monotonic()
    with pytest.raises(AccessDenied, match=r"made anew .* attach it anew with assign_identity"):
        az_login(azure, "vm", second.id)
    with pytest.raises(AccessDenied, match=r"made anew .* attach it anew with assign_identity"):
        acr_login(azure, "vm", name)
    assert time.monotonic() - began < azure.timeouts.transient
    assert pulls(azure, registry).principal_id == second.principal_id != first.principal_id
    with ssh(azure, "vm") as shell:
        assert set(principals_of(shell.vm)) == {None, other.id, second.id}  # what else it had is kept
    # The role of the one that is gone is named, and not taken away.
    said = capsys.readouterr().err
    assert f"was made for {second.id} when that had the principal id {first.principal_id}, and stays" in said
    assert said.count("nobody's any more") == 1  # and no other: not of those of whom no more is known
    assert role_assignments(azure, assignee=str(first.principal_id), scope=registry.id)
    before = writes(azure.keys.folder.parent)
    pulls(azure, registry)
    assert writes(azure.keys.folder.parent) == before


def test_the_only_identity_made_anew(azure: Azure, name: str) -> None:
    registry = ready(azure, name)
    pulls(azure, registry)
    azure.identities.user_assigned_identities.delete(name, "id1")
    second = create_identity(azure, "id1")
    assert pulls(azure, registry).principal_id == second.principal_id


def test_an_identity_that_is_gone_blocks_no_other_without_its_name(azure: Azure, name: str) -> None:
    """Azure takes no change of a VM that would keep it; what is to be done is said."""
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    gone, other = create_identity(azure, "gone"), create_identity(azure, "other")
    assign_identity(azure, "vm", gone.id)
    azure.identities.user_assigned_identities.delete(name, "gone")
    with pytest.raises(Exception, match=r"userAssignedIdentities/gone.* remove_identity"):
        assign_identity(azure, "vm", other.id)
    remove_identity(azure, "vm", gone.id)
    assert list(assign_identity(azure, "vm", other.id).identity.user_assigned_identities) == [other.id]


def test_the_entry_of_an_identity_made_anew_stays_as_it_was(azure: Azure, name: str) -> None:
    """As in Azure: only who is detached and attached again is the new one."""
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    first = create_identity(azure, "id1")
    assign_identity(azure, "vm", first.id)
    azure.identities.user_assigned_identities.delete(name, "id1")
    second = create_identity(azure, "id1")
    wanted = VirtualMachineIdentity(
        type="UserAssigned", user_assigned_identities={str(second.id): UserAssignedIdentitiesValue()}
    )
    update = VirtualMachineUpdate(identity=wanted)
    vm = azure.compute.virtual_machines.begin_update(name, "vm", update).result()
    assert principals_of(vm) == {first.id: first.principal_id}


def test_a_vm_made_anew_under_its_name(azure: Azure, name: str) -> None:
    registry = ready(azure, name)

    def system_pulls() -> str:
        principal = str(assign_identity(azure, "vm").identity.principal_id)
        assign_role(azure, "AcrPull", assignee=principal, scope=registry.id)
        az_login(azure, "vm")
        acr_login(azure, "vm", name)
        assert docker_pull(azure, "vm", f"{registry.login_server}/app:v1")
        return principal

    before = system_pulls()
    azure.compute.virtual_machines.begin_delete(name, "vm").result()
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    assign_identity(azure, "vm")
    with pytest.raises(
        CommandFailed, match="A program is not installed on the VM vm: install_docker or install_azure_cli"
    ):
        acr_login(azure, "vm", name)
    install_docker(azure, "vm")
    with pytest.raises(
        CommandFailed, match="A program is not installed on the VM vm: install_docker or install_azure_cli"
    ):
        acr_login(azure, "vm", name)
    install_azure_cli(azure, "vm")
    assert system_pulls() != before


def test_the_system_assigned_identity_off_and_on_again(azure: Azure, name: str) -> None:
    registry = ready(azure, name)
    old = assign_identity(azure, "vm").identity.principal_id
    assign_role(azure, "AcrPull", assignee=old, scope=registry.id)
    az_login(azure, "vm")
    remove_identity(azure, "vm")
    with pytest.raises(AccessDenied, match=r"signed in with the system-assigned identity, which the VM does not have"):
        acr_login(azure, "vm", name)
    new = assign_identity(azure, "vm").identity.principal_id
    assert new != old
    with pytest.raises(AccessDenied, match=r"has no role assignment .* grant it AcrPull"):
        acr_login(azure, "vm", name)
    assign_role(azure, "AcrPull", assignee=new, scope=registry.id)
    az_login(azure, "vm")
    acr_login(azure, "vm", name)


def test_a_registry_made_anew_under_its_name(azure: Azure, name: str) -> None:
    registry = ready(azure, name)
    identity = pulls(azure, registry)
    azure.registries.registries.begin_delete(name, name).result()
    again = create_registry(azure, name)
    import_image(azure, name, "app:v1", SOURCE)
    with pytest.raises(CommandFailed, match="acr_login signs Docker in anew"):
        docker_pull(azure, "vm", f"{again.login_server}/app:v1")
    with pytest.raises(AccessDenied, match=f"no role assignment on the registry {name}"):
        acr_login(azure, "vm", name)
    assert pulls(azure, again).id == identity.id


def test_an_identity_that_is_gone_is_no_pending_role(azure: Azure, name: str) -> None:
    registry = ready(azure, name)
    identity = pulls(azure, registry)
    azure.identities.user_assigned_identities.delete(name, "id1")
    with pytest.raises(AccessDenied, match=r"names the identity \S+/id1, which does not exist any more: make it"):
        az_login(azure, "vm", identity.id)
    with pytest.raises(AccessDenied, match=r"names the identity \S+/id1, which does not exist any more: make it"):
        acr_login(azure, "vm", name)
    assert "which does not exist any more" in repr(try_pull(azure, "vm", name, "app:v1", identity.id))


def test_clean_up_names_roles_that_are_left_over_elsewhere(azure: Azure, name: str) -> None:
    registry = create_registry(connect_to(f"{name}x"), name)
    here = dataclasses.replace(azure, registry_resource_group=f"{name}x")
    for _ in range(2):
        identity = create_identity(here, "id1")
        assign_role(here, "AcrPull", assignee=str(identity.principal_id), scope=str(registry.id))
        azure.identities.user_assigned_identities.delete(name, "id1")
    left = delete_resource_group(here, registry_name=name)
    assert sum("is nobody's any more" in each for each in left) == 2


def test_roles_that_we_may_not_read_are_waited_for(azure: Azure, name: str, sandbox: Sandbox) -> None:
    registry = ready(azure, name)
    identity = pulls(azure, registry)
    remove_role(azure, "AcrPull", assignee=identity.principal_id, scope=registry.id)
    rule = sandbox.faults.add(faults.Status(403, method="GET", path="*roleAssignments"))
    try:
        with pytest.raises(CommandFailed, match=r"No access was configured|No subscriptions found"):
            az_login(azure, "vm", identity.id, within=0)
    finally:
        sandbox.faults.clear(rule)


# Whose role it is


def test_the_role_is_on_another_identity_of_the_vm(azure: Azure, name: str) -> None:
    registry = ready(azure, name)
    one, two = create_identity(azure, "idOne"), create_identity(azure, "idTwo")
    assign_identity(azure, "vm", one.id)
    vm = assign_identity(azure, "vm", two.id)
    assign_role(azure, "Reader", assignee=one.principal_id, scope=vm.id)
    assign_role(azure, "AcrPull", assignee=two.principal_id, scope=registry.id)
    az_login(azure, "vm", one.id)
    began = time.monotonic()
    with pytest.raises(AccessDenied) as caught:
        acr_login(azure, "vm", name)
    assert time.monotonic() - began < azure.timeouts.transient
    words = str(caught.value)
    assert (
        f"the identity idOne (principal id {one.principal_id}), with which Azure CLI is signed in, has no role" in words
    )
    assert f"The role AcrPull on {name} is held by the identity idTwo: sign in with it by az_login" in words
    assert "grant idOne AcrPull there with assign_role" in words
    az_login(azure, "vm", two.id)
    acr_login(azure, "vm", name)


def test_the_role_is_on_the_system_assigned_identity(azure: Azure, name: str) -> None:
    registry = ready(azure, name)
    one = create_identity(azure, "idOne")
    vm = assign_identity(azure, "vm", one.id)
    own = assign_identity(azure, "vm").identity.principal_id
    assign_role(azure, "Reader", assignee=one.principal_id, scope=vm.id)
    assign_role(azure, "Contributor", assignee=own, scope=registry.id)
    az_login(azure, "vm", one.id)
    with pytest.raises(AccessDenied, match=r"The role Contributor on .* is held by the system-assigned identity: sign"):
        acr_login(azure, "vm", name)


def test_the_role_is_at_another_registry(azure: Azure, name: str) -> None:
    ready(azure, name)
    other = create_registry(azure, f"{name}x")
    identity = create_identity(azure, "id1")
    assign_identity(azure, "vm", identity.id)
    assign_role(azure, "AcrPull", assignee=identity.principal_id, scope=other.id)
    az_login(azure, "vm", identity.id)
    with pytest.raises(
        AccessDenied, match=rf"has no role assignment .*: it has AcrPull on the registry {name}x instead; grant"
    ):
        acr_login(azure, "vm", name)


def test_a_role_that_does_not_pull_is_named(azure: Azure, name: str) -> None:
    registry = ready(azure, name)
    identity = create_identity(azure, "id1")
    assign_identity(azure, "vm", identity.id)
    assign_role(azure, "Network Contributor", assignee=identity.principal_id, scope=registry.id)
    az_login(azure, "vm", identity.id)
    with pytest.raises(
        AccessDenied, match=f"has only Network Contributor, which does not let it pull from the registry {name}: grant"
    ):
        acr_login(azure, "vm", name)


# Signed out


def test_a_sign_out_is_told_at_once(azure: Azure, name: str) -> None:
    registry = ready(azure, name)
    identity = pulls(azure, registry)
    with ssh(azure, "vm") as shell:
        shell.run("az", "logout")
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="az_login comes first") as caught:
        acr_login(azure, "vm", name)
    assert caught.value.failure is FailureKind.NOT_SIGNED_IN
    assert time.monotonic() - began < azure.timeouts.transient
    az_login(azure, "vm", identity.id)
    acr_login(azure, "vm", name)


# Groups


def test_a_role_that_an_identity_has_through_a_group(azure: Azure, name: str, sandbox: Sandbox) -> None:
    registry = ready(azure, name)
    identity = create_identity(azure, "id1")
    assign_identity(azure, "vm", identity.id)
    group = make_group(sandbox, make_group(sandbox, identity.principal_id))
    granted = grant_group(azure, group, "7f951dda-4ed3-4680-a7ca-43fe172d538d", registry.id)
    assert assign_role(azure, "AcrPull", assignee=identity.principal_id, scope=registry.id).id == granted
    sandbox.set(role_delay="6s")  # it has the role, so this is waited for
    try:
        az_login(azure, "vm", identity.id)
        acr_login(azure, "vm", name)
    finally:
        sandbox.set(role_delay=0)
    assert remove_role(azure, "AcrPull", assignee=identity.principal_id, scope=registry.id) == 0  # the group's stays
    delete_resource_group(azure)
