"""A proxy that is set on the simulated guest is asked: one that is not there fails each program in its own words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .groups import Group
from .replay import PublicCloud
from .test_simulated_guest import SimulatedVM

GONE, UNKNOWN = "http://127.0.0.1:3128", "http://proxy.corp:3128"


@pytest.fixture
def guest(tmp_path: Path, public: PublicCloud, group: Group) -> Iterator[SimulatedVM]:
    proxy = group.vm()[1].proxies["http"]  # with the credentials of a VM
    guest = SimulatedVM(tmp_path, cloud_name="AzureCloud", proxy=proxy, ca_file=public.ca_file)
    yield guest
    guest.close()


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        (
            f"https_proxy={GONE} curl https://aka.ms/",
            7,
            "curl: (7) Failed to connect to 127.0.0.1 port 3128 after 0 ms: Connection refused",
        ),
        (f"https_proxy={UNKNOWN} curl https://aka.ms/", 5, "curl: (5) Could not resolve proxy: proxy.corp"),
        (f"curl -x {UNKNOWN} http://aka.ms/InstallAzureCLIDeb", 5, "curl: (5) Could not resolve proxy: proxy.corp"),
        (f"HTTP_PROXY={UNKNOWN} curl -f http://aka.ms/InstallAzureCLIDeb", 0, ""),  # curl takes that in lower case only
        (f"http_proxy={UNKNOWN} no_proxy=.ms,b curl -f http://aka.ms/InstallAzureCLIDeb", 0, ""),
        (f"http_proxy={UNKNOWN} curl -f --noproxy '*' http://aka.ms/InstallAzureCLIDeb", 0, ""),
        (f"all_proxy={UNKNOWN} curl https://aka.ms/", 5, "Could not resolve proxy"),
    ],
)
def test_curl(guest: SimulatedVM, line: str, status: int, words: str) -> None:
    ended, _, errors = guest.run(line)
    assert ended == status and words in errors, errors


def test_apt(guest: SimulatedVM) -> None:
    conf = "/etc/apt/apt.conf.d/proxy"
    assert guest.run("sudo apt-get update")[0] == 0
    guest.run(f"echo 'Acquire::http::Proxy \"{GONE}\";' | sudo tee {conf}")
    status, _, errors = guest.run("sudo apt-get update")
    assert status == 0 and "W: Failed to fetch http://azure.archive.ubuntu.com/ubuntu/dists/jammy/InRelease" in errors
    assert "Could not connect to 127.0.0.1:3128 (127.0.0.1). - connect (111: Connection refused)" in errors
    status, _, errors = guest.run("sudo apt-get install -y docker.io")
    assert status == 100 and "E: Unable to fetch some archives" in errors
    guest.run(f"echo 'Acquire {{ http {{ Proxy \"{UNKNOWN}\"; }}; }};' | sudo tee {conf}")
    assert "Temporary failure resolving 'proxy.corp'" in guest.run("sudo apt-get update")[2]
    guest.run(f"echo 'Acquire::http::Proxy \"DIRECT\";' | sudo tee {conf}")
    assert guest.run(f"sudo http_proxy={GONE} apt-get update")[2] == ""
    guest.run(f"sudo rm {conf}")
    assert "111: Connection refused" in guest.run(f"sudo http_proxy={GONE} apt-get update")[2]
    assert guest.run(f"http_proxy={GONE} sudo apt-get update")[2] == ""  # sudo keeps no such variable


def test_docker_asks_by_its_daemon_s_proxy(guest: SimulatedVM) -> None:
    guest.run("sudo apt-get update; sudo apt-get install -y docker.io; sudo usermod -aG docker azureuser")
    pull = "docker pull mcr.microsoft.com/hello-world"
    assert guest.run(f"https_proxy={GONE} {pull}")[0] == 0  # the client's variable is not the daemon's
    folder = "/etc/systemd/system/docker.service.d"
    guest.run(
        f"sudo mkdir -p {folder}; printf '[Service]\\nEnvironment=\"HTTPS_PROXY={GONE}\"\\n' | sudo tee {folder}/p.conf"
    )
    assert "changed on disk. Run 'systemctl daemon-reload'" in guest.run("sudo systemctl restart docker")[2]
    assert guest.run(pull)[0] == 0
    assert guest.run("sudo systemctl daemon-reload; sudo systemctl restart docker") == (0, "", "")
    refused = "proxyconnect tcp: dial tcp 127.0.0.1:3128: connect: connection refused"
    assert guest.run(pull)[2] == f'Error response from daemon: Get "https://mcr.microsoft.com/v2/": {refused}\n'
    proxies = f'{{"proxies": {{"https-proxy": "{UNKNOWN}"}}}}'
    guest.run(
        f"sudo mkdir /etc/docker; echo '{proxies}' | sudo tee /etc/docker/daemon.json; sudo systemctl restart docker"
    )
    assert "lookup proxy.corp on 127.0.0.53:53: no such host" in guest.run(pull)[2]
    guest.run(
        'echo \'{"proxies": {"no-proxy": "mcr.microsoft.com"}}\' | sudo tee /etc/docker/daemon.json; sudo systemctl restart docker'
    )
    assert guest.run(pull)[0] == 0
    guest.run("echo '{' | sudo tee /etc/docker/daemon.json")
    assert guest.run("sudo systemctl restart docker")[2].startswith("Job for docker.service failed")
    assert "Is the docker daemon running?" in guest.run(pull)[2]


def test_the_environment_of_every_sign_in_and_the_metadata_service(guest: SimulatedVM, public: PublicCloud) -> None:
    token = 'curl -s -H Metadata:true "http://169.254.169.254/metadata/instance?api-version=2021-02-01"'
    guest.run("sudo apt-get update; curl -sL https://aka.ms/InstallAzureCLIDeb | sudo bash")
    guest.run(f"echo 'http_proxy={public.proxy}' | sudo tee /etc/environment")
    assert "Bad request" in guest.run(token)[1]  # a proxy that is there
    guest.run(f"printf 'http_proxy={GONE}\\nhttps_proxy={GONE}\\n' | sudo tee /etc/environment")
    assert guest.run(token)[0] == 7
    refused = guest.run("az login --identity")
    assert refused[0] == 1 and "ProxyError" in refused[2] and "Failed to connect to MSI" in refused[2]
    guest.run("echo 'no_proxy=169.254.169.254' | sudo tee -a /etc/environment")
    assert '"compute"' in guest.run(token)[1]
