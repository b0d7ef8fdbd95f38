"""The notebooks against real machines: Debian, systemd, sshd, apt, dockerd and azure-cli behind the VMs of the sandbox.

Needs Linux with root. The tests are one story in their order; the first one runs notebooks 00 to 05 from nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute.models import RunCommandInput

from azure_sandbox import process
from azure_sandbox.guests import Machine, choice
from azure_sandbox.guests.machine import cgroups, disk_image, host, state_folder
from azure_sandbox.guests.machine.guest import MachineGuests
from runbook_helpers import (
    Azure,
    acr_login,
    assign_identity,
    assign_role,
    az_login,
    create_vm,
    docker_pull,
    remove_role,
    show_image,
    show_registry,
    show_vm,
    ssh,
)
from runbook_helpers.errors import CommandFailed, ConnectionFailed, ConnectionLost
from runbook_helpers.verbs.docker import HELLO_IMAGE
from runbook_helpers.verbs.identities import identity_claims
from runbook_helpers.verbs.network_interfaces import create_interface
from runbook_helpers.verbs.virtual_machines import _vm  # for custom data, which create_vm does not take

from ..conftest import SSH_SOURCE, clean_environment, connect_to, store_of
from . import proved
from .conftest import RUNBOOK

pytestmark = pytest.mark.skipif(bool(host.refusal()), reason=host.refusal() or "no reason")
GROUP, VM, OTHER, REGISTRY, IMAGE = (
    "myResourceGroup",
    "myDockerVM",
    "myOtherVM",
    "myContainerRegistry",
    "aci-helloworld:v1",
)
MANAGEMENT = "https://management.chinacloudapi.cn/"
Left = dict[str, set[str]]


def left(folder: Path) -> Left:
    """What machines could leave behind on this host."""
    found: Left = {"mounts": set(), "namespaces": set(), "processes": set(), "groups": set(), "loops": set()}
    prefix = state_folder.group_name(folder, "")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            found["mounts"] |= {line for line in (entry / "mountinfo").read_text().splitlines() if str(folder) in line}
            for kind in ("mnt", "net", "pid", "cgroup", "uts", "ipc"):
                found["namespaces"].add(os.readlink(entry / "ns" / kind))
            if str(folder).encode() in (entry / "cmdline").read_bytes() or os.readlink(entry / "ns/pid") != os.readlink(
                "/proc/self/ns/pid"
            ):
                found["processes"].add(entry.name)
    for parent, folders, _ in os.walk("/sys/fs/cgroup"):
        found["groups"] |= {os.path.join(parent, name) for name in folders if name.startswith(prefix)}
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            found["loops"] |= {backing.read_text()} if str(folder) in backing.read_text() else set()
    return found


def assert_nothing_more(before: Left, folder: Path, within: float = 15) -> None:
    deadline = time.monotonic() + within
    while True:
        more = {name: sorted(found - before[name])[:5] for name, found in left(folder).items() if found - before[name]}
        if not more:
            return
        assert time.monotonic() < deadline, more
        time.sleep(0.1)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Left]:
    folder = tmp_path_factory.mktemp("machine") / "sandbox"
    return folder, left(folder)


@pytest.fixture(scope="module")
def folder(before: tuple[Path, Left]) -> Iterator[Path]:
    folder = before[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOK_SANDBOX", str(folder))
        start = [RUNBOOK, "sandbox", "start", "--guest", "machine"]
        subprocess.run(start, check=True, timeout=1200, env=clean_environment(), stdin=subprocess.DEVNULL)
        yield folder
        process.reset(folder)


@pytest.fixture
def azure(folder: Path) -> Azure:
    return connect_to(GROUP)


@pytest.fixture
def other(azure: Azure) -> str:
    """A VM without Docker."""
    create_vm(azure, OTHER, ssh_source=SSH_SOURCE)
    return OTHER


def run_notebooks(output: Path, *arguments: str) -> str:
    done = subprocess.run(
        [RUNBOOK, "run", "--output", str(output), *arguments],
        capture_output=True, text=True, timeout=3000, env=clean_environment(), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def root(azure: Azure, vm_name: str, script: str) -> str:
    """What a script prints that is run as root by run-command."""
    body = RunCommandInput(command_id="RunShellScript", script=[script])
    result = azure.compute.virtual_machines.begin_run_command(azure.resource_group, vm_name, body).result()
    assert result.value
    return str(result.value[0].message)


def memory_used(azure: Azure, folder: Path, vm_name: str) -> int:
    return cgroups.memory_used(state_folder.group_name(folder, str(show_vm(azure, vm_name).vm_id)))


def shell(azure: Azure, vm_name: str, command: str) -> str:
    with ssh(azure, vm_name) as session:
        return session.run("bash", "-c", command).stdout.strip()


def test_a_boot_that_fails_leaves_no_groups(tmp_path: Path) -> None:
    machine = Machine("vm", "/vm", "vm", "me", (), "", "AzureCloud", "", ca_file=str(tmp_path / "missing.pem"))
    with pytest.raises(FileNotFoundError, match=r"missing\.pem"):
        asyncio.run(MachineGuests(tmp_path, choice.Choice(choice.MACHINE)).boot(machine))
    assert not left(tmp_path)["groups"]


def test_a_build_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from azure_sandbox.guests.machine.disk_image import _run\n"
        "_run(['sh', '-c', 'echo began; sleep 600', sys.argv[1]], Path(sys.argv[1], 'log'), {})"
    )
    before = left(tmp_path)
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) as build:
        while not (tmp_path / "log").exists() or "began" not in (tmp_path / "log").read_text():
            time.sleep(0.01)
        assert len(left(tmp_path)["processes"] - before["processes"]) >= 3
        build.kill()
    assert_nothing_more(before, tmp_path)


def test_the_notebooks_from_nothing(
    folder: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    printed = run_notebooks(tmp_path / "run")
    seconds = time.monotonic() - began
    digests = set(re.findall(r"pulled with the \S+ identity: \S+ (sha256:[0-9a-f]{64})", printed))
    azure = connect_to(GROUP)
    assert digests == {show_image(azure, REGISTRY, IMAGE).digest}
    assert "Hello from Docker!" in next((tmp_path / "run").rglob("03_*.ipynb")).read_text(encoding="utf-8")
    image = Path(choice.read(folder).image)
    figures, memory = disk_image.figures(image), memory_used(azure, folder, VM)
    record_property(
        "figures",
        f"image: {figures['seconds']:.0f} s, {figures['bytes'] / 1e6:.0f} MB; machine with Docker and azure-cli: "
        f"{memory / 1e6:.0f} MB of memory; notebooks 00 to 05 on a real machine: {seconds:.0f} s",
    )


def test_what_asked_was_the_real_clients(azure: Azure, folder: Path) -> None:
    store = store_of(folder)
    try:
        asked = [entry for entry in store.traffic() if entry["vm"] == show_vm(azure, VM).vm_id]
    finally:
        store.close()
    agents = {(entry["host"].partition(".")[2], entry["agent"].partition("/")[0]) for entry in asked}
    assert ("azurecr.cn", "docker") in agents  # dockerd pulls
    assert any("AZURECLI" in entry["agent"] for entry in asked)
    tokens = [entry for entry in asked if entry["path"] == "/metadata/identity/oauth2/token" and entry["status"] == 200]
    assert tokens
    assert not any("simulated" in entry["agent"] for entry in asked)
    proved.remember(folder)


def test_docker_is_a_real_one(azure: Azure) -> None:
    assert shell(azure, VM, "cat /proc/1/comm") == "systemd"
    assert "Hello from Docker!" in shell(azure, VM, f"docker run --rm {HELLO_IMAGE}")
    assert "overlay2" in shell(azure, VM, "docker info --format '{{.Driver}}'")
    assert shell(azure, VM, "dpkg-query -W -f '${Status}' docker.io") == "install ok installed"


def test_dockerd_refuses_without_the_role(azure: Azure) -> None:
    vm, registry = assign_identity(azure, VM), show_registry(azure, REGISTRY)
    role = {"assignee": str(vm.identity.principal_id), "scope": str(registry.id)}
    assign_role(azure, "AcrPull", **role)
    az_login(azure, VM)
    acr_login(azure, VM, REGISTRY)
    reference = f"{registry.login_server}/{IMAGE}"
    assert docker_pull(azure, VM, reference) == show_image(azure, REGISTRY, IMAGE).digest
    remove_role(azure, "AcrPull", **role)
    with pytest.raises(CommandFailed, match=r"Error response from daemon: .*(denied|unauthorized)"):
        docker_pull(azure, VM, reference)


def test_two_machines_have_two_identities(
    azure: Azure, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    create_vm(azure, OTHER, ssh_source=SSH_SOURCE)
    made = time.monotonic()
    assert shell(azure, OTHER, "hostname") == OTHER
    memory = memory_used(azure, folder, OTHER)
    record_property(
        "figures",
        f"another VM: made in {made - began:.1f} s with its network, SSH {time.monotonic() - made:.1f} s later; "
        f"{memory / 1e6:.0f} MB of memory after its boot",
    )
    assign_identity(azure, OTHER)
    principals = [str(show_vm(azure, name).identity.principal_id) for name in (VM, OTHER)]
    claims = [identity_claims(azure, name, MANAGEMENT) for name in (VM, OTHER)]
    assert [claim["oid"] for claim in claims if claim] == principals
    assert len(set(principals)) == 2


def test_reaches_nothing_else(azure: Azure, other: str) -> None:
    with ssh(azure, other) as session:
        for url in ("https://www.example.com", "http://example.com", "https://10.255.0.1", "http://192.0.2.1"):
            assert session.run("curl", "-sS", "--max-time", "5", url, check=False).exit_status != 0
        # A name that is not emulated, at the address of one that is.
        names = ["--resolve", "www.example.com:443:10.255.0.1", "https://www.example.com"]
        assert session.run("curl", "-sS", "--max-time", "5", *names, check=False).exit_status != 0
        assert session.run("curl", "-sS", "https://mcr.microsoft.com/v2/").stdout == "{}"


def test_the_host_is_out_of_reach(azure: Azure, other: str) -> None:
    printed = root(azure, other, "echo x >/proc/sys/kernel/core_pattern; mknod /tmp/disk b 254 0; head -c 1 /tmp/disk")
    assert "Read-only file system" in printed
    assert "Operation not permitted" in printed


def test_limits(azure: Azure, other: str, folder: Path) -> None:
    size = int(shell(azure, other, "df --output=size -B1 / | tail -1"))
    assert 28 << 30 < size <= 30 << 30
    groups = cgroups.paths(state_folder.group_name(folder, str(show_vm(azure, other).vm_id)))
    files = [group / name for group in groups for name in ("memory.limit_in_bytes", "memory.max")]
    limits = [file.read_text().strip() for file in files if file.exists()]
    assert limits == [str(8 << 30)]


def test_run_command(azure: Azure, other: str) -> None:
    printed = root(azure, other, "whoami; hostname; echo oops >&2; cat; exit 3")
    assert printed.startswith(f"Enable succeeded: \n[stdout]\nroot\n{other}\n")
    assert "[stderr]\noops\n" in printed
    capabilities = "grep -h Cap[PB] /proc/1/status /proc/self/status | sort | uniq -c | awk '{print $1}' | tr -d '\\n'"
    assert "[stdout]\n22\n" in root(azure, other, capabilities)  # two different lines, each in both


def test_power(azure: Azure, other: str, folder: Path) -> None:
    machines, vm_id = azure.compute.virtual_machines, str(show_vm(azure, other).vm_id)
    here = "touch kept; sudo test -e /run/here && echo same || { sudo touch /run/here; echo booted; }"
    assert [shell(azure, other, here), shell(azure, other, here)] == ["booted", "same"]
    machines.begin_restart(GROUP, other).result()
    assert [shell(azure, other, here), shell(azure, other, here)] == ["booted", "same"]
    machines.begin_deallocate(GROUP, other).result()
    assert not any(vm_id in group for group in left(folder)["groups"])
    machines.begin_start(GROUP, other).result()
    assert shell(azure, other, f"ls; {here}") == "kept\nbooted"


def test_reboot_from_inside(azure: Azure, other: str) -> None:
    root(azure, other, "touch /run/here; systemctl reboot")
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(CommandFailed, ConnectionFailed, ConnectionLost):
            if shell(azure, other, "test -e /run/here || echo booted") == "booted":
                return
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_power_off_from_inside(azure: Azure, other: str, folder: Path) -> None:
    vm_id = str(show_vm(azure, other).vm_id)
    # Without the property systemd may take a minute longer, to do several things at once.
    root(azure, other, "systemd-run --on-active=1 --timer-property=AccuracySec=100ms systemctl poweroff")
    deadline = time.monotonic() + 30
    while any(vm_id in group for group in left(folder)["groups"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with pytest.raises(HttpResponseError, match="the VM is not running"):
        root(azure, other, "true")
    azure.compute.virtual_machines.begin_start(GROUP, other).result()
    assert shell(azure, other, "hostname") == other


def test_custom_data_and_delete(azure: Azure, folder: Path) -> None:
    config = """#cloud-config
