"""What Azure says yes and no to, asked over HTTP: roles, identities, time, limits, and the rules of a registry."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from azure_sandbox.access import conditions
from azure_sandbox.clouds import CLOUDS, REGISTRY_AUDIENCE

from .groups import (
    CATALOG_LISTER,
    CONTRIBUTOR,
    DELETE,
    METADATA,
    PULL,
    PUSH,
    READER,
    REPOSITORY_READER,
    REPOSITORY_WRITER,
    Group,
    code,
    exchange,
    granted,
    server_of,
    vm_token,
)
from .replay import CLOUD, ZERO, PublicCloud

Json = dict[str, Any]
# Entra: which tokens count


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("audience", CLOUD.audiences)
def test_resource_manager_takes_its_audiences_with_and_without_a_slash(
    public: PublicCloud, audience: str, slash: str
) -> None:
    headers = {"Authorization": f"Bearer {public.token(audience + slash)}"}
    url = f"{CLOUD.resource_manager_url}/subscriptions?api-version=2022-12-01"
    assert public.session.get(url, headers=headers).status_code == 200


@pytest.mark.parametrize("audience", [REGISTRY_AUDIENCE, f"https://{CLOUD.graph}"])
def test_resource_manager_takes_no_other_audience(public: PublicCloud, audience: str) -> None:
    headers = {"Authorization": f"Bearer {public.token(audience)}"}
    answer = public.session.get(f"{CLOUD.resource_manager_url}/subscriptions?api-version=2022-12-01", headers=headers)
    assert answer.status_code == 401 and code(answer) == "InvalidAuthenticationTokenAudience"


@pytest.mark.parametrize("audience", [a + s for a in CLOUDS["AzureChinaCloud"].audiences for s in ("", "/")])
def test_an_audience_of_another_cloud_is_not_issued(public: PublicCloud, audience: str) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": public.client_id,
        "client_secret": public.client_secret,
        "scope": f"{audience}/.default",
    }
    url = f"{CLOUD.authority}/{public.tenant_id}/oauth2/v2.0/token"
    answer = public.session.post(url, data=form)
    assert answer.status_code == 400 and "AADSTS500011" in answer.json()["error_description"]


def forged(public: PublicCloud, key: Any, algorithm: str, **changes: Any) -> str:
    claims = jwt.decode(public.token(), options={"verify_signature": False})
    return jwt.encode({**claims, **changes}, key, algorithm=algorithm)


@pytest.mark.parametrize("kind", ["none", "another key", "hmac with the public key", "tampered", "garbage"])
def test_forged_tokens_are_refused(public: PublicCloud, group: Group, kind: str) -> None:
    if kind == "none":
        token = forged(public, None, "none")
    elif kind == "another key":
        token = forged(public, rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256")
    elif kind == "hmac with the public key":
        keys = public.session.get(f"{CLOUD.authority}/{public.tenant_id}/discovery/v2.0/keys").json()
        token = forged(public, keys["keys"][0]["n"], "HS256")
    elif kind == "tampered":
        head, body, signature = public.token().split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=="))
        claims["oid"] = str(uuid.uuid4())
        token = ".".join([head, base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("="), signature])
    else:
        token = "a.b.c"
    answer = public.session.get(
        f"{CLOUD.resource_manager_url}/subscriptions?api-version=2022-12-01",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 401 and code(answer) == "InvalidAuthenticationToken"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
    assert exchange(public.session, server_of(group.registry()), token).status_code == 401


def test_a_token_of_another_tenant(public: PublicCloud) -> None:
    """China's tenant is another one, with the same signing key in the sandbox: only the issuer differs."""
    china = CLOUDS["AzureChinaCloud"]
    operator = public.running.operator(china.name)
    form = {
        "grant_type": "client_credentials",
        "client_id": operator["client_id"],
        "client_secret": operator["client_secret"],
        "scope": f"{china.audiences[0]}/.default",
    }
    url = f"{china.authority}/{operator['tenant_id']}/oauth2/v2.0/token"
    token = public.session.post(url, data=form).json()["access_token"]
    answer = public.session.get(
        f"{CLOUD.resource_manager_url}/subscriptions?api-version=2022-12-01",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 401 and code(answer) == "InvalidAuthenticationTokenTenant"


# Time


def test_everything_expires_at_its_own_time(public: PublicCloud, group: Group) -> None:
    """Entra's token after an hour, a registry's access token after 75 minutes, its refresh token after 3 h 15 min."""
    registry = group.registry()
    server = server_of(registry)
    vm, session = group.vm()
    group.assign(PULL, group.principal(vm), registry)
    token = vm_token(session)
    refresh = exchange(session, server, token).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "service": server, "scope": "registry:catalog:*", "refresh_token": refresh}
    access = session.post(f"https://{server}/oauth2/token", data=form).json()["access_token"]
    operators = public.token()

    def works() -> dict[str, bool]:
        catalog = session.get(f"https://{server}/v2/_catalog", headers={"Authorization": f"Bearer {access}"})
        subscriptions = public.session.get(
            f"{CLOUD.resource_manager_url}/subscriptions?api-version=2022-12-01",
            headers={"Authorization": f"Bearer {operators}"},
        )
        return {
            "operator": subscriptions.status_code == 200,
            "access": catalog.status_code == 200,
            "refresh": session.post(f"https://{server}/oauth2/token", data=form).status_code == 200,
            "vm": exchange(session, server, token).status_code == 200,
        }

    everything = {"operator": True, "access": True, "refresh": True, "vm": True}
    assert works() == everything
    for seconds, gone in (
        (55 * 60, None),
        (15 * 60, "operator"),
        (15 * 60, "access"),
        (2 * 3600, "refresh"),
        (86400, "vm"),
    ):
        public.clock.advance(float(seconds))
        if gone:
            everything[gone] = False
        assert works() == everything, seconds
    assert exchange(session, server, vm_token(session)).status_code == 200  # a new one is as good as ever


