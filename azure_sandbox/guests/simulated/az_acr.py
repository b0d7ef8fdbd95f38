"""``az acr``: signing Docker in to a registry with the identity that az is signed in with."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...clouds import REGISTRY_AUDIENCE
from .az import Az, AzError, command
from .http_client import NetworkError
from .program import Failure, Input, Process, UnknownProgram

if TYPE_CHECKING:
    from requests import Response

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
_TYPE = "Microsoft.ContainerRegistry/registries"
_NO_DOCKER = (
    "DOCKER_COMMAND_ERROR\nPlease verify if Docker client is installed and running.\n"
    "You may want to use 'az acr login -n {} --expose-token' to get a refresh token, which does not require Docker to be "
    "installed."
)


class _LoginFailed(Exception):
    """Entra ID's way in is closed; az then tries the admin user."""


@command("acr login")
def _login(az: Az, arguments: list[str]) -> object:
    given = az.options(
        arguments, "n:tu:p:", ["name=", "suffix=", "endpoint=", "expose-token", "username=", "password="]
    )
    name = given.get("--name")
    if name is None:
        raise Failure("ERROR: the following arguments are required: --name/-n", 2)
    if given.keys() & {"--username", "--password"}:
        raise Failure("az: the simulated guest has no az acr login with --username: use docker login", 2)
    expose = bool(given.keys() & {"--expose-token", "-t"})
    if expose and "--endpoint" in given:
        raise AzError("`--expose-token` cannot be combined with `--endpoint`.")
    if not expose:
        _check_docker(az.process, name)
    az.account()
    if expose:
        az.warn(
            "You can perform manual login using the provided refresh token below, for example: "
            f"'docker login loginServer -u {EMPTY_GUID} -p refreshToken'"
        )
        az.warn("The accessToken output is the refresh token too; use refreshToken.")
    elif name != name.lower():
        az.warn(
            "Uppercase characters are detected in the registry name. When using its server url in docker commands, to "
            "avoid authentication errors, use all lowercase."
        )
    name = _without_suffix(az, name)
    registry = _find(az, name)
    label = f"-{given['--suffix']}" if "--suffix" in given else ""
    if registry and label:
        found = registry["properties"]["loginServer"]
        az.warn(
            f"Obtained registry login server '{found}' from service. The specified suffix '{label[1:]}' is ignored."
        )
    server = _login_server(az, name, registry, label)
    try:
        token = _refresh_token(az, name, server)
    except _LoginFailed as failed:
        _warn_of(az, name, registry, failed)
        _ask_for_password(az, server)
        return None
    if expose:
        return {"accessToken": token, "loginServer": server, "refreshToken": token, "username": EMPTY_GUID}
    if "--endpoint" in given:
        server = _regional_server(az, name, given["--endpoint"], server, registry)
    _docker_login(az.process, server, EMPTY_GUID, token)
    return None


def _regional_server(az: Az, name: str, region: str, server: str, registry: dict[str, Any] | None) -> str:
    """The login server for a region, as the registry names it in Resource Manager."""
    if registry is None:
        raise AzError(_not_found(az, name))
    prefix = f"{server.partition('.')[0]}.{region}.geo.".lower()
    for host in registry["properties"].get("regionalEndpointHostNames", []):
        if host.startswith(prefix):
            az.warn(f"Logging in to regional endpoint: {host}")
            return str(host)
    raise AzError(
        f"Regional endpoint for '{region}' not found. Aborting login. Run 'az acr show-endpoints -n {name}' to list "
        "available regional endpoints."
    )


def _run_docker(process: Process, words: list[str], stdin: str = "") -> tuple[int, str, str]:
    output: list[str] = []
    errors: list[str] = []
    docker = replace(process, stdout=output.append, stderr=errors.append, stdin=Input(stdin), terminal=False)
    return docker.run(["docker", *words]), "".join(output), "".join(errors)


