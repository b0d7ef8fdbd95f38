"""The sandbox's process, started, found and stopped. One a folder: it holds the folder's lock while it runs."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import platformdirs

from .clouds import CLOUDS
from .errors import SandboxError, StateError, reading, state_error, using
from .files import write_atomic
from .folder import changing, check_folder, make_folder
from .guests import choice
from .process_identity import identity, send_signal

if TYPE_CHECKING:
    from .store import Store

P = ParamSpec("P")
T = TypeVar("T")
START_SECONDS = 30.0
STOP_SECONDS = 10.0
_started: list[subprocess.Popen[bytes]] = []  # kept, so that those that end are reaped


@dataclass(frozen=True)
class Running:
    """A sandbox that runs."""

    folder: Path
    port: int
    pid: int
    identity: str = ""
    """That of its process: the number alone may be another one's by now."""

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The CA certificate to trust."""
        return self.folder / "ca.pem"

    def operator(self, cloud_name: str) -> dict[str, str]:
        """How the operator signs in to a cloud: tenant_id, client_id, client_secret, subscription_id."""
        return read_operator(self.folder, cloud_name)


def read_operator(folder: Path, cloud_name: str) -> dict[str, str]:
    """How the operator of a folder's sandbox signs in to a cloud.

    Raises:
        StateError: the file that says so is broken or gone.
    """
    path = folder / "operator.json"
    try:
        with reading(path):
            found: dict[str, str] = json.loads(path.read_text())[cloud_name]
            return {name: str(found[name]) for name in ("tenant_id", "client_id", "client_secret", "subscription_id")}
    except (FileNotFoundError, NotADirectoryError) as error:
        raise state_error(path, error) from error


def _naming_files(command: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[Path, P], T]:
    """A command on a folder of which an error of the system names the file."""

    def call(folder: Path, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with using(folder):
            return command(folder, *args, **kwargs)

    functools.update_wrapper(call, command)
    return call


def default_folder() -> Path:
    """RUNBOOK_SANDBOX, else a folder in the user's state directory."""
    chosen = os.environ.get("RUNBOOK_SANDBOX")
    return Path(chosen).absolute() if chosen else platformdirs.user_state_path("azure-acr-runbook") / "sandbox"


def find(folder: Path) -> Running | None:
    """The sandbox that runs in a folder, if any: what its process has written there, where that process still is."""
    try:
        address: dict[str, Any] = json.loads((folder / "address.json").read_text())
        port, pid, known = (address[name] for name in ("port", "pid", "identity"))
        copied = address["lock"] != (folder / "lock").stat().st_ino
    except (OSError, ValueError, TypeError, LookupError):  # it is just starting or just ending, or somebody wrote there
        return None
    if copied or type(port) is not int or type(pid) is not int or pid <= 0 or not known or identity(pid) != known:
        return None
    return Running(folder, port, pid, known)


def write_address(folder: Path, port: int) -> None:
    """Say where the sandbox's proxy is, and that this process is the sandbox of this very folder, of no copy."""
    lock = (folder / "lock").stat().st_ino
    address = {"port": port, "pid": os.getpid(), "identity": identity(os.getpid()), "lock": lock}
    write_atomic(folder / "address.json", json.dumps(address))


@_naming_files
def start(
    folder: Path,
    port: int = 0,
    guest: str | None = None,
    say: Callable[[str], None] = lambda sentence: None,
    within: float = START_SECONDS,
) -> Running:
    """The sandbox of a folder, started when it is not running.

    Args:
        port: on loopback; 0 takes a free one.
        guest: what stands behind the VMs, `simulated` or `machine`; None goes on with what the folder has.
        say: called with what takes long.
        within: seconds that it may take to open its proxy.

    Raises:
        SandboxError: it cannot be started.
    """
    check_folder(folder)
    _check_guest(folder, guest)
    choice.make_ready(folder, guest, say)  # takes long, so before the lock; a refusal leaves no folder
    make_folder(folder)
    with changing(folder):
        running = find(folder)
        if running:
            if port not in (0, running.port):
                message = (
                    f"The sandbox in {folder} runs on port {running.port} already: stop it first, or leave --port out."
                )
                raise SandboxError(message)
            _check_guest(folder, guest)
            return running
        choice.prepare(folder, guest)
        (folder / "address.json").unlink(missing_ok=True)  # of a process that was killed
        child = _spawn(folder, port)
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            running = find(folder)
            if running:
                return running
            if child.poll() is not None:
                break
            time.sleep(0.01)
        child.kill()
        raise _not_started(folder)


def _not_started(folder: Path) -> SandboxError:
    """Why the process has ended before it could be found."""
    lines = (folder / "start.log").read_text(errors="replace").strip().splitlines()
    if not lines:
        write_atomic(folder / "start.log", "no answer\n")  # where there is no room, it could not say so
    reason = lines[-1] if lines else "no answer"
    if str(folder) in reason and reason.endswith("."):
        return SandboxError(reason)
    return SandboxError(
        f"The sandbox in {folder} did not start: {reason} (more in {folder / 'log'}; `runbook sandbox reset` begins anew)."
    )


