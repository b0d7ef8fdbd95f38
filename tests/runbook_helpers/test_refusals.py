"""What Azure refuses, as one sentence: the name, the cause in Azure's words once, and what to do. And arguments that no call
is made with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from azure_sandbox import Sandbox, faults
from runbook_helpers import (
    Azure,
    assign_identity,
    assign_role,
    az_login,
    check_permissions,
    connect,
    create_identity,
    create_registry,
    create_resource_group,
    create_vm,
    import_image,
    show_image,
    show_registry,
    show_vm,
    ssh,
)
from runbook_helpers.errors import CloudUnavailable, ParameterError, RunbookError
from runbook_helpers.outcome import Outcome
from runbook_helpers.run.report import read_report

from ..conftest import SSH_SOURCE, SUBSCRIPTION, clean_environment, writes

OTHER = "1" + SUBSCRIPTION[1:]
TENANTS = ("aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb")


@pytest.fixture
def registry(azure: Azure, name: str) -> str:
    create_registry(azure, name)
    return name


@pytest.fixture
def add(sandbox: Sandbox) -> Iterator[Callable[[faults.Fault], str]]:
    yield sandbox.faults.add
    sandbox.faults.clear()


@pytest.mark.parametrize(
    ("call", "begins", "cause", "advice"),
    [
        (lambda azure, name: show_vm(azure, "nix"),
         "Azure does not find the VM nix: (ResourceNotFound) ", "was not found.", "Is the name right"),
        (lambda azure, name: show_registry(azure, name + "x"),
         "Azure does not find the registry ", "was not found.", "Is the name right"),
        (lambda azure, name: show_image(azure, name, "app:v1"),
         "{name}.azurecr.cn refuses GET /acr/v1/app/_tags/v1: (TAG_UNKNOWN) ", "does not exist.", "show-tags"),
        (lambda azure, name: create_resource_group(replace(azure, resource_group=name + "x", location="nowhere")),
         "Azure refuses to make the resource group ", "location 'nowhere' is not available", "Choose another location"),
        (lambda azure, name: create_registry(replace(azure, location="nowhere"), name + "x"),
         "Azure refuses to make the registry ", "location 'nowhere' is not available", "Choose another location"),
        (lambda azure, name: create_registry(replace(azure, resource_group=name + "x"), name),
         "(AlreadyInUse) The registry {name} is in the resource group", "registry_resource_group", "choose another registry_name"),
        (lambda azure, name: create_resource_group(replace(azure, subscription_id=OTHER)),
         "Azure refuses to make the resource group ", f"'{OTHER}' could not be found.", "`az account list "),
        (lambda azure, name: check_permissions(
            replace(azure, subscription_id=OTHER), registry_name=name, vm_name="vm", identity_name="id1"),
         "Azure does not find the resource group ", f"'{OTHER}' could not be found.", "`az cloud set -n AzureChinaCloud`"),
        (lambda azure, name: import_image(azure, name, "app:v1", "docker.io/library/nginx:latest"),
         "Azure refuses importImage of the registry {name}: (NotImplementedInSandbox) ", "mcr.microsoft.com",
         "The same again will not help"),
    ],
)  # fmt: skip
def test_a_refusal_is_a_sentence_with_the_name_the_cause_once_and_advice(
    azure: Azure, registry: str, call: Callable[[Azure, str], object], begins: str, cause: str, advice: str
) -> None:
    with pytest.raises(RunbookError) as caught:
        call(azure, registry)
    said = str(caught.value)
    assert isinstance(caught.value, HttpResponseError) and caught.value.outcome is Outcome.CLOUD_REFUSED
    assert said.startswith(begins.format(name=registry))
    assert said.count(cause) == 1 and advice in said.partition(cause)[2]
    assert "\n" not in said and "Message: " not in said
    if "subscription" in cause or OTHER in cause:
        assert "make what is missing" not in said


@pytest.mark.parametrize(
    ("status", "code", "message", "advice"),
    [
        (401, "InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer 'https://sts.chinacloudapi.cn/{}/'. "
         "It must match the tenant 'https://sts.chinacloudapi.cn/{}/' associated with this subscription.",
         f"`az cloud set -n AzureChinaCloud`, then `az login --tenant {TENANTS[1]}`"),
        (401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than now.", "then `az login`, and"),
        (403, "RequestDisallowedByPolicy", "Resource was disallowed by policy. Reasons: MFA is required.", "`az logout`, then"),
        (403, "RequestDisallowedByPolicy", "Resource 'x' was disallowed by policy.", "ask who assigned it"),
        (403, "AuthorizationFailed", "The client has no authorization.", "`runbook check` says which"),
        (409, "ScopeLocked", "The scope cannot be written because of locks.", "`az lock list`"),
        (409, "OperationNotAllowed", "It exceeds the approved Total Regional Cores quota.", "Ask for a higher quota"),
        (400, "InvalidParameter", "The value Standard_Nix provided for the VM size is not valid.", "`az vm list-sizes"),
        (400, "SomethingNew", "Something is odd.", "Change what it names, and run this step again."),
    ],
)  # fmt: skip
def test_a_cause_has_its_advice(
    azure: Azure, add: Callable[[faults.Fault], str], status: int, code: str, message: str, advice: str
) -> None:
    message = message.format(*TENANTS)
    body = json.dumps({"error": {"code": code, "message": message}})
    add(faults.Status(status, host="management.*", body=body, times=0))
    with pytest.raises(HttpResponseError) as caught:
        create_resource_group(azure)
    said = str(caught.value)
    assert f"({code}) {message[:-1]}. " in said and advice in said
    assert (status == 401) == isinstance(caught.value, ClientAuthenticationError)


def test_the_details_of_a_cause_are_said_where_they_say_more(azure: Azure, add: Callable[[faults.Fault], str]) -> None:
    details = [{"code": "SkuNotAvailable", "message": "Standard_Nix is not available in location 'x'."}]
    error = {"code": "InvalidTemplateDeployment", "message": "See inner errors for details.", "details": details}
    add(faults.Status(400, host="management.*", body=json.dumps({"error": error}), times=0))
    with pytest.raises(
        HttpResponseError, match=r"for details: \(SkuNotAvailable\) .*Nix is not available .*another size"
    ):
        create_resource_group(azure)


def test_an_answer_in_other_words_than_azures(azure: Azure, add: Callable[[faults.Fault], str]) -> None:
    add(faults.Status(403, host="management.*", body="<html>Blocked by the company</html>", times=0))
    with pytest.raises(HttpResponseError, match=r"the answer was 403 .*Is a proxy on the way\?"):
        create_resource_group(azure)


def test_what_an_answer_says_is_shown_where_azure_fails(azure: Azure, add: Callable[[faults.Fault], str]) -> None:
    body = json.dumps({"error": {"code": "ServerBusy", "message": "The region is busy."}})
    add(faults.Status(503, host="management.*", body=body, times=0))
    with pytest.raises(
        CloudUnavailable, match=r"answer was 503.*: \(ServerBusy\) The region is busy\. Run this step again"
    ):
        create_resource_group(azure)


def test_the_sdks_own_error_is_caught_as_before(azure: Azure) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        show_vm(azure, "nix")
    assert caught.value.status_code == 404 and caught.value.error and caught.value.error.code == "ResourceGroupNotFound"
    assert caught.value.message == str(caught.value)


def test_a_run_says_it_everywhere_in_the_same_words(fresh: Path, tmp_path: Path) -> None:
    code = "from runbook_helpers.commands.main import main; main()"
    parameters = [
        "-p",
        "source_image",
        "docker.io/library/nginx:latest",
        "--only",
        "01",
        "--output",
        str(tmp_path / "o"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, "run", *parameters],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 3, done.stderr
    (step,) = read_report(tmp_path / "o").steps
    sentence = "Azure refuses importImage of the registry myContainerRegistry: (NotImplementedInSandbox) "
    assert step.error and sentence in step.error and "\n" not in step.error
    for path in ("junit.xml", "01_registry.ipynb", "report.html"):
        assert sentence in (tmp_path / "o" / path).read_text(encoding="utf-8"), path
    assert sentence in done.stdout and "Traceback" not in done.stdout + done.stderr


def connected(**given: Any) -> Azure:
    usual = {"subscription_id": SUBSCRIPTION, "resource_group": "g", "location": "China North 3", "sandbox": True}
    return connect("AzureChinaCloud", **{**usual, **given})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a: assign_role(a, "AcrPull", assignee=SUBSCRIPTION, scope="myContainerRegistry"), "scope must be a resource id"),
        (lambda a: assign_role(a, "AcrPull", assignee=SUBSCRIPTION, scope=""), "scope must be a resource id"),
        (lambda a: assign_role(a, "AcrPull", assignee="myACRId", scope="/"), "assignee must be a principal id"),
        (lambda a: assign_role(a, "Acr'Pull", assignee=SUBSCRIPTION, scope="/"), "role must be a role's name"),
        (lambda a: assign_identity(a, "vm", "myACRId"), "identity_id must be the resource id"),
        (lambda a: az_login(a, "vm", SUBSCRIPTION), "identity_id must be the resource id"),
        (lambda a: create_vm(a, "vm", ssh_source=SSH_SOURCE, image="Ubuntu9"), "image must be one of Ubuntu2204, "),
        (lambda a: create_vm(a, "a b", ssh_source="0.0.0.0/0", size="D2"), "vm_name must have"),
        (lambda a: create_registry(a, "abcde12345", sku="Gold"), "sku must be one of Basic, "),
        (lambda a: show_registry(a, ""), "registry_name must have"),
        (lambda a: show_registry(a, "a/b"), "registry_name must have"),
        (lambda a: import_image(a, "abcde12345", "app:v1", "nginx"), "source_image must be"),
        (lambda a: create_identity(a, "../x"), "identity_name must have"),
        (lambda a: ssh(a, "").__enter__(), "vm_name must have"),
        (lambda a: connect("Azure", subscription_id="<x>", resource_group="g.", location="China North", sandbox=True),
         "cloud must be one of"),
        (lambda a: connected(registry_resource_group="g."), "registry_resource_group must be empty, or"),
        (lambda a: connected(registry_subscription_id="mine"), "registry_subscription_id must be empty, or"),
        (lambda a: connected(vm_resource_group="a/b"), "vm_resource_group must be empty, or"),
        (lambda a: connected(identity_resource_group="g?"), "identity_resource_group must be empty, or"),
        (lambda a: connected(tags={"a<b": "c"}), "tags must be a mapping"),
        (lambda a: connected(tags={"costCenter": 42}), "tags must be a mapping"),
        (lambda a: connected(sandbox="false"), "sandbox must be true or false"),
        (lambda a: connected(location=None), "location must be a region's name"),
    ],
)  # fmt: skip
def test_arguments_are_checked_like_parameters(azure: Azure, call: Callable[[Azure], object], words: str) -> None:
    before = writes(azure.keys.folder.parent)
    with pytest.raises(ParameterError) as caught:
        call(azure)
    assert caught.value.problems[0].startswith(words) and "; it is " in str(caught.value)
    assert writes(azure.keys.folder.parent) == before


def test_a_client_id_is_no_principal_id(azure: Azure, name: str) -> None:
    identity, scope = create_identity(azure, name), str(create_registry(azure, name).id)
    sentence = (
        f"{identity.client_id} is the client id of the identity {name}: its principal id is {identity.principal_id}."
    )
    with pytest.raises(ParameterError, match=sentence):
        assign_role(azure, "AcrPull", assignee=str(identity.client_id), scope=scope)
    assert assign_role(azure, "AcrPull", assignee=str(identity.principal_id), scope=scope)
