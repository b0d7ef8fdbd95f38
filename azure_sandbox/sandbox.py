"""The sandbox of a test or program: `with Sandbox() as azure:`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import faults, process
from .clock import Clock
from .clouds import CLOUDS
from .errors import SandboxError
from .process import OPERATOR_VARIABLES, Running, environment
from .settings import Settings

if TYPE_CHECKING:
    import requests

SECONDS = 60.0  # that a request, or a start, may take


def session(proxy: str, ca_file: str) -> requests.Session:
    """HTTP requests through a proxy, whatever the environment says."""
    import requests

    session = requests.Session()
    session.trust_env = False
    session.proxies = {"https": proxy, "http": proxy}
    session.verify = ca_file
    return session


class Client:
    """A user of the sandbox's proxy: the operator, or a VM."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        """The environment variables that make a program this client; a VM has none of OPERATOR_VARIABLES."""
        self.proxy = environment["HTTPS_PROXY"]
        self.ca_file = environment["REQUESTS_CA_BUNDLE"]

    @contextlib.contextmanager
    def activate(self) -> Iterator[None]:
        """Let this process, and those that it starts, be this client while the block lasts."""
        names = {*self.environment, *OPERATOR_VARIABLES}
        before = {name: os.environ.pop(name) for name in names & os.environ.keys()}
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name in names:
                os.environ.pop(name, None)
            os.environ.update(before)

    @cached_property
    def session(self) -> requests.Session:
        """HTTP requests of this client, without a token."""
        return session(self.proxy, self.ca_file)


class VirtualMachine(Client):
    """A VM of the sandbox, as the place where a program runs."""

    def __init__(self, environment: dict[str, str], resource: dict[str, Any]) -> None:
        super().__init__(environment)
        self.id: str = resource["id"]
        self.name: str = resource["name"]
        self.principal_id: str | None = (resource.get("identity") or {}).get("principalId")
        """The object id of its system-assigned identity."""


class FaultRules:
    """The fault rules of a sandbox."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, fault: faults.Fault) -> str:
        """Add a rule, which takes effect at once. Returns its id."""
        return faults.add(self._folder, fault)

    def clear(self, rule_id: str | None = None) -> int:
        """Remove a rule, or all of them; what they hold goes on. Returns how many there were."""
        return faults.clear(self._folder, rule_id)

    def hits(self) -> list[dict[str, Any]]:
        """The effects of the rules, in order: the rule's id, the time, and the request or command affected."""
        return faults.hits(self._folder)


