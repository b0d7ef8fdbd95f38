"""The verbs, through the real SDKs, against the sandbox: made once, adopted, refused where Azure refuses."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

from azure_sandbox import Sandbox, process
from runbook_helpers import (
    Azure,
    acr_login,
    assign_identity,
    assign_role,
    az_login,
    connect,
    create_identity,
    create_registry,
    create_resource_group,
    create_vm,
    delete_resource_group,
    docker_pull,
    import_image,
    install_azure_cli,
    install_docker,
    public_ip_address,
    remove_identity,
    remove_role,
    show_image,
    show_registry,
    show_result,
    show_vm,
    ssh,
)
from runbook_helpers.errors import AccessDenied, CommandFailed, NotFound, NotOurs, SignInRefused
from runbook_helpers.journal import Journal
from runbook_helpers.verbs.identities import identity_of, principals_of

from ..conftest import SSH_SOURCE, SUBSCRIPTION, clean_environment, connect_to, writes

SOURCE = "mcr.microsoft.com/azuredocs/aci-helloworld:latest"


def ready(azure: Azure, name: str) -> str:
    """A registry with the image, and a VM with Docker and Azure CLI; returns the image's reference."""
    registry = create_registry(azure, name)
    import_image(azure, name, "app:v1", SOURCE)
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    install_docker(azure, "vm")
    install_azure_cli(azure, "vm")
    return f"{registry.login_server}/app:v1"


def test_the_whole_walkthrough_and_again_without_a_write(azure: Azure, name: str, shared_folder: Path) -> None:
    for repeat in range(2):
        before = [each for each in writes(shared_folder) if name in each.lower()]
        reference = ready(azure, name)
        identity = create_identity(azure, "id1")
        vm = assign_identity(azure, "vm", identity.id)
        assert identity.id in vm.identity.user_assigned_identities
        registry = show_registry(azure, name)
        assign_role(azure, "acrpull", assignee=identity.principal_id, scope=registry.id)
        az_login(azure, "vm", identity.id)
        assert acr_login(azure, "vm", name).stdout == "Login Succeeded\n"
        assert docker_pull(azure, "vm", reference) == show_image(azure, name, "app:v1").digest
        vm = assign_identity(azure, "vm")
        assert len(vm.identity.user_assigned_identities) == 1
        assign_role(azure, "AcrPull", assignee=vm.identity.principal_id, scope=registry.id)
        az_login(azure, "vm")
        acr_login(azure, "vm", name)
        assert docker_pull(azure, "vm", reference) == show_image(azure, name, "app:v1").digest
        after = [each for each in writes(shared_folder) if name in each.lower()]
        assert len(after) > len(before) if repeat == 0 else after == before


def test_pull_role_does_not_allow_push(azure: Azure, name: str) -> None:
    reference = ready(azure, name)
    vm = assign_identity(azure, "vm")
    registry = show_registry(azure, name)
    assign_role(azure, "AcrPull", assignee=vm.identity.principal_id, scope=registry.id)
    az_login(azure, "vm")
    acr_login(azure, "vm", name)
    docker_pull(azure, "vm", reference)
    with ssh(azure, "vm") as shell:
        shell.run("docker", "tag", reference, f"{registry.login_server}/other:v1")
        refused = shell.run("docker", "push", f"{registry.login_server}/other:v1", check=False)
        assert refused.exit_status == 1
        assert "unauthorized" in refused.stderr or "denied" in refused.stderr
        assign_role(azure, "AcrPush", assignee=vm.identity.principal_id, scope=registry.id)
        shell.run("docker", "push", f"{registry.login_server}/other:v1")
    assert show_image(azure, name, "other:v1").digest == show_image(azure, name, "app:v1").digest


def test_no_role_is_reported_at_once(azure: Azure, name: str) -> None:
    ready(azure, name)
    vm = assign_identity(azure, "vm")
    with pytest.raises(AccessDenied, match="has no role assignment in the subscription"):
        az_login(azure, "vm")
    # A role elsewhere lets it sign in to Azure, but not to the registry.
    create_identity(azure, "other")
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}/providers/Microsoft.Compute/virtualMachines/vm"
    assign_role(azure, "Reader", assignee=vm.identity.principal_id, scope=scope)
    az_login(azure, "vm")
    with pytest.raises(AccessDenied, match=f"on the registry {name}: grant it AcrPull"):
        acr_login(azure, "vm", name)


def test_not_signed_in_docker_says_why(azure: Azure, name: str) -> None:
    reference = ready(azure, name)
    with pytest.raises(CommandFailed, match="unauthorized: authentication required"):
        docker_pull(azure, "vm", reference)


def test_a_broken_azure_cli_is_no_denied_access(azure: Azure, name: str) -> None:
    """Without a role, too: what does not reach the registry says nothing of the role."""
    ready(azure, name)
    with pytest.raises(CommandFailed, match="Please run 'az login'"):
        acr_login(azure, "vm", name, within=0)