def test_advance_on_the_command_line(public: PublicCloud) -> None:
    from click.testing import CliRunner

    from runbook_helpers.commands.main import main

    before = int(jwt.decode(public.token(), options={"verify_signature": False})["iat"])
    done = CliRunner().invoke(main, ["sandbox", "clock", "advance", "1h30m", "--folder", str(public.folder)])
    assert done.exit_code == 0, done.output
    after = int(jwt.decode(public.token(), options={"verify_signature": False})["iat"])
    assert 5400 <= after - before < 5400 + 60
    wrong = CliRunner().invoke(main, ["sandbox", "clock", "advance", "soon", "--folder", str(public.folder)])
    assert wrong.exit_code == 2 and "not a duration" in wrong.output
    shown = CliRunner().invoke(main, ["sandbox", "set", "role_delay", "5m", "--folder", str(public.folder)])
    assert "role_delay 300s" in shown.output
    refused = CliRunner().invoke(main, ["sandbox", "set", "role_delay", "-5m", "--folder", str(public.folder)])
    assert refused.exit_code == 2 and "'-5m' is not a duration" in refused.output
    assert CliRunner().invoke(main, ["sandbox", "set", "nothing", "5m"]).exit_code == 2
    CliRunner().invoke(main, ["sandbox", "set", "role_delay", "0", "--folder", str(public.folder)])