class Sandbox(Client):
    """An embedded Azure, and its operator, while the `with` block lasts.

    Args:
        folder: keeps what was made, and is where `runbook sandbox` finds it. Without one it runs in a thread of this
            process, in a temporary folder.
        cloud: as in `az cloud set -n`.
        settings: how slow it is, in seconds or as `role_delay="5m"`; the names are those of `settings.Values`.
    """

    def __init__(
        self, folder: str | Path | None = None, *, cloud: str = "AzureChinaCloud", **settings: float | str
    ) -> None:
        if cloud not in CLOUDS:
            raise ValueError(f"cloud must be one of {', '.join(CLOUDS)}; it is {cloud!r}")
        self.cloud = CLOUDS[cloud]
        """Where this cloud's services are: `resource_manager_url`, `resource_manager_scope`, `authority`, …"""
        self._given = Path(folder).absolute() if folder else None
        self._settings = settings
        self._tokens: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as closing:
            self.folder = self._given or Path(closing.enter_context(_temporary_folder()))
            self.set(**self._settings)
            started = _process(self.folder) if self._given else _thread(self.folder)
            self.running = closing.enter_context(started)
            super().__init__(environment(self.running, self.cloud.name))
            closing.callback(self.session.close)
            self.clock = Clock(Settings(self.folder))
            self.faults = FaultRules(self.folder)
            self._closing = closing.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @property
    def tenant_id(self) -> str:
        return self.environment["AZURE_TENANT_ID"]

    @property
    def client_id(self) -> str:
        return self.environment["AZURE_CLIENT_ID"]

    @property
    def client_secret(self) -> str:
        return self.environment["AZURE_CLIENT_SECRET"]

    @property
    def subscription_id(self) -> str:
        return self.environment["AZURE_SUBSCRIPTION_ID"]

    def set(self, **settings: float | str) -> None:
        """Change how slow it is, at once: role_delay, directory_delay, operation_seconds."""
        Settings(self.folder).change(**settings)

    def traffic(self) -> list[dict[str, Any]]:
        """The requests that it answered, in order; without tokens and other secrets."""
        return process.traffic(self.running, self.cloud.name)

    def vm(self, name: str) -> VirtualMachine:
        """A VM that was made in the sandbox.

        Raises:
            SandboxError: there is no VM of this name.
        """
        variables = environment(self.running, self.cloud.name, name)
        machine = VirtualMachine(variables, process.find_vm(self.running, self.cloud.name, name))
        self._closing.callback(machine.session.close)
        return machine

    def token(self, resource: str | None = None) -> str:
        """An access token of the operator, for Resource Manager where no other resource is named."""
        audience = resource or self.cloud.audiences[0]
        token, expires = self._tokens.get(audience, ("", 0.0))
        if expires <= self.clock.now():
            form = {
                "grant_type": "client_credentials",
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "scope": f"{audience}/.default",
            }
            url = f"{self.cloud.authority}/{self.tenant_id}/oauth2/v2.0/token"
            answer = self.session.post(url, data=form, timeout=SECONDS).json()
            token = answer["access_token"]
            self._tokens[audience] = token, self.clock.now() + answer["expires_in"]
        return token

    def arm(self, method: str, path: str, body: Any = None, version: str = "2024-11-01") -> requests.Response:
        """A request to Resource Manager as the operator.

        Args:
            path: begins with /subscriptions; its own api-version goes before `version`.
        """
        headers = {"Authorization": f"Bearer {self.token()}"}
        query = "" if "api-version=" in path else ("&" if "?" in path else "?") + f"api-version={version}"
        url = f"{self.cloud.resource_manager_url}{path}{query}"
        return self.session.request(method, url, json=body, headers=headers, timeout=SECONDS)

    def create_vm(self, name: str, resource_group: str = "sandbox") -> VirtualMachine:
        """A Linux VM with a system-assigned identity, which has no role yet; with what it needs around it."""
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{resource_group}"
        network = f"{group}/providers/Microsoft.Network"
        subnet = {"name": "default", "properties": {"addressPrefix": "10.0.0.0/24"}}
        subnets = {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [subnet]}
        inside = {"subnet": {"id": f"{network}/virtualNetworks/{name}/subnets/default"}}
        image = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
        machine = {
            "hardwareProfile": {"vmSize": "Standard_B2s"},
            "storageProfile": {"imageReference": image, "osDisk": {"createOption": "FromImage"}},
            "osProfile": {"computerName": name, "adminUsername": "azureuser", "adminPassword": f"{uuid.uuid4()}A"},
            "networkProfile": {"networkInterfaces": [{"id": f"{network}/networkInterfaces/{name}"}]},
        }
        self._put(group, {})
        self._put(f"{network}/virtualNetworks/{name}", {"properties": subnets})
        interface = {"ipConfigurations": [{"name": "default", "properties": inside}]}
        self._put(f"{network}/networkInterfaces/{name}", {"properties": interface})
        body = {"identity": {"type": "SystemAssigned"}, "properties": machine}
        self._put(f"{group}/providers/Microsoft.Compute/virtualMachines/{name}", body)
        return self.vm(name)

    def assign_role(self, role: str, principal_id: str | None, scope: str = "") -> None:
        """Give a principal a built-in role, at a resource's id; on the subscription where none is named."""
        from .access.roles import BUILT_IN_ROLES, definition_id

        role_id = next((each.id for each in BUILT_IN_ROLES.values() if each.name == role), None)
        if role_id is None:
            raise ValueError(f"there is no built-in role {role!r} in the sandbox")
        at = f"{scope or f'/subscriptions/{self.subscription_id}'}/providers/Microsoft.Authorization/roleAssignments"
        given = {"roleDefinitionId": definition_id(self.subscription_id, role_id), "principalId": principal_id}
        properties = {**given, "principalType": "ServicePrincipal"}
        self._put(f"{at}/{uuid.uuid4()}?api-version=2022-04-01", {"properties": properties})

    def _put(self, path: str, body: dict[str, Any]) -> None:
        place = {} if "/Microsoft.Authorization/" in path else {"location": self.cloud.default_location}
        answer = self.arm("PUT", path, {**place, **body})
        if not answer.ok:
            raise SandboxError(f"PUT {path}: {answer.text}")


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="azure-sandbox-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _process(folder: Path) -> Iterator[Running]:
    """The sandbox's process of a folder; one that ran before goes on to run."""
    ran = process.find(folder)
    yield process.start(folder)
    if not ran:
        process.stop(folder)


@contextlib.contextmanager
def _thread(folder: Path) -> Iterator[Running]:
    """A sandbox in a thread of this process, which starts and ends in a third of the time of a process."""
    from .server import Server

    server, stop = Server(folder, 0), asyncio.Event()
    ready: Future[asyncio.AbstractEventLoop] = Future()

    async def serve() -> None:
        async with server.listening():
            ready.set_result(asyncio.get_running_loop())
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="azure-sandbox", daemon=True)
    thread.start()
    loop = ready.result(SECONDS)
    try:
        yield Running(folder, server.address.port, os.getpid())
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