def test_the_identity_that_a_bare_login_means(azure: Azure) -> None:
    vm = create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    assert identity_of(vm) == (None, None)
    one, two = create_identity(azure, "one"), create_identity(azure, "two")
    assert identity_of(vm, one.id) == (one.id, None)
    vm = assign_identity(azure, "vm", one.id)
    assert identity_of(vm)[1] == identity_of(vm, one.id.upper())[1] == one.principal_id
    vm = assign_identity(azure, "vm", two.id)
    assert identity_of(vm) == (None, None)
    vm = assign_identity(azure, "vm")
    assert identity_of(vm) == (None, vm.identity.principal_id)
    assert set(principals_of(vm).values()) == {vm.identity.principal_id, one.principal_id, two.principal_id}


def test_identity_that_the_vm_does_not_have(azure: Azure, name: str) -> None:
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    identity = create_identity(azure, "stranger")
    with pytest.raises(AccessDenied, match=r"does not have .*stranger"):
        az_login(azure, "vm", identity.id)
    with pytest.raises(AccessDenied, match="does not have a system-assigned identity"):
        az_login(azure, "vm")


def test_recreated_identity_is_another_and_its_old_grant_does_not_count(azure: Azure, name: str) -> None:
    registry = create_registry(azure, name)
    first = create_identity(azure, "again")
    assign_role(azure, "AcrPull", assignee=first.principal_id, scope=registry.id)
    azure.identities.user_assigned_identities.delete(name, "again")
    second = create_identity(azure, "again")
    assert {first.principal_id, first.client_id}.isdisjoint({second.principal_id, second.client_id})
    vm_grant = assign_role(azure, "AcrPull", assignee=second.principal_id, scope=registry.id)
    assert vm_grant.principal_id == second.principal_id


def test_two_runs_at_once_make_one_vm_that_both_can_reach(azure: Azure, name: str) -> None:
    create_resource_group(azure)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: create_vm(connect_to(name), "vm", ssh_source=SSH_SOURCE), range(2)))
    assert made[0].vm_id == made[1].vm_id
    with ssh(azure, "vm") as shell:
        assert shell.run("hostname").stdout == "vm\n"


def test_vm_that_is_refused_leaves_no_host_key(azure: Azure) -> None:
    with pytest.raises(HttpResponseError, match="The Admin Username specified is not allowed: 'root'"):
        create_vm(azure, "vm", ssh_source=SSH_SOURCE, admin_username="root")
    keys = (azure.keys.folder / "known_hosts").glob("*")
    assert not [path for path in keys if azure.resource_group in path.read_text()]


def test_foreign_resource_group_is_not_deleted(azure: Azure, name: str) -> None:
    from azure.mgmt.resource.resources.models import ResourceGroup

    azure.resources.resource_groups.create_or_update(name, ResourceGroup(location="chinanorth3"))
    create_registry(azure, name)
    with pytest.raises(NotOurs, match=f"{name} was not made by this runbook"):
        delete_resource_group(azure)
    assert show_registry(azure, name).name == name


def test_clean_up_takes_everything_and_may_be_repeated(azure: Azure, name: str) -> None:
    registry = create_registry(azure, name)
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    vm = assign_identity(azure, "vm")
    assign_role(azure, "AcrPull", assignee=vm.identity.principal_id, scope=registry.id)
    delete_resource_group(azure)
    delete_resource_group(azure)
    with pytest.raises(ResourceNotFoundError, match="ResourceGroupNotFound"):
        show_vm(azure, "vm")
    create_resource_group(azure)
    assert list(azure.resources.resources.list_by_resource_group(name)) == []


def test_unknown_role_is_named(azure: Azure, name: str) -> None:
    with pytest.raises(NotFound, match="no role named 'AcrPul'"):
        assign_role(azure, "AcrPul", assignee=SUBSCRIPTION, scope=f"/subscriptions/{SUBSCRIPTION}")


def test_registry_name_taken_by_another_group(azure: Azure, name: str) -> None:
    create_registry(azure, name)
    with pytest.raises(HttpResponseError, match="AlreadyInUse"):
        create_registry(connect_to(name + "b"), name)


def test_unknown_image_is_named(azure: Azure, name: str) -> None:
    create_registry(azure, name)
    with pytest.raises(HttpResponseError, match=r"mcr\.microsoft\.com/nothing:v1 was not found"):
        import_image(azure, name, "app:v1", "mcr.microsoft.com/nothing:v1")


def test_two_vms_have_different_addresses_and_identities(azure: Azure) -> None:
    addresses, principals = set(), set()
    for vm_name in ("one", "two"):
        create_vm(azure, vm_name, ssh_source=SSH_SOURCE)
        principals.add(assign_identity(azure, vm_name).identity.principal_id)
        addresses.add(public_ip_address(azure, vm_name))
        with ssh(azure, vm_name) as shell:
            assert shell.run("hostname").stdout == f"{vm_name}\n"
    assert len(addresses) == len(principals) == 2


