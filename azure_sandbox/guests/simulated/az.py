"""Azure CLI, version 2.91.0, as far as a VM with a managed identity needs it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ...clouds import CLOUDS, Cloud
from . import az_output
from .http_client import HttpClient, NetworkError
from .program import Failure, Process, Unsupported, program
from .proxies import from_environment

VERSION = "2.91.0"
SUBSCRIPTIONS_VERSION = "2022-12-01"
NO_SUBSCRIPTIONS = (
    "No access was configured for the managed identity, hence no subscriptions were found. If this is expected, use "
    "'--allow-no-subscriptions' to have tenant level access."
)
_NOT_SUPPORTED = (
    "Passing the managed identity ID with --username is no longer supported. Use --client-id, --object-id or "
    "--resource-id instead."
)
METADATA = "http://169.254.169.254/metadata/identity/oauth2/token"

Subcommand = Callable[["Az", list[str]], object]
COMMANDS: dict[str, Subcommand] = {}


def command(name: str) -> Callable[[Subcommand], Subcommand]:
    """Register a function as ``az NAME``; what it returns is printed, unless it is None."""

    def register(function: Subcommand) -> Subcommand:
        COMMANDS[name] = function
        return function

    return register


class AzError(Exception):
    """Ends a command; printed behind ERROR. The exit status is 3 where a resource is not there."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Az:
    """One run of az: its user's profile, and the network."""

    def __init__(self, process: Process, http: HttpClient, output: str = "json") -> None:
        self.process = process
        self.http = http
        self.output = output
        home = process.environment.get("HOME", process.user.home)
        self._folder = process.environment.get("AZURE_CONFIG_DIR") or f"{home}/.azure"

    def warn(self, text: str) -> None:
        self.process.warn(f"WARNING: {text}")

    def options(self, arguments: list[str], short: str, long: list[str]) -> dict[str, str]:
        """The options of a command by their long names, whose first letters are the short ones."""
        pairs, operands = self.process.options(arguments, short, long)
        if operands:
            raise Failure(f"ERROR: unrecognized arguments: {' '.join(operands)}", 2)
        by_letter = {name[0]: f"--{name.rstrip('=')}" for name in reversed(long)}
        by_letter |= {"g": "--resource-group"}
        return {(by_letter.get(name[1], name) if len(name) == 2 else name): value for name, value in pairs}

    # The profile: ~/.azure/azureProfile.json and the chosen cloud in ~/.azure/config

    def _read(self, name: str) -> str:
        path = f"{self._folder}/{name}"
        return "" if self.process.disk.stat(path, self.process.user) is None else self.process.read_file(path)

    def _write(self, name: str, text: str) -> None:
        if self.process.disk.stat(self._folder, self.process.user) is None:
            self.process.disk.make_directory(self._folder, self.process.user, mode=0o700)
        self.process.write_file(f"{self._folder}/{name}", text, mode=0o600)

    @property
    def folder(self) -> str:
        return self._folder

    @property
    def cloud(self) -> Cloud:
        lines = [line.partition("=") for line in self._read("config").splitlines()]
        name = next((value.strip() for key, _, value in lines if key.strip() == "name"), "AzureCloud")
        return CLOUDS[name]

    @cloud.setter
    def cloud(self, cloud: Cloud) -> None:
        self._write("config", f"[cloud]\nname = {cloud.name}\n")

    @property
    def accounts(self) -> list[dict[str, Any]]:
        """The subscriptions of the profile, of all clouds."""
        found: list[dict[str, Any]] = json.loads(self._read("azureProfile.json") or "{}").get("subscriptions", [])
        return found

    @accounts.setter
    def accounts(self, accounts: list[dict[str, Any]]) -> None:
        profile = {"installationId": str(uuid.uuid4()), "subscriptions": accounts}
        self._write("azureProfile.json", json.dumps(profile))

    def account(self) -> dict[str, Any]:
        """The subscription that commands work with."""
        for account in self.accounts:
            if account["environmentName"] == self.cloud.name and account["isDefault"]:
                return account
        raise AzError("Please run 'az login' to setup account.")

    # Tokens and Resource Manager

    def token(self, resource: str, identity: tuple[str, str] | None) -> dict[str, Any]:
        """A token from the metadata service; `identity` is a query parameter that names one of several."""
        query = {"api-version": "2018-02-01", "resource": resource, **(dict([identity]) if identity else {})}
        try:
            answer = self.http.request("GET", METADATA, params=query, headers={"Metadata": "true"})
        except NetworkError as error:
            raise AzError(
                f"Failed to connect to MSI. Please make sure MSI is configured correctly.\n{_unreachable(error, METADATA)}"
            ) from error
        try:
            body: dict[str, Any] = answer.json()
        except ValueError:
            body = {}
        if answer.status_code != 200:
            text = body.get("error_description") or answer.text.strip()
            hint = "Run the command below to authenticate interactively; additional arguments may be added as needed:"
            raise AzError(f"{text}\n{hint}\naz logout\naz login")
        if "access_token" not in body:
            raise AzError("The managed identity endpoint gave no token.")
        return body

    def account_token(self, resource: str) -> str:
        """A token for the identity that `az login` chose."""
        kind, _, value = self.account()["user"]["assignedIdentityInfo"].partition("-")
        parameter = {"MSIClient": "client_id", "MSIObject": "object_id", "MSIResource": "msi_res_id"}.get(kind)
        return str(self.token(resource, (parameter, value) if parameter else None)["access_token"])

    @property
    def management_audience(self) -> str:
        """The resource that az asks tokens for: the older of the two names, with a slash."""
        return next(audience for audience in self.cloud.audiences if ".core." in audience) + "/"

    def get(self, path: str, version: str, token: str, **query: str) -> dict[str, Any] | None:
        """A document of Resource Manager; None where it is not there or not ours to see."""
        try:
            return self.get_or_fail(path, version, token, **query)
        except AzError as error:
            if error.status == 3 or str(error).startswith("(AuthorizationFailed)"):
                return None
            raise

    def get_or_fail(self, path: str, version: str, token: str, **query: str) -> dict[str, Any]:
        """A document of Resource Manager. Raises AzError, with status 3 where it is not there."""
        try:
            answer = self.http.request(
                "GET",
                f"{self.cloud.resource_manager_url}{path}",
                params={**query, "api-version": version},
                headers={"Authorization": f"Bearer {token}"},
            )
        except NetworkError as error:
            raise AzError(_unreachable(error, f"{self.cloud.resource_manager_url}{path}")) from error
        try:
            body: dict[str, Any] = answer.json()
        except ValueError as error:
            raise AzError(f"({answer.status_code}) {answer.text[:200]}") from error
        if answer.status_code != 200:
            problem = body.get("error", {})
            code, message = problem.get("code"), problem.get("message")
            status = 3 if answer.status_code == 404 else 1
            raise AzError(f"({code}) {message}\nCode: {code}\nMessage: {message}", status)
        return body


