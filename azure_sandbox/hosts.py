"""The hosts: the sandbox's route table, which host name is answered by which module."""

from __future__ import annotations

import logging
import re
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import metadata, topology
from .arm import ROUTES
from .arm.errors import ArmError
from .arm.gateway import Gateway
from .errors import StateError, state_error
from .faults.active import Faults
from .faults.http import FaultMiddleware
from .graph import Graph, GraphError
from .guard import Guard, RequestRefused
from .login import Login, LoginError
from .metadata import Metadata, MetadataError
from .proxy import Caller
from .registry.api import PublicRegistry, Registry
from .registry.auth import RegistryError
from .registry.images import PUBLIC_REGISTRY
from .store import Store
from .tenant import Tenant

logger = logging.getLogger(__name__)

SETUP_HOST = "aka.ms"

# What the short link of the document's "install the Azure CLI with apt" page leads to, for the simulated guest.
SETUP_SCRIPT = """\
set -e
apt-get update
apt-get install -y ca-certificates curl apt-transport-https lsb-release gnupg
mkdir -p /etc/apt/keyrings
codename=$(lsb_release -cs)
echo "deb [arch=$(dpkg --print-architecture)] https://packages.microsoft.com/repos/azure-cli/ $codename main" > /etc/apt/sources.list.d/azure-cli.list
apt-get update
apt-get install -y azure-cli
"""


class Hosts:
    """The ASGI application behind the proxy."""

    def __init__(
        self, clouds: list[Tenant], public_images: Store, faults: Faults, setup_script: str = SETUP_SCRIPT
    ) -> None:
        self._clouds = clouds

        async def answer_setup(request: Request) -> Response:
            return PlainTextResponse(setup_script)

        routes: list[BaseRoute] = [
            _host(metadata.HOST, Metadata(clouds).routes),
            _host(PUBLIC_REGISTRY, PublicRegistry(public_images).routes),
            _host(SETUP_HOST, [Route("/InstallAzureCLIDeb", answer_setup)]),
        ]
        for tenant in clouds:
            routes += [_host(name, Login(tenant).routes) for name in tenant.cloud.authority_hosts]
            routes.append(_host(tenant.cloud.resource_manager, Gateway(tenant, ROUTES).routes))
            routes.append(_host(tenant.cloud.graph, Graph(tenant).routes))
            routes.append(_host("{registry}" + tenant.cloud.registry_suffix, Registry(tenant).routes))
        self._names = {metadata.HOST, PUBLIC_REGISTRY, SETUP_HOST} | {
            name
            for tenant in clouds
            for name in (*tenant.cloud.authority_hosts, tenant.cloud.resource_manager, tenant.cloud.graph)
        }
        self.routes = routes
        self._app: ASGIApp = Guard(
            _Traffic(FaultMiddleware(Router(routes), faults, self._vm_name), clouds), self._emulates, self._refusal
        )

    def serves(self, host: str) -> bool:
        """Whether a name is one of ours now: the fixed ones, and the login servers of registries that exist."""
        return host in self._names or any(
            topology.registry_at(tenant.store, host)
            for tenant in self._clouds
            if host.endswith(tenant.cloud.registry_suffix)
        )

    def _emulates(self, host: str) -> bool:
        """Whether a name is one of ours, or a login server's of a registry that is not there (any more): it says so itself."""
        return host in self._names or any(host.endswith(tenant.cloud.registry_suffix) for tenant in self._clouds)

    def _refusal(self, host: str, refused: RequestRefused) -> Response:
        """The answer to a request that the guard refuses, in the form that the host's clients can print."""
        status, code, message = refused.status, refused.code, str(refused)
        if host == metadata.HOST:
            return MetadataError("invalid_request", message, status).response()
        for tenant in self._clouds:
            if host in tenant.cloud.authority_hosts:
                return Login(tenant).refusal(LoginError(status, "invalid_request", 90013, message))
            if host == tenant.cloud.graph:
                return GraphError(status, code, message).response()
            if host.endswith(tenant.cloud.registry_suffix) or host == PUBLIC_REGISTRY:
                return RegistryError(status, code, message).response()
        return ArmError(status, code, message).response()

    def _vm_name(self, vm_id: str | None) -> str:
        found = topology.vm_with_id(self._clouds, vm_id)
        return found[1].name if found else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; where a file of the sandbox's folder is broken or full, by saying so."""
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except (StateError, OSError) as error:
            logger.exception("%s %s", scope["method"], scope["path"])
            if begun:
                raise
            broken = error if isinstance(error, StateError) else state_error(error.filename or "its folder", error)
            host = Request(scope).url.hostname or ""
            message = f"The sandbox failed: {broken}"
            if any(host in tenant.cloud.authority_hosts for tenant in self._clouds):
                # Of Entra's 500 its clients show no words; and its own form has the time, which the settings may not give.
                words = {
                    "error": "invalid_request",
                    "error_description": f"AADSTS90013: {message}",
                    "error_codes": [90013],
                }
                response: Response = JSONResponse(words, 400)
            else:
                response = self._refusal(host, RequestRefused(500, message, "SandboxStateBroken"))
            await response(scope, receive, send)


def certificate_names(clouds: list[Tenant]) -> list[str]:
    """The names that the sandbox's TLS certificate has to cover."""
    names = {PUBLIC_REGISTRY, SETUP_HOST}
    for tenant in clouds:
        names |= {*tenant.cloud.authority_hosts, tenant.cloud.resource_manager, tenant.cloud.graph}
        suffix = tenant.cloud.registry_suffix  # an asterisk stands for one label
        names |= {f"*{suffix}", *(f"*.{region}.geo{suffix}" for region in tenant.cloud.locations)}
    return sorted(names)


def _host(name: str, routes: list[BaseRoute] | list[Route]) -> Host:
    host = Host(name, app=Router(routes, redirect_slashes=False))
    host.host_regex = re.compile(host.host_regex.pattern, re.IGNORECASE)
    return host


class _Traffic:
    """The traffic log: who asked what and what was answered, on disk before who asked has the answer. The absolute form of a
    path becomes a path here."""

    def __init__(self, app: ASGIApp, clouds: list[Tenant]) -> None:
        self._app = app
        self._clouds = clouds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("http://"):
            path = "/" + scope["path"].removeprefix("http://").partition("/")[2]
            scope = {**scope, "path": path, "raw_path": path.encode()}
        answered = False
        started = time.monotonic()

        async def watch(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                self._log(Request(scope), message["status"], time.monotonic() - started)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            if not answered:
                self._log(Request(scope), 0, time.monotonic() - started)

    def _log(self, request: Request, status: int, seconds: float) -> None:
        tenant = self._cloud(request)
        tenant.store.log_traffic(
            {
                "time": tenant.clock.timestamp(),
                "vm": _caller(request).vm_id,
                "method": request.method,
                "host": request.url.hostname,
                "path": request.url.path,
                "status": status,
                "agent": request.headers.get("user-agent", ""),
                **getattr(request.state, "noted", {}),
                "milliseconds": round(seconds * 1000, 1),
            }
        )

    def _cloud(self, request: Request) -> Tenant:
        """The cloud that a request counts for: that of the host, else of the VM that asks, else the first."""
        host = request.url.hostname or ""
        for tenant in self._clouds:
            cloud = tenant.cloud
            if host in (*cloud.authority_hosts, cloud.resource_manager, cloud.graph):
                return tenant
            if host.endswith(cloud.registry_suffix):
                return tenant
        found = topology.vm_with_id(self._clouds, _caller(request).vm_id)
        return found[0] if found else self._clouds[0]


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller
