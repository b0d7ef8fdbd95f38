"""A registry in another subscription than the VM, as a company's platform team has it; and imports from one of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from azure_sandbox import Sandbox, process
from azure_sandbox.tenant import SECOND_SUBSCRIPTION_ID
from runbook_helpers import (
    Azure,
    acr_login,
    assign_identity,
    assign_role,
    az_login,
    check_permissions,
    connect,
    create_identity,
    create_registry,
    create_vm,
    delete_resource_group,
    docker_pull,
    import_image,
    install_azure_cli,
    install_docker,
    show_image,
)
from runbook_helpers.errors import NotFound
from runbook_helpers.verbs.roles import role_assignments

from ..conftest import SSH_SOURCE, SUBSCRIPTION

SOURCE = "mcr.microsoft.com/azuredocs/aci-helloworld:latest"
CHINA: dict[str, Any] = {"location": "chinanorth3", "sandbox": True}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox of the test's own: in the shared one the second subscription would be listed for all tests."""
    monkeypatch.setenv("RUNBOOK_SANDBOX", str(tmp_path / "sandbox"))
    with Sandbox(tmp_path / "sandbox") as sandbox:
        yield sandbox


@pytest.fixture
def platform(own: Sandbox) -> Azure:
    """The platform team's group in the second subscription."""
    return connect("AzureChinaCloud", subscription_id=SECOND_SUBSCRIPTION_ID, resource_group="platform", **CHINA)


def ours(**given: str) -> Azure:
    return connect("AzureChinaCloud", subscription_id=SUBSCRIPTION, resource_group="ours", **CHINA, **given)


def test_the_walkthrough_with_a_registry_in_another_subscription(platform: Azure, name: str) -> None:
    registry = create_registry(platform, name)
    azure = ours(registry_resource_group="platform", registry_subscription_id=SECOND_SUBSCRIPTION_ID)
    names = {"registry_name": name, "vm_name": "vm", "identity_name": "id1"}
    assert "No permission is missing" in repr(check_permissions(azure, **names))
    assert create_registry(azure, name).id == registry.id
    import_image(azure, name, "app:v1", SOURCE)
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    install_docker(azure, "vm")
    install_azure_cli(azure, "vm")
    identity = create_identity(azure, "id1")
    assign_identity(azure, "vm", identity.id)
    assign_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=str(registry.id))
    az_login(azure, "vm", identity.id)
    acr_login(azure, "vm", name)
    assert docker_pull(azure, "vm", f"{registry.login_server}/app:v1")
    left = " ".join(delete_resource_group(azure, **names))
    assert f"The registry {name} stays" in left
    assert not role_assignments(platform, assignee=str(identity.principal_id), scope=str(registry.id))
    assert show_image(platform, name, "app:v1")


def test_what_is_in_one_subscription_is_not_in_the_other(platform: Azure, own: Sandbox, name: str) -> None:
    def subscriptions() -> list[str]:
        return [
            each["subscriptionId"] for each in own.arm("GET", "/subscriptions", version="2022-12-01").json()["value"]
        ]

    azure = ours()
    assert subscriptions() == [SUBSCRIPTION]  # until something is in the other
    registry = create_registry(platform, name)
    assert subscriptions() == [SUBSCRIPTION, SECOND_SUBSCRIPTION_ID]
    assert "/subscriptions/00000000-0000-0000-0000-000000000001/" in str(registry.id)
    create_identity(azure, "id1")
    assert [group.name for group in azure.resources.resource_groups.list()] == ["ours"]
    assert [group.name for group in platform.resources.resource_groups.list()] == ["platform"]
    assert [each.name for each in azure.resources.resources.list()] == ["id1"]
    assert [each.name for each in azure.registries.registries.list()] == []
    with pytest.raises(NotFound, match="registry_subscription_id says it is"):
        create_registry(ours(registry_subscription_id=SECOND_SUBSCRIPTION_ID), name)
    with pytest.raises(HttpResponseError, match="AlreadyInUse"):
        create_registry(azure, name)
    # A role in the one is none in the other.
    vm = own.create_vm("vm", "ours")
    own.assign_role("Reader", vm.principal_id, f"/subscriptions/{SECOND_SUBSCRIPTION_ID}")
    assert len(role_assignments(platform, assignee=str(vm.principal_id), scope=str(registry.id))) == 1
    assert role_assignments(azure, assignee=str(vm.principal_id), scope=f"/subscriptions/{SUBSCRIPTION}") == []


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same-subscription", "registry-elsewhere"])
def test_a_private_registry_of_ones_own_is_imported_from_by_its_id(
    platform: Azure, own: Sandbox, name: str, elsewhere: bool
) -> None:
    """So that it is read as Resource Manager reads it, also where its network rules admit trusted services alone."""
    azure = ours()
    home = platform if elsewhere else azure
    source = create_registry(home, f"{name}src", sku="Premium")
    import_image(home, source.name, "app:v1", SOURCE)
    closed = {"properties": {"publicNetworkAccess": "Disabled", "networkRuleBypassOptions": "AzureServices"}}
    assert own.arm("PATCH", str(source.id), closed, "2025-11-01").ok
    create_registry(home, name)
    here = replace(azure, registry_subscription_id=SECOND_SUBSCRIPTION_ID, registry_resource_group="platform")
    image = import_image(here if elsewhere else azure, name, "copy:v1", f"{source.login_server}/app:v1")
    assert image.digest


def test_a_registry_that_we_do_not_see_is_imported_from_by_its_name(own: Sandbox, name: str) -> None:
    azure = ours()
    create_registry(azure, name)
    with pytest.raises(HttpResponseError, match="importImage"):
        import_image(azure, name, "copy:v1", "nosuchregistry.azurecr.cn/app:v1")
    assert process.find(own.folder)