@program("az", package="azure-cli")
def _az(process: Process, arguments: list[str]) -> int:
    if arguments in (["--version"], ["-v"]):
        arguments = ["--version"]
    words = [word for word in arguments if not word.startswith("-")]
    names = (" ".join(arguments[:count]) for count in (3, 2, 1))
    name = next((name for name in names if name in COMMANDS), None)
    if name is None:
        raise Unsupported("az", f"command {' '.join(words[:3]) or 'line without a command'}")
    output, expression, rest = _global_options(arguments[len(name.split()) :])
    find = None if expression is None else az_output.compiled(expression)
    try:
        with HttpClient(process.disk.machine, from_environment(process.environment)) as http:
            # With a query the table is of what it finds, not of the columns that az has for the command.
            az = Az(process, http, "json" if find and output == "table" else output)
            result = COMMANDS[name](az, rest)
    except AzError as error:
        raise Failure(f"ERROR: {error}", error.status) from error
    if result is not None and find:
        result = find(result)
    if result is not None:
        text = az_output.shown(result, output)
        process.stdout(f"{text}\n" if text else "")
    return 0


def _unreachable(error: NetworkError, url: str) -> str:
    """Why a host did not answer, in the words of az's HTTP client."""
    parts = urlsplit(url)
    scheme, port = ("HTTPS", 443) if parts.scheme == "https" else ("HTTP", 80)
    pool = f"{scheme}ConnectionPool(host='{error.host}', port={port})"
    if error.proxy is None:
        return f"{pool}: {error}"
    number, words = error.proxy.system_error
    reason = f"[Errno {number}] {words}" if error.proxy.kind != "name" else "[Errno -2] Name or service not known"
    return (
        f"{pool}: Max retries exceeded with url: {parts.path} (Caused by ProxyError('Unable to connect to proxy', "
        f"NewConnectionError('Failed to establish a new connection: {reason}')))"
    )


def _global_options(arguments: list[str]) -> tuple[str, str | None, list[str]]:
    """The output format, the query where there is one, and what is left for the command."""
    output, rest = "json", []
    expression: str | None = None
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name in ("--output", "--out", "-o"):
            output = value if equals else next(words, "")
            if output not in ("json", "jsonc", "table", "tsv", "none"):
                raise Unsupported("az", f"output format {output or '(none given)'}: it has json, table, tsv and none")
        elif name == "--query":
            expression = value if equals else next(words, None)
            if expression is None:
                raise Failure(f"ERROR: argument --query: expected one argument\n{az_output.QUERY_HINT}", 2)
        elif name in ("--debug", "--verbose", "--help", "-h"):
            raise Unsupported("az", f"option {name}")
        elif name != "--only-show-errors":
            rest.append(word)
    return output, expression, rest


@command("version")
def _version(az: Az, arguments: list[str]) -> object:
    az.options(arguments, "", [])
    return {"azure-cli": VERSION, "azure-cli-core": VERSION, "azure-cli-telemetry": "1.1.0", "extensions": {}}


