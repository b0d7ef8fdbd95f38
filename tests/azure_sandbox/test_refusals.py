"""What a sceptic tries: requests that Azure refuses, or that mean something else than they seem to."""

from __future__ import annotations

import http.client
import json
import ssl
import uuid
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from azure_sandbox import Sandbox
from azure_sandbox.access import conditions
from azure_sandbox.clouds import REGISTRY_AUDIENCE
from azure_sandbox.tokens import Signer

from .groups import (
    CATALOG_LISTER,
    CONTRIBUTOR,
    METADATA,
    PULL,
    PUSH,
    READER,
    REPOSITORY_READER,
    REPOSITORY_WRITER,
    TOKEN_USER,
    Group,
    code,
    exchange,
    granted,
    server_of,
    vm_token,
)
from .replay import CLOUD, ZERO, PublicCloud

Json = dict[str, Any]
SUBSCRIPTION = f"/subscriptions/{ZERO}"
AUTHORIZATION = "providers/Microsoft.Authorization"


def arm_as(session: requests.Session, method: str, path: str, body: Any = None) -> requests.Response:
    """A request to Resource Manager by a VM."""
    headers = {"Authorization": f"Bearer {vm_token(session, CLOUD.audiences[0])}"}
    url = f"{CLOUD.resource_manager_url}{path}{'&' if '?' in path else '?'}api-version=2022-04-01"
    return session.request(method, url, json=body, headers=headers)


# Entra


def entra(public: PublicCloud, form: Json, **request: Any) -> requests.Response:
    url = f"{CLOUD.authority}/{public.tenant_id}/oauth2/v2.0/token"
    return public.session.post(url, data={"grant_type": "client_credentials", **form}, **request)


def test_a_client_may_prove_itself_with_basic(public: PublicCloud) -> None:
    """The OpenID document offers client_secret_basic, so it works."""
    proof = (public.client_id, public.client_secret)
    scope = {"scope": f"{CLOUD.audiences[0]}/.default"}
    assert entra(public, scope, auth=proof).status_code == 200
    assert entra(public, scope, auth=(proof[0], "wrong")).status_code == 401
    assert entra(public, scope, headers={"Authorization": "Basic %%%"}).status_code == 400


def test_a_scope_of_an_application_ends_in_default(public: PublicCloud) -> None:
    proof = {"client_id": public.client_id, "client_secret": public.client_secret}
    answer = entra(public, {**proof, "scope": CLOUD.audiences[0]})
    assert answer.status_code == 400 and "AADSTS1002012" in answer.json()["error_description"]


def test_keys_of_another_tenant(public: PublicCloud) -> None:
    answer = public.session.get(f"{CLOUD.authority}/{uuid.uuid4()}/discovery/v2.0/keys")
    assert answer.status_code == 400 and "AADSTS90002" in answer.json()["error_description"]


@pytest.mark.parametrize("changes", [{"tid": None}, {"tid": str(uuid.uuid4())}, {"oid": None}, {"aud": ["a"]}, {"nbf": 9e9}, {"exp": 1}, {"exp": "1"}])  # fmt: skip
def test_a_signature_alone_is_not_enough(public: PublicCloud, group: Group, changes: Json) -> None:
    """Tokens with the tenant's own signature, whose claims are wrong."""
    signer = Signer((public.folder / "signing-key.pem").read_text())
    claims = jwt.decode(public.token(), options={"verify_signature": False})
    assert arm_with(public, signer.sign(claims)).status_code == 200
    claims = {key: value for key, value in {**claims, **changes}.items() if value is not None}
    answer = arm_with(public, signer.sign(claims))
    assert answer.status_code == 401, answer.text
    refused = exchange(public.session, server_of(group.registry()), signer.sign(claims))
    assert refused.status_code == 401


def arm_with(public: PublicCloud, token: str) -> requests.Response:
    url = f"{CLOUD.resource_manager_url}/subscriptions?api-version=2022-12-01"
    return public.session.get(url, headers={"Authorization": f"Bearer {token}"})


# Resource Manager


@pytest.mark.parametrize("path", ["/subscriptions", SUBSCRIPTION, f"{SUBSCRIPTION}/resources", f"{SUBSCRIPTION}/resourcegroups"])  # fmt: skip
def test_every_request_names_a_version(public: PublicCloud, path: str) -> None:
    headers = {"Authorization": f"Bearer {public.token()}"}
    answer = public.session.get(f"{CLOUD.resource_manager_url}{path}", headers=headers)
    assert answer.status_code == 400 and code(answer) == "MissingApiVersionParameter"


@pytest.mark.parametrize("version", ["latest", "2024", "2024-11-01x", "2024-13-45"])
def test_a_version_is_a_date(public: PublicCloud, group: Group, version: str) -> None:
    answer = public.arm("GET", group.id, version=version)
    assert answer.status_code == 400 and code(answer) == "InvalidApiVersionParameter"


def test_names_of_the_query_in_any_case(public: PublicCloud, group: Group) -> None:
    headers = {"Authorization": f"Bearer {public.token()}"}
    url = f"{CLOUD.resource_manager_url}{group.id}?API-Version=2024-11-01"
    assert public.session.get(url, headers=headers).status_code == 200


