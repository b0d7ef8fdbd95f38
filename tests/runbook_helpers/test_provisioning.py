"""What becomes of a step whose requests go wrong: it waits, tries again or says what to do, and repeats no write."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.rest import HttpRequest
from azure.mgmt.compute.models import VirtualMachineUpdate

from azure_sandbox import faults
from runbook_helpers import (
    Azure,
    assign_identity,
    assign_role,
    az_login,
    connect,
    create_identity,
    create_registry,
    create_vm,
    delete_resource_group,
    import_image,
    install_azure_cli,
    install_docker,
    remove_identity,
    show_image,
    show_registry,
)
from runbook_helpers.errors import (
    CloudUnavailable,
    CommandFailed,
    NotReady,
    OperationFailed,
    OperationTimeout,
    SignInRefused,
)
from runbook_helpers.timeouts import DEFAULTS
from runbook_helpers.verbs.identities import principals_of
from runbook_helpers.verbs.preflight import check_permissions

from ..conftest import SSH_SOURCE, SUBSCRIPTION, connect_to, writes

SOURCE = "mcr.microsoft.com/azuredocs/aci-helloworld:latest"


@pytest.fixture
def folder(shared_folder: Path) -> Iterator[Path]:
    """The folder of the sandbox; no rule stays in it."""
    yield shared_folder
    faults.clear(shared_folder)


@pytest.fixture
def azure(azure: Azure) -> Azure:
    """A connection by which operations are looked at often, and the SDKs sleep less between two tries."""
    return waits(azure, polling_interval=0.1, backoff=0.01)


def waits(azure: Azure, **seconds: float) -> Azure:
    """The same connection with other time-outs."""
    return replace(azure, timeouts=replace(azure.timeouts, **seconds))


def test_an_operation_that_fails_names_the_resource_and_what_to_do(azure: Azure, folder: Path, name: str) -> None:
    code, message = "OverconstrainedAllocationRequest", "Allocation failed."
    faults.add(
        folder,
        faults.FailedOperation(method="PUT", path=f"*/{name}/*/virtualMachines/vm", code=code, message=message),
    )
    with pytest.raises(OperationFailed, match=f"The VM vm failed in Azure: .{code}. .* another size"):
        create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    faults.clear(folder)
    vm = create_vm(azure, "vm", ssh_source=SSH_SOURCE, size="Standard_D4s_v5")
    assert vm.provisioning_state == "Succeeded"
    assert vm.hardware_profile and vm.hardware_profile.vm_size == "Standard_D4s_v5"


def test_what_others_have_made_is_not_made_again(azure: Azure, folder: Path, name: str) -> None:
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    machines = azure.compute.virtual_machines
    machines.begin_update(azure.resource_group, "vm", VirtualMachineUpdate(tags={})).result()
    faults.add(folder, faults.FailedOperation(method="PATCH", path=f"*/{name}/*/virtualMachines/vm"))
    with pytest.raises(HttpResponseError):
        machines.begin_update(azure.resource_group, "vm", VirtualMachineUpdate(tags={"made-by": "others"})).result()
    before = writes(folder)
    assert create_vm(azure, "vm", ssh_source=SSH_SOURCE).provisioning_state == "Failed"
    assert writes(folder) == before


def test_an_operation_without_end_is_waited_for_again(azure: Azure, folder: Path, name: str) -> None:
    faults.add(folder, faults.StuckOperation(method="PUT", path=f"*/{name}/*/virtualMachines/vm"))
    for _ in range(2):
        with pytest.raises(OperationTimeout, match=r"The VM vm .* run this step again"):
            create_vm(waits(azure, operation=1.0), "vm", ssh_source=SSH_SOURCE)
    faults.clear(folder)
    assert create_vm(azure, "vm", ssh_source=SSH_SOURCE).provisioning_state == "Succeeded"
    assert len([each for each in writes(folder) if name in each.lower() and each.lower().endswith("/vm")]) == 1


def test_an_import_is_not_sent_twice(azure: Azure, folder: Path, name: str) -> None:
    create_registry(azure, name)
    rule = faults.add(folder, faults.Status(503, method="POST", path=f"*/registries/{name}/importImage", after=True))
    assert import_image(azure, name, "app:v1", SOURCE).digest  # it is there, though its answer was lost
    assert [hit["rule"] for hit in faults.hits(folder)].count(rule) == 1
    assert sum("importimage" in each.lower() and name in each.lower() for each in writes(folder)) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_throttling_is_obeyed(azure: Azure, folder: Path, name: str, method: str) -> None:
    rule = faults.add(
        folder, faults.Status(429, method=method, path=f"*/{name}*", headers={"Retry-After": "1"}, times=2)
    )
    began = time.monotonic()
    create_registry(azure, name)
    import_image(azure, name, "app:v1", SOURCE)
    assert time.monotonic() - began > 2
    assert [hit["rule"] for hit in faults.hits(folder)].count(rule) == 2


@pytest.mark.parametrize(
    ("where", "status"), [("login.*", 429), ("management.*", 429), ("management.*", 503), ("*.azurecr.cn", 503)]
)
def test_what_is_to_be_asked_again_much_later_is_reported_at_once(
    azure: Azure, folder: Path, name: str, where: str, status: int
) -> None:
    """The SDKs' own retries would sleep for as long as the answer says."""
    create_registry(azure, name)
    again = connect_to(name)  # not signed in yet
    faults.add(folder, faults.Status(status, host=where, headers={"Retry-After": "100000"}, times=0))
    with pytest.raises(
        CloudUnavailable, match=rf"answer was {status}, request id .*, and to ask again after 100000 s.*again"
    ):
        show_image(again, name, "app:v1")


