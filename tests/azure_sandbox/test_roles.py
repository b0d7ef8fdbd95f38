"""Who may do what, by the role, whether the role is one's own or one's group's, and whether it is denied."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from azure_sandbox.access.roles import BUILT_IN_ROLES, definition_id

from ..conftest import SUBSCRIPTION
from .raw_http import ARM_HOST
from .test_fuzz_requests import GROUP, HERE, INTERFACE, VALID, Played, provider

IDENTITY, MACHINE = provider("ManagedIdentity", "userAssignedIdentities/uuu"), provider("Compute", "virtualMachines/m")
NETWORK, REGISTRY = (
    provider("Network", "virtualNetworks/v1"),
    provider("ContainerRegistry", "registries/fuzz12345"),
)
NAMED = {role.name: role.id for role in BUILT_IN_ROLES.values()}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    played = Played(tmp_path_factory.mktemp("roles") / "sandbox")
    yield played
    played.server.close()


class Someone:
    """A service principal that has no role yet."""

    def __init__(self, sandbox: Played) -> None:
        self.sandbox = sandbox
        principal = sandbox.cloud.create_principal(f"someone-{uuid.uuid4()}", "someone", "Application")
        self.id: str = principal["objectId"]
        self.token = sandbox.cloud.issue_token(principal, f"https://{ARM_HOST}/", 3600, {})

    def ask(self, method: str, path: str, body: Any = b"", version: str = "2022-09-01") -> tuple[int, dict[str, Any]]:
        status, answered = self.sandbox.ask(method, ARM_HOST, path, f"api-version={version}", body, token=self.token)
        return status, json.loads(answered or b"{}")


def assign(sandbox: Played, role: str, principal: str, scope: str = GROUP, kind: str = "ServicePrincipal") -> None:
    body = {
        "properties": {
            "roleDefinitionId": definition_id(SUBSCRIPTION, NAMED[role]),
            "principalId": principal,
            "principalType": kind,
        }
    }
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    status, answered = sandbox.ask("PUT", ARM_HOST, path, "api-version=2022-04-01", body)
    assert status == 201, answered


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        ("Network Contributor", [("PUT", NETWORK), ("GET", INTERFACE)], [("GET", MACHINE), ("GET", REGISTRY)]),
        ("Virtual Machine Contributor", [("PUT", MACHINE), ("GET", NETWORK)], [("PUT", NETWORK), ("GET", IDENTITY)]),
        ("Managed Identity Contributor", [("PUT", IDENTITY)], [("GET", MACHINE), ("GET", REGISTRY)]),
        ("Managed Identity Operator", [("GET", IDENTITY)], [("PUT", IDENTITY), ("GET", MACHINE)]),
        ("Virtual Machine User Login", [("GET", MACHINE)], [("PUT", MACHINE), ("GET", REGISTRY)]),
        ("Container Registry Tasks Contributor", [("GET", REGISTRY)], [("PUT", REGISTRY)]),
        ("Container Registry Contributor and Data Access Configuration Administrator", [("PUT", REGISTRY)], [("GET", MACHINE)]),
        ("Container Registry Configuration Reader and Data Access Configuration Reader", [("GET", REGISTRY)], [("PUT", REGISTRY)]),
        ("Reader", [("GET", MACHINE)], [("PUT", IDENTITY)]),
    ],
)  # fmt: skip
def test_a_built_in_role(
    sandbox: Played, role: str, allowed: list[tuple[str, str]], refused: list[tuple[str, str]]
) -> None:
    with sandbox.undone():
        someone = Someone(sandbox)
        assign(sandbox, role, someone.id)
        for method, path in allowed:
            assert someone.ask(method, path, VALID[path][1] if method == "PUT" else b"", VALID[path][0])[0] == 200, path
        for method, path in refused:
            status, answered = someone.ask(method, path, VALID[path][1] if method == "PUT" else b"", VALID[path][0])
            assert (status, answered["error"]["code"]) == (403, "AuthorizationFailed"), path


def test_an_operator_of_identities_assigns_them(sandbox: Played) -> None:
    """Virtual Machine Contributor alone does not attach an identity; with Managed Identity Operator it does."""
    other = provider("ManagedIdentity", "userAssignedIdentities/other")
    body = {"identity": {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {other: {}}}}
    with sandbox.undone():
        sandbox.ask("PUT", ARM_HOST, other, "api-version=2023-01-31", HERE)
        someone = Someone(sandbox)
        assign(sandbox, "Virtual Machine Contributor", someone.id)
        assert someone.ask("PATCH", MACHINE, body)[1]["error"]["code"] == "LinkedAuthorizationFailed"
        assign(sandbox, "Managed Identity Operator", someone.id, other)
        assert someone.ask("PATCH", MACHINE, body)[0] == 200