def test_a_role_takes_effect_and_ceases_after_a_delay(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    vm, session = group.vm()
    public.set(role_delay=300.0)
    made = group.assign(PULL, group.principal(vm), registry)
    assert made.status_code == 201
    token = vm_token(session)
    server = server_of(registry)
    subscriptions = f"{CLOUD.resource_manager_url}/subscriptions?api-version=2022-12-01"

    def state() -> tuple[int, int]:
        headers = {"Authorization": f"Bearer {vm_token(session, CLOUD.audiences[0])}"}
        seen = session.get(subscriptions, headers=headers).json()["count"]["value"]
        return exchange(session, server, token).status_code, seen

    assert state() == (401, 0)
    public.clock.advance(301)
    assert state() == (200, 1)
    assert public.arm("DELETE", made.json()["id"], version="2022-04-01").status_code == 200
    assert state() == (200, 1)  # gone from the list, still in effect
    public.clock.advance(301)
    assert state() == (401, 0)


def test_a_new_identity_is_unknown_to_the_directory_for_a_while(public: PublicCloud, group: Group) -> None:
    public.set(directory_delay=60.0)
    principal = group.identity()["properties"]["principalId"]
    refused = group.assign(READER, principal)
    assert refused.status_code == 400 and code(refused) == "PrincipalNotFound"
    headers = {"Authorization": f"Bearer {public.token(f'https://{CLOUD.graph}')}"}
    url = f"https://{CLOUD.graph}/v1.0/directoryObjects/getByIds"
    asked = {"ids": [principal], "types": ["servicePrincipal"]}
    assert public.session.post(url, json=asked, headers=headers).json()["value"] == []
    assert group.assign(READER, principal, principalType="ServicePrincipal").status_code == 201
    public.clock.advance(61)
    headers = {"Authorization": f"Bearer {public.token(f'https://{CLOUD.graph}')}"}
    assert len(public.session.post(url, json=asked, headers=headers).json()["value"]) == 1
    found = group.assign(CONTRIBUTOR, principal)
    assert found.status_code == 201 and found.json()["properties"]["principalType"] == "ServicePrincipal"


@pytest.mark.parametrize("word", ["InProgress"])
def test_a_long_running_operation_takes_its_time(public: PublicCloud, group: Group, word: str) -> None:
    vm, _ = group.vm()
    public.set(operation_seconds=30.0)
    started = public.arm("POST", f"{vm}/deallocate")
    assert started.status_code == 202
    poll = started.headers["Azure-AsyncOperation"].removeprefix(CLOUD.resource_manager_url)
    location = started.headers["Location"].removeprefix(CLOUD.resource_manager_url)
    assert public.arm("GET", poll).json()["status"] == word
    assert public.arm("GET", location).status_code == 202
    public.clock.advance(31)
    assert public.arm("GET", poll).json()["status"] == "Succeeded"
    assert public.arm("GET", location).status_code == 200


# Roles


def test_a_role_is_inherited_from_above(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    server = server_of(registry)
    for scope in (f"/subscriptions/{ZERO}", group.id, registry):
        vm, session = group.vm("v" + uuid.uuid4().hex[:4])
        made = group.assign(PULL, group.principal(vm), scope)
        assert exchange(session, server, vm_token(session)).status_code == 200, scope
        public.arm("DELETE", made.json()["id"], version="2022-04-01")
        assert exchange(session, server, vm_token(session)).status_code == 401, scope


def test_what_role_assignments_refuse(public: PublicCloud, group: Group) -> None:
    principal = group.identity()["properties"]["principalId"]
    made = group.assign(READER, principal)
    assert made.status_code == 201
    again = group.assign(READER, principal)
    assert again.status_code == 409 and code(again) == "RoleAssignmentExists"
    assert made.json()["name"].replace("-", "") in again.json()["error"]["message"]
    other = group.identity("other")["properties"]["principalId"]
    body = {"properties": {**made.json()["properties"], "principalId": other}}
    changed = public.arm("PUT", made.json()["id"], body, "2022-04-01")
    assert changed.status_code == 400 and code(changed) == "RoleAssignmentUpdateNotPermitted"
    unmatched = group.assign(CONTRIBUTOR, principal, principalType="User")
    assert unmatched.status_code == 400 and code(unmatched) == "UnmatchedPrincipalType"
    nowhere = group.assign(READER, principal, f"{group.id}/providers/Microsoft.ContainerRegistry/registries/absent1")
    assert nowhere.status_code == 404 and code(nowhere) == "ResourceNotFound"
    unknown = group.assign(str(uuid.uuid4()), principal)
    assert unknown.status_code == 404 and code(unknown) == "RoleDefinitionDoesNotExist"
    absent = f"{group.id}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    assert public.arm("DELETE", absent, version="2022-04-01").status_code == 204


def test_a_recreated_identity_is_another_one(public: PublicCloud, group: Group) -> None:
    first = group.identity()
    made = group.assign(READER, first["properties"]["principalId"])
    assert public.arm("DELETE", first["id"]).status_code == 200
    second = group.identity()
    assert second["id"] == first["id"]
    assert second["properties"]["principalId"] != first["properties"]["principalId"]
    assert second["properties"]["clientId"] != first["properties"]["clientId"]
    # The old grant is an orphan: still listed, for nobody.
    listed = public.arm("GET", f"{group.id}/providers/Microsoft.Authorization/roleAssignments?$filter=atScope()")
    assert made.json()["id"] in [each["id"] for each in listed.json()["value"]]
    assert group.assign(READER, second["properties"]["principalId"]).status_code == 201


def test_a_custom_role(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    role = str(uuid.uuid4())
    path = f"/subscriptions/{ZERO}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    name = f"Puller {role}"
    actions = ["Microsoft.ContainerRegistry/registries/*/read"]
    properties: Json = {
        "roleName": name,
        "type": "CustomRole",
        "assignableScopes": [f"/subscriptions/{ZERO}"],
        "permissions": [{"actions": actions, "notActions": []}],
    }
    made = public.arm("PUT", path, {"properties": properties}, "2022-04-01")
    assert made.status_code == 201 and made.json()["properties"]["type"] == "CustomRole"
    listed = public.arm(
        "GET", f"{group.id}/providers/Microsoft.Authorization/roleDefinitions?$filter=roleName eq '{name}'"
    )
    assert [each["name"] for each in listed.json()["value"]] == [role]
    same = public.arm("PUT", path[:-36] + str(uuid.uuid4()), {"properties": properties}, "2022-04-01")
    assert same.status_code == 409 and code(same) == "RoleDefinitionWithSameNameExists"
    vm, session = group.vm()
    assigned = group.assign(role, group.principal(vm), registry)
    server = server_of(registry)
    refresh = exchange(session, server, vm_token(session)).json()["refresh_token"]
    assert granted(session, server, refresh, "repository:a:pull,push,delete") == ["pull"]
    assert public.arm("DELETE", path, version="2022-04-01").status_code == 400  # it is in use
    properties["permissions"] = [
        {"actions": actions, "notActions": ["Microsoft.ContainerRegistry/registries/pull/read"]}
    ]
    public.arm("PUT", path, {"properties": properties}, "2022-04-01")
    assert exchange(session, server, vm_token(session)).status_code == 401
    public.arm("DELETE", assigned.json()["id"], version="2022-04-01")
    assert public.arm("DELETE", path, version="2022-04-01").status_code == 200


# Registries: what each role grants


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        (PULL, ["metadata_read", "pull"]),
        (PUSH, ["metadata_read", "metadata_write", "pull", "push"]),
        (DELETE, ["delete"]),
        (READER, ["metadata_read", "pull"]),
        (CONTRIBUTOR, ["delete", "metadata_read", "metadata_write", "pull", "push"]),
    ],
)
def test_only_what_a_role_grants_is_in_the_token(
    public: PublicCloud, group: Group, role: str, wanted: list[str]
) -> None:
    registry = group.registry()
    server = server_of(registry)
    vm, session = group.vm()
    group.assign(role, group.principal(vm), registry)
    refresh = exchange(session, server, vm_token(session)).json()["refresh_token"]
    everything = "repository:app:pull,push,delete,metadata_read,metadata_write"
    assert granted(session, server, refresh, everything) == wanted
    assert granted(session, server, refresh, "repository:app:pull") == (["pull"] if "pull" in wanted else [])
    assert granted(session, server, refresh, "registry:None:*") == []  # az acr check-health asks for this


@pytest.mark.parametrize(
    ("text", "samples", "other"),
    [
        ("@Request[N] StringEquals 'samples/app'", True, False),
        ("@Resource[N] StringEqualsIgnoreCase 'SAMPLES/APP'", True, False),
        ("@Request[N] StringNotEquals 'samples/app'", False, True),
        ("@Request[N] StringLike 'samples/*'", True, False),
        ("@Request[N] StringNotStartsWith 'samples/'", False, True),
        ("@Request[N] ForAnyOfAnyValues:StringEquals {'a', 'samples/app'}", True, False),
        ("Exists @Request[N] AND NOT @Request[N] StringEquals 'other/app'", True, False),
        ("(@Request[N] StringEquals 'x' OR @Request[N] StringEquals 'other/app') && Exists @Request[N]", False, True),
        ("@Principal[Microsoft.Directory/CustomSecurityAttributes/Id:x] StringEquals 'y'", False, False),
        ("ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/*/read'}", True, True),
        ("!(ActionMatches{'Microsoft.ContainerRegistry/*'})", False, False),
    ],
)
def test_the_language_of_conditions(text: str, samples: bool, other: bool) -> None:
    condition = conditions.parse(text.replace("[N]", f"[{conditions.REPOSITORY_NAME}]"))
    action = "Microsoft.ContainerRegistry/registries/repositories/content/read"
    name = conditions.REPOSITORY_NAME.lower()
    assert condition(action, {name: "samples/app"}) is samples
    assert condition(action, {name: "other/app"}) is other


@pytest.mark.parametrize("text", ["", "(", "a", "@Request[x]", "@Request[x] StringEquals", "@Request[x] Like 'y'", "'a' 'b'", "@Request[x] StringEquals 'y')", "ActionMatches{}", "$"])  # fmt: skip
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(conditions.ConditionError):
        conditions.parse(text)


def test_repositories_with_conditions(public: PublicCloud, group: Group) -> None:
    registry = group.registry(roleAssignmentMode="AbacRepositoryPermissions")
    server = server_of(registry)
    vm, session = group.vm()
    principal = group.principal(vm)
    action = "Microsoft.ContainerRegistry/registries/repositories/content/read"
    attribute = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]"
    condition = f"((!(ActionMatches{{'{action}'}})) OR ({attribute} StringStartsWith 'samples/'))"
    bad = group.assign(REPOSITORY_READER, principal, registry, condition="(", conditionVersion="2.0")
    assert bad.status_code == 400 and code(bad) == "InvalidCondition"
    made = group.assign(REPOSITORY_READER, principal, registry, condition=condition, conditionVersion="2.0")
    assert made.status_code == 201 and made.json()["properties"]["condition"] == condition
    refresh = exchange(session, server, vm_token(session)).json()["refresh_token"]
    assert granted(session, server, refresh, "repository:samples/app:pull,push") == ["pull"]
    assert granted(session, server, refresh, "repository:other/app:pull,push") == []
    assert granted(session, server, refresh, "registry:catalog:*") == []
    group.assign(CATALOG_LISTER, principal, registry)
    assert granted(session, server, refresh, "registry:catalog:*") == ["*"]
    group.assign(REPOSITORY_WRITER, principal, registry)
    assert granted(session, server, refresh, "repository:other/app:pull,push,delete") == ["pull", "push"]
    # Owner and Contributor do not count for the content of such a registry.
    owners = exchange(public.session, server, public.token(REGISTRY_AUDIENCE)).json()["refresh_token"]
    assert granted(public.session, server, owners, "repository:samples/app:pull,push,delete") == []


