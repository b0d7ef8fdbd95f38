"""The sandbox's process: opens the folder, serves the clouds, opens the proxy, and ends by itself when idle.

The folder holds everything: ``<cloud>.sqlite`` and ``blobs/`` (store.py), ``ca.pem``, ``ca-key.pem``, ``signing-key.pem``,
``operator.json`` (how the operator signs in), ``address.json`` (where the proxy is, while the process runs), ``lock`` and
``log``; ``port`` (of last time); ``settings.json`` where something was set.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from uvicorn import Config

from . import settings, topology
from .arm import compute
from .certificate_authority import open_ca
from .clock import Clock
from .clouds import CLOUDS
from .errors import reading, state_error
from .faults.active import Faults
from .faults.ssh import fault_of_connection, keep_silent
from .files import check_owner, private_folder, write_atomic
from .guard import MAX_HEAD, RequestRefused
from .guests import Guests, Link, Machine, choice
from .guests.simulated.guest import SimulatedGuests
from .hosts import SETUP_SCRIPT, Hosts, certificate_names
from .process import read_operator, write_address
from .proxy import Caller, Proxy
from .registry.images import publish
from .settings import Settings
from .store import Blobs, Store
from .tenant import ProxyAddress, Tenant
from .tokens import Signer, new_key

if TYPE_CHECKING:
    from .guests.machine.guest import MachineGuests

logger = logging.getLogger(__name__)
IDLE_SECONDS = 30 * 60
CANARIES = "RUNBOOK_SANDBOX_CANARIES"
"""Environment variable: keep all tokens that are issued in a file of the folder, for tests that look for leaks."""


class PortInUse(Exception):
    """The port cannot be listened on; the system's reason."""


def _signing_key(folder: Path) -> str:
    path = folder / "signing-key.pem"
    if not path.exists():
        write_atomic(path, new_key())
    with reading(path):
        key = path.read_text()
        serialization.load_pem_private_key(key.encode(), None)
        return key


def _write_operator(folder: Path, clouds: list[Tenant]) -> None:
    """Give the operator of each cloud a client secret, and write down how to sign in."""
    operator = {}
    for tenant in clouds:
        principal = tenant.ensure_operator()
        secret = tenant.store.read("secret", principal["objectId"])
        if secret is None:
            secret = {"value": secrets.token_urlsafe(32)}
            tenant.store.write("secret", principal["objectId"], secret)
        operator[tenant.cloud.name] = {
            "tenant_id": tenant.tenant_id,
            "client_id": principal["appId"],
            "client_secret": secret["value"],
            "subscription_id": tenant.subscription_id,
        }
    path = folder / "operator.json"
    if not path.exists():
        write_atomic(path, json.dumps(operator, indent=1))
    for tenant in clouds:
        if read_operator(folder, tenant.cloud.name) != operator[tenant.cloud.name]:
            lost = ValueError(f"it does not have the operator of {path}, so it was emptied, or is another sandbox's")
            raise state_error(tenant.store.path, lost)


def _listener(folder: Path, port: int) -> socket.socket:
    """A listening socket on loopback: on the port, or where it is 0 on that of last time, or on a free one.

    Terminals and kernels that know the address of last time so go on when the sandbox is started again.
    """
    kept = folder / "port"
    if not port and kept.is_file():
        with contextlib.suppress(OSError, ValueError):  # somebody else has it by now
            return socket.create_server(("127.0.0.1", int(kept.read_text())))
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise PortInUse(error.strerror) from error
    write_atomic(kept, str(listener.getsockname()[1]))
    return listener


