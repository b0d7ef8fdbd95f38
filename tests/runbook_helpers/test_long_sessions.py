"""Connections that are hours old: the token of their sign-in has expired, or the VM that they know was restarted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from azure_sandbox import Sandbox
from runbook_helpers import (
    Azure,
    create_identity,
    create_registry,
    create_vm,
    import_image,
    show_image,
    ssh,
)
from runbook_helpers.errors import ConnectionLost
from runbook_helpers.refusals import Unauthenticated

from ..conftest import SSH_SOURCE, connect_to

SOURCE = "mcr.microsoft.com/azuredocs/aci-helloworld:latest"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox of the test's own, whose clock it may move."""
    monkeypatch.setenv("RUNBOOK_SANDBOX", str(tmp_path / "sandbox"))
    with Sandbox(tmp_path / "sandbox") as sandbox:
        yield sandbox


def test_a_connection_goes_on_with_a_new_token(own: Sandbox, name: str) -> None:
    azure = connect_to(name)
    registry = create_registry(azure, name)
    identity = create_identity(azure, "id1")
    for _ in range(3):
        own.clock.advance("3h")
        assert create_registry(azure, name).id == registry.id
        assert create_identity(azure, "id1").id == identity.id
        # A PUT is repeated too: it was refused before anything was done.
        own.clock.advance("3h")
        assert create_identity(azure, f"id{own.clock.now():.0f}")


def test_a_registrys_content_is_seen_with_a_new_token(own: Sandbox, name: str) -> None:
    azure = connect_to(name)
    registry = create_registry(azure, name)
    digest = import_image(azure, name, "app:v1", SOURCE).digest
    own.clock.advance("3h")
    assert show_image(azure, name, "app:v1").digest == digest
    with azure.registry_content(str(registry.login_server)) as content:
        assert content.get_tag_properties("app", "v1").digest == digest
        own.clock.advance("3h")
        assert content.get_tag_properties("app", "v1").digest == digest


def test_an_operation_that_outlives_its_token(own: Sandbox, name: str) -> None:
    own.set(operation_seconds="6s")
    azure = connect_to(name)
    create_identity(azure, "id1")
    poller = azure.resources.resource_groups.begin_delete(name)
    own.clock.advance("3h")
    poller.result(60)
    assert poller.status() == "Succeeded"


def test_a_token_that_stays_refused_is_asked_for_anew_once(own: Sandbox, name: str) -> None:
    """A credential whose own cache cannot be passed by: there is an error, and no loop."""
    azure = connect_to(name)
    create_identity(azure, "id1")
    old = azure.credential.get_token(azure.cloud.resource_manager_scope)

    class Stubborn:
        asked = 0

        def get_token(self, *scopes: str, **options: object) -> object:
            Stubborn.asked += 1
            return old

    stubborn: Azure = replace(azure, credential=Stubborn())
    own.clock.advance("3h")
    with pytest.raises(Unauthenticated, match="ExpiredAuthenticationToken"):
        create_identity(stubborn, "id2")
    assert Stubborn.asked <= 2


def test_a_kept_shell_goes_on_after_a_restart_of_the_vm(own: Sandbox, name: str) -> None:
    """What was not begun is run on a new connection; a new address is found, too."""
    azure = connect_to(name)
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    with ssh(azure, "vm") as shell:
        assert shell.run("echo", "one").stdout == "one\n"
        azure.compute.virtual_machines.begin_restart(name, "vm").result()
        assert shell.run("echo", "two").stdout == "two\n"
        azure.compute.virtual_machines.begin_restart(name, "vm").result()
        assert shell.run_detached("echo", "three").stdout == "three\n"
        azure.compute.virtual_machines.begin_deallocate(name, "vm").result()
        azure.compute.virtual_machines.begin_start(name, "vm").result()
        assert shell.run("echo", "four").stdout == "four\n"


def test_what_had_begun_is_not_run_twice(own: Sandbox, name: str) -> None:
    azure = connect_to(name)
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    with ssh(azure, "vm") as shell:
        restart = threading.Timer(1, lambda: azure.compute.virtual_machines.begin_restart(name, "vm").result())
        restart.start()
        with pytest.raises(ConnectionLost):
            shell.run("sleep", "60")
        restart.join()
        assert shell.run("echo", "again").stdout == "again\n"