def _check_guest(folder: Path, guest: str | None) -> None:
    """Refuse another guest than the one that runs."""
    present = choice.read(folder).guest
    if guest not in (None, present) and find(folder):
        raise SandboxError(f"The sandbox in {folder} runs with --guest {present}: stop it first.")


class _Detached(subprocess.Popen[bytes]):
    """A child that is meant to outlive this process: Python does not warn of it at the end."""

    def __del__(self) -> None:
        pass


def _spawn(folder: Path, port: int) -> subprocess.Popen[bytes]:
    # Detached, so that it outlives the kernel or command that started it; others find it by its folder.
    detached: dict[str, Any] = (
        {"creationflags": 0x00000008 | 0x00000200}  # DETACHED_PROCESS, CREATE_NEW_PROCESS_GROUP
        if sys.platform == "win32"
        else {"start_new_session": True}
    )
    with open(folder / "start.log", "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
        child = _Detached(
            [sys.executable, "-m", f"{__package__}", str(folder), str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[1],
            **detached,
        )
    _started.append(child)
    return child


@_naming_files
def stop(folder: Path) -> bool:
    """End the sandbox of a folder, also one that is just starting; what it knows stays. False where none runs."""
    _started[:] = [child for child in _started if child.poll() is None]
    if not (folder / "start.lock").exists():
        return False
    with changing(folder):
        return _end(folder)


def _end(folder: Path) -> bool:
    running = find(folder)
    if running is None:
        return False
    send_signal(running.pid, running.identity, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while identity(running.pid) == running.identity:
        if time.monotonic() > deadline:
            message = f"The sandbox in {folder} (pid {running.pid}) did not end within {STOP_SECONDS:.0f} s."
            raise SandboxError(message)
        time.sleep(0.02)
    for child in _started:
        if child.pid == running.pid:
            child.wait()
    return True


@_naming_files
def reset(folder: Path) -> None:
    """End the sandbox of a folder and forget all that it knows."""
    check_folder(folder)
    try:
        stop(folder)
    except StateError:  # the lock is what is broken
        _end(folder)
    if folder.exists():
        if (folder / "machines").exists():
            from .guests.machine.state_folder import remove_leftovers

            remove_leftovers(folder, set())
        shutil.rmtree(folder)


@contextlib.contextmanager
def _store(running: Running, cloud_name: str) -> Iterator[Store]:
    """What the sandbox knows of a cloud, read beside it."""
    from .store import Blobs, Store

    store = Store(running.folder / f"{cloud_name}.sqlite", Blobs(running.folder / "blobs"))
    try:
        yield store
    finally:
        store.close()


def traffic(running: Running, cloud_name: str) -> list[dict[str, Any]]:
    """The requests that the sandbox answered in a cloud, in order; without tokens and other secrets."""
    with _store(running, cloud_name) as store:
        return store.traffic()


def find_vm(running: Running, cloud_name: str, name: str) -> dict[str, Any]:
    """A VM of the sandbox as Resource Manager has it, with its `proxy`: what uses that is this VM.

    Raises:
        SandboxError: there is no VM of this name.
    """
    with _store(running, cloud_name) as store:
        for vm in store.resources(type="Microsoft.Compute/virtualMachines"):
            if vm["name"].lower() == name.lower():
                vm_id = vm["properties"]["vmId"]
                secret = store.read("secret", vm_id) or {"value": ""}
                return {**vm, "proxy": f"http://{vm_id}:{secret['value']}@127.0.0.1:{running.port}"}
    raise SandboxError(
        f"The sandbox has no VM named {name} in {cloud_name}: make it first, for instance with `az vm create`."
    )


def vm_proxy(running: Running, cloud_name: str, name: str) -> str:
    """The proxy with the credentials of a VM: what uses it is that VM, for the metadata service."""
    return str(find_vm(running, cloud_name, name)["proxy"])


OPERATOR_VARIABLES = (
    "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_SUBSCRIPTION_ID", "AZURE_AUTHORITY_HOST",
)  # fmt: skip
"""Environment variables that only the operator has: a VM has no secret."""
_PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
_TRUST_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
SHARED_VARIABLES = (*_PROXY_VARIABLES, "NO_PROXY", "no_proxy", *_TRUST_VARIABLES)
"""Those that the operator and a VM have."""


def environment(running: Running, cloud_name: str, vm_name: str | None = None) -> dict[str, str]:
    """The environment variables that turn a program into the operator, or into a VM (which unsets OPERATOR_VARIABLES)."""
    proxy = vm_proxy(running, cloud_name, vm_name) if vm_name else running.proxy
    values = {**dict.fromkeys(_PROXY_VARIABLES, proxy), "NO_PROXY": "", "no_proxy": ""}
    values |= dict.fromkeys(_TRUST_VARIABLES, str(running.ca_file))
    if not vm_name:
        values |= {f"AZURE_{name.upper()}": value for name, value in running.operator(cloud_name).items()}
        values["AZURE_AUTHORITY_HOST"] = CLOUDS[cloud_name].authority
    return values
