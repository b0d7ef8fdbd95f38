"""The sandbox through its proxy, with plain requests: the proxy, Entra ID, Resource Manager, metadata, registry."""

from __future__ import annotations

import base64
import json
import socket

import jwt
import pytest
import requests

from azure_sandbox import Sandbox
from azure_sandbox.clouds import REGISTRY_AUDIENCE
from azure_sandbox.sandbox import session
from runbook_helpers import Azure, assign_identity, create_identity, create_registry, create_vm, import_image

from ..conftest import SSH_SOURCE, SUBSCRIPTION
from .conftest import ARM, IMDS, LOGIN, TOKEN, bearer


@pytest.fixture
def vm(azure: Azure, sandbox: Sandbox, name: str) -> requests.Session:
    """A VM without identity."""
    create_vm(azure, name, ssh_source=SSH_SOURCE)
    return sandbox.vm(name).session


def arm_error(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# The proxy


@pytest.mark.parametrize("url", ["https://example.com/", "https://nobody.azurecr.cn/v2/", "https://127.0.0.1/"])
def test_what_is_not_played_is_refused(client: requests.Session, url: str) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match="502 Bad Gateway"):
        client.request("GET", url)


def test_wrong_vm_credentials_are_refused(sandbox: Sandbox) -> None:
    stranger = session(sandbox.proxy.replace("http://", "http://vm:secret@"), sandbox.ca_file)
    with pytest.raises(requests.exceptions.ProxyError, match="407"):
        stranger.request("GET", f"{ARM}/subscriptions")


def test_head_that_never_ends_is_refused(sandbox: Sandbox) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.running.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 4000)
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


# Entra ID


def test_tokens_verify_with_the_published_keys(client: requests.Session, sandbox: Sandbox, token: str) -> None:
    tenant = sandbox.tenant_id
    keys = client.request("GET", f"{LOGIN}/{tenant}/discovery/v2.0/keys").json()["keys"]
    key = jwt.PyJWK(keys[0])
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=ARM)
    assert claims["iss"] == f"https://sts.chinacloudapi.cn/{tenant}/" and claims["tid"] == tenant


def test_audience_of_another_cloud_is_not_issued(client: requests.Session, sandbox: Sandbox) -> None:
    form = {"grant_type": "client_credentials", "scope": "https://management.azure.com/.default"}
    form |= {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    answer = client.request("POST", f"{LOGIN}/{sandbox.tenant_id}/oauth2/v2.0/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_resource")


# Resource Manager


def test_no_token_wrong_token_and_unsigned_token(client: requests.Session, token: str) -> None:
    url = f"{ARM}/subscriptions?api-version=2022-12-01"
    assert arm_error(client.request("GET", url)) == (401, "AuthenticationFailed")
    head, body, signature = token.split(".")
    tampered = json.loads(base64.urlsafe_b64decode(body + "=="))
    tampered["oid"] = "00000000-0000-0000-0000-000000000001"
    forged = base64.urlsafe_b64encode(json.dumps(tampered).encode()).decode().rstrip("=")
    unsigned = jwt.encode(tampered, "", algorithm="none")
    for bad in (f"{head}.{forged}.{signature}", unsigned, "x", token + "A"):
        assert arm_error(client.request("GET", url, headers=bearer(bad))) == (401, "InvalidAuthenticationToken")
    assert client.request("GET", url, headers=bearer(token)).json()["count"]["value"] == 1


def test_token_for_the_registry_is_not_one_for_resource_manager(client: requests.Session, sandbox: Sandbox) -> None:
    other = sandbox.token(REGISTRY_AUDIENCE)
    answer = client.request("GET", f"{ARM}/subscriptions?api-version=2022-12-01", headers=bearer(other))
    assert arm_error(answer) == (401, "InvalidAuthenticationTokenAudience")


def test_token_of_one_cloud_is_refused_in_another(client: requests.Session, token: str) -> None:
    url = "https://management.azure.com/subscriptions?api-version=2022-12-01"
    assert client.request("GET", url, headers=bearer(token)).status_code == 401


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/subscriptions/{s}/resourcegroups/none?api-version=2022-09-01", 404, "ResourceGroupNotFound"),
        ("/subscriptions/{s}/resourcegroups/none", 400, "MissingApiVersionParameter"),
        ("/subscriptions/{s}/resourcegroups/none?api-version=latest", 400, "InvalidApiVersionParameter"),
        (
            "/subscriptions/11111111-1111-1111-1111-111111111111/resources?api-version=2022-09-01",
            404,
            "SubscriptionNotFound",
        ),
        ("/subscriptions/{s}/providers/Microsoft.Web/sites?api-version=2022-09-01", 501, "NotImplementedInSandbox"),
    ],
)
def test_errors_in_azures_words(client: requests.Session, token: str, path: str, status: int, code: str) -> None:
    answer = client.request("GET", ARM + path.replace("{s}", SUBSCRIPTION), headers=bearer(token))
    assert arm_error(answer) == (status, code)


def test_body_that_is_no_json(client: requests.Session, token: str, name: str) -> None:
    url = f"{ARM}/subscriptions/{SUBSCRIPTION}/resourcegroups/{name}?api-version=2022-09-01"
    for body in (b"{", b"[]", b"\xff"):
        answer = client.request("PUT", url, data=body, headers=bearer(token))
        assert arm_error(answer) == (400, "InvalidRequestContent")


