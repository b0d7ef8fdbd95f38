"""Two hundred walkthroughs in one sandbox, fifty VMs alive, twenty clients at once: nothing fails and nothing grows.

`make soak` runs it (a quarter of an hour on two cores). RUNBOOK_SOAK may be another number of walkthroughs; of fewer than
a hundred and fifty, memory is still growing to what twenty clients at once take when it is first looked at.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from azure_sandbox import process
from runbook_helpers import (
    acr_login,
    assign_identity,
    assign_role,
    az_login,
    create_identity,
    create_registry,
    create_vm,
    delete_resource_group,
    docker_pull,
    import_image,
    install_azure_cli,
    install_docker,
    show_vm,
)

from ..conftest import SSH_SOURCE, connect_to

WALKTHROUGHS = int(os.environ.get("RUNBOOK_SOAK", "0"))
ALIVE = min(50, WALKTHROUGHS // 4)
WARM = 2 * ALIVE  # walkthroughs until memory is looked at first
CLIENTS = 20
SOURCE = "mcr.microsoft.com/azuredocs/aci-helloworld:latest"
GROWTH = 0.10  # of the memory, from then to the end

pytestmark = pytest.mark.skipif(not WALKTHROUGHS, reason="`make soak` runs it: it takes a quarter of an hour")


def walk(number: int, keep: bool) -> None:
    """One walkthrough, in a resource group of its own."""
    name = f"soak{number:05}"
    azure = connect_to(name)
    registry = create_registry(azure, name)
    image = import_image(azure, name, "aci-helloworld:v1", SOURCE)
    reference = f"{registry.login_server}/aci-helloworld:v1"
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    install_docker(azure, "vm")
    install_azure_cli(azure, "vm")
    identity = create_identity(azure, "id1")
    assign_identity(azure, "vm", identity.id)
    own = assign_identity(azure, "vm").identity
    assert own and own.principal_id and identity.principal_id
    for identity_id, principal_id in ((identity.id, identity.principal_id), (None, own.principal_id)):
        assign_role(azure, "AcrPull", assignee=principal_id, scope=str(registry.id))
        az_login(azure, "vm", identity_id)
        acr_login(azure, "vm", name)
        assert docker_pull(azure, "vm", reference) == image.digest
    if not keep:
        delete_resource_group(azure)


def at_rest(sandbox: psutil.Process) -> dict[str, float]:
    """What the sandbox has once nobody asks anything of it."""
    gc.collect()  # the clients' connections
    time.sleep(3)
    return {
        "MB": round(sandbox.memory_info().rss / 1e6, 1),
        "files": sandbox.num_fds(),
        "threads": sandbox.num_threads(),
    }


def test_two_hundred_walkthroughs(fresh: Path, record_property: Callable[[str, object], None]) -> None:
    running = process.start(fresh)
    sandbox = psutil.Process(running.pid)
    began, threads = time.monotonic(), threading.active_count()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda number: walk(number, keep=number < ALIVE), range(WARM)))
    warm = at_rest(sandbox)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda number: walk(number, keep=False), range(WARM, WALKTHROUGHS)))
    end = at_rest(sandbox)
    seconds = time.monotonic() - began
    record_property(
        "figures",
        f"{WALKTHROUGHS} walkthroughs, {CLIENTS} clients, {ALIVE} VMs alive, {seconds:.0f} s; the sandbox after {WARM} "
        f"{warm}, at the end {end}: memory {end['MB'] / warm['MB'] - 1:+.1%}; this process has "
        f"{threading.active_count()} threads",
    )
    assert process.find(fresh) == running
    for number in range(ALIVE):
        assert show_vm(connect_to(f"soak{number:05}"), "vm").provisioning_state == "Succeeded"
    assert end["MB"] <= warm["MB"] * (1 + GROWTH)
    assert end["threads"] <= warm["threads"] + 2
    assert threading.active_count() <= threads + 2
    assert end["files"] <= warm["files"] + 5
