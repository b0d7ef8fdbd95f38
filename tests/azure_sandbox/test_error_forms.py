"""What is not emulated is refused in each service's own form, so that its clients can print it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from azure_sandbox.clouds import CLOUDS
from azure_sandbox.metadata import HOST as METADATA

from .raw_http import ARM_HOST
from .test_fuzz_requests import REGISTRY, InProcessSandbox

CHINA = CLOUDS["AzureChinaCloud"]
LOGIN, GRAPH = CHINA.authority_hosts[0], CHINA.graph
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessSandbox]:
    sandbox = InProcessSandbox(tmp_path_factory.mktemp("forms") / "sandbox")
    yield sandbox
    sandbox.server.close()


def sentence(host: str, answer: dict[str, Any]) -> str:
    """The sentence of an error in the form of the service at a host."""
    if host == LOGIN:  # OAuth 2.0, with what Entra ID adds
        assert {"error", "error_codes", "timestamp", "trace_id", "correlation_id"} <= set(answer)
        return str(answer["error_description"])
    if host == METADATA:
        assert answer["error"]
        return str(answer["error_description"])
    if host == REGISTRY:
        return str(answer["errors"][0]["code"] and answer["errors"][0]["message"])
    if host == GRAPH:
        assert answer["error"]["innerError"]["request-id"]
    return str(answer["error"]["code"] and answer["error"]["message"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("host", "path"),
    [
        *((LOGIN, path) for path in ("/", "/x", "/common/strange", "/organizations/oauth2/v2.0/authorize", "/common/x/y")),
        *((GRAPH, path) for path in ("/", "/v1.0/applications", "/beta/me", "/v1.0/servicePrincipals/a/b/c", "/v1.0")),
        *((METADATA, path) for path in ("/", "/metadata/attested/document", "/metadata/scheduledevents", "/metadata")),
        *((ARM_HOST, path) for path in ("/", "/providers/Microsoft.Management/managementGroups", "/batch")),
        *((REGISTRY, path) for path in ("/", "/v3/", "/acr/v1/a/b", "/v2/app/strange")),
    ],
)  # fmt: skip
def test_a_route_that_is_not_emulated(sandbox: InProcessSandbox, host: str, path: str, method: str) -> None:
    token = sandbox.graph if host == GRAPH else sandbox.registry if host == REGISTRY else None
    status, answered = sandbox.ask(method, host, path, "api-version=2022-09-01", token=token)
    said = sentence(host, json.loads(answered))
    assert status >= 400 and (status != 501 or "sandbox does not emulate" in said), answered


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("GET", LOGIN, "/common/oauth2/v2.0/token"),
        ("POST", LOGIN, "/common/discovery/keys"),
        ("DELETE", GRAPH, "/v1.0/servicePrincipals"),
        ("POST", METADATA, "/metadata/identity/oauth2/token"),
        ("PUT", REGISTRY, "/oauth2/token"),
        ("POST", REGISTRY, "/v2/"),
    ],
)
def test_a_route_with_another_method(sandbox: InProcessSandbox, method: str, host: str, path: str) -> None:
    token = sandbox.graph if host == GRAPH else None
    status, answered = sandbox.ask(method, host, path, token=token)
    assert status >= 400 and sentence(host, json.loads(answered))


def test_users_cannot_sign_in(sandbox: InProcessSandbox) -> None:
    """The device code is refused with the members that azure-cli reads, then so is the token that it asks for."""
    status, answered = sandbox.ask(
        "POST", LOGIN, "/organizations/oauth2/v2.0/devicecode", "", b"client_id=x&scope=y", token=""
    )
    flow = json.loads(answered)
    assert status == 400 and "service principal" in sentence(LOGIN, flow) and flow["message"] and "user_code" in flow
    device = b"client_id=x&grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code="
    for form in (device, b"client_id=x&grant_type=authorization_code&code=y", b"client_id=x&grant_type=refresh_token"):
        status, answered = sandbox.ask("POST", LOGIN, "/organizations/oauth2/v2.0/token", "", form, token="")
        assert status == 400 and "no users" in sentence(LOGIN, json.loads(answered))
    realm = json.loads(sandbox.ask("GET", LOGIN, "/common/userrealm/me@example.com", "api-version=1.0", token="")[1])
    assert realm["account_type"] == "Unknown"
    password = b"client_id=x&grant_type=password&username=me@example.com&password=y&scope=z"
    status, answered = sandbox.ask("POST", LOGIN, "/organizations/oauth2/v2.0/token", "", password, token="")
    assert (status, json.loads(answered)["error"]) == (400, "invalid_grant")
    assert "AADSTS50034" in sentence(LOGIN, json.loads(answered))


def test_graph_knows_no_users(sandbox: InProcessSandbox) -> None:
    status, answered = sandbox.ask("GET", GRAPH, "/v1.0/me", token=sandbox.graph)
    assert (status, json.loads(answered)["error"]["code"]) == (400, "BadRequest")
    query = "$filter=userPrincipalName eq 'me@example.com'"
    status, answered = sandbox.ask("GET", GRAPH, "/v1.0/users", query, token=sandbox.graph)
    assert status == 200 and json.loads(answered)["value"] == []
    status, answered = sandbox.ask("GET", GRAPH, "/v1.0/users/me@example.com", token=sandbox.graph)
    assert (status, json.loads(answered)["error"]["code"]) == (404, "Request_ResourceNotFound")
