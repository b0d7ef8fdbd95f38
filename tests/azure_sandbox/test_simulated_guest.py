"""The simulated guest over real SSH: its shell and programs alone, and the document's command lines in a sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_sandbox.guests import Machine
from azure_sandbox.guests.simulated.guest import SimulatedGuests
from azure_sandbox.guests.simulated.shell.parser import parse
from azure_sandbox.store import Blobs, Store
from runbook_helpers import (
    Azure,
    Completed,
    Shell,
    assign_identity,
    assign_role,
    create_identity,
    create_registry,
    create_vm,
    import_image,
    ssh,
)
from runbook_helpers.ssh.keys import new_host_key

from ..conftest import SSH_SOURCE, connect_to, store_of

T = TypeVar("T")
Result = tuple[int, str, str]
KEY = paramiko.RSAKey.generate(2048)


class SimulatedVM:
    """One VM, myDockerVM, served by guests in a thread of the test's own. It has no network unless the facts say so."""

    def __init__(self, folder: Path, **facts: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.store = Store(folder / "state.sqlite", Blobs(folder / "blobs"))
        self.guests = SimulatedGuests(self.store)
        machine = Machine(
            vm_id="vm1",
            resource_id="/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/myDockerVM",
            computer_name="myDockerVM",
            admin_username="azureuser",
            public_keys=(f"ssh-rsa {KEY.get_base64()}",),
            custom_data="",
            cloud_name="AzureChinaCloud",
            proxy="http://127.0.0.1:9",  # the discard port: nobody answers
            ca_file="/nowhere/ca.pem",
        )
        self.machine = replace(machine, **facts)
        self.do(self.guests.boot(self.machine))

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def connect(
        self, username: str = "azureuser", key: paramiko.PKey | None = KEY, **options: Any
    ) -> paramiko.SSHClient:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        try:
            self.do(self.guests.serve_ssh("vm1", theirs))
            client.connect(
                "vm", username=username, pkey=key, sock=ours, look_for_keys=False, allow_agent=False, **options
            )
        except BaseException:
            client.close()
            ours.close()
            raise
        return client

    def run(self, command: str, stdin: str = "", *, terminal: bool = False) -> Result:
        """One command in a session of its own."""
        with contextlib.closing(self.connect()) as client:
            return run(client, command, stdin, terminal=terminal)

    def restart(self) -> None:
        self.do(self.guests.close())
        self.guests = SimulatedGuests(self.store)

    def close(self) -> None:
        self.do(self.guests.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        self.store.close()


def run(client: paramiko.SSHClient, command: str, stdin: str = "", *, terminal: bool = False) -> Result:
    write, output, errors = client.exec_command(command, get_pty=terminal, timeout=20)
    write.write(stdin)
    write.channel.shutdown_write()
    return output.channel.recv_exit_status(), output.read().decode(), errors.read().decode()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[SimulatedVM]:
    machine = SimulatedVM(tmp_path)
    yield machine
    machine.close()


# SSH


def test_status_and_both_streams(machine: SimulatedVM) -> None:
    assert machine.run("echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")


def test_only_the_admin_with_his_key_gets_in(machine: SimulatedVM) -> None:
    for options in (
        {"key": paramiko.RSAKey.generate(2048)},
        {"username": "root"},
        {"key": None, "password": "password"},
    ):
        with pytest.raises(paramiko.SSHException):
            machine.connect(**options)


def test_no_forwarding(machine: SimulatedVM) -> None:
    with contextlib.closing(machine.connect()) as client, pytest.raises(paramiko.ChannelException):
        transport = client.get_transport()
        assert transport
        transport.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 1), timeout=5)


def test_host_key_is_the_one_of_the_custom_data(machine: SimulatedVM) -> None:
    private, public = new_host_key()
    indented = "".join(f"    {line}\n" for line in private.splitlines())
    data = (
        f"#cloud-config\npackages: [docker.io]\nssh_keys:\n  ed25519_private: |\n{indented}  ed25519_public: {public}\n"
    )
    machine.do(machine.guests.delete("vm1"))
    machine.do(machine.guests.boot(replace(machine.machine, custom_data=data)))
    with contextlib.closing(machine.connect()) as client:
        transport = client.get_transport()
        assert transport and transport.get_remote_server_key().get_base64() == public.split()[1]
        assert run(client, "cat /etc/ssh/ssh_host_ed25519_key")[0] == 1
        assert run(client, "cloud-init status --wait; dpkg -s docker.io | grep Status")[1].endswith(
            "install ok installed\n"
        )