def test_a_slash_at_the_end(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    assert public.arm("GET", group.id + "/").status_code == 200
    assert public.arm("GET", registry + "/").json()["id"] == registry


def test_ids_in_any_case(public: PublicCloud, group: Group) -> None:
    registry, identity = group.registry(), group.identity()
    principal = identity["properties"]["principalId"]
    assert public.arm("GET", registry.upper()).json()["id"] == registry
    made = group.assign(READER.upper(), principal.upper(), registry.upper())
    assert made.status_code == 201 and made.json()["properties"]["scope"] == registry
    again = group.assign(READER, principal, registry.lower())
    assert again.status_code == 409 and code(again) == "RoleAssignmentExists"
    found = public.arm("GET", made.json()["id"].upper(), version="2022-04-01")
    assert found.json()["id"] == made.json()["id"]
    vm, session = group.vm()
    loud = {"type": "userassigned", "userAssignedIdentities": {identity["id"].upper(): {}}}
    assert public.arm("PATCH", vm.upper(), {"identity": loud}).status_code == 200
    shown = public.arm("GET", vm.upper()).json()["identity"]
    assert shown["type"] == "UserAssigned" and len(shown["userAssignedIdentities"]) == 1
    both: Json = {identity["id"].lower(): {}, identity["id"].upper(): {}}
    answer = public.arm("PATCH", vm, {"identity": {"type": "UserAssigned", "userAssignedIdentities": both}})
    assert answer.status_code == 200
    assert len(public.arm("GET", vm).json()["identity"]["userAssignedIdentities"]) == 1
    assert vm_token(session, msi_res_id=identity["id"].upper())
    assert vm_token(session, client_id=identity["properties"]["clientId"].upper())
    assert public.arm("DELETE", made.json()["id"].lower(), version="2022-04-01").status_code == 200
    assert exchange(session, server_of(registry), vm_token(session)).status_code == 401


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_other_methods_are_not_emulated(public: PublicCloud, group: Group, method: str) -> None:
    assert public.arm(method, f"{group.id}/providers/Microsoft.Storage/storageAccounts/a").status_code == 501


def test_what_is_not_emulated_has_ids_too(public: PublicCloud, group: Group) -> None:
    answer = public.arm("GET", f"{group.id}/providers/Microsoft.Storage/storageAccounts/a")
    assert answer.status_code == 501 and answer.headers["x-ms-request-id"]


# Role assignments


def test_the_name_of_a_role_assignment_is_used_once(public: PublicCloud, group: Group) -> None:
    """It is one name space for all scopes."""
    registry, principal = group.registry(), group.identity()["properties"]["principalId"]
    name = str(uuid.uuid4())
    definition = f"{SUBSCRIPTION}/{AUTHORIZATION}/roleDefinitions/{READER}"
    body = {"properties": {"roleDefinitionId": definition, "principalId": principal}}
    first = public.arm("PUT", f"{registry}/{AUTHORIZATION}/roleAssignments/{name}", body, "2022-04-01")
    assert first.status_code == 201
    second = public.arm("PUT", f"{group.id}/{AUTHORIZATION}/roleAssignments/{name}", body, "2022-04-01")
    assert second.status_code == 400 and code(second) == "RoleAssignmentUpdateNotPermitted"


def test_a_client_id_is_no_principal(public: PublicCloud, group: Group) -> None:
    """Where the caller says that it is one it is believed, but nobody gets the role."""
    registry = group.registry()
    identity = group.identity()
    client = identity["properties"]["clientId"]
    unknown = group.assign(PULL, client, registry)
    assert unknown.status_code == 400 and code(unknown) == "PrincipalNotFound"
    assert group.assign(PULL, client, registry, principalType="ServicePrincipal").status_code == 201
    _, session = group.vm(identity={"type": "UserAssigned", "userAssignedIdentities": {identity["id"]: {}}})
    assert exchange(session, server_of(registry), vm_token(session)).status_code == 401


def test_graph_tells_client_ids_from_object_ids(public: PublicCloud, group: Group) -> None:
    identity = group.identity()["properties"]
    headers = {"Authorization": f"Bearer {public.token(f'https://{CLOUD.graph}')}"}

    def by_name(wanted: str) -> list[Json]:
        url = f"https://{CLOUD.graph}/v1.0/servicePrincipals"
        query = {"$filter": f"servicePrincipalNames/any(c:c eq '{wanted}')"}
        found: list[Json] = public.session.get(url, params=query, headers=headers).json()["value"]
        return found

    def by_id(wanted: str) -> list[Json]:
        url = f"https://{CLOUD.graph}/v1.0/directoryObjects/getByIds"
        found: list[Json] = public.session.post(url, json={"ids": [wanted]}, headers=headers).json()["value"]
        return found

    assert len(by_name(identity["clientId"])) == len(by_id(identity["principalId"])) == 1
    assert len(by_name(identity["clientId"].upper())) == len(by_id(identity["principalId"].upper())) == 1
    assert by_name(identity["principalId"]) == by_id(identity["clientId"]) == []


@pytest.mark.parametrize(("given", "status"), [("serviceprincipal", 201), ("Nobody", 400), ("User", 400)])
def test_the_type_of_a_principal(public: PublicCloud, group: Group, given: str, status: int) -> None:
    made = group.assign(READER, group.identity()["properties"]["principalId"], principalType=given)
    assert made.status_code == status, made.text
    if status == 201:
        assert made.json()["properties"]["principalType"] == "ServicePrincipal"


def test_who_may_assign_roles(public: PublicCloud, group: Group) -> None:
    vm, session = group.vm()
    principal = group.principal(vm)
    group.assign(CONTRIBUTOR, principal)
    path = f"{group.id}/{AUTHORIZATION}/roleAssignments/{uuid.uuid4()}"
    definition = f"{SUBSCRIPTION}/{AUTHORIZATION}/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    body = {"properties": {"roleDefinitionId": definition, "principalId": principal}}
    refused = arm_as(session, "PUT", path, body)
    assert refused.status_code == 403 and code(refused) == "AuthorizationFailed"
    assert "Microsoft.Authorization/roleAssignments/write" in refused.json()["error"]["message"]
    assert arm_as(session, "DELETE", path).status_code == 403
    assert arm_as(session, "GET", f"{group.id}/{AUTHORIZATION}/roleAssignments").status_code == 200
    assert arm_as(session, "GET", f"{SUBSCRIPTION}/{AUTHORIZATION}/roleAssignments").status_code == 403


def test_filters_of_role_assignments(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    one, two = (group.identity(name)["properties"]["principalId"] for name in ("one1", "two2"))
    above = group.assign(READER, one).json()["id"]
    below = group.assign(PULL, two, registry).json()["id"]

    def listed(scope: str, wanted: str = "") -> set[str]:
        path = f"{scope}/{AUTHORIZATION}/roleAssignments" + (f"?$filter={wanted}" if wanted else "")
        answer = public.arm("GET", path, version="2022-04-01")
        assert answer.status_code == 200, answer.text
        return {each["id"] for each in answer.json()["value"]} & {above, below}

    assert listed(group.id) == {above, below}
    assert listed(group.id, "atScope()") == {above}
    assert listed(registry, "atScope()") == {above, below}
    assert listed(group.id, f"principalId eq '{two}'") == {below}
    assert listed(group.id, f"principalId eq '{two.upper()}'") == {below}
    assert listed(group.id, f"atScope() and principalId eq '{two}'") == set()
    assert listed(registry, f"assignedTo('{one}')") == {above}
    assert listed(registry.upper(), f"atScope() and assignedTo('{one}')") == {above}


def test_a_custom_role_takes_away_data_actions(public: PublicCloud, group: Group) -> None:
    registry = group.registry(roleAssignmentMode="AbacRepositoryPermissions")
    content = "Microsoft.ContainerRegistry/registries/repositories"
    role = str(uuid.uuid4())
    path = f"{SUBSCRIPTION}/{AUTHORIZATION}/roleDefinitions/{role}"
    permissions = [
        {"dataActions": [f"{content}/*"], "notDataActions": [f"{content}/*/delete", f"{content}/content/WRITE"]}
    ]
    body = {"properties": {"roleName": role, "assignableScopes": [group.id], "permissions": permissions}}
    assert public.arm("PUT", path, body, "2022-04-01").status_code == 201
    vm, session = group.vm()
    group.assign(role, group.principal(vm), registry)
    refresh = exchange(session, server_of(registry), vm_token(session)).json()["refresh_token"]
    everything = "repository:app:pull,push,delete,metadata_read,metadata_write"
    assert granted(session, server_of(registry), refresh, everything) == ["metadata_read", "metadata_write", "pull"]
    in_use = public.arm("DELETE", path.upper(), version="2022-04-01")
    assert in_use.status_code == 400 and code(in_use) == "RoleDefinitionHasAssignments"


def test_a_custom_role_is_for_its_scopes(public: PublicCloud, group: Group) -> None:
    other, role = Group(public), str(uuid.uuid4())
    path = f"{SUBSCRIPTION}/{AUTHORIZATION}/roleDefinitions/{role}"
    body = {"properties": {"roleName": role, "assignableScopes": [group.id], "permissions": [{"actions": ["*/read"]}]}}
    assert public.arm("PUT", path, body, "2022-04-01").status_code == 201
    principal = group.identity()["properties"]["principalId"]
    refused = group.assign(role, principal, other.id)
    assert refused.status_code == 404 and code(refused) == "RoleDefinitionDoesNotExist"
    assert group.assign(role, principal).status_code == 201

    def listed(scope: str) -> list[str]:
        path = f"{scope}/{AUTHORIZATION}/roleDefinitions?$filter=type eq 'CustomRole'"
        return [each["name"] for each in public.arm("GET", path, version="2022-04-01").json()["value"]]

    assert role in listed(group.id) and role not in listed(other.id)
    public.arm("DELETE", other.id)


# Conditions

NAME = f"@Request[{conditions.REPOSITORY_NAME}]"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (f"{NAME} ForAnyOfAnyValues:StringNotEquals {{'a/b', 'c'}}", True),  # it is not equal to one of them
        (f"{NAME} ForAnyOfAllValues:StringNotEquals {{'a/b', 'c'}}", False),
        (f"{NAME} ForAllOfAllValues:StringNotEquals {{'x', 'c'}}", True),
        (f"{NAME} ForAllOfAllValues:StringEquals {{'a/b', 'c'}}", False),
        (f"{NAME} ForAllOfAnyValues:StringEquals {{'a/b', 'c'}}", True),
        (f"{NAME} StringLike '[a]/b'", False),  # brackets mean themselves
        (f"{NAME} StringLike 'a?b'", True),
        (f"{NAME} StringNotLike 'a*'", False),
        (f"{NAME} StringLike 'a/\\*'", False),
        (f"{NAME} StringEqualsIgnoreCase 'A/B'", True),
        (f"{NAME} StringNotEqualsIgnoreCase 'A/B'", False),
        (f"{NAME} StringNotStartsWithIgnoreCase 'A/'", False),
    ],
)
def test_what_conditions_mean(text: str, holds: bool) -> None:
    has = {conditions.REPOSITORY_NAME.lower(): "a/b"}
    assert conditions.parse(text)("Microsoft.ContainerRegistry/registries/repositories/content/read", has) is holds


