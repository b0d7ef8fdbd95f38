"""How clients get into a registry: applications, old forms of the exchange, anonymous ones; and tokens of another mode."""

from __future__ import annotations

import uuid

import pytest
import requests

from azure_sandbox.clouds import REGISTRY_AUDIENCE
from azure_sandbox.store import Blobs, Store

from .conftest import bearer
from .groups import PULL, REPOSITORY_READER, TOKEN_USER, Group, exchange, granted, server_of, vm_token
from .replay import PublicCloud

ABAC, LEGACY = "AbacRepositoryPermissions", "LegacyRegistryPermissions"
VERSION = "2025-11-01"  # shows the roleAssignmentMode


def application(public: PublicCloud) -> tuple[str, str, str]:
    """Object id, client id and secret of an application that has no role yet, as somebody else has made it."""
    store = Store(public.folder / "AzureCloud.sqlite", Blobs(public.folder / "blobs"))
    object_id, client_id = str(uuid.uuid4()), str(uuid.uuid4())
    principal = {"objectId": object_id, "appId": client_id, "displayName": "app", "resourceId": None, "created": 0}
    store.write("principal", object_id, {**principal, "kind": "Application"})
    store.write("secret", object_id, {"value": "its/secret:with+marks"})
    store.close()
    return object_id, client_id, "its/secret:with+marks"


def docker_login(session: requests.Session, server: str, user: str, password: str) -> requests.Response:
    """What docker asks for when it signs in: a scope-less token, and what to keep."""
    query = {"account": user, "client_id": "docker", "offline_token": "true", "service": server}
    return session.get(f"https://{server}/oauth2/token", params=query, auth=(user, password))


def switch(public: PublicCloud, registry: str, mode: str) -> None:
    changed = public.arm("PATCH", registry, {"properties": {"roleAssignmentMode": mode}}, VERSION)
    assert changed.json()["properties"]["roleAssignmentMode"] == mode


@pytest.mark.parametrize(("first", "second"), [(LEGACY, ABAC), (ABAC, LEGACY)])
def test_tokens_end_when_the_mode_is_switched(public: PublicCloud, group: Group, first: str, second: str) -> None:
    """Though the right roles are there in both modes; the exchange gives a new token. (ABAC page, migration, step 3)"""
    registry = group.registry(roleAssignmentMode=first)
    server = server_of(registry)
    vm, session = group.vm()
    for role in (PULL, REPOSITORY_READER):
        group.assign(role, group.principal(vm), registry)

    def access(refresh: str) -> requests.Response:
        form = {"grant_type": "refresh_token", "service": server, "scope": "repository:a:pull"}
        return session.post(f"https://{server}/oauth2/token", data={**form, "refresh_token": refresh})

    def tags(token: str) -> int:
        return session.get(f"https://{server}/v2/a/tags/list", headers=bearer(token)).status_code

    refresh = exchange(session, server, vm_token(session)).json()["refresh_token"]
    token = access(refresh).json()["access_token"]
    assert tags(token) == 404  # there is no such repository
    switch(public, registry, second)
    assert tags(token) == 401
    refused = access(refresh)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (401, "UNAUTHORIZED")
    assert docker_login(session, server, TOKEN_USER, refresh).status_code == 401
    assert session.get(f"https://{server}/v2/", auth=(TOKEN_USER, refresh)).status_code == 401
    again = exchange(session, server, vm_token(session)).json()["refresh_token"]
    assert tags(access(again).json()["access_token"]) == 404
    switch(public, registry, first)
    assert tags(token) == 404  # it is bound to the mode, which is in effect again