@pytest.mark.parametrize("data", ["echo hi", "#cloud-config\na: [", "#cloud-config\nssh_keys: {ed25519_private: x}"])
def test_custom_data_it_cannot_use_is_logged(machine: SimulatedVM, data: str) -> None:
    machine.do(machine.guests.delete("vm1"))
    machine.do(machine.guests.boot(replace(machine.machine, custom_data=data)))
    assert len(machine.run("cat /var/log/cloud-init-output.log")[1].splitlines()) > 1


def test_terminal_with_line_editing(machine: SimulatedVM) -> None:
    with contextlib.closing(machine.connect()) as client:
        channel = client.invoke_shell()
        channel.settimeout(20)
        shown = ""

        def type_in(text: str, until: str) -> None:
            nonlocal shown
            channel.send(text.encode())
            shown = ""
            while not re.search(until, shown):
                shown += channel.recv(4096).decode()

        type_in("", r":~\$ $")
        type_in("whoamx\x7fi\n", "azureuser\r\n.*:~\\$ $")
        type_in("sleep 100\n", "sleep 100")
        type_in("\x03", r":~\$ $")
        type_in("nothing\n", "nothing: command not found")
        type_in("sudo -i\n", "root@myDockerVM:~# $")
        type_in("exit\n", r":~\$ $")
        channel.send(b"exit 4\n")
        assert channel.recv_exit_status() == 4


def test_script_on_standard_input_without_a_terminal(machine: SimulatedVM) -> None:
    with contextlib.closing(machine.connect()) as client:
        transport = client.get_transport()
        assert transport
        channel = transport.open_session()
        channel.invoke_shell()
        channel.sendall(b"cd /etc\npwd\necho 'two\nlines'\nexit 5\necho never\n")
        channel.shutdown_write()
        assert channel.makefile().read() == b"/etc\ntwo\nlines\n"
        assert channel.recv_exit_status() == 5


def test_program_ends_with_its_connection(machine: SimulatedVM) -> None:
    def programs() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "simulated guest"]

    client = machine.connect()
    write, _, _ = client.exec_command("sleep 1000")
    write.channel.shutdown_write()
    wait_for(lambda: len(programs()) > 0)
    client.close()
    wait_for(lambda: not programs())


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# The shell


@pytest.mark.parametrize(
    ("script", "status", "output"),
    [
        ("x=5; echo $x ${x} '$x' \"$x y\" \\$x", 0, "5 5 $x 5 y $x\n"),
        ('y=$(echo a; echo b); echo $y; echo "$y"', 0, "a b\na\nb\n"),
        ("false; echo $?", 0, "1\n"),
        ("false && echo a || echo b; true || echo c", 0, "b\n"),
        ("set -e; echo 1; false; echo 2", 1, "1\n"),
        ("set -e; false || echo ok", 0, "ok\n"),
        ("set -o pipefail; false | cat", 1, ""),
        ("false | cat", 0, ""),
        ("echo a > f; echo b >> f; cat < f; ls /no 2>/dev/null; ls /no 2>&1 | wc -l", 0, "a\nb\n1\n"),
        (
            "echo a.b.c | cut -d. -f2; echo whole | cut -d. -f2; echo whole | cut -s -d. -f2; echo a.b | cut -d. -f3",
            0,
            "b\nwhole\n\n",
        ),
        ("echo one \\\n two # three\n# four\necho '# five'", 0, "one two\n# five\n"),
        ("cd /tmp && pwd; cd; pwd", 0, "/tmp\n/home/azureuser\n"),
        ("export A='b  c'; sh -c 'echo \"$A\" $1' x y; B=1 env | grep ^B", 0, "b  c y\nB=1\n"),
        ('export A=$(echo b c); echo "$A"', 0, "b c\n"),
        ("echo 'echo in; exit 4' | bash", 4, "in\n"),
        ("bash -c 'echo $0' z; bash -e -c 'false; echo no'", 1, "z\n"),
        ("[ -f /etc/hostname ] && test 2 -gt 1 && echo yes", 0, "yes\n"),
        ("printf '%s=%d\\n' a 1 b 2", 0, "a=1\nb=2\n"),
        ("echo '{{.ID}}' {{.ID}} ~ $", 0, "{{.ID}} {{.ID}} /home/azureuser $\n"),
        ("(", 2, ""),
        ("nothing", 127, ""),
        ("unset HOME; set -u; echo $HOME", 1, ""),
    ],
)
def test_shell(machine: SimulatedVM, script: str, status: int, output: str) -> None:
    assert machine.run(script)[:2] == (status, output)