def test_the_version_of_a_condition_is_two(public: PublicCloud, group: Group) -> None:
    registry = group.registry(roleAssignmentMode="AbacRepositoryPermissions")
    principal = group.identity()["properties"]["principalId"]
    made = group.assign(REPOSITORY_READER, principal, registry, condition=f"{NAME} StringEquals 'a'")
    assert made.status_code == 201 and made.json()["properties"]["conditionVersion"] == "2.0"


def test_conditions_decide_over_pull_push_and_catalog(public: PublicCloud, group: Group) -> None:
    registry = group.registry(roleAssignmentMode="AbacRepositoryPermissions")
    server = server_of(registry)
    vm, session = group.vm()
    principal = group.principal(vm)
    writes = "Microsoft.ContainerRegistry/registries/repositories/*/write"
    condition = f"(!(ActionMatches{{'{writes}'}})) OR ({NAME} StringLike 'team/*')"
    group.assign(REPOSITORY_WRITER, principal, registry, condition=condition, conditionVersion="2.0")
    refresh = exchange(session, server, vm_token(session)).json()["refresh_token"]
    assert granted(session, server, refresh, "repository:team/app:pull,push,delete") == ["pull", "push"]
    assert granted(session, server, refresh, "repository:app:pull,push,delete") == ["pull"]

    def status(method: str, path: str, scope: str) -> int:
        form = {"grant_type": "refresh_token", "service": server, "scope": scope, "refresh_token": refresh}
        token = session.post(f"https://{server}/oauth2/token", data=form).json()["access_token"]
        return session.request(
            method, f"https://{server}{path}", headers={"Authorization": f"Bearer {token}"}
        ).status_code

    assert status("POST", "/v2/team/app/blobs/uploads/", "repository:team/app:pull,push") == 202
    assert status("POST", "/v2/app/blobs/uploads/", "repository:app:pull,push") == 401
    assert status("POST", "/v2/app/blobs/uploads/", "repository:team/app:pull,push") == 401
    assert status("DELETE", "/v2/team/app/manifests/v1", "repository:team/app:delete") == 401
    assert status("GET", "/v2/_catalog", "registry:catalog:*") == 401
    group.assign(CATALOG_LISTER, principal, registry)
    assert status("GET", "/v2/_catalog", "registry:catalog:*") == 200


