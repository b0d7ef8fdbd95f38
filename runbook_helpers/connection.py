"""The connection to a cloud: who we are, where its services are, and how requests get there."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import platformdirs

from .clouds import CLOUDS, REGISTRY_AUDIENCE, Cloud
from .errors import OperationFailed, OperationTimeout, ParameterError, SandboxError
from .journal import Journal
from .policies import calls, not_much_later, whole_answers

if TYPE_CHECKING:  # the SDKs cost 0.1 to 1 s each to import: a notebook pays for those it uses
    from azure.containerregistry import ContainerRegistryClient
    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.core.polling import LROPoller
    from azure.mgmt.authorization import AuthorizationManagementClient
    from azure.mgmt.compute import ComputeManagementClient
    from azure.mgmt.containerregistry import ContainerRegistryManagementClient
    from azure.mgmt.msi import ManagedServiceIdentityClient
    from azure.mgmt.network import NetworkManagementClient
    from azure.mgmt.resource.resources import ResourceManagementClient

    from azure_sandbox.process import Running

T = TypeVar("T")
# It warns of each sign-in that fails; what fails is raised, and told once.
logging.getLogger("azure.identity").addHandler(logging.NullHandler())
ANSWER_SECONDS = 120.0  # how long an answer may take
POLLING_INTERVAL = 5  # seconds between two looks at an operation, where Azure does not say
SANDBOX_TERMINAL = "RUNBOOK_PLAYED_TERMINAL"  # set by `runbook sandbox env`
OPERATION_SECONDS = 1800.0  # after which an operation is given up


class _Client(Protocol):
    def __init__(self, credential: Any, subscription_id: str, **options: Any) -> None: ...


@dataclass(frozen=True, eq=False)
class Azure:
    """A cloud, a subscription and a resource group in it, and how they are reached. Made by `connect`."""

    cloud: Cloud
    credential: TokenCredential
    subscription_id: str
    resource_group: str
    location: str
    folder: Path
    """Where our SSH key pair and the VMs' host keys are kept."""
    proxy: str | None = None
    authority_file: Path | None = None
    journal: Journal = field(default_factory=Journal)
    """What this session saw of its own work."""
    traffic: Callable[[], list[dict[str, Any]]] | None = None
    """The requests that the cloud answered, in order: only the sandbox tells them."""
    wake: Callable[[], object] = bool
    """Called before each request: the sandbox may have ended meanwhile, since it does so when nobody uses it."""

    def __repr__(self) -> str:
        return (
            f"Azure(cloud={self.cloud.name!r}, subscription_id={self.subscription_id!r}, "
            f"resource_group={self.resource_group!r}, location={self.location!r})"
        )

    @property
    def transport(self) -> dict[str, Any]:
        """Keywords that every SDK client and credential takes: the proxy, the CA to trust, how long to wait at most."""
        return transport(self.proxy, self.authority_file)

    def _client(self, kind: type[_Client], **options: Any) -> Any:
        # Both are needed: some clients know the clouds by themselves, the authorization client knows only the public one.
        return kind(
            self.credential,
            self.subscription_id,
            base_url=self.cloud.resource_manager_url,
            credential_scopes=[self.cloud.resource_manager_scope],
            polling_interval=POLLING_INTERVAL,
            per_call_policies=[calls(self.wake, self.cloud.authority)],
            per_retry_policies=[self.journal.policy(), whole_answers()],
            **options,
            **self.transport,
        )

    @cached_property
    def compute(self) -> ComputeManagementClient:
        from azure.mgmt.compute import ComputeManagementClient as Client

        return self._client(Client)  # type: ignore[no-any-return]

    @cached_property
    def network(self) -> NetworkManagementClient:
        from azure.mgmt.network import NetworkManagementClient as Client

        return self._client(Client)  # type: ignore[no-any-return]

    @cached_property
    def identities(self) -> ManagedServiceIdentityClient:
        from azure.mgmt.msi import ManagedServiceIdentityClient as Client

        return self._client(Client)  # type: ignore[no-any-return]

    @cached_property
    def authorization(self) -> AuthorizationManagementClient:
        from azure.mgmt.authorization import AuthorizationManagementClient as Client

        return self._client(Client)  # type: ignore[no-any-return]

    @cached_property
    def registries(self) -> ContainerRegistryManagementClient:
        from azure.mgmt.containerregistry import ContainerRegistryManagementClient as Client

        return self._client(Client)  # type: ignore[no-any-return]

    @cached_property
    def resources(self) -> ResourceManagementClient:
        from azure.mgmt.resource.resources import ResourceManagementClient as Client

        return self._client(Client)  # type: ignore[no-any-return]

    def registry_content(self, login_server: str) -> ContainerRegistryClient:
        """A client for what is in a registry: repositories, tags, manifests.

        It sends our Entra token to the registry, so it neither goes to a host outside of the cloud nor follows one there.

        Raises:
            ParameterError: the login server is not one of this cloud's.
        """
        suffix = self.cloud.registry_suffix
        if not re.fullmatch(rf"[a-z0-9-]+{re.escape(suffix)}", login_server, re.IGNORECASE | re.ASCII):
            message = f"{login_server[:100]!r} is no registry of {self.cloud.name}: its login servers end in {suffix}."
            raise ParameterError([f"{message} No token was sent."])
        from azure.containerregistry import ContainerRegistryClient

        return ContainerRegistryClient(
            f"https://{login_server}",
            self.credential,
            audience=REGISTRY_AUDIENCE,
            permit_redirects=False,
            per_retry_policies=[whole_answers()],
            per_call_policies=[calls(self.wake, self.cloud.authority, registry=True)],
            **self.transport,
        )


