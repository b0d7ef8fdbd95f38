"""Who may do what, by the role, whether the role is one's own or one's group's, and whether it is denied."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from azure_sandbox.access.decide import EVERYONE, decide, repository_actions
from azure_sandbox.access.roles import BUILT_IN_ROLES, definition_id
from azure_sandbox.clouds import CLOUDS
from azure_sandbox.resource import DENIAL, Resource, ResourceId
from azure_sandbox.resource import REGISTRY as ACR

from ..conftest import SUBSCRIPTION
from .raw_http import ARM_HOST
from .test_fuzz_requests import GROUP, HERE, INTERFACE, VALID, InProcessSandbox, provider

IDENTITY, MACHINE = provider("ManagedIdentity", "userAssignedIdentities/uuu"), provider("Compute", "virtualMachines/m")
NETWORK, REGISTRY = (
    provider("Network", "virtualNetworks/v1"),
    provider("ContainerRegistry", "registries/fuzz12345"),
)
GRAPH = CLOUDS["AzureChinaCloud"].graph
NAMED = {role.name: role.id for role in BUILT_IN_ROLES.values()}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessSandbox]:
    sandbox = InProcessSandbox(tmp_path_factory.mktemp("roles") / "sandbox")
    yield sandbox
    sandbox.server.close()


class Someone:
    """A service principal that has no role yet."""

    def __init__(self, sandbox: InProcessSandbox) -> None:
        self.sandbox = sandbox
        principal = sandbox.cloud.create_principal(f"someone-{uuid.uuid4()}", "someone", "Application")
        self.id: str = principal["objectId"]
        self.token = sandbox.cloud.issue_token(principal, f"https://{ARM_HOST}/", 3600, {})

    def ask(self, method: str, path: str, body: Any = b"", version: str = "2022-09-01") -> tuple[int, dict[str, Any]]:
        status, answered = self.sandbox.ask(method, ARM_HOST, path, f"api-version={version}", body, token=self.token)
        return status, json.loads(answered or b"{}")


def assign(
    sandbox: InProcessSandbox, role: str, principal: str, scope: str = GROUP, kind: str = "ServicePrincipal"
) -> None:
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
    sandbox: InProcessSandbox, role: str, allowed: list[tuple[str, str]], refused: list[tuple[str, str]]
) -> None:
    with sandbox.undone():
        someone = Someone(sandbox)
        assign(sandbox, role, someone.id)
        for method, path in allowed:
            assert someone.ask(method, path, VALID[path][1] if method == "PUT" else b"", VALID[path][0])[0] == 200, path
        for method, path in refused:
            status, answered = someone.ask(method, path, VALID[path][1] if method == "PUT" else b"", VALID[path][0])
            assert (status, answered["error"]["code"]) == (403, "AuthorizationFailed"), path


def test_an_operator_of_identities_assigns_them(sandbox: InProcessSandbox) -> None:
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


# Groups, as Microsoft Graph makes them


def graph(
    sandbox: InProcessSandbox, method: str, path: str, body: Any = b"", query: str = ""
) -> tuple[int, dict[str, Any]]:
    status, answered = sandbox.ask(method, GRAPH, f"/v1.0/{path}", query, body, token=sandbox.graph)
    return status, json.loads(answered or b"{}")


def make_group(sandbox: InProcessSandbox, name: str, *members: str) -> str:
    body = {"displayName": name, "mailNickname": name, "mailEnabled": False, "securityEnabled": True}
    status, made = graph(sandbox, "POST", "groups", body)
    assert status == 201, made
    for member in members:
        reference = {"@odata.id": f"https://{GRAPH}/v1.0/directoryObjects/{member}"}
        assert graph(sandbox, "POST", f"groups/{made['id']}/members/$ref", reference)[0] == 204
    return str(made["id"])


def test_a_groups_role_is_its_members(sandbox: InProcessSandbox) -> None:
    with sandbox.undone():
        someone = Someone(sandbox)
        inner = make_group(sandbox, "inner", someone.id)
        outer = make_group(sandbox, "outer", inner)
        assert someone.ask("GET", REGISTRY)[0] == 403
        assign(sandbox, "Reader", outer, kind="Group")
        assert someone.ask("GET", REGISTRY)[0] == 200

        def assigned(filter: str) -> list[str]:
            path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments"
            answered = sandbox.ask("GET", ARM_HOST, path, f"api-version=2022-04-01&$filter={filter}")[1]
            return [each["properties"]["principalId"] for each in json.loads(answered)["value"]]

        assert assigned(f"assignedTo('{someone.id}')") == [outer]
        assert assigned(f"atScope() and assignedTo('{someone.id.upper()}')") == [outer]
        assert assigned(f"principalId eq '{someone.id}'") == []
        assert graph(sandbox, "DELETE", f"groups/{inner}/members/{someone.id}/$ref")[0] == 204
        assert someone.ask("GET", REGISTRY)[0] == 403


def test_groups_of_the_directory(sandbox: InProcessSandbox) -> None:
    with sandbox.undone():
        someone = Someone(sandbox)
        group = make_group(sandbox, "Pullers", someone.id)
        assert graph(sandbox, "GET", f"groups/{group}")[1]["displayName"] == "Pullers"
        (member,) = graph(sandbox, "GET", f"groups/{group}/members")[1]["value"]
        assert (member["id"], member["@odata.type"]) == (someone.id, "#microsoft.graph.servicePrincipal")
        found = graph(sandbox, "GET", "groups", query="$filter=startswith(displayName,'pull')")[1]["value"]
        assert [each["id"] for each in found] == [group]
        (seen,) = graph(sandbox, "POST", "directoryObjects/getByIds", {"ids": [group]})[1]["value"]
        assert seen["@odata.type"] == "#microsoft.graph.group"
        again = {"@odata.id": f"https://{GRAPH}/v1.0/directoryObjects/{someone.id}"}
        assert graph(sandbox, "POST", f"groups/{group}/members/$ref", again)[1]["error"]["code"] == "Request_BadRequest"
        mailed = {"displayName": "x", "mailNickname": "x", "mailEnabled": True, "securityEnabled": True}
        assert graph(sandbox, "POST", "groups", mailed)[0] == 501
        assert graph(sandbox, "DELETE", f"groups/{group}")[0] == 204
        assert graph(sandbox, "GET", f"groups/{group}")[1]["error"]["code"] == "Request_ResourceNotFound"


def test_a_group_is_assigned_as_one(sandbox: InProcessSandbox) -> None:
    with sandbox.undone():
        group = make_group(sandbox, "typed")
        path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
        reader = definition_id(SUBSCRIPTION, NAMED["Reader"])
        for kind, wanted in (("User", 400), (None, 201)):
            body = {"properties": {"roleDefinitionId": reader, "principalId": group, "principalType": kind}}
            status, answered = sandbox.ask("PUT", ARM_HOST, path, "api-version=2022-04-01", body)
            assert status == wanted, answered
        assert json.loads(answered)["properties"]["principalType"] == "Group"


def test_a_managed_identity_does_not_manage_groups(sandbox: InProcessSandbox) -> None:
    principal = json.loads(sandbox.ask("GET", ARM_HOST, IDENTITY, "api-version=2023-01-31")[1])["properties"]
    found = sandbox.cloud.principal(principal["principalId"])
    assert found
    token = sandbox.cloud.issue_token(found, f"https://{GRAPH}", 3600, {})
    status, answered = sandbox.ask("POST", GRAPH, "/v1.0/groups", "", {"displayName": "x"}, token=token)
    assert (status, json.loads(answered)["error"]["code"]) == (403, "Authorization_RequestDenied")


# Deny assignments


def deny(sandbox: InProcessSandbox, properties: dict[str, Any], scope: str = GROUP) -> tuple[int, dict[str, Any]]:
    path = f"{scope}/providers/Microsoft.Authorization/denyAssignments/{uuid.uuid4()}"
    status, answered = sandbox.ask("PUT", ARM_HOST, path, "api-version=2024-07-01-preview", {"properties": properties})
    return status, json.loads(answered)


DENIED = {"denyAssignmentName": "no changes", "permissions": [{"actions": ["*/write", "*/delete"], "notActions": []}]}


def test_a_deny_assignment_counts_and_can_be_read(sandbox: InProcessSandbox) -> None:
    with sandbox.undone():
        someone = Someone(sandbox)
        assign(sandbox, "Contributor", someone.id)
        body = VALID[IDENTITY][1]
        assert someone.ask("PUT", IDENTITY, body)[0] == 200
        status, made = deny(sandbox, {**DENIED, "principals": [{"id": someone.id, "type": "ServicePrincipal"}]})
        assert status == 201 and made["properties"]["isSystemProtected"] is False
        status, refused = someone.ask("PUT", IDENTITY, body)
        assert (status, refused["error"]["code"]) == (403, "DenyAssignmentAuthorizationFailed")
        assert "'no changes'" in refused["error"]["message"] and GROUP in refused["error"]["message"]
        assert someone.ask("GET", IDENTITY)[0] == 200
        assert sandbox.ask("PUT", ARM_HOST, IDENTITY, "api-version=2023-01-31", body)[0] == 200  # the operator
        listed = someone.ask("GET", f"{IDENTITY}/providers/Microsoft.Authorization/denyAssignments")[1]["value"]
        assert [each["id"] for each in listed] == [made["id"]]
        assert someone.ask("GET", made["id"])[1]["properties"] == made["properties"]
        assert sandbox.ask("DELETE", ARM_HOST, made["id"], "api-version=2024-07-01-preview")[0] == 200
        assert someone.ask("PUT", IDENTITY, body)[0] == 200


@pytest.mark.parametrize(
    "members",
    [
        {"principals": [{"id": EVERYONE, "type": "SystemDefined"}]},
        {"principals": [{"id": str(uuid.uuid4()), "type": "Group"}]},
        {"principals": []},
        {"principals": [{"id": str(uuid.uuid4()), "type": "User"}], "permissions": [{"actions": ["*/read"]}]},
        {"principals": [{"id": str(uuid.uuid4()), "type": "User"}], "denyAssignmentName": ""},
    ],
)
def test_a_deny_assignment_that_users_cannot_make(sandbox: InProcessSandbox, members: dict[str, Any]) -> None:
    status, answered = deny(sandbox, {**DENIED, **members})
    assert (status, answered["error"]["code"]) == (400, "InvalidCreateDenyAssignmentRequest")


def test_what_azure_itself_denies(sandbox: InProcessSandbox) -> None:
    """One as a managed application has it: for everyone but one, data actions too, and not below its scope."""
    registry = ResourceId(REGISTRY)
    everyone = {"id": EVERYONE, "type": "SystemDefined"}
    with sandbox.undone():
        someone, spared = Someone(sandbox), Someone(sandbox)
        for each in (someone, spared):
            assign(sandbox, "Contributor", each.id)
        properties = {
            "denyAssignmentName": "locked", "scope": str(registry), "principals": [everyone], "doNotApplyToChildScopes": True,
            "excludePrincipals": [{"id": spared.id, "type": "ServicePrincipal"}], "isSystemProtected": True,
            "permissions": [{"actions": ["*/pull/read"], "notActions": [], "dataActions": ["*"], "notDataActions": []}],
        }  # fmt: skip
        name = str(uuid.uuid4())
        denial = {"id": f"{registry}/providers/{DENIAL}/{name}", "type": DENIAL, "name": name, "properties": properties}
        sandbox.cloud.store.put(Resource(denial))
        found = sandbox.cloud.store.get(registry)
        assert found
        assert "pull" not in repository_actions(sandbox.cloud, someone.id, found, "app")
        assert "pull" in repository_actions(sandbox.cloud, spared.id, found, "app")
        pull = f"{ACR}/pull/read"
        assert decide(sandbox.cloud, someone.id, pull, registry.child("x", "y"))
        assert not decide(sandbox.cloud, someone.id, pull, registry)