# Identities


def attach(public: PublicCloud, vm: str, identity: Json) -> requests.Response:
    return public.arm("PATCH", vm, {"identity": identity})


@pytest.mark.parametrize("identity", [{}, {"type": "None, SystemAssigned"}, {"type": "Both"}, {"type": ""}])
def test_the_type_of_an_identity_is_said(public: PublicCloud, group: Group, identity: Json) -> None:
    vm, _ = group.vm()
    before = group.principal(vm)
    assert attach(public, vm, identity).status_code == 400
    assert group.principal(vm) == before


def test_a_put_replaces_and_a_patch_adds(public: PublicCloud, group: Group) -> None:
    one, two = group.identity("one1")["id"], group.identity("two2")["id"]
    vm, _ = group.vm()
    system = group.principal(vm)
    kind = "SystemAssigned, UserAssigned"
    assert attach(public, vm, {"type": kind, "userAssignedIdentities": {one: {}}}).status_code == 200
    shown = public.arm("GET", vm).json()
    # A PUT that does not speak of identities leaves them as they are.
    body = {key: shown[key] for key in ("location", "properties")}
    assert public.arm("PUT", vm, body).status_code == 200
    assert list(public.arm("GET", vm).json()["identity"]["userAssignedIdentities"]) == [one]
    assert (
        public.arm("PUT", vm, {**body, "identity": {"type": kind, "userAssignedIdentities": {two: {}}}}).status_code
        == 200
    )
    assert list(public.arm("GET", vm).json()["identity"]["userAssignedIdentities"]) == [two]
    assert group.principal(vm) == system


def test_a_recreated_identity_is_not_attached(public: PublicCloud, group: Group) -> None:
    identity = group.identity()
    vm, session = group.vm(identity={"type": "UserAssigned", "userAssignedIdentities": {identity["id"]: {}}})
    assert vm_token(session)
    public.arm("DELETE", identity["id"])
    asked = session.get(METADATA, params={"resource": REGISTRY_AUDIENCE}, headers={"Metadata": "true"})
    assert asked.status_code == 400 and asked.json()["error_description"] == "Identity not found"
    second = group.identity()
    for selector in ({}, {"msi_res_id": second["id"]}, {"client_id": second["properties"]["clientId"]}):
        query = {"resource": REGISTRY_AUDIENCE, **selector}
        asked = session.get(METADATA, params=query, headers={"Metadata": "true"})
        assert asked.status_code == 400, selector
    again = {"type": "UserAssigned", "userAssignedIdentities": {second["id"]: {}}}
    assert attach(public, vm, {"type": "None"}).status_code == 200  # it has to be detached first
    assert attach(public, vm, again).status_code == 200
    claims = jwt.decode(vm_token(session), options={"verify_signature": False})
    assert claims["oid"] == second["properties"]["principalId"]


# The metadata service


def ask(session: requests.Session, path: str, header: str | None = "true", **more: str) -> requests.Response:
    headers = {**({"Metadata": header} if header else {}), **more}
    return session.get(f"http://169.254.169.254/metadata/{path}", headers=headers)


@pytest.mark.parametrize("path", [f"identity/oauth2/token?api-version=2018-02-01&resource={REGISTRY_AUDIENCE}", "instance?api-version=2021-02-01", "versions"])  # fmt: skip
def test_every_path_of_the_metadata_service_wants_its_header(public: PublicCloud, group: Group, path: str) -> None:
    _, session = group.vm()
    assert ask(session, path).status_code == 200
    assert ask(session, path, None).status_code == 400
    assert ask(session, path, "True").status_code == 400  # documented: in lower case
    assert ask(session, path, "false").status_code == 400
    public.clock.advance(1.0)  # there is a limit, too
    assert ask(session, path, **{"X-Forwarded-For": "10.0.0.1"}).status_code == 400
    assert ask(session, path, **{"x-forwarded-for": ""}).status_code == 400
    assert ask(public.session, path).status_code == 404  # not a VM
    assert session.post(f"http://169.254.169.254/metadata/{path}", headers={"Metadata": "true"}).status_code == 405