packages: [jq]
write_files:
- {path: /etc/broken, encoding: b64, content: abc}
- {path: /etc/nobody, content: written, owner: "no:one"}
- {path: /etc/motto, content: "it's \\"quoted\\"\\n", permissions: "0640", owner: "root:sudo"}
runcmd:
- [sh, -c, "jq -n '1+1' > /root/two"]
- echo "$((1+2))" > /root/three
bootcmd: [echo booted > /root/booted]
"""
    name, machines = "myThirdVM", azure.compute.virtual_machines
    interface = create_interface(azure, name, SSH_SOURCE)
    vm = _vm(azure, name, interface, "Standard_B1s", "Ubuntu2204", "azureuser", config)
    vm_id = str(machines.begin_create_or_update(GROUP, name, vm).result().vm_id)
    printed = root(
        azure,
        name,
        "cloud-init status --wait; cat /root/booted /root/two /root/three /etc/motto; stat -c %a:%G /etc/motto",
    )
    assert printed.startswith('Enable succeeded: \n[stdout]\nstatus: done\nbooted\n2\n3\nit\'s "quoted"\n640:sudo\n'), (
        printed
    )
    log = root(azure, name, "cat /var/log/cloud-init-output.log /etc/nobody")
    assert "/etc/broken: Incorrect padding; it was not written" in log
    assert "chown: invalid user: ‘no:one’" in log or "chown: invalid user: 'no:one'" in log
    assert "/etc/nobody: it was not done as it was asked for" in log
    assert "written" in log
    assert (folder / "machines" / vm_id).exists()
    machines.begin_delete(GROUP, name).result()
    assert not (folder / "machines" / vm_id).exists()
    assert not any(vm_id in group for group in left(folder)["groups"])


def test_a_link_does_not_lead_to_the_host(azure: Azure, tmp_path: Path) -> None:
    name, machines = "myLinkedVM", azure.compute.virtual_machines
    create_vm(azure, name, ssh_source=SSH_SOURCE)
    # The system still writes there.
    replaced = f"until rm -rf /var/lib && ln -sT {tmp_path} /var/lib; do sleep 0.1; done"
    link = f"umount /var/lib/docker /var/lib/containerd && cp -a /var/lib /var/lib.old && {replaced} && echo ok"
    assert "[stdout]\nok\n" in root(azure, name, link)
    with pytest.raises(HttpResponseError, match="/var/lib/docker is behind a link"):
        machines.begin_restart(GROUP, name).result()
    assert not list(tmp_path.iterdir())
    machines.begin_delete(GROUP, name).result()


def test_a_killed_sandbox_goes_on(azure: Azure, other: str, folder: Path) -> None:
    shell(azure, other, "echo kept > kept; sync")
    kill_sandbox(folder)
    process.start(folder)
    assert choice.read(folder).guest == choice.MACHINE
    assert shell(connect_to(GROUP), other, "cat kept") == "kept"


def test_clean_up(folder: Path, before: tuple[Path, Left], tmp_path: Path) -> None:
    run_notebooks(tmp_path / "run", "--only", "06")
    assert not list((folder / "machines").iterdir())
    assert left(folder)["groups"] == before[1]["groups"]


def test_nothing_is_left_of_a_killed_sandbox(folder: Path, before: tuple[Path, Left]) -> None:
    create_vm(connect_to(GROUP), VM, ssh_source=SSH_SOURCE)
    more = {name for name, found in left(folder).items() if found - before[1][name]}
    assert more == {"mounts", "namespaces", "processes", "groups", "loops"}
    kill_sandbox(folder)
    process.reset(folder)
    assert_nothing_more(before[1], folder)
    assert not folder.exists()


def kill_sandbox(folder: Path) -> None:
    running = process.find(folder)
    assert running
    os.kill(running.pid, signal.SIGKILL)
    while process.find(folder):  # its end takes a moment
        time.sleep(0.01)
