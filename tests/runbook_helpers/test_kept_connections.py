"""Kept SSH connections: verbs share one, over real SSH to a VM of the sandbox; and what ends it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import paramiko
import pytest

from runbook_helpers import Azure, Shell, create_vm, install_docker, ssh
from runbook_helpers.ssh.kept import KeptConnections

from ..conftest import SSH_SOURCE


@pytest.fixture
def vm(azure: Azure) -> Azure:
    create_vm(azure, "kept", ssh_source=SSH_SOURCE)
    return replace(azure, connections=KeptConnections())


def transport(shell: Shell) -> paramiko.Transport:
    found = shell._client.get_transport()
    assert found
    return found


def test_one_after_the_other_has_the_same(vm: Azure) -> None:
    with ssh(vm, "kept") as shell:
        first = transport(shell)
    with ssh(vm, "kept") as shell:
        assert transport(shell) is first
        with ssh(vm, "kept") as other:
            assert transport(other) is not first and other.run("whoami").stdout == "azureuser\n"
        second = transport(other)
    assert [first.is_active(), second.is_active()] == [False, True]  # one is kept


def test_many_at_once(vm: Azure) -> None:
    def run(number: int) -> str:
        with ssh(vm, "kept") as shell:
            return shell.run("echo", str(number)).stdout

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(run, range(60))) == [f"{number}\n" for number in range(60)]


def test_one_that_died_unseen_is_made_again(vm: Azure) -> None:
    with ssh(vm, "kept") as shell:
        first = transport(shell)
    first.sock.close()
    with ssh(vm, "kept") as shell:
        assert shell.run("whoami").stdout == "azureuser\n"
        first = transport(shell)
        vm.compute.virtual_machines.begin_restart(vm.resource_group, "kept").result()
        assert shell.run("whoami").stdout == "azureuser\n"
        assert transport(shell) is not first


def test_a_vm_made_anew_under_its_name_has_its_own(vm: Azure) -> None:
    with ssh(vm, "kept") as shell:
        first = transport(shell)
    vm.compute.virtual_machines.begin_delete(vm.resource_group, "kept").result()
    create_vm(vm, "kept", ssh_source=SSH_SOURCE)
    with ssh(vm, "kept") as shell:
        assert transport(shell) is not first
        assert shell.run("whoami").stdout == "azureuser\n"


def test_a_group_that_the_user_gets_counts(vm: Azure) -> None:
    with ssh(vm, "kept") as shell:
        assert "docker" not in shell.run("id", "-nG").stdout.split()
        install_docker(vm, "kept")
    with ssh(vm, "kept") as shell:
        assert shell.run("docker", "info").exit_status == 0


def test_one_that_nobody_uses_is_closed(vm: Azure) -> None:
    azure = replace(vm, connections=KeptConnections(idle=0.1))
    with ssh(azure, "kept") as shell:
        first = transport(shell)
        time.sleep(0.3)
        assert first.is_active()
    first.join(10)
    assert not first.is_active()


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_process_that_forks_shares_none(vm: Azure) -> None:
    with ssh(vm, "kept") as shell:
        mine = transport(shell)
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()

        def child() -> None:
            with ssh(vm, "kept") as other:
                queue.put((transport(other) is mine, other.run("echo", "child").stdout))
            os._exit(0)

        process = context.Process(target=child)
        process.start()
        assert queue.get() == (False, "child\n")
        process.join()
        assert shell.run("echo", "parent").stdout == "parent\n" and transport(shell) is mine