@pytest.mark.parametrize("version", ["", "banana", "2015-01-01", "2018-02-31"])
def test_versions_of_the_metadata_service(public: PublicCloud, group: Group, version: str) -> None:
    _, session = group.vm()
    for path in (f"identity/oauth2/token?resource={REGISTRY_AUDIENCE}&", "instance?"):
        answer = ask(session, f"{path}api-version={version}")
        assert answer.status_code == 400 and answer.json()["newest-versions"], path
    versions = ask(session, "versions").json()["apiVersions"]
    assert {"2018-02-01", "2021-02-01"} <= set(versions)


def test_each_vm_has_a_metadata_service_of_its_own(public: PublicCloud, group: Group) -> None:
    one, first = group.vm("one")
    two, second = group.vm("two")
    for vm, session in ((one, first), (two, second)):
        claims = jwt.decode(vm_token(session), options={"verify_signature": False})
        assert claims["oid"] == group.principal(vm) and claims["xms_mirid"].lower() == vm.lower()
        shown = ask(session, "instance/compute/name?api-version=2021-02-01&format=text").text
        assert shown == vm.rpartition("/")[2]
    query = {"resource": REGISTRY_AUDIENCE, "object_id": group.principal(two)}
    assert first.get(METADATA, params=query, headers={"Metadata": "true"}).status_code == 400


@pytest.mark.parametrize("query", [f"&resource={REGISTRY_AUDIENCE}&resource={REGISTRY_AUDIENCE}", "&resource=", "", f"&resource={REGISTRY_AUDIENCE}&client_id=a&object_id=b", "&resource=https://management.chinacloudapi.cn", "&resource=https://containerregistry.azure.net//"])  # fmt: skip
def test_wrong_questions_to_the_metadata_service(public: PublicCloud, group: Group, query: str) -> None:
    _, session = group.vm()
    assert ask(session, f"identity/oauth2/token?api-version=2018-02-01{query}").status_code == 400


# Registries


def token_of(session: requests.Session, server: str, **form: str) -> requests.Response:
    return session.post(f"https://{server}/oauth2/token", data={"service": server, **form})


def test_the_challenge_byte_for_byte(public: PublicCloud, group: Group) -> None:
    server = server_of(group.registry())
    start = f'Bearer realm="https://{server}/oauth2/token",service="{server}"'
    for method, path, scope in (
        ("GET", "/v2/", ""),
        ("GET", "/v2/a/b/manifests/v1", ',scope="repository:a/b:pull"'),
        ("POST", "/v2/a/blobs/uploads/", ',scope="repository:a:pull,push"'),
        ("GET", "/v2/_catalog", ',scope="registry:catalog:*"'),
        ("DELETE", "/v2/a/manifests/v1", ',scope="repository:a:delete"'),
    ):
        answer = public.session.request(method, f"https://{server}{path}")
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == start + scope, path
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        invalid = public.session.request(method, f"https://{server}{path}", headers={"Authorization": "Bearer x.y.z"})
        assert invalid.headers["WWW-Authenticate"] == f'{start}{scope},error="invalid_token"'


def test_what_the_exchange_refuses(public: PublicCloud, group: Group) -> None:
    server = server_of(group.registry())
    token = public.token(REGISTRY_AUDIENCE)
    right = {"grant_type": "access_token", "service": server, "access_token": token}
    url = f"https://{server}/oauth2/exchange"
    assert public.session.post(url, data=right).status_code == 200
    tenant = public.tenant_id
    assert public.session.post(url, data={**right, "tenant": tenant.upper()}).status_code == 200
    assert public.session.post(url, data={**right, "tenant": str(uuid.uuid4())}).status_code == 401
    assert public.session.post(url, data={**right, "service": "other.azurecr.io"}).status_code == 400
    assert public.session.post(url, data={**right, "grant_type": "password"}).status_code == 400
    assert public.session.post(url, data={"grant_type": "access_token", "service": server}).status_code == 401
    refresh = public.session.post(url, data=right).json()["refresh_token"]
    assert public.session.post(url, data={**right, "access_token": refresh}).status_code == 401


def test_what_the_token_endpoint_refuses(public: PublicCloud, group: Group) -> None:
    registry = group.registry("Standard")
    server = server_of(registry)
    refresh = exchange(public.session, server, public.token(REGISTRY_AUDIENCE)).json()["refresh_token"]
    right = {"grant_type": "refresh_token", "scope": "repository:a:pull", "refresh_token": refresh}
    access = token_of(public.session, server, **right).json()["access_token"]
    wrong = token_of(public.session, server, **{**right, "refresh_token": access})
    assert wrong.status_code == 401
    assert token_of(public.session, server, **{**right, "refresh_token": public.token()}).status_code == 401
    assert token_of(public.session, server, **{**right, "grant_type": "client_credentials"}).status_code == 400
    for bearer in (refresh, public.token(REGISTRY_AUDIENCE)):
        answer = public.session.get(f"https://{server}/v2/", headers={"Authorization": f"Bearer {bearer}"})
        assert answer.status_code == 401
    public.arm("PATCH", registry, {"properties": {"anonymousPullEnabled": True}})
    # Who says that there is a refresh token must have one: this is not the anonymous way in.
    for empty in ({"grant_type": "refresh_token"}, {"grant_type": "refresh_token", "refresh_token": ""}):
        assert token_of(public.session, server, **empty).status_code == 401