def test_arm_audience_policy(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    server = server_of(registry)
    vm, session = group.vm()
    group.assign(PULL, group.principal(vm), registry)
    arm_token = vm_token(session, CLOUD.audiences[0])
    assert exchange(session, server, arm_token).status_code == 200
    policy = {"policies": {"azureADAuthenticationAsArmPolicy": {"status": "disabled"}}}
    assert public.arm("PATCH", registry, {"properties": policy}).status_code == 200
    assert exchange(session, server, arm_token).status_code == 401
    assert exchange(session, server, vm_token(session)).status_code == 200
    graph = vm_token(session, f"https://{CLOUD.graph}")
    assert exchange(session, server, graph).status_code == 401


def test_network_rules(public: PublicCloud, group: Group) -> None:
    basic = group.registry()
    refused = public.arm("PATCH", basic, {"properties": {"networkRuleSet": {"defaultAction": "Deny"}}})
    assert refused.status_code == 400
    public.arm("DELETE", basic)
    registry = group.registry("Premium")
    server = server_of(registry)
    rules: Json = {"defaultAction": "Deny", "ipRules": [{"action": "Allow", "value": "203.0.113.0/30"}]}
    assert public.arm("PATCH", registry, {"properties": {"networkRuleSet": rules}}).status_code == 200
    answer = public.session.get(f"https://{server}/v2/")
    assert answer.status_code == 403
    error = answer.json()["errors"][0]
    assert error["code"] == "DENIED"
    assert error["message"] == (
        "client with IP '192.0.2.200' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
    )
    rules["ipRules"].append({"action": "Allow", "value": "192.0.2.200"})
    public.arm("PATCH", registry, {"properties": {"networkRuleSet": rules}})
    public.arm("PATCH", registry, {"properties": {"networkRuleSet": {"defaultAction": "Deny"}}})  # the rest stays
    assert public.session.get(f"https://{server}/v2/").status_code == 401
    public.arm("PATCH", registry, {"properties": {"publicNetworkAccess": "Disabled"}})
    denied = exchange(public.session, server, public.token(REGISTRY_AUDIENCE))
    assert denied.status_code == 403 and "CorrelationId" in denied.json()["errors"][0]["message"]


def test_admin_user(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    server = server_of(registry)
    off = public.arm("POST", f"{registry}/listCredentials")
    assert off.status_code == 400 and "admin user is disabled" in off.json()["error"]["message"]
    public.arm("PATCH", registry, {"properties": {"adminUserEnabled": True}})
    shown = public.arm("POST", f"{registry}/listCredentials").json()
    assert shown["username"] == group.name and len(shown["passwords"]) == 2
    password = shown["passwords"][0]["value"]
    asked = {"service": server, "scope": "repository:a:pull,push"}
    url = f"https://{server}/oauth2/token"
    assert public.session.get(url, params=asked, auth=(group.name, password)).status_code == 200
    assert public.session.get(url, params=asked, auth=(group.name, "wrong")).status_code == 401
    assert public.session.get(f"https://{server}/v2/", auth=(group.name, password)).status_code == 200
    again = public.arm("POST", f"{registry}/regenerateCredential", {"name": "password"}).json()
    assert again["passwords"][0]["value"] != password and again["passwords"][1] == shown["passwords"][1]
    assert public.session.get(url, params=asked, auth=(group.name, password)).status_code == 401
    password = again["passwords"][0]["value"]
    offline = public.session.get(url, params={**asked, "offline_token": "true"}, auth=(group.name, password)).json()
    form = {"grant_type": "refresh_token", **asked, "refresh_token": offline["refresh_token"]}
    assert public.session.post(url, data=form).status_code == 200
    public.arm("PATCH", registry, {"properties": {"adminUserEnabled": False}})
    assert public.session.post(url, data=form).status_code == 401
    assert public.session.get(url, params=asked, auth=(group.name, shown["passwords"][1]["value"])).status_code == 401


def test_a_name_with_a_hash_behind_it(public: PublicCloud, group: Group) -> None:
    other = Group(public)
    registry = group.registry()
    body = {"location": "westus", "sku": {"name": "Basic"}}
    taken = public.arm("PUT", f"{other.id}/providers/Microsoft.ContainerRegistry/registries/{group.name}", body)
    assert taken.status_code == 409 and code(taken) == "AlreadyInUse" and taken.json()["status"] == "Failed"
    labelled = {**body, "properties": {"autoGeneratedDomainNameLabelScope": "ResourceGroupReuse"}}
    taken = public.arm("PUT", f"{other.id}/providers/Microsoft.ContainerRegistry/registries/{group.name}", labelled)
    assert taken.status_code == 409 and code(taken) == "RegistryNameAlreadyInUse"  # as a resource, not as a host
    assert public.arm("DELETE", registry).status_code == 200
    made = public.arm("PUT", f"{other.id}/providers/Microsoft.ContainerRegistry/registries/{group.name}", labelled)
    assert made.status_code == 200
    server = made.json()["properties"]["loginServer"]
    assert server.startswith(f"{group.name}-") and server != server_of(registry)
    answer = public.session.get(f"https://{server}/v2/")
    assert answer.headers["WWW-Authenticate"] == (f'Bearer realm="https://{server}/oauth2/token",service="{server}"')
    assert public.arm("DELETE", other.id).status_code == 202


def test_tokens_of_one_registry_are_nothing_to_another(public: PublicCloud, group: Group) -> None:
    registry, other = group.registry(), Group(public)
    second = other.registry()
    refresh = exchange(public.session, server_of(registry), public.token(REGISTRY_AUDIENCE)).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "service": server_of(second), "scope": "repository:a:pull"}
    refused = public.session.post(f"https://{server_of(second)}/oauth2/token", data={**form, "refresh_token": refresh})
    assert refused.status_code == 401
    wrong = public.session.post(f"https://{server_of(registry)}/oauth2/token", data={**form, "refresh_token": refresh})
    assert wrong.status_code == 400  # a service that is not this registry
    public.arm("DELETE", other.id)


def test_a_chunked_token_request(public: PublicCloud, group: Group) -> None:
    """skopeo and podman send the form without its length."""
    server = server_of(group.registry())
    refresh = exchange(public.session, server, public.token(REGISTRY_AUDIENCE)).json()["refresh_token"]
    form = f"grant_type=refresh_token&service={server}&scope=repository:a:pull&refresh_token={refresh}"
    answer = public.session.post(
        f"https://{server}/oauth2/token",
        data=iter([form[:30].encode(), form[30:].encode()]),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200 and answer.json()["access_token"]


# Identities of a VM


def test_identities_of_a_vm_change(public: PublicCloud, group: Group) -> None:
    one, two = group.identity("one"), group.identity("two")
    vm, session = group.vm()

    def patch(kind: str, **ids: Json | None) -> Json:
        given = {f"{one['id'].rpartition('/')[0]}/{name}": value for name, value in ids.items()}
        identity = {"type": kind, **({"userAssignedIdentities": given} if given else {})}
        answer = public.arm("PATCH", vm, {"identity": identity})
        assert answer.status_code == 200, answer.text
        shown: Json = public.arm("GET", vm).json().get("identity", {})
        return {
            "type": shown.get("type"),
            "ids": sorted(key.rpartition("/")[2] for key in shown.get("userAssignedIdentities", {})),
        }

    first = group.principal(vm)
    assert patch("SystemAssigned,UserAssigned", one={}) == {"type": "SystemAssigned, UserAssigned", "ids": ["one"]}
    assert group.principal(vm) == first
    assert patch("SystemAssigned, UserAssigned", two={}) == {
        "type": "SystemAssigned, UserAssigned",
        "ids": ["one", "two"],
    }
    assert vm_token(session, client_id=two["properties"]["clientId"])
    assert patch("SystemAssigned, UserAssigned", one=None) == {"type": "SystemAssigned, UserAssigned", "ids": ["two"]}
    answer = session.get(
        METADATA,
        params={"resource": REGISTRY_AUDIENCE, "client_id": one["properties"]["clientId"]},
        headers={"Metadata": "true"},
    )
    assert answer.status_code == 400 and answer.json()["error_description"] == "Identity not found"
    assert patch("UserAssigned", two={}) == {"type": "UserAssigned", "ids": ["two"]}
    assert patch("UserAssigned", one={}) == {"type": "UserAssigned", "ids": ["one", "two"]}
    several = session.get(METADATA, params={"resource": REGISTRY_AUDIENCE}, headers={"Metadata": "true"})
    assert several.status_code == 400 and "Multiple user assigned identities" in several.json()["error_description"]
    assert patch("SystemAssigned") == {"type": "SystemAssigned", "ids": []}
    assert group.principal(vm) != first  # off and on again is another one
    assert patch("None") == {"type": None, "ids": []}
    nothing = session.get(METADATA, params={"resource": REGISTRY_AUDIENCE}, headers={"Metadata": "true"})
    assert nothing.status_code == 400
    unknown = public.arm(
        "PATCH",
        vm,
        {
            "identity": {
                "type": "UserAssigned",
                "userAssignedIdentities": {
                    f"{group.id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/absent": {}
                },
            }
        },
    )
    assert unknown.status_code == 400 and code(unknown) == "FailedIdentityOperation"


# Limits


def test_who_asks_too_often_has_to_wait(public: PublicCloud, group: Group) -> None:
    vm, session = group.vm()
    group.assign(READER, group.principal(vm))
    headers = {"Authorization": f"Bearer {vm_token(session, CLOUD.audiences[0])}"}
    url = f"{CLOUD.resource_manager_url}{group.id}?api-version=2024-11-01"
    left = [session.get(url, headers=headers) for _ in range(2)]
    remaining = [int(each.headers["x-ms-ratelimit-remaining-subscription-reads"]) for each in left]
    assert max(remaining) < 250  # they are refilled at 25 a second, so the second may show as many as the first
    deadline = time.monotonic() + 20
    while (answer := session.get(url, headers=headers)).status_code == 200:
        assert time.monotonic() < deadline, "never throttled"
    assert answer.status_code == 429 and code(answer) == "SubscriptionRequestsThrottled"
    assert int(answer.headers["Retry-After"]) >= 1
    assert public.arm("GET", group.id).status_code == 200  # somebody else has a bucket of their own
    public.clock.advance(5)
    assert session.get(url, headers=headers).status_code == 200


def test_the_metadata_service_has_a_limit_of_each_vm(public: PublicCloud, group: Group) -> None:
    _, session = group.vm()
    statuses = [
        session.get(METADATA, params={"resource": REGISTRY_AUDIENCE}, headers={"Metadata": "true"}).status_code
        for _ in range(60)
    ]
    assert 429 in statuses and statuses[0] == 200


# What one sees


def test_lists_show_what_the_caller_may_see(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    identity = group.identity()
    vm, session = group.vm()

    def seen(path: str) -> list[str]:
        headers = {"Authorization": f"Bearer {vm_token(session, CLOUD.audiences[0])}"}
        answer = session.get(
            f"{CLOUD.resource_manager_url}{path}{'&' if '?' in path else '?'}api-version=2024-11-01", headers=headers
        )
        assert answer.status_code == 200, answer.text
        return [each["id"].rpartition("/")[2] for each in answer.json()["value"]]

    everything = f"/subscriptions/{ZERO}/resources"
    assert seen(everything) == seen("/subscriptions") == []
    group.assign(READER, group.principal(vm), identity["id"])
    assert seen(everything) == ["identity"] and seen("/subscriptions") == [ZERO]
    by_type = f"{everything}?$filter=resourceType eq 'Microsoft.ContainerRegistry/registries'"
    assert seen(by_type) == []
    group.assign(PULL, group.principal(vm), registry)  # AcrPull does not show the registry itself
    assert seen(by_type) == []
    group.assign(READER, group.principal(vm))
    assert seen(by_type) == [group.name]
    assert group.name in seen(f"/subscriptions/{ZERO}/resourcegroups")


# Deployments


def test_a_deployment_makes_resources_in_order(public: PublicCloud, group: Group) -> None:
    template: Json = {
        "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"name": {"type": "string"}, "secret": {"type": "securestring"}},
        "variables": {"subnet": "inner"},
        "resources": [
            {
                "type": "Microsoft.Network/networkInterfaces",
                "name": "nic",
                "apiVersion": "2022-01-01",
                "location": "[resourceGroup().location]",
                "dependsOn": ["[concat('Microsoft.Network/virtualNetworks/', parameters('name'))]"],
                "properties": {"ipConfigurations": [{"name": "a", "properties": {"subnet": {"id": (
                    "[concat(resourceId('Microsoft.Network/virtualNetworks', parameters('name')), '/subnets/', variables('subnet'))]"
                )}}}]},
            },
            {
                "type": "Microsoft.Network/virtualNetworks",
                "name": "[parameters('name')]",
                "apiVersion": "2022-01-01",
                "location": "westus",
                "properties": {
                    "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                    "subnets": [{"name": "inner", "properties": {"addressPrefix": "10.0.0.0/24"}}],
                },
            },
        ],
    }  # fmt: skip
    parameters = {"name": {"value": "net"}, "secret": {"value": "hidden-value"}}
    path = f"{group.id}/providers/Microsoft.Resources/deployments/d1"
    started = public.arm(
        "PUT", path, {"properties": {"mode": "Incremental", "template": template, "parameters": parameters}}
    )
    assert started.status_code == 201, started.text
    poll = started.headers["Azure-AsyncOperation"].removeprefix(CLOUD.resource_manager_url)
    assert public.arm("GET", poll).json()["status"] == "Succeeded"
    shown = public.arm("GET", path)
    assert shown.json()["properties"]["provisioningState"] == "Succeeded" and "hidden-value" not in shown.text
    nic = public.arm("GET", f"{group.id}/providers/Microsoft.Network/networkInterfaces/nic").json()
    assert nic["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] == "10.0.0.4"
    circle = {
        **template,
        "resources": [
            {**template["resources"][1], "name": "x", "dependsOn": ["y"]},
            {**template["resources"][1], "name": "y", "dependsOn": ["x"]},
        ],
    }
    refused = public.arm("PUT", path, {"properties": {"template": circle, "parameters": parameters}})
    assert refused.status_code == 400 and code(refused) == "InvalidTemplate"
    odd = {**template, "resources": [{**template["resources"][1], "name": "[newGuid('x')]"}]}
    refused = public.arm("PUT", path, {"properties": {"template": odd, "parameters": parameters}})
    assert refused.status_code == 501
    wrong = {
        **template,
        "resources": [
            {
                **template["resources"][1],
                "properties": {"subnets": [{"name": "s", "properties": {"addressPrefix": "99.0.0.0/8"}}]},
            }
        ],
    }
    failed = public.arm("PUT", path, {"properties": {"template": wrong, "parameters": parameters}})
    poll = failed.headers["Azure-AsyncOperation"].removeprefix(CLOUD.resource_manager_url)
    error = public.arm("GET", poll).json()["error"]
    assert error["code"] == "DeploymentFailed" and error["details"][0]["code"] == "NetcfgInvalidSubnet"


# The rest


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/providers/Microsoft.Storage/storageAccounts"),
        ("PUT", "/providers/Microsoft.Compute/disks/d"),
        ("POST", "/providers/Microsoft.ContainerRegistry/registries/r1234/generateCredentials"),
        ("GET", "/providers/Microsoft.ContainerRegistry/registries/r1234/tasks"),
    ],
)
def test_what_is_not_emulated_says_so(public: PublicCloud, group: Group, method: str, path: str) -> None:
    answer = public.arm(method, group.id + path, {} if method != "GET" else None)
    assert answer.status_code == 501 and code(answer) == "NotImplementedInSandbox"
    assert path in answer.json()["error"]["message"]


@pytest.mark.parametrize("version", ["2099-01-01", "2015-06-15", "2026-01-01-preview"])
def test_any_version_of_the_api(public: PublicCloud, group: Group, version: str) -> None:
    assert public.arm("GET", group.id, version=version).status_code == 200


def test_two_slashes_are_one(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    doubled = registry.replace("/registries/", "//registries/")
    assert public.arm("GET", doubled).json()["id"] == registry


def test_ids_of_a_request(public: PublicCloud, group: Group) -> None:
    wanted = str(uuid.uuid4())
    url = f"{CLOUD.resource_manager_url}{group.id}?api-version=2024-11-01"
    headers = {"Authorization": f"Bearer {public.token()}", "x-ms-client-request-id": wanted}
    answer = public.session.get(url, headers=headers)
    assert answer.headers["x-ms-client-request-id"] == wanted
    assert uuid.UUID(answer.headers["x-ms-request-id"]) and answer.headers["x-ms-routing-request-id"]


def test_tags_and_what_there_is_to_choose_from(public: PublicCloud, group: Group) -> None:
    registry, identity = group.registry(), group.identity()
    vm, _ = group.vm()
    interface = public.arm("GET", vm).json()["properties"]["networkProfile"]["networkInterfaces"][0]["id"]
    for path in (group.id, registry, identity["id"], vm, interface):
        changed = public.arm("PATCH", path, {"tags": {"a": "b"}})
        assert changed.status_code == 200, changed.text
        assert public.arm("GET", path).json()["tags"] == {"a": "b"}
    subscription = f"/subscriptions/{ZERO}"
    locations = public.arm("GET", f"{subscription}/locations").json()["value"]
    assert "westus" in [each["name"] for each in locations]
    sizes = public.arm("GET", f"{subscription}/providers/Microsoft.Compute/locations/westus/vmSizes").json()["value"]
    assert "Standard_D2s_v5" in [each["name"] for each in sizes]
    provider = public.arm("GET", f"{subscription}/providers/microsoft.containerregistry").json()
    assert provider["registrationState"] == "Registered"
    assert "registries" in [each["resourceType"] for each in provider["resourceTypes"]]
    assert len(public.arm("GET", f"{subscription}/providers").json()["value"]) >= 6
    unknown = public.arm("GET", f"{subscription}/providers/Microsoft.Nothing")
    assert unknown.status_code == 404 and code(unknown) == "InvalidResourceNamespace"
    usages = public.arm("GET", f"{registry}/listUsages").json()["value"]
    assert {each["name"]: each["currentValue"] for each in usages} == {"Size": 0, "Webhooks": 0}


def test_a_region_that_there_is_not(public: PublicCloud, group: Group) -> None:
    path = f"{group.id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/x12"
    answer = public.arm("PUT", path, {"location": "chinanorth3"})
    assert answer.status_code == 400 and code(answer) == "LocationNotAvailableForResourceType"


def test_settings_survive_a_restart(tmp_path: Path) -> None:
    with PublicCloud(tmp_path / "sandbox") as public:
        public.clock.advance("2h")
    with PublicCloud(tmp_path / "sandbox") as public:
        issued = jwt.decode(public.token(), options={"verify_signature": False})["iat"]
        assert issued - time.time() > 7000


# Bodies that no client would send


def mutations(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each place in a body, with each kind of value that may be wrong there."""
    anything: tuple[Any, ...] = (None, [], {}, "x", 7)
    for wrong in anything:
        yield path, wrong
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from mutations(child, (*path, key))


def mutated(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    if not path:
        return wrong
    changed = value.copy()
    changed[path[0]] = mutated(value[path[0]], path[1:], wrong)
    return changed


NETWORK = "Microsoft.Network"
BODIES: dict[str, Json] = {
    "PUT Microsoft.ContainerRegistry/registries/NAME": {
        "location": "westus",
        "sku": {"name": "Premium"},
        "tags": {"a": "b"},
        "properties": {
            "adminUserEnabled": True,
            "networkRuleSet": {"defaultAction": "Allow", "ipRules": [{"action": "Allow", "value": "192.0.2.1"}]},
            "policies": {"azureADAuthenticationAsArmPolicy": {"status": "enabled"}},
            "roleAssignmentMode": "LegacyRegistryPermissions",
            "autoGeneratedDomainNameLabelScope": "Unsecure",
        },
    },
    "PATCH Microsoft.ContainerRegistry/registries/NAME": {
        "sku": {"name": "Premium"},
        "properties": {"anonymousPullEnabled": True},
    },
    "POST Microsoft.ContainerRegistry/registries/NAME/importImage": {
        "source": {"registryUri": "mcr.microsoft.com", "sourceImage": "hello-world:latest"},
        "targetTags": ["a:b"],
        "mode": "Force",
    },
    "POST Microsoft.ContainerRegistry/registries/NAME/regenerateCredential": {"name": "password"},
    f"PUT {NETWORK}/virtualNetworks/n": {
        "location": "westus",
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [
                {"name": "s", "properties": {"addressPrefix": "10.0.0.0/24", "networkSecurityGroup": {"id": "x"}}}
            ],
        },
    },
    f"PUT {NETWORK}/networkSecurityGroups/n": {
        "location": "westus",
        "properties": {
            "securityRules": [
                {
                    "name": "r",
                    "properties": {
                        "priority": 100,
                        "access": "Allow",
                        "direction": "Inbound",
                        "protocol": "Tcp",
                        "destinationPortRange": "22",
                        "sourceAddressPrefixes": ["*"],
                    },
                }
            ]
        },
    },
    f"PUT {NETWORK}/publicIPAddresses/n": {
        "location": "westus",
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static"},
    },
    f"PUT {NETWORK}/networkInterfaces/n": {
        "location": "westus",
        "properties": {
            "networkSecurityGroup": {"id": "x"},
            "ipConfigurations": [{"name": "a", "properties": {"subnet": {"id": "x"}, "publicIPAddress": {"id": "x"}}}],
        },
    },
    "PUT Microsoft.ManagedIdentity/userAssignedIdentities/other": {"location": "westus", "tags": {"a": "b"}},
    "PATCH Microsoft.Compute/virtualMachines/vmNAME": {
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {"x": {}}},
        "tags": {"a": "b"},
    },
    "PUT Microsoft.Authorization/roleAssignments/11111111-2222-3333-4444-555555555555": {
        "properties": {
            "principalId": "11111111-2222-3333-4444-555555555555",
            "principalType": "ServicePrincipal",
            "roleDefinitionId": READER,
            "condition": "@Resource[a] StringEquals 'b'",
            "conditionVersion": "2.0",
        }
    },
    "PUT Microsoft.Authorization/roleDefinitions/11111111-2222-3333-4444-666666666666": {
        "properties": {"roleName": "odd", "assignableScopes": ["/"], "permissions": [{"actions": ["*"]}]}
    },
    "PUT Microsoft.Resources/deployments/n": {
        "properties": {
            "mode": "Incremental",
            "parameters": {"a": {"value": "b"}},
            "template": {
                "parameters": {"a": {"type": "string"}},
                "outputs": {"o": {"value": "[parameters('a')]"}},
                "resources": [
                    {
                        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
                        "name": "[concat('dep', parameters('a'))]",
                        "apiVersion": "2024-11-30",
                        "location": "westus",
                        "dependsOn": [],
                    }
                ],
            },
        }
    },
}


@pytest.mark.parametrize("request_", BODIES)
def test_a_wrong_body_is_the_clients_fault(public: PublicCloud, group: Group, request_: str) -> None:
    method, _, path = request_.partition(" ")
    group.registry("Premium")
    if "virtualMachines" in path:
        group.vm()
    url = f"{group.id}/providers/{path.replace('NAME', group.name)}"
    for place, wrong in mutations(BODIES[request_]):
        public.clock.advance(1)  # or its bucket of requests would be empty soon
        answer = public.arm(method, url, mutated(BODIES[request_], place, wrong))
        assert answer.status_code < 500 or answer.status_code == 501, (place, wrong, answer.text)