def test_ids_in_any_case(azure: Azure, client: requests.Session, token: str, name: str) -> None:
    registry_id = str(create_registry(azure, name).id)
    for form in (registry_id.lower(), registry_id.upper()):
        answer = client.request("GET", f"{ARM}{form}?api-version=2023-07-01", headers=bearer(token))
        assert answer.json()["id"] == registry_id


def test_vm_without_a_role_sees_and_does_nothing(azure: Azure, vm: requests.Session, name: str) -> None:
    assign_identity(azure, name)
    own = vm.request("GET", f"{TOKEN}?api-version=2018-02-01&resource={ARM}", headers={"Metadata": "true"}).json()
    headers = bearer(own["access_token"])
    assert vm.request("GET", f"{ARM}/subscriptions?api-version=2022-12-01", headers=headers).json()["value"] == []
    url = f"{ARM}/subscriptions/{SUBSCRIPTION}/resourcegroups/{name}?api-version=2022-09-01"
    assert arm_error(vm.request("DELETE", url, headers=headers)) == (403, "AuthorizationFailed")


# The metadata service


def test_metadata_answers_to_a_vm_only(client: requests.Session) -> None:
    answer = client.request("GET", f"{TOKEN}?api-version=2018-02-01&resource={ARM}", headers={"Metadata": "true"})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("query", "headers", "words"),
    [
        (f"api-version=2018-02-01&resource={ARM}", {}, "Required metadata header not specified"),
        (
            f"api-version=2018-02-01&resource={ARM}",
            {"Metadata": "true", "X-Forwarded-For": "1.2.3.4"},
            "X-Forwarded-For",
        ),
        ("api-version=2018-02-01", {"Metadata": "true"}, "Required audience parameter not specified"),
        (f"api-version=2018-02-01&resource={ARM}&resource={ARM}", {"Metadata": "true"}, "Duplicate"),
        (f"api-version=2018-02-01&resource={ARM}", {"Metadata": "true"}, "Identity not found"),
    ],
)
def test_metadata_refusals(vm: requests.Session, query: str, headers: dict[str, str], words: str) -> None:
    answer = vm.request("GET", f"{TOKEN}?{query}", headers=headers)
    assert answer.status_code == 400
    assert words in answer.json()["error_description"]


def test_which_identity_a_token_is_for(azure: Azure, vm: requests.Session, name: str) -> None:
    def object_id(selector: str = "") -> str:
        url = f"{TOKEN}?api-version=2018-02-01&resource={ARM}/{selector}"
        answer = vm.request("GET", url, headers={"Metadata": "true"})
        body = answer.json()
        if answer.status_code == 400:
            return str(body["error_description"])
        return str(jwt.decode(body["access_token"], options={"verify_signature": False})["oid"])

    first, second = create_identity(azure, "first"), create_identity(azure, "second")
    assign_identity(azure, name, first.id)
    assert object_id() == first.principal_id  # the only one
    assign_identity(azure, name, second.id)
    assert object_id().startswith("Multiple user assigned identities exist")
    assert object_id(f"&client_id={second.client_id}") == second.principal_id
    assert object_id(f"&object_id={first.principal_id}") == first.principal_id
    assert object_id(f"&msi_res_id={second.id.upper()}") == second.principal_id
    system = assign_identity(azure, name).identity.principal_id
    assert object_id() == system
    assert object_id(f"&client_id={SUBSCRIPTION}") == "Identity not found"


def test_instance_document(vm: requests.Session, name: str) -> None:
    url = f"{IMDS}/instance/compute/name?api-version=2021-02-01&format=text"
    assert vm.request("GET", url, headers={"Metadata": "true"}).text == name
    whole = vm.request("GET", f"{IMDS}/instance?api-version=2021-02-01", headers={"Metadata": "true"}).json()
    assert whole["compute"]["azEnvironment"] == "AzureChinaCloud"


# The registry, through the proxy


def test_registry_by_its_real_name(azure: Azure, client: requests.Session, sandbox: Sandbox, name: str) -> None:
    create_registry(azure, name)
    import_image(azure, name, "app:v1", "mcr.microsoft.com/azuredocs/aci-helloworld:latest")
    server = f"{name}.azurecr.cn"
    challenge = client.request("GET", f"https://{server}/v2/")
    expected = f'Bearer realm="https://{server}/oauth2/token",service="{server}"'
    assert (challenge.status_code, challenge.headers["Www-Authenticate"]) == (401, expected)
    entra = sandbox.token(REGISTRY_AUDIENCE)
    form = {"grant_type": "access_token", "service": server, "access_token": entra}
    refresh = client.request("POST", f"https://{server}/oauth2/exchange", data=form).json()["refresh_token"]
    basic = ("00000000-0000-0000-0000-000000000000", refresh)
    query = f"service={server}&scope=repository:app:pull"
    access = client.request("GET", f"https://{server}/oauth2/token?{query}", auth=basic).json()["access_token"]
    manifest = client.request("GET", f"https://{server}/v2/app/manifests/v1", headers=bearer(access))
    blob = f"https://{server}/v2/app/blobs/{manifest.json()['config']['digest']}"
    assert client.request("GET", blob, headers=bearer(access)).json()["architecture"] == "amd64"
    pushed = client.request("POST", f"https://{server}/v2/app/blobs/uploads/", headers=bearer(access))
    assert pushed.status_code == 401 and 'error="insufficient_scope"' in pushed.headers["Www-Authenticate"]
    assert client.request("GET", f"https://{server}/v2/", headers=bearer(refresh)).status_code == 401