def transport(proxy: str | None, authority_file: Path | None) -> dict[str, Any]:
    """How requests get there and how long they wait, as the Azure SDKs' keywords; what is not given is left to the
    environment."""
    options: dict[str, Any] = {"raw_response_hook": not_much_later, "read_timeout": ANSWER_SECONDS}
    if proxy:
        options["proxies"] = {"http": proxy, "https": proxy}
    if authority_file:
        options["connection_verify"] = str(authority_file)
    return options


def connect(
    cloud: str,
    *,
    subscription_id: str,
    resource_group: str,
    location: str,
    sandbox: bool = False,
    proxy: str | None = None,
    authority_file: str | None = None,
) -> Azure:
    """Connect to a cloud; nothing is asked of it yet.

    The documented commands: ``az cloud set -n <cloud>`` and ``az login``.

    Args:
        cloud: as in ``az cloud set -n``: AzureChinaCloud, AzureCloud or AzureUSGovernment.
        subscription_id: the subscription's GUID.
        resource_group: the group that everything is made in.
        location: the region, for instance chinanorth3.
        sandbox: play the cloud on this machine; the sandbox is started where it is not running.
        proxy: URL of an HTTP proxy, for https and for SSH; without it the environment's HTTPS_PROXY counts for https.
        authority_file: PEM file of a CA to trust in place of the usual ones.

    Outside the sandbox the credential is azure-identity's DefaultAzureCredential: environment variables, a managed
    identity, ``az login``, and so on.

    Raises:
        SandboxError: the sandbox cannot be started.
    """
    found = CLOUDS[cloud]
    common: dict[str, Any] = {
        "subscription_id": subscription_id,
        "resource_group": resource_group,
        "location": location,
    }
    if sandbox:
        return _connect_sandbox(found, common)
    if os.environ.get(SANDBOX_TERMINAL):
        sys.stderr.write(
            "This terminal is in the sandbox: its cloud is played on this machine, also for sandbox false.\n"
        )
    from azure.identity import DefaultAzureCredential

    trusted = Path(authority_file) if authority_file else None
    options = transport(proxy, trusted)
    credential = DefaultAzureCredential(authority=found.authority, **options)
    folder = platformdirs.user_state_path("azure-acr-runbook") / "ssh"
    journal = Journal(shown=True)
    journal.tell_on_error()
    return Azure(found, credential, folder=folder, proxy=proxy, authority_file=trusted, journal=journal, **common)