def test_a_sign_in_that_nobody_answers_names_the_authority(azure: Azure, folder: Path, name: str) -> None:
    faults.add(folder, faults.Reset(host="login.*", times=0))
    with pytest.raises(
        CloudUnavailable,
        match=r"No sign-in at https://login\.chinacloudapi\.cn: .*(closed connection|reset by peer).*again",
    ):
        show_registry(azure, name)


@pytest.mark.parametrize("fault", [faults.Status(401), faults.InvertedByte(20), faults.Status(200, body="<html>")])
def test_a_sign_in_that_comes_back_odd_names_it_too(
    azure: Azure, folder: Path, name: str, fault: faults.HttpFault
) -> None:
    faults.add(folder, replace(fault, host="login.*", times=0))
    with pytest.raises(
        CloudUnavailable, match=r"^No sign-in at https://login\.chinacloudapi\.cn: .*Run this step again"
    ):
        show_registry(azure, name)


@pytest.mark.parametrize(
    "fault",
    [
        faults.InvertedByte(20, host="management.*", method="GET"),
        faults.Status(200, host="management.*", method="GET", body="<html>"),
        faults.Status(200, host="management.*", method="GET", body="[]"),
        faults.Status(200, host="*.azurecr.cn", method="GET", body="<html>"),
    ],
)
def test_an_answer_that_cannot_be_read_is_asked_for_again_and_reported(
    azure: Azure, folder: Path, name: str, fault: faults.HttpFault
) -> None:
    create_registry(azure, name)
    import_image(azure, name, "app:v1", SOURCE)
    path = f"*{name if fault.host == 'management.*' else 'app'}*"
    rule = faults.add(folder, replace(fault, path=path))
    assert show_image(azure, name, "app:v1").digest
    assert [hit["rule"] for hit in faults.hits(folder)].count(rule) == 1
    faults.add(folder, replace(fault, times=0))
    with pytest.raises(CloudUnavailable, match=r"did not answer GET .* \(its answer cannot be read: .*again"):
        show_image(azure, name, "app:v1")


def test_a_registry_that_we_may_not_see_is_not_called_anothers(azure: Azure, folder: Path, name: str) -> None:
    create_registry(azure, name)
    names = {"registry_name": name, "vm_name": "vm", "identity_name": "id1"}
    for path in (f"*/resourcegroups/{name}", f"*/registries/{name}"):
        faults.add(folder, faults.Status(403, method="GET", path=path))
        check_permissions(azure, **names)
    other = connect_to(f"{name}-other")
    with pytest.raises(NotReady, match=f"{name} cannot be had"):
        check_permissions(other, **names)