def test_a_token_is_for_what_it_says(public: PublicCloud, group: Group) -> None:
    server = server_of(group.registry())
    refresh = exchange(public.session, server, public.token(REGISTRY_AUDIENCE)).json()["refresh_token"]

    def status(method: str, path: str, scope: str) -> tuple[int, str]:
        form = {"grant_type": "refresh_token", "scope": scope, "refresh_token": refresh}
        token = token_of(public.session, server, **form).json()["access_token"]
        answer = public.session.request(method, f"https://{server}{path}", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code, answer.headers.get("WWW-Authenticate", "").rpartition(",")[2]

    insufficient = (401, 'error="insufficient_scope"')
    assert status("GET", "/v2/a/tags/list", "repository:a:pull")[0] == 404
    assert status("GET", "/v2/a/tags/list", "repository:b:pull") == insufficient
    assert status("GET", "/v2/a/b/tags/list", "repository:a:pull") == insufficient
    assert status("GET", "/v2/a/tags/list", "repository:*:pull") == insufficient
    assert status("POST", "/v2/a/blobs/uploads/", "repository:a:pull") == insufficient
    assert status("DELETE", "/v2/a/manifests/v", "repository:a:pull,push") == insufficient
    assert status("GET", "/v2/_catalog", "repository:catalog:*") == insufficient
    assert status("GET", "/v2/", "repository:a:pull")[0] == 200


def test_a_registry_made_again_is_another_one(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    server = server_of(registry)
    vm, session = group.vm()
    group.assign(PULL, group.principal(vm), registry)
    refresh = exchange(session, server, vm_token(session)).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "scope": "registry:catalog:*", "refresh_token": refresh}
    access = token_of(session, server, **form).json()["access_token"]
    assert public.arm("DELETE", registry).status_code == 200
    group.registry()
    bearer = {"Authorization": f"Bearer {access}"}
    assert public.session.get(f"https://{server}/v2/_catalog", headers=bearer).status_code == 401
    assert token_of(session, server, **form).status_code == 401
    # What was granted on it went with it.
    assert exchange(session, server, vm_token(session)).status_code == 401


def test_the_admin_user_is_off(public: PublicCloud, group: Group) -> None:
    registry = group.registry(adminUserEnabled=True)
    server = server_of(registry)
    password = public.arm("POST", f"{registry}/listCredentials").json()["passwords"][1]["value"]
    url = f"https://{server}/oauth2/token"
    query = {"service": server, "scope": "repository:a:pull", "offline_token": "true"}
    refresh = public.session.get(url, params=query, auth=(group.name.upper(), password)).json()["refresh_token"]
    assert public.session.get(f"https://{server}/v2/", auth=(TOKEN_USER, refresh)).status_code == 200
    public.arm("PATCH", registry, {"properties": {"adminUserEnabled": False}})
    assert public.session.get(f"https://{server}/v2/", auth=(TOKEN_USER, refresh)).status_code == 401
    assert public.session.get(f"https://{server}/v2/", auth=(group.name, password)).status_code == 401


def test_anonymous_pull(public: PublicCloud, group: Group) -> None:
    basic = group.registry()
    refused = public.arm("PATCH", basic, {"properties": {"anonymousPullEnabled": True}})
    assert refused.status_code == 400
    public.arm("PATCH", basic, {"sku": {"name": "Standard"}})
    server = server_of(basic)
    form = {"grant_type": "password", "scope": "repository:a:pull,push,delete"}
    assert token_of(public.session, server, **form).status_code == 401
    assert public.arm("PATCH", basic, {"properties": {"anonymousPullEnabled": True}}).status_code == 201
    token = token_of(public.session, server, **form).json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert [each["actions"] for each in claims["access"]] == [["pull"]]
    bearer = {"Authorization": f"Bearer {token}"}
    assert public.session.get(f"https://{server}/v2/a/tags/list", headers=bearer).status_code == 404
    assert public.session.post(f"https://{server}/v2/a/blobs/uploads/", headers=bearer).status_code == 401
    assert public.session.get(f"https://{server}/v2/a/tags/list").status_code == 401  # a token there must be


@pytest.mark.parametrize(
    ("properties", "status"),
    [
        ({"publicNetworkAccess": "disabled"}, 200),
        ({"publicNetworkAccess": "Sometimes"}, 400),
        ({"networkRuleSet": {"defaultAction": "allow"}}, 200),
        ({"networkRuleSet": {"defaultAction": "Refuse"}}, 400),
        ({"policies": {"azureADAuthenticationAsArmPolicy": {"status": "Disabled"}}}, 200),
        ({"policies": {"azureADAuthenticationAsArmPolicy": {"status": "perhaps"}}}, 400),
        ({"roleAssignmentMode": "abacrepositorypermissions"}, 200),
    ],
)
def test_words_of_a_registry_in_any_case(public: PublicCloud, group: Group, properties: Json, status: int) -> None:
    registry = group.registry("Premium")
    changed = public.arm("PATCH", registry, {"properties": properties})
    assert changed.status_code == status, changed.text
    if "networkRuleSet" in properties and status == 200:
        assert changed.json()["properties"]["networkRuleSet"]["defaultAction"] == "Allow"
        assert public.session.get(f"https://{server_of(registry)}/v2/").status_code == 401


def test_network_rules_of_the_token_endpoints(public: PublicCloud, group: Group) -> None:
    registry = group.registry("Premium")
    server = server_of(registry)
    vm, session = group.vm()
    group.assign(PUSH, group.principal(vm), registry)
    refresh = exchange(session, server, vm_token(session)).json()["refresh_token"]
    public.arm("PATCH", registry, {"properties": {"publicNetworkAccess": "Disabled"}})
    for answer in (
        session.get(f"https://{server}/v2/", headers={"X-Forwarded-For": "127.0.0.1"}),
        exchange(session, server, vm_token(session)),
        token_of(session, server, grant_type="refresh_token", refresh_token=refresh),
        session.get(f"https://{server}/acr/v1/_catalog"),
    ):
        assert answer.status_code == 403 and answer.json()["errors"][0]["code"] == "DENIED"
        assert "is not allowed access. Refer https://aka.ms/acr/firewall to grant access." in answer.text


# Time


def test_long_running_operations_of_every_style(public: PublicCloud, group: Group) -> None:
    registry = group.registry("Premium")
    vm, _ = group.vm()
    network = f"{group.id}/providers/Microsoft.Network/virtualNetworks/slow"
    public.set(operation_seconds=30.0)
    space = {"location": "westus", "properties": {"addressSpace": {"addressPrefixes": ["10.9.0.0/16"]}}}
    image = {"source": {"registryUri": "mcr.microsoft.com", "sourceImage": "hello-world:latest"}, "targetTags": ["h:1"]}
    started = {
        "patch": public.arm("PATCH", registry, {"properties": {"anonymousPullEnabled": True}}),
        "import": public.arm("POST", f"{registry}/importImage", image),
        "network": public.arm("PUT", network, space),
        "identity": public.arm("PATCH", vm, {"identity": {"type": "SystemAssigned"}}),
        "run": public.arm("POST", f"{vm}/runCommand", {"commandId": "RunShellScript", "script": ["echo hello"]}),
    }
    other = Group(public)
    started |= {"vm gone": public.arm("DELETE", vm), "group gone": public.arm("DELETE", other.id)}
    premium = (
        other.id.replace(other.name, group.name) + f"/providers/Microsoft.ContainerRegistry/registries/{other.name}"
    )
    # Only this makes a registry take time.
    anonymous = {"anonymousPullEnabled": True}
    body = {"location": "westus", "sku": {"name": "Premium"}, "properties": anonymous}
    started |= {"registry": public.arm("PUT", premium, body), "registry gone": public.arm("DELETE", premium)}
    polls = {}
    for name, answer in started.items():
        assert answer.status_code in (200, 201, 202), (name, answer.text)
        url = answer.headers.get("Azure-AsyncOperation") or answer.headers["Location"]
        polls[name] = url.removeprefix(CLOUD.resource_manager_url)

    def ended(path: str) -> bool:
        answer = public.arm("GET", path)
        assert answer.status_code in (200, 202), answer.text
        status = json.loads(answer.text or "{}").get("status", "Succeeded")
        assert answer.headers.get("Retry-After") != "0"
        return answer.status_code == 200 and status == "Succeeded"

    assert {name: ended(path) for name, path in polls.items()} == dict.fromkeys(polls, False)
    public.clock.advance(31)
    assert {name: ended(path) for name, path in polls.items()} == dict.fromkeys(polls, True)


def test_two_clouds_and_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "sandbox"
    with PublicCloud(folder) as public:
        group = Group(public)
        registry = group.registry()
        vm, session = group.vm()
        group.assign(PULL, group.principal(vm), registry)
        token = vm_token(session)
        refresh = exchange(session, server_of(registry), token).json()["refresh_token"]
        with Sandbox(folder, cloud="AzureChinaCloud") as china:
            # It has a registry of the same name, and knows neither the VM nor the token.
            there = group.id.replace(group.name, "there")
            path = f"{there}/providers/Microsoft.ContainerRegistry/registries/{group.name}"
            for each in (there, path):
                sku = {"sku": {"name": "Basic"}} if each == path else {}
                made = china.arm("PUT", each, {"location": "chinanorth3", **sku})
                assert made.status_code in (200, 201), made.text
        assert exchange(session, f"{group.name}.azurecr.cn", token).status_code == 401
    with PublicCloud(folder) as public:
        session = public.vm(vm.rpartition("/")[2]).session
        assert exchange(session, server_of(registry), token).status_code == 200
        assert granted(session, server_of(registry), refresh, "repository:a:pull,push") == ["pull"]
        assert jwt.decode(vm_token(session), options={"verify_signature": False})["iss"].startswith(
            "https://sts.windows.net/"
        )


# What a caller with few rights may do


def custom_role(public: PublicCloud, *actions: str) -> str:
    """A role with these actions, for the whole subscription; its id."""
    role = str(uuid.uuid4())
    body = {"properties": {"roleName": role, "assignableScopes": [SUBSCRIPTION], "permissions": [{"actions": actions}]}}
    made = public.arm("PUT", f"{SUBSCRIPTION}/{AUTHORIZATION}/roleDefinitions/{role}", body, "2022-04-01")
    assert made.status_code == 201, made.text
    return role


def test_actions_have_the_names_that_azure_gives_them(public: PublicCloud, group: Group) -> None:
    vm, session = group.vm()
    refused = arm_as(session, "GET", group.id)
    assert refused.status_code == 403 and "Microsoft.Resources/subscriptions/resourceGroups/read" in refused.text
    group.assign(custom_role(public, "Microsoft.Resources/subscriptions/resourceGroups/read"), group.principal(vm))
    assert arm_as(session, "GET", group.id).status_code == 200
    assert arm_as(session, "DELETE", group.id).status_code == 403
    role = custom_role(public, "Microsoft.ContainerRegistry/register/action")
    group.assign(role, group.principal(vm), SUBSCRIPTION)
    providers = f"{SUBSCRIPTION}/providers"
    assert arm_as(session, "POST", f"{providers}/Microsoft.ContainerRegistry/register").status_code == 200
    assert arm_as(session, "POST", f"{providers}/Microsoft.Compute/register").status_code == 403


@pytest.mark.parametrize(("method", "path", "action"), [
    ("GET", "", "Microsoft.Resources/subscriptions/read"),
    ("GET", "/resourcegroups", "Microsoft.Resources/subscriptions/resourceGroups/read"),
    ("POST", "/providers/Microsoft.ContainerRegistry/checkNameAvailability", "Microsoft.ContainerRegistry/checkNameAvailability/read"),
])  # fmt: skip
def test_without_any_role(public: PublicCloud, group: Group, method: str, path: str, action: str) -> None:
    _, session = group.vm()
    refused = arm_as(session, method, SUBSCRIPTION + path, {"name": "abcde"} if method == "POST" else None)
    assert refused.status_code == 403 and code(refused) == "AuthorizationFailed"
    assert f"'{action}'" in refused.json()["error"]["message"]


def test_joining_a_subnet_needs_a_right_on_it(public: PublicCloud, group: Group) -> None:
    vm, session = group.vm()
    interface = public.arm("GET", vm).json()["properties"]["networkProfile"]["networkInterfaces"][0]["id"]
    subnet = public.arm("GET", interface).json()["properties"]["ipConfigurations"][0]["properties"]["subnet"]
    body = {"location": "westus", "properties": {"ipConfigurations": [{"name": "c", "properties": {"subnet": subnet}}]}}
    group.assign(custom_role(public, "Microsoft.Network/networkInterfaces/*"), group.principal(vm))
    refused = arm_as(session, "PUT", f"{interface}2", body)
    assert refused.status_code == 403 and code(refused) == "LinkedAuthorizationFailed"
    group.assign(custom_role(public, "Microsoft.Network/virtualNetworks/subnets/join/action"), group.principal(vm))
    assert arm_as(session, "PUT", f"{interface}2", body).status_code == 201


def test_attaching_an_identity_needs_a_right_on_it(public: PublicCloud, group: Group) -> None:
    identity = group.identity()["id"]
    vm, session = group.vm()
    group.assign(custom_role(public, "Microsoft.Compute/virtualMachines/*"), group.principal(vm), vm)
    kind = "SystemAssigned, UserAssigned"
    body = {"identity": {"type": kind, "userAssignedIdentities": {identity: {}}}}
    refused = arm_as(session, "PATCH", vm, body)
    assert refused.status_code == 403 and code(refused) == "LinkedAuthorizationFailed"
    role = custom_role(public, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action")
    group.assign(role, group.principal(vm), identity)
    assert arm_as(session, "PATCH", vm, body).status_code == 200


def test_who_may_pull_may_not_manage(public: PublicCloud, group: Group) -> None:
    registry = group.registry(adminUserEnabled=True)
    vm, session = group.vm()
    group.assign(PULL, group.principal(vm), registry)
    assert arm_as(session, "GET", registry).status_code == 403
    assert arm_as(session, "GET", f"{SUBSCRIPTION}/resources").json()["value"] == []
    assert arm_as(session, "POST", f"{registry}/importImage", {}).status_code == 403
    group.assign(READER, group.principal(vm), registry)
    assert arm_as(session, "GET", registry).status_code == 200
    assert arm_as(session, "POST", f"{registry}/listCredentials").status_code == 403  # secrets are no reading
    assert arm_as(session, "PATCH", registry, {"properties": {"adminUserEnabled": False}}).status_code == 403


def test_the_mode_of_a_registry_decides_which_roles_count(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    server = server_of(registry)
    vm, session = group.vm()
    group.assign(PUSH, group.principal(vm), registry)
    refresh = exchange(session, server, vm_token(session)).json()["refresh_token"]
    assert granted(session, server, refresh, "repository:a:pull repository:b:push") == ["pull", "push"]
    public.arm("PATCH", registry, {"properties": {"roleAssignmentMode": "AbacRepositoryPermissions"}})
    assert exchange(session, server, vm_token(session)).status_code == 401
    group.assign(READER, group.principal(vm), registry)
    refresh = exchange(session, server, vm_token(session)).json()["refresh_token"]
    assert granted(session, server, refresh, "repository:a:pull repository:b:push") == []
    group.assign(REPOSITORY_WRITER, group.principal(vm), registry)
    assert granted(session, server, refresh, "repository:a:pull repository:b:push") == ["pull", "push"]


def test_a_login_server_in_any_case(public: PublicCloud, group: Group) -> None:
    server = server_of(group.registry())
    port = public.running.port
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, context=ssl.create_default_context(cafile=public.ca_file)
    )
    connection.set_tunnel(server.upper(), 443)
    connection.request("GET", "/v2/")
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 401 and f'service="{server}"' in answer.headers["WWW-Authenticate"]


def test_hashes_of_login_servers(public: PublicCloud, group: Group) -> None:
    """The same scope gives the same hash again; NoReuse never does."""

    def made(scope: str) -> str:
        path = f"{group.id}/providers/Microsoft.ContainerRegistry/registries/{group.name}"
        body = {
            "location": "westus",
            "sku": {"name": "Basic"},
            "properties": {"autoGeneratedDomainNameLabelScope": scope},
        }
        server = str(public.arm("PUT", path, body).json()["properties"]["loginServer"])
        assert public.arm("DELETE", path).status_code == 200
        return server

    scopes = ("TenantReuse", "SubscriptionReuse", "ResourceGroupReuse")
    assert [made(scope) for scope in scopes] == [made(scope) for scope in scopes]
    assert made("NoReuse") != made("NoReuse")
    assert made("Unsecure") == f"{group.name}.azurecr.io"


def test_the_instance_document_has_a_limit_too(public: PublicCloud, group: Group) -> None:
    _, session = group.vm()
    answers = [ask(session, "instance?api-version=2021-02-01") for _ in range(30)]
    assert answers[0].status_code == 200 and 429 in [each.status_code for each in answers]
    assert vm_token(session)  # the tokens have a bucket of their own


@pytest.mark.parametrize("name", ["AcrImageSigner", "AcrQuarantineReader", "AcrQuarantineWriter"])
def test_the_other_roles_of_registries(public: PublicCloud, group: Group, name: str) -> None:
    path = f"{group.id}/{AUTHORIZATION}/roleDefinitions?$filter=roleName eq '{name.lower()}'"
    found = public.arm("GET", path, version="2022-04-01").json()["value"]
    assert [each["properties"]["roleName"] for each in found] == [name]
    registry = group.registry()
    vm, session = group.vm()
    group.assign(found[0]["name"], group.principal(vm), registry)
    assert exchange(session, server_of(registry), vm_token(session)).status_code == 401  # it gives no pull