def _check_docker(process: Process, name: str) -> None:
    try:
        _, _, errors = _run_docker(process, ["ps"])
    except UnknownProgram:
        raise AzError(f"An error occurred: {_NO_DOCKER.format(name)}") from None
    if errors:
        raise AzError(f"An error occurred: DOCKER_COMMAND_ERROR\n{errors.strip()}")


def _docker_login(process: Process, server: str, username: str, password: str) -> None:
    status, output, errors = _run_docker(
        process, ["login", "--username", username, "--password-stdin", server], password
    )
    process.stdout(output)
    for line in errors.strip().splitlines():
        process.warn(f"WARNING: {line}")
    if status:
        raise AzError("Login failed.")


def _without_suffix(az: Az, name: str) -> str:
    """The registry's name, of the name or the login server that was given; its domain name label is left out too."""
    first, dot, rest = name.partition(".")
    if dot and f".{rest.lower()}" != az.cloud.registry_suffix:
        raise AzError(
            f"The login server suffix is not valid for the current cloud. Please try again using '{az.cloud.registry_suffix}'."
        )
    short = first.partition("-")[0] if dot else first
    if dot:
        az.warn(f"Registry name is '{short}'. The following suffix '{name[len(short) :]}' is automatically omitted.")
    if not re.fullmatch("[A-Za-z0-9]{5,50}", short):
        raise AzError(
            "Registry names may contain only alpha numeric characters and must be between 5 and 50 characters"
        )
    return short


def _login_server(az: Az, name: str, registry: dict[str, Any] | None, label: str = "") -> str:
    if registry:
        return str(registry["properties"]["loginServer"])
    return f"{name}{label}{az.cloud.registry_suffix}".lower()


def _find(az: Az, name: str) -> dict[str, Any] | None:
    """The registry in Resource Manager; None where the identity may not see it, which is usual with AcrPull alone."""
    account = az.account()
    token = az.account_token(az.management_audience)
    query = {"$filter": f"resourceType eq '{_TYPE}'"}
    listed = az.get(f"/subscriptions/{account['id']}/resources", "2024-11-01", token, **query)
    for resource in listed["value"] if listed else []:
        if resource["name"].lower() == name.lower():
            return az.get(resource["id"], "2026-09-01-preview", az.account_token(az.management_audience))
    return None


def _send(az: Az, name: str, method: str, url: str, server: str, **options: Any) -> Response:
    try:
        return az.http.request(method, url, **options)
    except NetworkError as error:
        raise AzError(
            f"Could not connect to the registry login server '{server}'. Please verify that the registry exists and the "
            f"URL 'https://{server}/v2/' is reachable from your environment.\n"
            f"Try running 'az acr check-health -n {name} --yes' to diagnose this issue."
        ) from error


def _refresh_token(az: Az, name: str, server: str) -> str:
    """Exchange the identity's token for the registry's refresh token."""
    challenge = _send(az, name, "GET", f"https://{server}/v2/", server)
    if challenge.status_code == 403:
        raise AzError(
            f"Looks like you don't have access to registry '{server}'. To see configured firewall rules, run 'az acr show "
            f"--query networkRuleSet --name {name}'. To see if public network access is enabled, run 'az acr show --query "
            "publicNetworkAccess'.Please refer to https://aka.ms/acr/errors#connectivity_forbidden_error for more information."
        )
    header = challenge.headers.get("www-authenticate", "")
    found = dict(re.findall(r'(\w+)="([^"]*)"', header))
    if challenge.status_code != 401 or not {"realm", "service"} <= found.keys():
        raise _LoginFailed(f"CONNECTIVITY_CHALLENGE_ERROR\nRegistry '{server}' did not issue a challenge.")
    form = {
        "grant_type": "access_token",
        "service": found["service"],
        "tenant": az.account()["tenantId"],
        "access_token": az.account_token(REGISTRY_AUDIENCE),
    }
    url = found["realm"].replace("/oauth2/token", "/oauth2/exchange")
    answer = _send(az, name, "POST", url, server, data=form)
    if answer.status_code == 429:
        raise _LoginFailed("CONNECTIVITY_TOOMANYREQUESTS_ERROR\nToo many requests; please try again later.")
    if answer.status_code != 200:
        raise _LoginFailed(
            "CONNECTIVITY_REFRESH_TOKEN_ERROR\n"
            f"Access to registry '{server}' was denied. Response code: {answer.status_code}. Please try running "
            "'az login' again to refresh permissions."
        )
    return str(answer.json()["refresh_token"])