def test_a_way_to_sign_in_of_the_default_credential_that_nobody_answers_does_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.setenv(name, SUBSCRIPTION)
    azure = connect(
        "AzureChinaCloud", subscription_id=SUBSCRIPTION, resource_group="g", location="chinanorth3",
        proxy="http://127.0.0.1:9", timeouts=replace(DEFAULTS, backoff=0.01),
    )  # fmt: skip
    with pytest.raises(
        CloudUnavailable, match=r"No sign-in at https://login\.chinacloudapi\.cn: Environment.*refused.*again"
    ):
        show_registry(azure, "registry")


def test_a_mirror_that_stays_broken_after_a_lock_is_no_wait_without_end(azure: Azure, folder: Path) -> None:
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    for times, words in ((3, "E: Could not get lock /var/lib/dpkg/lock"), (0, "E: Failed to fetch http://mirror")):
        faults.add(folder, faults.CommandExit("*apt-get*", 100, vm="vm", stderr=words, times=times))
    with pytest.raises(CommandFailed, match="Failed to fetch"):
        install_docker(waits(azure, apt_interval=0.0), "vm")


def test_an_import_that_azure_gives_up(azure: Azure, folder: Path, name: str) -> None:
    create_registry(azure, name)
    path = f"*/registries/{name}/importImage"
    faults.add(folder, faults.FailedOperation(method="POST", path=path, code="X", message="No image."))
    with pytest.raises(
        OperationFailed, match=r"The import of .* failed in Azure: \(X\) No image\. Run this step again"
    ):
        import_image(azure, name, "app:v1", SOURCE)
    assert import_image(azure, name, "app:v1", SOURCE).digest


def test_a_service_that_is_down_is_named(azure: Azure, folder: Path, name: str) -> None:
    faults.add(folder, faults.Status(503, method="GET", path=f"*/registries/{name}", times=0))
    with pytest.raises(CloudUnavailable, match=rf"GET .*/registries/{name} on management\..*503, request id .*again"):
        show_registry(azure, name)


@pytest.mark.parametrize("read", ["read", "stream_download"])
def test_an_answer_that_breaks_off_is_asked_for_again(azure: Azure, folder: Path, name: str, read: str) -> None:
    """However the code that an SDK was generated with reads its answers; some of it does so as streams."""
    create_registry(azure, name)
    rule = faults.add(folder, faults.TruncatedBody(20, method="GET", path=f"*/registries/{name}"))
    path = (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}/providers/Microsoft.ContainerRegistry/registries/{name}"
    )
    request = HttpRequest("GET", f"{azure.cloud.resource_manager_url}{path}?api-version=2023-07-01")
    client = azure.resources._client
    response: Any = client.send_request(request, stream=True)
    content = response.read() if read == "read" else b"".join(response.stream_download(client._pipeline))
    assert json.loads(content)["name"] == name
    assert [hit["rule"] for hit in faults.hits(folder)].count(rule) == 1


def test_a_deletion_whose_answer_is_lost_is_done(azure: Azure, folder: Path, name: str) -> None:
    create_registry(azure, name)
    faults.add(folder, faults.Reset(method="DELETE", path=f"*/resourcegroups/{name}", after=True))
    delete_resource_group(azure)
    with pytest.raises(ResourceNotFoundError, match="ResourceGroupNotFound"):
        show_registry(azure, name)


def test_an_identity_that_azure_gave_up_is_set_again(azure: Azure, folder: Path, name: str) -> None:
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    identity = create_identity(azure, name)
    for change in (assign_identity, remove_identity):
        faults.add(folder, faults.FailedOperation(method="PATCH", path=f"*/{name}/*/virtualMachines/vm"))
        with pytest.raises(OperationFailed, match="The identity of the VM vm"):
            change(azure, "vm", identity.id)
        faults.clear(folder)
        vm = change(azure, "vm", identity.id)
        assert vm.provisioning_state == "Succeeded"
        assert (identity.id in principals_of(vm)) == (change is assign_identity)