class Server:
    """One running sandbox."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        if folder.exists():
            check_owner(folder)
        private_folder(folder)
        settings.read(folder)  # where they are broken, no request could be answered
        self._listener = _listener(folder, port)
        address = ProxyAddress(self._listener.getsockname()[1], folder / "ca.pem")
        blobs = Blobs(folder / "blobs")
        self._public = Store(folder / "mcr.microsoft.com.sqlite", blobs)
        publish(self._public)
        self._choice = choice.read(folder)
        self._faults = Faults(folder)
        self._machines: list[MachineGuests] = []
        self._silent: set[asyncio.Task[None]] = set()
        issued = folder / "issued-tokens" if os.environ.get(CANARIES) else None
        signer, clock = Signer(_signing_key(folder), issued), Clock(Settings(folder))
        self.clouds = []
        for cloud in CLOUDS.values():
            store = Store(folder / f"{cloud.name}.sqlite", blobs)
            guests = self._guests(store)
            self.clouds.append(Tenant(cloud, store, clock, signer, self._public, guests, address, self._faults))
        self._remove_leftovers()
        _write_operator(folder, self.clouds)
        self.app = Hosts(self.clouds, self._public, self._faults, self._setup_script())
        names = certificate_names(self.clouds)
        certificate = open_ca(folder, names).issue_cert(*names)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(tls)
        config = Config(
            self.app,
            http="h11",
            ws="none",
            access_log=False,
            log_config=None,
            lifespan="off",
            timeout_keep_alive=600,
            h11_max_incomplete_event_size=MAX_HEAD,
        )
        self.proxy = Proxy(config, tls, self.app.serves, self._caller, self._connect_ssh)
        for guests in self._machines:
            guests.proxy = self.proxy
        self.address = address

    def _guests(self, store: Store) -> Guests:
        """The guests behind the VMs of one cloud."""
        if self._choice.guest == choice.SIMULATED:
            return SimulatedGuests(store, self._faults)
        from .guests.machine.guest import MachineGuests

        self._machines.append(MachineGuests(self._folder, self._choice))
        return self._machines[-1]

    def _remove_leftovers(self) -> None:
        """Remove what a killed sandbox left, and the disks of VMs that are gone, whatever the guest is now."""
        if (self._folder / "machines").exists():
            from .guests.machine.state_folder import remove_leftovers

            vms = [vm for tenant in self.clouds for vm in topology.vms(tenant.store)]
            remove_leftovers(self._folder, {vm.properties["vmId"] for vm in vms})

    def _setup_script(self) -> str:
        """What installs azure-cli on a VM."""
        if self._choice.guest == choice.SIMULATED:
            return SETUP_SCRIPT
        from .guests.machine.scripts import setup_script

        return setup_script(self._choice.index_url)

    def _caller(self, user: str, password: str) -> Caller | None:
        """The VM whose proxy credentials these are."""
        found = topology.vm_with_id(self.clouds, user)
        secret = found and found[0].store.read("secret", user)
        return Caller(user) if secret and secrets.compare_digest(secret["value"].encode(), password.encode()) else None

    async def _connect_ssh(self, host: str, caller: Caller) -> socket.socket:
        """A connection to the SSH server of the VM that has the public address, if its security groups admit it."""
        for tenant in self.clouds:
            target = topology.vm_at(tenant.store, host)
            if target is None:
                continue
            vm, interface = target
            source = topology.source_address(tenant.store, caller.vm_id)
            if not topology.admits(tenant.store, interface, source, 22):
                message = f"no answer from {host}: the network security group does not admit SSH from {source}"
                raise RequestRefused(403, message)
            if vm["powerState"] != "running":
                raise RequestRefused(403, f"no answer from {host}: the VM is {vm['powerState']}")
            fault = fault_of_connection(self._faults, host, vm.name)
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            if fault == "silent":
                task = asyncio.create_task(keep_silent(theirs))
                self._silent.add(task)
                task.add_done_callback(self._silent.discard)
                return ours
            link = Link(fault == "host_key", partial(self.proxy.reset_ssh, ours))
            try:
                await tenant.guests.serve_ssh(vm.properties["vmId"], theirs, link)
            except BaseException:
                ours.close()
                raise
            return ours
        raise RequestRefused(403, f"no answer from {host}: no VM of the sandbox has this address")

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Answer while the block lasts; then let go of the folder and of the port."""
        vms = [(tenant, vm) for tenant in self.clouds for vm in topology.vms(tenant.store)]
        running = [(tenant, compute.machine(tenant, vm)) for tenant, vm in vms if vm["powerState"] == "running"]
        await asyncio.gather(*(self._boot(tenant, machine) for tenant, machine in running))
        server = await self.proxy.listen(self._listener)
        try:
            yield
        finally:
            server.close()
            await self.proxy.abort()
            for tenant in self.clouds:
                await tenant.guests.close()
            self.close()

    async def run(self, idle_seconds: float) -> None:
        """Be the process of the folder until a signal, or until nobody has asked anything for a while."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGINT"):
            with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers in the loop
                loop.add_signal_handler(getattr(signal, name), stop.set)
        async with self.listening():
            write_address(self._folder, self.address.port)
            logger.info("listening on 127.0.0.1:%d", self.address.port)
            try:
                await self._wait(stop, idle_seconds)
            finally:
                self._take_address_away()

    @staticmethod
    async def _boot(tenant: Tenant, machine: Machine) -> None:
        try:
            await tenant.guests.boot(machine)
        except Exception:  # the others run all the same, and the log has the reason
            logger.exception("%s", machine.computer_name)

    def _take_address_away(self) -> None:
        # Where somebody has removed the folder and begun anew in its place, the address is that of the new sandbox.
        path = self._folder / "address.json"
        with contextlib.suppress(OSError, ValueError):
            if json.loads(path.read_text())["pid"] == os.getpid():
                path.unlink()

    def close(self) -> None:
        """Let go of the folder and of the port."""
        self._listener.close()
        for tenant in self.clouds:
            tenant.store.close()
        self._public.close()

    async def _wait(self, stop: asyncio.Event, idle_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            idle = loop.time() - self.proxy.last_used
            if idle >= idle_seconds and not self.proxy.busy:
                logger.info("idle for %.0f s", idle)
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min(60.0, max(0.1, idle_seconds - idle)))


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
