"""The connection to a cloud: who we are, where its services are, and how requests reach them."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import platformdirs

from .answers import limited_transport
from .clouds import CLOUDS, REGISTRY_AUDIENCE, Cloud
from .errors import ParameterError, SandboxError
from .journal import Journal
from .parameters import problems
from .policies import check_content, limit_retry_after, translate_errors
from .ssh.kept import KeptConnections
from .ssh.keys import KeyStore
from .timeouts import DEFAULTS, Timeouts

if TYPE_CHECKING:  # the SDKs cost 0.1 to 1 s each to import: a notebook pays for those it uses
    from azure.containerregistry import ContainerRegistryClient
    from azure.core.credentials import TokenCredential
    from azure.mgmt.authorization import AuthorizationManagementClient
    from azure.mgmt.compute import ComputeManagementClient
    from azure.mgmt.containerregistry import ContainerRegistryManagementClient
    from azure.mgmt.msi import ManagedServiceIdentityClient
    from azure.mgmt.network import NetworkManagementClient
    from azure.mgmt.resource.resources import ResourceManagementClient

# It warns of each sign-in that fails; what fails is raised.
logging.getLogger("azure.identity").addHandler(logging.NullHandler())
_EXISTING_RESOURCE_PARAMETERS = (
    "registry_resource_group",
    "registry_subscription_id",
    "vm_resource_group",
    "identity_resource_group",
)
SANDBOX_TERMINAL = "RUNBOOK_SANDBOX_TERMINAL"  # set by `runbook sandbox env`


class _SdkClient(Protocol):
    def __init__(self, credential: Any, subscription_id: str, **options: Any) -> None: ...


@dataclass(frozen=True, eq=False)
class Azure:
    """A cloud, a subscription and a resource group in it, and how they are reached. Made by `connect`."""

    cloud: Cloud
    credential: TokenCredential
    subscription_id: str
    resource_group: str
    location: str
    keys: KeyStore
    """Our SSH key pair and the VMs' host keys."""
    registry_resource_group: str = ""
    """The group of a registry that exists elsewhere, and is never made or deleted there; empty: ours. The same for the others."""
    registry_subscription_id: str = ""
    vm_resource_group: str = ""
    identity_resource_group: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    """On all that is made, beside our own."""
    proxy: str | None = None
    ca_file: Path | None = None
    timeouts: Timeouts = DEFAULTS
    journal: Journal = field(default_factory=Journal)
    """The requests and commands of this session."""
    traffic: Callable[[], list[dict[str, Any]]] | None = None
    """The requests that the cloud answered, in order: only the sandbox has them."""
    connections: KeptConnections = field(default_factory=KeptConnections)
    """The SSH connections to VMs that one verb leaves to the next."""
    wake: Callable[[], object] = bool
    """Called before each request: the sandbox may have ended meanwhile, since it does so when nobody uses it."""

    def __repr__(self) -> str:
        return (
            f"Azure(cloud={self.cloud.name!r}, subscription_id={self.subscription_id!r}, "
            f"resource_group={self.resource_group!r}, location={self.location!r})"
        )

    @cached_property
    def at_registry(self) -> Azure:
        """The connection to where the registry is: this one, or that to somebody else's group."""
        return self.at(self.registry_resource_group, self.registry_subscription_id)

    @cached_property
    def at_vm(self) -> Azure:
        """As `at_registry`, for the VM."""
        return self.at(self.vm_resource_group)

    @cached_property
    def at_identity(self) -> Azure:
        """As `at_registry`, for the user-assigned identity."""
        return self.at(self.identity_resource_group)

    def at(self, resource_group: str, subscription_id: str = "") -> Azure:
        """The connection to another resource group; empty: ours."""
        group, subscription = resource_group or self.resource_group, subscription_id or self.subscription_id
        if (group.lower(), subscription.lower()) == (self.resource_group.lower(), self.subscription_id.lower()):
            return self
        home = dict.fromkeys(_EXISTING_RESOURCE_PARAMETERS, "")
        return replace(self, resource_group=group, subscription_id=subscription, **home)  # type: ignore[arg-type]

    @property
    def transport(self) -> dict[str, Any]:
        """Keywords that every SDK client and credential takes: the proxy, the CA to trust, how long to wait at most."""
        return transport(self.proxy, self.ca_file, self.timeouts)

    def _client(self, kind: type[_SdkClient], **options: Any) -> Any:
        from .renewal import authentication

        # Both are needed: some clients know the clouds by themselves, the authorization client knows only the public one.
        return kind(
            self.credential,
            self.subscription_id,
            base_url=self.cloud.resource_manager_url,
            credential_scopes=[self.cloud.resource_manager_scope],
            authentication_policy=authentication(self.credential, self.cloud.resource_manager_scope),
            polling_interval=self.timeouts.polling_interval,
            per_call_policies=[translate_errors(self.wake, self.cloud, self.timeouts)],
            per_retry_policies=[self.journal.policy(), check_content()],
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

        It sends our Entra token to the registry, so it neither goes to a host outside of the cloud nor follows a redirect to one.

        Raises:
            ParameterError: the login server is not one of this cloud's.
        """
        suffix = self.cloud.registry_suffix
        # name, name-hash (a domain name label), and the regional ones of both: name.region.geo
        names = rf"[a-z0-9-]+(\.[a-z0-9]+\.geo)?{re.escape(suffix)}"
        if not re.fullmatch(names, login_server, re.IGNORECASE | re.ASCII):
            message = f"{login_server[:100]!r} is no registry of {self.cloud.name}: its login servers end in {suffix}."
            raise ParameterError([f"{message} No token was sent."])
        from azure.containerregistry import ContainerRegistryClient

        from .renewal import renew

        return ContainerRegistryClient(
            f"https://{login_server}",
            self.credential,
            audience=REGISTRY_AUDIENCE,
            permit_redirects=False,
            per_retry_policies=[check_content()],
            per_call_policies=[
                translate_errors(self.wake, self.cloud, self.timeouts, renew_registry=lambda: renew(self.credential))
            ],
            **self.transport,
        )


def transport(proxy: str | None, ca_file: Path | None, timeouts: Timeouts = DEFAULTS) -> dict[str, Any]:
    """The Azure SDKs' keywords for how requests reach the cloud and how long they wait; what is left out is the
    environment's."""
    options: dict[str, Any] = {
        "raw_response_hook": limit_retry_after(timeouts),
        "read_timeout": timeouts.answer,
        "retry_backoff_max": timeouts.backoff,
    }
    if proxy:
        options["proxies"] = {"http": proxy, "https": proxy}
    if ca_file:
        options["connection_verify"] = str(ca_file)
    return {**options, "transport": limited_transport(timeouts, **options)}


def connect(
    cloud: str,
    *,
    subscription_id: str,
    resource_group: str,
    location: str,
    sandbox: bool = False,
    registry_resource_group: str = "",
    registry_subscription_id: str = "",
    vm_resource_group: str = "",
    identity_resource_group: str = "",
    tags: Mapping[str, str] | None = None,
    proxy: str | None = None,
    ca_file: str | None = None,
    timeouts: Timeouts = DEFAULTS,
) -> Azure:
    """Connect to a cloud; nothing is asked of it yet.

    The documented commands: ``az cloud set -n <cloud>`` and ``az login``.

    Args:
        cloud: as in ``az cloud set -n``: AzureChinaCloud, AzureCloud or AzureUSGovernment.
        subscription_id: the subscription's GUID.
        resource_group: the group that everything is made in.
        location: the region, for instance chinanorth3 or China North 3.
        sandbox: take the sandbox on this machine for the cloud; it is started where it is not running.
        registry_resource_group, registry_subscription_id: where the registry is, if it is somebody else's.
        vm_resource_group, identity_resource_group: the same for the VM and the user-assigned identity.
        tags: on all that is made, as a policy may demand.
        proxy: URL of an HTTP proxy, for https and for SSH; without it the environment's HTTPS_PROXY counts for https.
        ca_file: PEM file of a CA to trust in place of the usual ones.
        timeouts: how long to wait for what.

    Outside the sandbox the credential is azure-identity's DefaultAzureCredential: environment variables, a managed
    identity, ``az login``, and so on.

    Raises:
        ParameterError: one of the arguments breaks a rule.
        SandboxError: the sandbox cannot be started.
    """
    common: dict[str, Any] = {
        "subscription_id": subscription_id,
        "resource_group": resource_group,
        "location": location,
        "registry_resource_group": registry_resource_group,
        "registry_subscription_id": registry_subscription_id,
        "vm_resource_group": vm_resource_group,
        "identity_resource_group": identity_resource_group,
        "tags": {} if tags is None else dict(tags),
    }
    if wrong := problems({"cloud": cloud, **common}) + problems({"sandbox": sandbox}):
        raise ParameterError(wrong)
    found = CLOUDS[cloud]
    common |= {"location": location.replace(" ", "").lower(), "timeouts": timeouts}
    if sandbox:
        return _connect_sandbox(found, common)
    if os.environ.get(SANDBOX_TERMINAL):
        sys.stderr.write("This terminal is in the sandbox: its cloud is on this machine, also for sandbox false.\n")
    from azure.identity import DefaultAzureCredential

    from .renewal import RenewableCredential

    trusted = Path(ca_file) if ca_file else None
    options = transport(proxy, trusted, timeouts)
    credential = RenewableCredential(lambda: DefaultAzureCredential(authority=found.authority, **options))
    keys = KeyStore(platformdirs.user_state_path("azure-acr-runbook") / "ssh")
    journal = Journal(shown=True)
    journal.show_on_error()
    return Azure(found, credential, keys=keys, proxy=proxy, ca_file=trusted, journal=journal, **common)


def connect_with(parameters: Mapping[str, Any]) -> Azure:
    """`connect` with the notebooks' parameters of the same names; the others are left alone.

    Raises:
        ParameterError: one that is needed is missing.
    """
    names = ("cloud", "subscription_id", "resource_group", "location", "sandbox")
    missing = [f"{name} is missing." for name in names if name not in parameters]
    if missing:
        raise ParameterError(missing)
    return connect(
        **{name: parameters[name] for name in (*names, *_EXISTING_RESOURCE_PARAMETERS, "tags") if name in parameters}
    )


def _connect_sandbox(cloud: Cloud, common: dict[str, Any]) -> Azure:
    from azure.identity import ClientSecretCredential

    from azure_sandbox import process, settings

    from . import environment
    from .renewal import RenewableCredential

    environment.drop()
    seconds = common["timeouts"].sandbox_start
    with sandbox_errors():
        running = process.start(process.default_folder(), within=seconds)
    operator = running.operator(cloud.name)
    options = transport(running.proxy, running.ca_file, common["timeouts"])
    credential = RenewableCredential(
        lambda: ClientSecretCredential(
            operator["tenant_id"],
            operator["client_id"],
            operator["client_secret"],
            authority=cloud.authority,
            disable_instance_discovery=True,
            **options,
        )
    )

    def wake() -> None:
        with sandbox_errors():
            again = process.find(running.folder) or process.start(running.folder, within=seconds)
            settings.read(running.folder)  # where they are broken it answers nothing, and says so here
        if again.port != running.port:
            message = "The sandbox had ended and is now at another address: run the cell with `connect` again."
            raise SandboxError(message)

    journal = Journal()
    journal.show_on_error()
    return Azure(
        cloud,
        credential,
        keys=KeyStore(running.folder / "ssh"),
        journal=journal,
        proxy=running.proxy,
        ca_file=running.ca_file,
        traffic=lambda: process.traffic(running, cloud.name),
        wake=wake,
        **common,
    )


@contextmanager
def sandbox_errors() -> Iterator[None]:
    """The sandbox's own error as ours, which a notebook and a terminal show as a sentence."""
    from azure_sandbox import errors

    try:
        yield
    except errors.SandboxError as error:
        raise SandboxError(str(error)) from error