@pytest.mark.parametrize(
    "script",
    [
        "case a in a) echo a;; esac",
        "echo a & ",
        "f() { echo a; }",
        "for ((i=0; i<3; i++)); do echo $i; done",
        "echo $((1 ? 2 : 3))",
        "echo ${x/a/b}",
        "[[ a = a ]]",
        "a=(1 2)",
        "eval echo a",
        "set -x",
        "sed y/a/b/ /etc/hostname",
        "grep -r a .",
        "sudo -l",
        "apt list",
        "docker compose up",
        "curl -d x http://a",
    ],
)
def test_what_it_does_not_play_is_refused_in_words(machine: SimulatedVM, script: str) -> None:
    machine.do(machine.guests.run_command("vm1", "apt-get update; apt-get install -y docker.io"))
    status, output, errors = machine.run(script)
    assert (status, output) == (2, "") and "the simulated guest" in errors


def test_nothing_of_a_refused_script_runs(machine: SimulatedVM) -> None:
    assert machine.run("touch a; case x in y) z;; esac")[0] == 2
    assert machine.run("ls")[1] == ""


def test_unknown_programs_and_those_a_real_ubuntu_has(machine: SimulatedVM) -> None:
    assert machine.run("foo") == (127, "", "bash: foo: command not found\n")
    assert machine.run("sh -c foo") == (127, "", "sh: 1: foo: not found\n")
    assert machine.run("sudo foo") == (1, "", "sudo: foo: command not found\n")
    assert machine.run("perl -e 1") == (127, "", "perl: the simulated guest has no perl\n")
    assert machine.run("docker ps")[0] == machine.run("az version")[0] == 127