def connect_with(parameters: Mapping[str, Any]) -> Azure:
    """`connect` with the notebooks' parameters of the same names; the others are left alone.

    Raises:
        ParameterError: one that is needed is missing.
    """
    names = ("cloud", "subscription_id", "resource_group", "location", "sandbox")
    missing = [f"{name} is missing." for name in names if name not in parameters]
    if missing:
        raise ParameterError(missing)
    return connect(**{name: parameters[name] for name in names})


def _connect_sandbox(cloud: Cloud, common: dict[str, Any]) -> Azure:
    from azure.identity import ClientSecretCredential

    from azure_sandbox import process

    running = _start_sandbox(process.default_folder())
    operator = running.operator(cloud.name)
    credential = ClientSecretCredential(
        operator["tenant_id"],
        operator["client_id"],
        operator["client_secret"],
        authority=cloud.authority,
        disable_instance_discovery=True,
        **transport(running.proxy, running.authority_file),
    )

    def wake() -> None:
        again = process.find(running.folder) or _start_sandbox(running.folder)
        if again.port != running.port:
            message = "The sandbox had ended and is now at another address: run the cell with `connect` again."
            raise SandboxError(message)

    return Azure(
        cloud,
        credential,
        folder=running.folder / "ssh",
        proxy=running.proxy,
        authority_file=running.authority_file,
        traffic=lambda: process.traffic(running, cloud.name),
        wake=wake,
        **common,
    )


def _start_sandbox(folder: Path) -> Running:
    """The sandbox, started where it does not run; its own error becomes ours, which a notebook shows as a sentence."""
    from azure_sandbox import errors, process

    try:
        return process.start(folder)
    except errors.SandboxError as error:
        raise SandboxError(str(error)) from error


def wait(poller: LROPoller[T], what: str, seconds: float | None = None) -> T:
    """The result of a long-running operation.

    Args:
        seconds: to wait, in place of OPERATION_SECONDS.

    Raises:
        OperationFailed: it ended badly, or Azure does not say how.
        OperationTimeout: it did not end in time. (The SDK's own result(timeout) returns quietly then.)
    """
    from azure.core.exceptions import HttpResponseError

    limit = OPERATION_SECONDS if seconds is None else seconds
    try:
        result: T = poller.result(timeout=limit)
    except HttpResponseError as error:
        if error.status_code in (401, 403, 404):  # we may not look at it, or Azure does not know it
            message = f"{what}: how it ended in Azure is not known: {_told(error)}. Run this step again."
            raise OperationFailed(message) from error
        raise OperationFailed(f"{what} failed in Azure: {_told(error)}. {_advice(error)}") from error
    if not poller.done():
        message = f"{what} was not ready after {limit:.0f} s: look at it in the portal, and run this step again."
        raise OperationTimeout(message)
    return result


def _told(error: HttpResponseError) -> str:
    """The code and the words of an error."""
    if error.error is None or not error.error.code:
        return (error.message or "it gave no reason").strip().splitlines()[0].rstrip(".")
    return f"{error.error.code}: {error.error.message}".rstrip(".")


def _advice(error: HttpResponseError) -> str:
    code = (error.error.code if error.error else None) or ""
    if re.search("Allocat|SkuNotAvailable|ZonalA|Capacity", code):
        return "Choose another size, or another resource group in another region, or run this step again later."
    if "Quota" in code:
        return "Ask for a higher quota, or choose another size, and run this step again."
    return "Run this step again; the activity log in the portal says more."