def test_docker_login_of_a_service_principal(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    server, session = server_of(registry), public.session
    object_id, client_id, secret = application(public)
    assert docker_login(session, server, client_id, secret).status_code == 401  # no role
    assert group.assign(PULL, object_id, registry).status_code == 201
    signed_in = docker_login(session, server, client_id.upper(), secret)
    assert session.get(f"https://{server}/v2/", headers=bearer(signed_in.json()["access_token"])).status_code == 200
    wanted = "repository:a:pull,push,delete"
    assert granted(session, server, signed_in.json()["refresh_token"], wanted) == ["pull"]
    assert session.get(f"https://{server}/v2/a/tags/list", auth=(client_id, secret)).status_code == 404
    assert session.post(f"https://{server}/v2/a/blobs/uploads/", auth=(client_id, secret)).status_code == 401
    form = {"grant_type": "password", "service": server, "username": client_id, "password": secret}
    assert session.post(f"https://{server}/oauth2/token", data=form).status_code == 200  # az acr login -u -p
    for user, password in ((client_id, "wrong"), (object_id, secret), (str(uuid.uuid4()), secret), (client_id, "")):
        assert docker_login(session, server, user, password).status_code == 401
        assert session.get(f"https://{server}/v2/", auth=(user, password)).status_code == 401
    switch(public, registry, ABAC)
    assert docker_login(session, server, client_id, secret).status_code == 401  # AcrPull counts no longer
    group.assign(REPOSITORY_READER, object_id, registry)
    assert docker_login(session, server, client_id, secret).status_code == 200


def test_a_managed_identity_has_no_secret(public: PublicCloud, group: Group) -> None:
    registry = group.registry()
    identity = group.identity()["properties"]
    group.assign(PULL, identity["principalId"], registry)
    for password in ("", "None", "x"):
        refused = docker_login(public.session, server_of(registry), identity["clientId"], password)
        assert refused.status_code == 401


def test_the_exchange_of_the_kubelets_plugin(public: PublicCloud, group: Group) -> None:
    """It sends the deprecated grant type, and its token twice. (cloud-provider-azure, azure_acr_helper.go)"""
    server = server_of(group.registry())
    token = public.token(REGISTRY_AUDIENCE)
    form = {"grant_type": "access_token_refresh_token", "service": server, "access_token": token}
    url = f"https://{server}/oauth2/exchange"
    answer = public.session.post(url, data={**form, "refresh_token": token, "tenant": public.tenant_id})
    assert answer.status_code == 200 and answer.json()["refresh_token"]
    assert public.session.post(url, data=form).status_code == 400  # the refresh token is missing
    both = {**form, "refresh_token": token}
    assert public.session.post(url, data={**both, "access_token": "x"}).status_code == 401
    for grant in ("refresh_token", "password", ""):
        assert public.session.post(url, data={**both, "grant_type": grant}).status_code == 400


@pytest.mark.parametrize("mode", [LEGACY, ABAC])
def test_the_catalog_of_a_registry_with_anonymous_pull(public: PublicCloud, group: Group, mode: str) -> None:
    registry = group.registry("Standard", roleAssignmentMode=mode)
    server, session = server_of(registry), public.session
    query = {"service": server, "scope": "registry:catalog:*"}

    def catalog() -> list[requests.Response]:
        token = session.get(f"https://{server}/oauth2/token", params=query).json().get("access_token", "")
        paths = ("/v2/_catalog", "/acr/v1/_catalog")
        return [session.get(f"https://{server}{path}", headers=bearer(token)) for path in paths]

    assert {answer.status_code for answer in catalog()} == {401}
    public.arm("PATCH", registry, {"properties": {"anonymousPullEnabled": True}})
    assert [answer.json() for answer in catalog()] == [{"repositories": []}] * 2


def test_head_of_v2(public: PublicCloud, group: Group) -> None:
    server = server_of(group.registry())
    url = f"https://{server}/v2/"
    asked, headed = public.session.get(url), public.session.head(url)
    assert (headed.status_code, headed.content) == (401, b"")
    assert headed.headers["Www-Authenticate"] == asked.headers["Www-Authenticate"]
    refresh = exchange(public.session, server, public.token(REGISTRY_AUDIENCE)).json()["refresh_token"]
    assert public.session.head(url, auth=(TOKEN_USER, refresh)).status_code == 200
    assert public.session.head("https://mcr.microsoft.com/v2/").status_code == 200


def test_the_port_and_the_case_of_a_login_server(public: PublicCloud, group: Group) -> None:
    server = server_of(group.registry())
    for host in (f"{server}:443", server.upper(), f"{server.upper()}:443"):
        asked = public.session.get(f"https://{host}/v2/", headers={"Host": host})
        assert asked.headers["Www-Authenticate"].endswith(f'service="{server}"'), asked.text
        token = public.token(REGISTRY_AUDIENCE)
        form = {"grant_type": "access_token", "service": server.upper(), "access_token": token}
        exchanged = public.session.post(f"https://{host}/oauth2/exchange", data=form, headers={"Host": host})
        assert exchanged.status_code == 200