@given(st.lists(st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"])), min_size=1))
def test_quoted_words_stay_as_they_are(words: list[str]) -> None:
    ((pipeline,),) = parse(shlex.join(["echo", *words]))
    parsed = ["".join(part.text for part in word) for word in pipeline.commands[0].words]
    assert parsed == ["echo", *words]


def test_host_is_out_of_reach(machine: SimulatedVM, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    for command in (f"cat {secret}", f"curl file://{secret}", f"bash {secret}", f"cat < {secret}"):
        status, output, _ = machine.run(command)
        assert status != 0 and output == ""
    machine.run(f"sudo mkdir -p {tmp_path}; echo changed | sudo tee {secret}")
    assert secret.read_text() == "of the host"


# Users


def test_files_belong_to_users(machine: SimulatedVM) -> None:
    assert machine.run("echo x > /root/f") == (1, "", "bash: /root/f: Permission denied\n")
    assert machine.run("echo x > f; sudo chmod 600 f; sudo chown root f; cat f")[2] == "cat: f: Permission denied\n"
    assert machine.run("sudo cat f; sudo sh -c 'echo $HOME'")[1] == "x\n/root\n"
    assert machine.run("sudo touch /tmp/f; rm /tmp/f")[2] == "rm: cannot remove '/tmp/f': Operation not permitted\n"


def test_apt_as_the_real_one(machine: SimulatedVM) -> None:
    status, _, errors = machine.run("apt update")
    assert status == 100 and "Could not open lock file /var/lib/apt/lists/lock" in errors
    assert "are you root?" in machine.run("apt-get install -y docker.io")[2]
    assert "E: Unable to locate package docker.io" in machine.run("sudo apt install docker.io -y")[2]  # no lists yet
    assert machine.run("sudo apt update")[0] == 0
    status, output, _ = machine.run("sudo apt install docker.io")
    assert status == 1 and output.endswith("Do you want to continue? [Y/n] Abort.\n")
    assert machine.run("sudo apt install docker.io", "y\n")[0] == 0
    assert machine.run("sudo apt-get install -y azure-cli")[2] == "E: Unable to locate package azure-cli\n"
    assert "Status: install ok installed" in machine.run("dpkg -s docker.io")[1]
    assert machine.run("systemctl is-active docker")[:2] == (0, "active\n")


def test_docker_group_counts_from_the_next_login(machine: SimulatedVM) -> None:
    with contextlib.closing(machine.connect()) as client:
        assert "group 'docker' does not exist" in run(client, "sudo usermod -aG docker azureuser")[2]
        run(client, "sudo apt-get update && sudo DEBIAN_FRONTEND=noninteractive apt-get -o A=b install -y docker.io")
        assert "permission denied while trying to connect to the Docker daemon socket" in run(client, "docker ps")[2]
        assert run(client, "sudo docker ps")[0] == 0
        assert run(client, "sudo usermod -aG docker azureuser")[0] == 0
        assert run(client, "docker ps")[0] == 1
    assert machine.run("docker ps")[0] == 0
    machine.run("sudo systemctl stop docker")
    assert "Cannot connect to the Docker daemon" in machine.run("docker ps")[2]


# The machine's life


def test_disk_outlives_the_process(machine: SimulatedVM) -> None:
    machine.run("echo kept > f; sudo apt-get update; sudo apt-get install -y docker.io")
    with contextlib.closing(machine.connect()) as client:
        transport = client.get_transport()
        assert transport
        host_key = transport.get_remote_server_key()
    machine.restart()
    assert machine.run("cat f; which docker")[1] == "kept\n/usr/bin/docker\n"
    with contextlib.closing(machine.connect()) as client:
        transport = client.get_transport()
        assert transport and transport.get_remote_server_key() == host_key


def test_a_disk_of_an_earlier_version_is_taken(machine: SimulatedVM) -> None:
    """It named the CA's file otherwise, and knew nothing of sizes and images."""
    machine.run("echo kept > f")
    machine.do(machine.guests.close())
    document = machine.store.read("guest", "vm1")
    assert document
    facts = document["machine"]
    facts["authority_file"] = facts.pop("ca_file")
    facts["of_a_later_version"] = True
    for name in ("architecture", "cores", "release"):
        del facts[name]
    for name in ("lists", "cloud_init", "docker_unit", "daemon_proxies"):
        document.pop(name, None)
    machine.store.write("guest", "vm1", document)
    machine.restart()
    assert machine.run("cat f; uname -m")[1] == "kept\nx86_64\n"


def test_boot_again_takes_the_new_door_and_keeps_the_disk(machine: SimulatedVM) -> None:
    machine.run("echo kept > f")
    machine.restart()
    machine.do(machine.guests.boot(replace(machine.machine, proxy="http://127.0.0.1:8")))
    assert machine.run("cat f")[1] == "kept\n"
    assert "port=8" in machine.run("curl http://aka.ms/x")[2]


def test_stopped_machine_does_not_answer(machine: SimulatedVM) -> None:
    client = machine.connect()
    machine.do(machine.guests.stop("vm1"))
    wait_for(lambda: not (transport := client.get_transport()) or not transport.is_active())
    client.close()
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            machine.connect()
        machine.restart()
    machine.do(machine.guests.boot(machine.machine))
    assert machine.run("echo back")[1] == "back\n"


def test_deletion_leaves_nothing(machine: SimulatedVM) -> None:
    machine.run("echo x > f")
    client = machine.connect()
    client.exec_command("sleep 0.3; echo late > g")
    machine.do(machine.guests.delete("vm1"))
    client.close()
    time.sleep(0.5)
    assert machine.store.documents("guest") == []
    machine.do(machine.guests.boot(machine.machine))
    assert machine.run("ls")[1] == ""


def test_run_command_is_root_without_input(machine: SimulatedVM) -> None:
    assert machine.do(machine.guests.run_command("vm1", "whoami; cat; nope")) == (
        127,
        "root\n",
        "bash: nope: command not found\n",
    )


# The document's lines, in a sandbox


def line(shell: Shell, text: str) -> Completed:
    """A command line as it stands in the document."""
    return shell.run("bash", "-c", text, check=False)


@pytest.fixture
def vm(azure: Azure, name: str) -> Azure:
    """A VM with Docker and Azure CLI, made by the document's lines, and a registry with aci-helloworld:v1."""
    create_registry(azure, name)
    import_image(azure, name, "aci-helloworld:v1", "mcr.microsoft.com/azuredocs/aci-helloworld:latest")
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    with ssh(azure, "vm") as shell:
        assert line(shell, "sudo apt update").exit_status == 0
        assert line(shell, "sudo apt install docker.io -y").exit_status == 0
        assert (
            line(shell, "sudo docker run -it mcr.microsoft.com/hello-world").stderr == "the input device is not a TTY\n"
        )
        assert "Hello from Docker!" in line(shell, "sudo docker run mcr.microsoft.com/hello-world").stdout
        assert line(shell, "curl -sL https://aka.ms/InstallAzureCLIDeb | sudo bash").exit_status == 0
        line(shell, "sudo usermod -aG docker azureuser")
        shell.renew()
    return azure


def test_documented_lines_in_order(vm: Azure, name: str) -> None:
    server = f"{name}.azurecr.cn"
    identity = create_identity(vm, "myACRId")
    assign_identity(vm, "vm", identity.id)
    with ssh(vm, "vm") as shell:
        assert json.loads(line(shell, "az version").stdout)["azure-cli"] == "2.91.0"
        assert line(shell, f"az acr login --name {name}").stderr == "ERROR: Please run 'az login' to setup account.\n"
        assert "Switched active cloud to 'AzureChinaCloud'" in line(shell, "az cloud set -n AzureChinaCloud").stderr
        old = line(shell, f"az login --identity --username {identity.id}")
        assert old.exit_status == 1 and "--username is no longer supported" in old.stderr
        login = f"az login --identity --resource-id {identity.id}"
        assert "No access was configured for the managed identity" in line(shell, login).stderr
        assign_role(vm, "Reader", assignee=str(identity.principal_id), scope=str(identity.id))
        account = json.loads(line(shell, login).stdout)[0]
        assert account["environmentName"] == "AzureChinaCloud"
        assert account["user"]["assignedIdentityInfo"] == f"MSIResource-{identity.id}"
        failed = line(shell, f"az acr login --name {name}")
        assert failed.exit_status == 1 and "CONNECTIVITY_REFRESH_TOKEN_ERROR" in failed.stderr
        assert failed.stderr.endswith("Please specify both username and password in non-interactive mode.\n")
        assign_role(vm, "AcrPull", assignee=str(identity.principal_id), scope=registry_id(vm, name))
        upper = line(shell, f"az acr login --name {name.upper()}")
        assert upper.stdout == "Login Succeeded\n" and "Uppercase characters are detected" in upper.stderr
        pulled = line(shell, f"docker pull {server}/aci-helloworld:v1")
        assert pulled.stdout.endswith(f"{server}/aci-helloworld:v1\n{server}/aci-helloworld:v1\n")
        again = line(shell, f"docker pull {server}/aci-helloworld:v1").stdout
        assert f"Status: Image is up to date for {server}/aci-helloworld:v1\n" in again
        shown = line(
            shell, "docker image ls --format '{{.Repository}}:{{.Tag}} {{.Digest}}' " + server + "/aci-helloworld"
        )
        digest = re.findall("Digest: (.*)", pulled.stdout)[0]
        assert shown.stdout == f"{server}/aci-helloworld:v1 {digest}\n"


def registry_id(azure: Azure, name: str) -> str:
    return str(create_registry(azure, name).id)


def signed_in(azure: Azure, name: str, role: str) -> Shell:
    """A session with the VM's system-assigned identity signed in to the registry."""
    created = assign_identity(azure, "vm")
    assert created.identity
    assign_role(azure, role, assignee=str(created.identity.principal_id), scope=registry_id(azure, name))
    shell = ssh(azure, "vm")
    for text in ("az cloud set -n AzureChinaCloud", "az login --identity", f"az acr login --name {name}"):
        done = line(shell, text)
        assert done.exit_status == 0, done
    return shell


def test_docker_knows_only_what_the_same_user_signed_in_to(vm: Azure, name: str) -> None:
    image = f"{name}.azurecr.cn/aci-helloworld:v1"
    with signed_in(vm, name, "AcrPull") as shell:
        refused = line(shell, f"sudo docker pull {image}")
        assert refused.exit_status == 1 and refused.stderr.startswith(
            f'Error response from daemon: Head "https://{name}.azurecr.cn/v2/aci-helloworld/manifests/v1": unauthorized: '
            "authentication required, visit https://aka.ms/acr/authorization for more information."
        )
        assert "Please run 'az login'" in line(shell, f"sudo az acr login --name {name}").stderr
        entry = json.loads(line(shell, "cat ~/.docker/config.json").stdout)["auths"][f"{name}.azurecr.cn"]
        assert entry["auth"] == "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==" and entry["identitytoken"]
        assert line(shell, f"docker pull {image}").exit_status == 0
        assert line(shell, f"docker logout {name}.azurecr.cn").stdout.startswith("Removing login credentials")
        assert "unauthorized" in line(shell, f"docker pull {image}").stderr


def test_pull_is_not_push(vm: Azure, name: str) -> None:
    image = f"{name}.azurecr.cn/aci-helloworld"
    with signed_in(vm, name, "AcrPull") as shell:
        line(shell, f"docker pull {image}:v1 && docker tag {image}:v1 {image}:v2")
        refused = line(shell, f"docker push {image}:v2")
        assert refused.exit_status == 1 and re.search("denied|unauthorized", refused.stderr)
    with signed_in(vm, name, "AcrPush") as shell:
        pushed = line(shell, f"docker push {image}:v2")
        assert pushed.exit_status == 0, pushed
        assert (
            line(shell, f"az acr repository show-tags -n {name} --repository aci-helloworld -o tsv").stdout
            == "v1\nv2\n"
        )
        assert json.loads(line(shell, f"az acr repository list -n {name}").stdout) == ["aci-helloworld"]


def test_what_is_not_there(vm: Azure, name: str) -> None:
    server = f"{name}.azurecr.cn"
    with signed_in(vm, name, "AcrPull") as shell:
        missing = line(shell, f"docker pull {server}/aci-helloworld:v9").stderr
        assert missing.startswith(
            f"Error response from daemon: manifest for {server}/aci-helloworld:v9 not found: manifest"
        )
        assert "no such host" in line(shell, "docker pull nginx").stderr
        assert "no such host" in line(shell, "docker pull nobody.azurecr.cn/x").stderr
        assert "Could not connect to the registry login server" in line(shell, "az acr login -n nobody99").stderr
        assert line(shell, "curl -s https://example.com").exit_status == 6
        assert "must be lowercase" in line(shell, f"docker pull {server}/ACI:v1").stderr
        az = line(shell, "az disk list")
        assert az.exit_status == 2 and az.stderr == "az: the simulated guest has no command disk list\n"


def test_az_shows_what_the_identity_may_read(vm: Azure, name: str) -> None:
    identity = assign_identity(vm, "vm").identity
    assert identity
    registry = registry_id(vm, name)
    group = registry.split("/")[4]
    with ssh(vm, "vm") as shell:
        assign_role(vm, "Reader", assignee=str(identity.principal_id), scope=registry)
        line(shell, "az cloud set -n AzureChinaCloud; az login --identity -o none")
        table = line(shell, "az account show -o table").stdout.splitlines()
        assert table[0].split() == ["EnvironmentName", "HomeTenantId", "IsDefault", "Name", "State", "TenantId"]
        assert table[1].startswith("-----------------  --------") and table[2].startswith("AzureChinaCloud    ")
        assert line(shell, "az vm list").stdout == "[]\n"  # it sees no more than the registry
        refused = line(shell, f"az vm show -n vm -g {group}")
        assert refused.exit_status == 1 and refused.stderr.startswith("ERROR: (AuthorizationFailed) The client")
        assign_role(vm, "Reader", assignee=str(identity.principal_id), scope=registry.partition("/providers/")[0])
        line(shell, "az logout; az login --identity -o none")
        shown = json.loads(line(shell, f"az acr show -n {name} -g {group}").stdout)
        assert (shown["loginServer"], shown["resourceGroup"]) == (f"{name}.azurecr.cn", group)
        assert (
            line(shell, f"az acr show -n {name} -g {group} --query loginServer -o tsv").stdout == f"{name}.azurecr.cn\n"
        )
        row = line(shell, f"az acr show -n {name} -g {group} -o table").stdout.splitlines()
        assert row[0].startswith("NAME") and row[2].split()[:2] == [name, group] and "LOGIN SERVER" in row[0]
        query = "\"[?name=='vm'].{vm:name,size:hardwareProfile.vmSize}\""
        assert line(shell, f"az vm list -g {group} --query {query} -o tsv").stdout == "vm\tStandard_D2s_v5\n"
        assert line(shell, f"az vm list -g {group} --query [].name -o json").stdout == '[\n  "vm"\n]\n'
        missing = line(shell, f"az acr show -n nobody123 -g {group}")
        assert missing.exit_status == 3 and missing.stderr.startswith("ERROR: (ResourceNotFound)")
        assert line(shell, f"az vm list -g {group} --query 'length(@)'").stdout == "1\n"
        assert line(shell, "az vm list --strange").exit_status == 2


def test_token_without_docker(vm: Azure, name: str) -> None:
    with signed_in(vm, name, "AcrPull") as shell:
        line(shell, f"docker logout {name}.azurecr.cn")
        shown = json.loads(line(shell, f"az acr login -n {name} --expose-token").stdout)
        assert shown["loginServer"] == f"{name}.azurecr.cn"
        login = f"docker login {name}.azurecr.cn -u {shown['username']} --password-stdin"
        assert line(shell, f"echo {shown['refreshToken']} | {login}").stdout == "Login Succeeded\n"
        wrong = line(shell, f"echo wrong | {login}")
        assert wrong.exit_status == 1 and "unauthorized" in wrong.stderr
        assert line(shell, "az logout").exit_status == 0
        assert line(shell, "az account show").stderr == "ERROR: Please run 'az login' to setup account.\n"


def test_identities_are_named_or_unambiguous(vm: Azure) -> None:
    first, second = create_identity(vm, "one"), create_identity(vm, "two")
    with ssh(vm, "vm") as shell:
        line(shell, "az cloud set -n AzureChinaCloud")
        assert line(shell, "az login --identity").stderr.startswith("ERROR: Identity not found\n")
        for identity in (first, second):
            assign_identity(vm, "vm", identity.id)
            assign_role(vm, "Reader", assignee=str(identity.principal_id), scope=str(identity.id))
        assert "Multiple user assigned identities exist" in line(shell, "az login --identity").stderr
        assert line(shell, f"az login --identity --client-id {second.client_id} -o none").stdout == ""
        both = f"az login --identity --client-id {first.client_id} --object-id {first.principal_id}"
        assert "Provide only one of" in line(shell, both).stderr


def test_changed_layer_is_not_taken(fresh: Path) -> None:
    azure = connect_to("changed")
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    store = store_of(fresh)
    try:
        for path in (fresh / "blobs" / "sha256").iterdir():
            if not path.read_bytes().startswith(b"{"):  # neither a manifest nor a config
                path.write_bytes(path.read_bytes() + b"more")
    finally:
        store.close()
    with ssh(azure, "vm") as shell:
        line(shell, "sudo apt update; sudo apt install -y docker.io")
        refused = line(shell, "sudo docker pull mcr.microsoft.com/hello-world")
        assert refused.exit_status == 1 and "layer verification failed for digest sha256:" in refused.stderr
        assert line(shell, "sudo docker images -q").stdout == ""
