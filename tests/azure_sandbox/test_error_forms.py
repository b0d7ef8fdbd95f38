"""What is not emulated is refused in each service's own form, so that its clients can print it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from azure_sandbox import members
from azure_sandbox.arm import ROUTES
from azure_sandbox.arm.call import Route
from azure_sandbox.clouds import CLOUDS
from azure_sandbox.metadata import HOST as METADATA

from ..conftest import SUBSCRIPTION
from .raw_http import ARM_HOST
from .test_fuzz_requests import ASSIGNED, DEFINED, HERE, REGISTRY, VALID, InProcessSandbox
from .test_never_yes import put

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


@pytest.mark.sample(8)
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


# Bad requests: each route, each host

DEEP = b'{"properties":' * 3000 + b"1" + b"}" * 3000
NO_OBJECT = (b"no JSON", b"[1]", b"5", b'"x"', b"null", b"{", b'{"a":NaN}', b'{"a":1e999}', b"\xff\xfe", b"\x00", DEEP)
"""Bodies that are no JSON object, or none that may be answered."""
WRONG: tuple[Any, ...] = (
    None,
    True,
    5,
    -1,
    1.5,
    "",
    "x",
    "\u0000",
    "x" * 70_000,
    [],
    [None],
    ["x"],
    [{}],
    [[[]]],
    {},
    {"": ""},
    {"x": {"x": [{}]}},
)
"""Values of each JSON type, for each member."""
FILLED = {"subscription": SUBSCRIPTION, "group": "g", "scope": "resourceGroups/g", "location": "chinanorth3"}


def filled(route: Route) -> str:
    """A path of the route: that of a resource that is there, where there is one of the type."""
    path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: FILLED.get(match[1], "{" + match[1] + "}"), route.path)
    names = {
        "virtualMachines": "m", "registries": "fuzz12345", "virtualNetworks": "v1", "networkSecurityGroups": "w", "subnets": "s",
        "publicIPAddresses": "i", "networkInterfaces": "n", "userAssignedIdentities": "uuu", "deployments": "d",
        "securityRules": "r", "extensions": "e", "roleAssignments": ASSIGNED, "roleDefinitions": DEFINED, "resourcegroups": "g",
    }  # fmt: skip
    return re.sub(r"(\w+)/\{\w+\}", lambda match: f"{match[1]}/{names.get(match[1], 'x')}", path)


def refused(host: str, answered: tuple[int, bytes]) -> None:
    """The answer is an error in the form of the host."""
    status, body = answered
    assert 400 <= status < 500 or status == 501, (status, body[:300])
    assert sentence(host, json.loads(body))


def answers(host: str, answered: tuple[int, bytes]) -> None:
    """The answer is no failure of the sandbox's own; where it is an error, it is one in the form of the host."""
    status, body = answered
    if status >= 400 and body:
        refused(host, answered)
    assert status < 500 or status == 501, (status, body[:300])


@pytest.mark.sample(12)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_bad_request_to_each_route_of_resource_manager(sandbox: InProcessSandbox, route: Route) -> None:
    path, version = filled(route), "api-version=2024-03-01"

    def ask(query: str = version, body: Any = b"", method: str = route.method) -> tuple[int, bytes]:
        with sandbox.undone():
            return sandbox.ask(method, ARM_HOST, path, query, body)

    if not route.path.startswith("/metadata"):
        for query in (
            "",
            "api-version=",
            "api-version=1",
            "api-version=2024-13-01",
            "api-version=%00",
            "api-version=latest",
        ):
            if route.method != "HEAD":
                refused(ARM_HOST, ask(query))
    answers(ARM_HOST, ask(f"{version}&unknown=1&$expand=x&$top=x&$skiptoken=%FF&=&x"))
    if route.method in ("PUT", "PATCH", "POST"):
        for body in NO_OBJECT:
            refused(ARM_HOST, ask(body=body))
        for odd in ({"tags": 1}, {"": 1}, {"properties": 1}, {"x" * 70_000: 1}):
            answers(ARM_HOST, ask(body=odd))
    own = {each.method for each in ROUTES if each.pattern.fullmatch(path)}
    for method in {"GET", "PUT", "PATCH", "POST", "DELETE", "OPTIONS"} - own:
        refused(ARM_HOST, ask(method=method))


BODIES = {
    route.action.rpartition("/")[0]: route
    for route in ROUTES
    if route.method in ("PUT", "POST") and route.action and route.action.rpartition("/")[0] in members.TYPES
}


def leaves(member: members.Member, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of the members, and of those inside them."""
    for name, inner in member.members.items():
        yield (*path, name)
        yield from leaves(inner, (*path, name, "0") if inner.json_type == "objects" else (*path, name))


@pytest.mark.sample(3)
@pytest.mark.parametrize("resource_type", BODIES)
def test_a_wrong_value_of_each_member(sandbox: InProcessSandbox, resource_type: str) -> None:
    route, tried = BODIES[resource_type], 0
    path = filled(route)
    version, valid = VALID.get(path, ("2024-03-01", HERE))
    for member in leaves(members.TYPES[resource_type]):
        for value in WRONG:
            body = copy.deepcopy(valid)
            try:
                put(body, list(member), value)
            except (AttributeError, TypeError):
                continue  # the valid body has a value of another type in its way
            tried += 1
            for method in (route.method, *(["PATCH"] if route.method == "PUT" else [])):
                with sandbox.undone():
                    answers(ARM_HOST, sandbox.ask(method, ARM_HOST, path, f"api-version={version}", body))
    assert tried > 5


@pytest.mark.parametrize(
    ("host", "method", "path"),
    [
        (GRAPH, "POST", "/v1.0/directoryObjects/getByIds"),
        (GRAPH, "POST", "/v1.0/groups"),
        (LOGIN, "POST", "/common/oauth2/v2.0/token"),
        (LOGIN, "POST", "/common/oauth2/token"),
        (LOGIN, "POST", "/common/oauth2/v2.0/devicecode"),
        (REGISTRY, "PUT", "/v2/app/manifests/v2"),
        (REGISTRY, "PATCH", "/acr/v1/app"),
        (REGISTRY, "PATCH", "/acr/v1/app/_tags/v1"),
        (REGISTRY, "POST", "/oauth2/token"),
        (REGISTRY, "POST", "/oauth2/exchange"),
    ],
)
def test_a_bad_body_for_the_other_hosts(sandbox: InProcessSandbox, host: str, method: str, path: str) -> None:
    token = {GRAPH: sandbox.graph, REGISTRY: sandbox.registry}.get(host)
    for body in (*NO_OBJECT, b"a=b", b"=&&=", b"grant_type", b"grant_type=%00", b"x" * 70_000):
        with sandbox.undone():
            refused(host, sandbox.ask(method, host, path, "", body, token=token))
    for value in WRONG:
        for name in (
            "ids",
            "displayName",
            "grant_type",
            "mediaType",
            "config",
            "layers",
            "deleteEnabled",
            "schemaVersion",
        ):
            with sandbox.undone():
                answers(host, sandbox.ask(method, host, path, "", {name: value}, token=token))
