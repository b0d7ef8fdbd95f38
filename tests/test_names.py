"""The names that Azure takes: the rules of the runbook and of the sandbox agree with one table, and with a walkthrough."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.mgmt.network import models as network_models

from azure_sandbox import Sandbox
from azure_sandbox import resource as types
from azure_sandbox.arm import names
from runbook_helpers import (
    Azure,
    acr_login,
    assign_identity,
    assign_role,
    az_login,
    create_identity,
    create_registry,
    create_resource_group,
    create_vm,
    docker_pull,
    import_image,
    install_azure_cli,
    install_docker,
    show_image,
)
from runbook_helpers.errors import NotFound, ParameterError
from runbook_helpers.parameters import RULES, problems

from .conftest import SSH_SOURCE, connect_to

models: Any = network_models  # their annotations leave out the keywords that all versions take
ARM = "https://management.chinacloudapi.cn/subscriptions/00000000-0000-0000-0000-000000000000"
SOURCE = "mcr.microsoft.com/azuredocs/aci-helloworld"
OTHER = f"sha256:{1:064}"

# From Azure's page of naming rules; the pattern of resource groups stands in the REST reference, its \w is .NET's.
TAKEN = {
    "resource_group": ["训练-rg(1)_a", "-a", ".a", "_", "ä", "Ünïcode", "रु", "١٢", "a‿b", "(1)", "a" * 90, "组" * 90],
    "registry_name": ["abcde", "A2345", "a" * 50, "myazure", "office366", "mylogin"],
    "vm_name": ["a", "7", "a" * 64, "a_", "my.vm-1_a", "WindowsVM"],
    "identity_name": ["abc", "1_-", "a" * 128, "id-", "id_"],
}
REFUSED = {
    "resource_group": ["", "a.", ".", "..", "a" * 91, "a b", "a/b", "a①", "½", "🍦", "𠀀", "a$", "a#b", "a%20b", "a\n", "a,b"],
    "registry_name": ["", "abcd", "a" * 51, "with-dash", "a.b.c", "a_bcd", "训练训练训练", "abcde\n", "office", "Azure",
                      "mymicrosoft1", "WINDOWSreg", "loginreg", "office365"],
    "vm_name": ["", "a" * 65, "_a", "-a", ".a", "a-", "a.", "a b", "a/b", "a@b", "vm\n", "a:b"],
    "identity_name": ["", "ab", "a" * 129, "_ab", "-ab", "a.b.c", "a b c", "abc\n"],
}  # fmt: skip
TYPES = {
    "resource_group": types.GROUP,
    "registry_name": types.REGISTRY,
    "vm_name": types.VIRTUAL_MACHINE,
    "identity_name": types.IDENTITY,
}


def emulated(parameter: str, name: str) -> bool:
    """Whether the sandbox takes the name."""
    return names.is_valid(TYPES[parameter], name) and not (parameter == "registry_name" and names.is_reserved(name))


@pytest.mark.parametrize(("parameter", "name"), [(kind, name) for kind in TAKEN for name in TAKEN[kind]])
def test_taken_by_both(parameter: str, name: str) -> None:
    assert problems({parameter: name}) == []
    assert emulated(parameter, name)


@pytest.mark.parametrize(("parameter", "name"), [(kind, name) for kind in REFUSED for name in REFUSED[kind]])
def test_refused_by_both(parameter: str, name: str) -> None:
    (problem,) = problems({parameter: name})
    assert problem.startswith(f"{parameter} must {RULES[parameter].words}; it is ")
    assert not emulated(parameter, name)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("a.", "InvalidResourceGroupName"),
        ("a①", "InvalidResourceGroupName"),
        ("{group}/providers/Microsoft.ContainerRegistry/registries/with-dash", "InvalidResourceName"),
        ("{group}/providers/Microsoft.ContainerRegistry/registries/windowsreg", "ReservedResourceName"),
        ("{group}/providers/Microsoft.Compute/virtualMachines/a-", "InvalidParameter"),
        ("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/ab", "InvalidResourceName"),
        ("{group}/providers/Microsoft.Network/virtualNetworks/" + "a" * 65, "InvalidResourceName"),
        ("{group}/providers/Microsoft.Network/networkInterfaces/a-", "InvalidResourceName"),
        ("{group}/providers/Microsoft.Network/networkSecurityGroups/_a", "InvalidResourceName"),
    ],
)
def test_the_sandbox_refuses_in_azures_words(sandbox: Sandbox, path: str, code: str) -> None:
    session, headers = sandbox.session, {"Authorization": f"Bearer {sandbox.token()}"}

    def put(path: str) -> requests.Response:
        body = {"location": "chinanorth3", **({"sku": {"name": "Basic"}} if "/registries/" in path else {})}
        return session.put(
            f"{ARM}/resourceGroups/{path}", params={"api-version": "2024-07-01"}, json=body, headers=headers
        )

    assert put("names").status_code in (200, 201)
    answer = put(path.format(group="names"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("prefix", "taken"),
    [("203.0.113.7", True), ("203.0.113.0/24", True), ("203.0.113.7/24", False), ("203.0.113.0/255.255.255.0", False),
     ("203.0.113.7/032", False), ("203.0.113.256", False), ("203.0.113.0/33", False), ("a b", False)],
)  # fmt: skip
def test_the_address_that_may_connect(azure: Azure, prefix: str, taken: bool) -> None:
    assert (problems({"ssh_source": prefix}) == []) == taken
    create_resource_group(azure)
    rule = models.SecurityRule(
        name="r", priority=100, access="Allow", direction="Inbound", protocol="Tcp",
        source_address_prefix=prefix, source_port_range="*", destination_address_prefix="*", destination_port_range="22",
    )  # fmt: skip
    group = models.NetworkSecurityGroup(location=azure.location, security_rules=[rule])
    groups = azure.network.network_security_groups
    with (
        contextlib.nullcontext() if taken else pytest.raises(HttpResponseError, match="SecurityRuleInvalidAddressPref")
    ):
        groups.begin_create_or_update(azure.resource_group, "n", group).result()


def test_a_walkthrough_with_the_longest_and_oddest_names(sandbox: Sandbox, name: str) -> None:
    """Chinese letters in every id; and the image is pinned by its digest all the way."""
    azure = connect_to(f"训练-rg(1)_{name}")
    vm, user = f"{'v' * 49}.1_{name}_"[-64:], f"{name}-_"
    registry = create_registry(azure, name)
    digest = import_image(azure, name, "team/apps/hello:v1", f"{SOURCE}:latest").digest
    pinned = f"team/apps/hello@{digest}"
    create_vm(azure, vm, ssh_source=SSH_SOURCE)
    install_docker(azure, vm)
    install_azure_cli(azure, vm)
    identity = create_identity(azure, user)
    assign_identity(azure, vm, identity.id)
    assign_role(azure, "AcrPull", assignee=identity.principal_id, scope=registry.id)
    az_login(azure, vm, identity.id)
    acr_login(azure, vm, name)
    assert (
        docker_pull(azure, vm, f"{registry.login_server}/{pinned}") == digest == show_image(azure, name, pinned).digest
    )
    assert docker_pull(azure, vm, f"{registry.login_server}/team/apps/hello:v1@{digest}") == digest


def test_a_digest_is_what_is_imported(azure: Azure, name: str) -> None:
    create_registry(azure, name)
    digest = import_image(azure, name, "by/tag:v1", f"{SOURCE}:latest").digest
    pinned = {
        "app:v1": f"{SOURCE}@{digest}",
        f"app:v2@{digest}": f"{SOURCE}:latest",
        f"app@{digest}": f"{SOURCE}@{digest}",
        f"alone@{digest}": f"{SOURCE}:latest@{digest}",
    }
    for image, source in pinned.items():
        assert problems({"image": image, "source_image": source}) == []
        for _ in range(2):  # and again
            assert import_image(azure, name, image, source).digest == digest
            assert show_image(azure, name, image).digest == digest
    with azure.registry_content(f"{name}.azurecr.cn") as content:
        tags = {each: [tag.name for tag in content.list_tag_properties(each)] for each in ("app", "alone")}
    assert tags == {"app": ["v1", "v2"], "alone": []}


def test_a_digest_that_is_another(azure: Azure, name: str) -> None:
    create_registry(azure, name)
    digest = import_image(azure, name, "app:v1", f"{SOURCE}:latest").digest
    with pytest.raises(NotFound, match=f"app:v1 in {name} has the digest {digest}, not {OTHER}"):
        import_image(azure, name, f"app:v1@{OTHER}", f"{SOURCE}:latest")
    with pytest.raises(ParameterError, match="image must be repository:tag"):
        show_image(azure, name, "App:v1")
