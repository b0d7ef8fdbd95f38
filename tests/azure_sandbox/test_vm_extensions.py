"""The extensions of VMs: VMAccessForLinux lets a key in; nothing else is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .raw_http import ARM_HOST
from .test_fuzz_requests import HERE, KEY, VALID, InProcessSandbox, provider

Json = dict[str, Any]
VM = provider("Compute", "virtualMachines/m")
EXTENSION = f"{VM}/extensions/e"
VERSION = "api-version=2024-03-01"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessSandbox]:
    sandbox = InProcessSandbox(tmp_path_factory.mktemp("extensions") / "sandbox")
    yield sandbox
    sandbox.server.close()


def body(**properties: Any) -> Json:
    return {**HERE, "properties": {**VALID[EXTENSION][1]["properties"], **properties}}


def protected(**settings: Any) -> Json:
    return {"username": "azureuser", "ssh_key": KEY, **settings}


def shown(sandbox: InProcessSandbox, path: str, query: str = "") -> Any:
    status, answered = sandbox.ask("GET", ARM_HOST, path, VERSION + query)
    assert status == 200, answered
    return json.loads(answered)


def test_an_extension_is_shown_wherever_azure_shows_it_but_not_what_is_secret(sandbox: InProcessSandbox) -> None:
    listed = shown(sandbox, f"{VM}/extensions")["value"]
    assert [each["id"] for each in listed] == [EXTENSION] == [each["id"] for each in shown(sandbox, VM)["resources"]]
    assert listed[0] == shown(sandbox, EXTENSION) and KEY not in json.dumps(listed)
    viewed = shown(sandbox, f"{VM}/instanceView")["extensions"][0]
    assert viewed["name"] == "e" and viewed["type"] == "Microsoft.OSTCExtensions.VMAccessForLinux"
    alone = shown(sandbox, EXTENSION, "&$expand=instanceView")["properties"]["instanceView"]
    assert alone["statuses"][0]["code"] == "ProvisioningState/succeeded"


@pytest.mark.parametrize(
    ("path", "asked", "status", "code"),
    [
        (EXTENSION, body(publisher="Microsoft.Azure.Extensions", type="CustomScript"), 501, "NotImplementedInSandbox"),
        (EXTENSION, body(publisher=""), 501, "NotImplementedInSandbox"),
        (EXTENSION, body(settings={"check_disk": True}), 501, "NotImplementedInSandbox"),
        (EXTENSION, body(protectedSettings=protected(password="x")), 501, "NotImplementedInSandbox"),
        (EXTENSION, body(protectedSettings=protected(username="other")), 501, "NotImplementedInSandbox"),
        (EXTENSION, body(protectedSettings={"remove_user": "azureuser"}), 501, "NotImplementedInSandbox"),
        (EXTENSION, body(enableAutomaticUpgrade=True), 501, "NotImplementedInSandbox"),
        (EXTENSION, body(protectedSettings={}), 400, "InvalidParameter"),
        (EXTENSION, body(protectedSettings=protected(ssh_key=5)), 400, "InvalidParameter"),
        (EXTENSION, body(typeHandlerVersion=None), 400, "InvalidParameter"),
        (EXTENSION, {"properties": body()["properties"]}, 400, "LocationRequired"),
        (f"{VM}/extensions/other", body(), 400, "BadRequest"),
        (provider("Compute", "virtualMachines/absent/extensions/e"), body(), 404, "ResourceNotFound"),
    ],
)
def test_what_is_refused(sandbox: InProcessSandbox, path: str, asked: Json, status: int, code: str) -> None:
    before = shown(sandbox, f"{VM}/extensions")
    answered = sandbox.ask("PUT", ARM_HOST, path, VERSION, asked)
    assert (answered[0], json.loads(answered[1])["error"]["code"]) == (status, code)
    assert shown(sandbox, f"{VM}/extensions") == before


@pytest.mark.parametrize("key", ["no key", "ssh-ed25519 AAAA", f"{KEY}\n{KEY}"])
def test_a_key_that_is_none_makes_the_extension_fail(sandbox: InProcessSandbox, key: str) -> None:
    with sandbox.undone():
        asked = body(protectedSettings=protected(ssh_key=key))
        assert sandbox.ask("PUT", ARM_HOST, EXTENSION, VERSION, asked)[0] == 200
        assert shown(sandbox, EXTENSION)["properties"]["provisioningState"] == "Failed"


def test_it_goes_with_its_vm_and_needs_it_to_run(sandbox: InProcessSandbox) -> None:
    with sandbox.undone():
        assert sandbox.ask("DELETE", ARM_HOST, EXTENSION, VERSION)[0] == 202
        assert sandbox.ask("DELETE", ARM_HOST, EXTENSION, VERSION)[0] == 204
        assert "resources" not in shown(sandbox, VM)
    with sandbox.undone():
        sandbox.ask("POST", ARM_HOST, f"{VM}/deallocate", VERSION)
        for method in ("PUT", "DELETE"):
            status, answered = sandbox.ask(method, ARM_HOST, EXTENSION, VERSION, body())
            assert (status, json.loads(answered)["error"]["code"]) == (409, "OperationNotAllowed")
    with sandbox.undone():
        assert sandbox.ask("DELETE", ARM_HOST, VM, VERSION)[0] == 202
        assert sandbox.ask("GET", ARM_HOST, EXTENSION, VERSION)[0] == 404