@command("--version")
def _version_text(az: Az, arguments: list[str]) -> object:
    az.process.print(f"azure-cli                         {VERSION}\n")
    az.process.print(f"core                              {VERSION}\ntelemetry                          1.1.0\n")
    az.process.print(f"Config directory '{az.folder}'\nExtensions directory '{az.folder}/cliextensions'\n")
    az.process.print("This azure-cli is the simulated guest's.")
    return None


@command("cloud set")
def _cloud_set(az: Az, arguments: list[str]) -> object:
    name = az.options(arguments, "n:", ["name="]).get("--name")
    if name is None:
        raise Failure("ERROR: the following arguments are required: --name/-n", 2)
    if name not in CLOUDS:
        raise AzError(f"The cloud '{name}' is not registered.")
    if name == az.cloud.name:
        return None
    az.cloud = CLOUDS[name]
    az.warn(f"Switched active cloud to '{name}'.")
    active = [account for account in az.accounts if account["environmentName"] == name and account["isDefault"]]
    if active:
        az.warn(f"Active subscription switched to '{active[0]['name']} ({active[0]['id']})'.")
    else:
        az.warn("Use 'az login' to log in to this cloud.")
        az.warn("Use 'az account set' to set the active subscription.")
    return None


@command("cloud show")
def _cloud_show(az: Az, arguments: list[str]) -> object:
    name = az.options(arguments, "n:", ["name="]).get("--name", az.cloud.name)
    if name not in CLOUDS:
        raise AzError(f"The cloud '{name}' is not registered.")
    cloud = CLOUDS[name]
    return {
        "endpoints": {
            "activeDirectory": cloud.authority,
            "microsoftGraphResourceId": f"https://{cloud.graph}",
            "resourceManager": cloud.resource_manager_url,
        },
        "isActive": name == az.cloud.name,
        "name": name,
        "profile": "latest",
        "suffixes": {"acrLoginServerEndpoint": cloud.registry_suffix},
    }


@command("login")
def _login(az: Az, arguments: list[str]) -> object:
    names = ["identity", "client-id=", "object-id=", "resource-id=", "username=", "allow-no-subscriptions"]
    given = az.options(arguments, "iu:", names)
    if "--identity" not in given:
        raise Unsupported("az", "login without --identity: nobody can sign in interactively here")
    if "--username" in given:
        raise AzError(_NOT_SUPPORTED)
    selectors = {name: value for name, value in given.items() if name.endswith("-id")}
    if len(selectors) > 1:
        raise AzError("Usage error: Provide only one of --client-id, --object-id, --resource-id.")
    label, identity = "MSI", None
    for name, value in selectors.items():
        parameter, prefix = {
            "--client-id": ("client_id", "MSIClient"),
            "--object-id": ("object_id", "MSIObject"),
            "--resource-id": ("msi_res_id", "MSIResource"),
        }[name]
        label, identity = f"{prefix}-{value}", (parameter, value)
    token = str(az.token(az.management_audience, identity)["access_token"])
    tenant = _claims(token)["tid"]
    found = az.get("/subscriptions", SUBSCRIPTIONS_VERSION, token)
    subscriptions = found["value"] if found else []
    if not subscriptions:
        if "--allow-no-subscriptions" not in given:
            raise AzError(NO_SUBSCRIPTIONS)
        name = "N/A(tenant level account)"
        subscriptions = [{"subscriptionId": tenant, "tenantId": tenant, "displayName": name, "state": "Enabled"}]
    user = {
        "assignedIdentityInfo": label,
        "name": "userAssignedIdentity" if identity else "systemAssignedIdentity",
        "type": "servicePrincipal",
    }
    accounts = [
        {
            "environmentName": az.cloud.name,
            "homeTenantId": subscription.get("tenantId", tenant),
            "id": subscription["subscriptionId"],
            "isDefault": number == 0,
            "managedByTenants": subscription.get("managedByTenants", []),
            "name": subscription["displayName"],
            "state": subscription["state"],
            "tenantId": tenant,
            "user": user,
        }
        for number, subscription in enumerate(subscriptions)
    ]
    az.accounts = [account for account in az.accounts if account["environmentName"] != az.cloud.name] + accounts
    return accounts


def _claims(token: str) -> dict[str, Any]:
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        claims["tid"]
    except (jwt.InvalidTokenError, KeyError) as error:
        raise AzError(f"the metadata service's token cannot be read: {error}") from error
    return claims


@command("logout")
def _logout(az: Az, arguments: list[str]) -> object:
    az.options(arguments, "", [])
    here = az.cloud.name
    if not any(account["environmentName"] == here for account in az.accounts):
        raise AzError("There are no active accounts.")
    az.accounts = [account for account in az.accounts if account["environmentName"] != here]
    return None


@command("account show")
def _account_show(az: Az, arguments: list[str]) -> object:
    az.options(arguments, "", [])
    return az.account()


@command("account list")
def _account_list(az: Az, arguments: list[str]) -> object:
    az.options(arguments, "", [])
    found = [account for account in az.accounts if account["environmentName"] == az.cloud.name]
    if not found:
        az.warn('Please run "az login" to access your accounts.')
    return found