@pytest.mark.parametrize(("cloud", "suffix"), [("AzureCloud", "azurecr.io"), ("AzureUSGovernment", "azurecr.us")])
def test_the_other_clouds(sandbox: Sandbox, name: str, cloud: str, suffix: str) -> None:
    azure = connect_to(name, cloud)
    reference = ready(azure, name)
    assert reference == f"{name}.{suffix}/app:v1"
    identity = create_identity(azure, "id1")
    assign_identity(azure, "vm", identity.id)
    assign_role(azure, "AcrPull", assignee=identity.principal_id, scope=show_registry(azure, name).id)
    az_login(azure, "vm", identity.id)
    acr_login(azure, "vm", name)
    assert docker_pull(azure, "vm", reference).startswith("sha256:")


def test_wrong_password_of_the_operator(fresh: Path, name: str) -> None:
    process.start(fresh)
    path = fresh / "operator.json"
    operators = json.loads(path.read_text())
    for operator in operators.values():
        operator["client_secret"] = "wrong"
    path.write_text(json.dumps(operators))
    with pytest.raises(SignInRefused, match="AADSTS7000215: Invalid client secret"):
        create_resource_group(connect_to(name))


def test_unknown_subscription(sandbox: Sandbox, name: str) -> None:
    other = "11111111-1111-1111-1111-111111111111"
    azure = connect("AzureChinaCloud", subscription_id=other, resource_group=name, location="chinanorth3", sandbox=True)
    with pytest.raises(HttpResponseError, match=f"The subscription '{other}' could not be found"):
        create_resource_group(azure)


def test_result_is_written_too_and_request_ids_are_kept(azure: Azure, name: str, tmp_path: Path) -> None:
    """With the journal that a real cloud has: what was changed, and what failed."""
    azure = dataclasses.replace(azure, journal=Journal(shown=True))
    create_registry(azure, name)
    with pytest.raises(ResourceExistsError):
        create_registry(dataclasses.replace(azure, resource_group=name + "-other"), name)
    path = tmp_path / "deep" / "result.json"
    show_result(azure, str(path), registry=name)
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["schema"] == 1 and result["registry"] == name
    asked = [(each["method"], each["status"]) for each in result["requests"]]
    assert asked == [("PUT", 201), ("PUT", 200), ("PUT", 201), ("PUT", 409)]
    assert all(len(each["x-ms-request-id"]) == 36 for each in result["requests"])


def test_a_role_with_a_condition_is_not_taken_away(azure: Azure, name: str) -> None:
    registry, identity = create_registry(azure, name), create_identity(azure, name)
    grant = assign_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(registry.id))
    assert remove_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(registry.id)) == 1
    assert remove_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(registry.id)) == 0
    conditional = RoleAssignmentCreateParameters(
        role_definition_id=str(grant.role_definition_id), principal_id=str(identity.principal_id),
        principal_type="ServicePrincipal", condition_version="2.0",
        condition="@Resource[Microsoft.ContainerRegistry/registries/repositories:name] StringEquals 'app'",
    )  # fmt: skip
    azure.authorization.role_assignments.create(str(registry.id), str(uuid.uuid4()), conditional)
    with pytest.raises(NotOurs, match="with a condition"):
        remove_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(registry.id))


def test_identities_come_and_go(azure: Azure, name: str) -> None:
    create_vm(azure, name, ssh_source=SSH_SOURCE)
    first, second = (str(create_identity(azure, name + end).id) for end in ("a", "b"))
    for identity_id in (first, second, None):
        assign_identity(azure, name, identity_id)
    assert list(remove_identity(azure, name, first.upper()).identity.user_assigned_identities) == [second]
    assert remove_identity(azure, name, second).identity.type == "SystemAssigned"
    assert remove_identity(azure, name, second).identity.type == "SystemAssigned"  # it has not got it: nothing is done
    assert remove_identity(azure, name).identity is None


def test_a_cell_that_fails_tells_its_request_ids(sandbox: Sandbox, name: str) -> None:
    """As on a real cloud: through a proxy, with the environment's credential."""
    secrets = {
        name: sandbox.environment[name] for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
    }
    target = {"subscription_id": SUBSCRIPTION, "resource_group": name, "location": "chinanorth3"}
    target |= {"proxy": sandbox.proxy, "ca_file": sandbox.ca_file}
    cells = [
        "from runbook_helpers import connect, create_registry\n"
        f"create_registry(connect('AzureChinaCloud', **{target}), {name!r})",
        "1 / 0",
        "1 / 0",
    ]
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        f"print([InteractiveShell.instance().run_cell(cell).success for cell in {cells}])"
    )
    environment = {**clean_environment(), **secrets, "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("[True, False, False]\n"), done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "request ids" in line]
    group = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{name}"
    assert line.startswith(f"Azure's request ids: PUT {group} 201 ") and line.count("; PUT ") == 1