def test_a_registry_that_does_not_accept_us_is_named(azure: Azure, folder: Path, name: str) -> None:
    create_registry(azure, name)
    import_image(azure, name, "app:v1", SOURCE)
    faults.add(folder, faults.Status(401, host=f"{name}.azurecr.cn", path="/acr/v1/*", nth=2, times=0))
    with pytest.raises(SignInRefused, match=f"{name}.azurecr.cn does not accept our sign-in"):
        show_image(azure, name, "app:v1")


def test_polling_never_empties_the_bucket_of_a_vm() -> None:
    # Compute takes 45 looks at one VM's operations, and 15 more each minute.
    assert all(looks <= 45 + looks * DEFAULTS.polling_interval / 4 for looks in range(10_000))


def test_a_bare_sign_in_waits_for_the_identity_that_is_meant(azure: Azure, folder: Path, name: str) -> None:
    """While a new system-assigned identity is not seen, the VM gets the token of the only other one."""
    azure = waits(azure, login_interval=0.5)
    create_registry(azure, name)
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    install_azure_cli(azure, "vm")
    other = create_identity(azure, "other")
    scope = str(show_registry(azure, name).id)
    assign_role(azure, "AcrPull", assignee=str(other.principal_id), scope=scope)
    assign_identity(azure, "vm", other.id)
    az_login(azure, "vm")
    rule = faults.add(folder, faults.Hide(3600.0, method="PATCH", path=f"*/{name}/*/virtualMachines/vm"))
    own = principals_of(assign_identity(azure, "vm"))[None]
    assign_role(azure, "AcrPull", assignee=own, scope=scope)
    with pytest.raises(
        OperationTimeout, match=f"does not see .* {own} .* id {other.principal_id}, so .* not signed in. .*again"
    ):
        az_login(azure, "vm", within=0)
    timer = threading.Timer(2.0, faults.clear, (folder, rule))
    timer.start()
    az_login(azure, "vm")
    assert not timer.is_alive()
    timer.join()


def test_a_policy_that_refuses_is_named(azure: Azure, folder: Path, name: str) -> None:
    info = {"type": "PolicyViolation", "info": {"policyAssignmentDisplayName": "Require costCenter"}}
    message = f"Resource '{name}x' was disallowed by policy. Reasons: costCenter tag is required."
    error = {"code": "RequestDisallowedByPolicy", "message": message, "additionalInfo": [info]}
    body = json.dumps({"error": error})
    headers = {"Content-Type": "application/json"}
    faults.add(folder, faults.Status(403, method="PUT", path=f"*/{name}x", headers=headers, body=body))
    with pytest.raises(HttpResponseError, match=r"the policy 'Require costCenter'.*parameter tags \(`-p tags '\{cost"):
        create_registry(azure, f"{name}x")


@pytest.mark.parametrize(
    ("fault", "posts"),
    [
        (faults.Status(503), 2),
        (faults.Status(500, after=True), 1),
        (faults.Reset(), 2),
        (faults.Reset(after=True), 1),
        (faults.Status(503, times=2), 3),
    ],
    ids=["503", "500 after", "reset", "reset after", "503 twice"],
)
def test_an_import_without_an_answer_is_looked_for_and_asked_again(
    azure: Azure, folder: Path, name: str, fault: faults.HttpFault, posts: int
) -> None:
    create_registry(azure, name)
    azure = replace(azure, timeouts=replace(azure.timeouts, polling_interval=0.1))
    faults.add(folder, replace(fault, method="POST", path=f"*/{name}/importimage"))
    assert import_image(azure, name, "app:v1", SOURCE).digest
    asked = [
        each for each in writes(folder) if each.lower().startswith("post") and f"/{name}/importimage" in each.lower()
    ]
    assert len(asked) == posts


def test_an_import_that_is_never_answered_is_reported(azure: Azure, folder: Path, name: str) -> None:
    create_registry(azure, name)
    azure = replace(azure, timeouts=replace(azure.timeouts, polling_interval=0.1))
    faults.add(folder, faults.Status(503, method="POST", path=f"*/{name}/importimage", times=0))
    with pytest.raises(CloudUnavailable, match="importImage"):
        import_image(azure, name, "app:v1", SOURCE)