def _message(answer: Response) -> str:
    try:
        return str(answer.json()["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return answer.text[:200]


def _not_found(az: Az, name: str) -> str:
    account = az.account()
    return (
        f"The resource with name '{name}' and type '{_TYPE}' could not be found in subscription "
        f"'{account['name']} ({account['id']})'."
    )


def _warn_of(az: Az, name: str, registry: dict[str, Any] | None, failed: _LoginFailed) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1000 % 1000000:06d}"
    az.warn(f"Unable to get AAD authorization tokens with message: {stamp} An error occurred: {failed}")
    if registry is None:
        reason = _not_found(az, name)
    elif registry["properties"].get("adminUserEnabled"):
        reason = "the simulated guest does not sign in with the admin user; use docker login."
    else:
        reason = "Admin user is disabled."
    az.warn(f"Unable to get admin user credentials with message: {reason}")


def _ask_for_password(az: Az, server: str) -> None:
    if not az.process.terminal:
        raise AzError(
            "Unable to authenticate using AAD or admin login credentials. Please specify both username and password in "
            "non-interactive mode."
        )
    username = az.process.ask("Username: ")
    _docker_login(az.process, server, username, az.process.ask("Password: ", hidden=True))


# Repositories


def _access_token(az: Az, name: str, scope: str) -> tuple[str, str]:
    """The login server, and a token for a scope of it."""
    name = _without_suffix(az, name)
    registry = _find(az, name)
    server = _login_server(az, name, registry)
    try:
        refresh = _refresh_token(az, name, server)
    except _LoginFailed as failed:
        raise AzError(f"Unable to get AAD authorization tokens with message: An error occurred: {failed}") from failed
    form = {"grant_type": "refresh_token", "service": server, "scope": scope, "refresh_token": refresh}
    answer = _send(az, name, "POST", f"https://{server}/oauth2/token", server, data=form)
    if answer.status_code != 200:
        raise AzError(_message(answer))
    return server, str(answer.json()["access_token"])


def _list(az: Az, name: str, scope: str, path: str) -> dict[str, Any]:
    server, token = _access_token(az, name, scope)
    headers = {"Authorization": f"Bearer {token}"}
    answer = _send(az, name, "GET", f"https://{server}{path}", server, headers=headers)
    if answer.status_code != 200:
        raise AzError(_message(answer))
    if "link" in answer.headers:
        raise AzError("the simulated guest's az lists no more than one page (100 entries)")
    found: dict[str, Any] = answer.json()
    return found


@command("acr repository list")
def _repositories(az: Az, arguments: list[str]) -> object:
    name = az.options(arguments, "n:", ["name="]).get("--name")
    if name is None:
        raise Failure("ERROR: the following arguments are required: --name/-n", 2)
    return _list(az, name, "registry:catalog:*", "/v2/_catalog?n=100").get("repositories") or []


@command("acr repository show-tags")
def _tags(az: Az, arguments: list[str]) -> object:
    given = az.options(arguments, "n:", ["name=", "repository="])
    if not {"--name", "--repository"} <= given.keys():
        raise Failure("ERROR: the following arguments are required: --name/-n, --repository", 2)
    repository = given["--repository"]
    path = f"/acr/v1/{repository}/_tags?n=100&orderby="
    found = _list(az, given["--name"], f"repository:{repository}:metadata_read", path)
    return [tag["name"] for tag in found.get("tags") or []]
