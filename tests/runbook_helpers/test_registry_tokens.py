"""Our Entra token goes to a registry of the cloud and nowhere else: not to a look-alike, not where a registry points."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError

from runbook_helpers import Azure
from runbook_helpers.clouds import CLOUDS
from runbook_helpers.errors import ParameterError, RunbookError
from runbook_helpers.ssh.keys import KeyStore

SERVER = "good.azurecr.cn"
ENTRA_TOKEN = "the-entra-token"


class Credential:
    """A credential that counts how often it is asked for a token."""

    def __init__(self) -> None:
        self.asked = 0

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        self.asked += 1
        return AccessToken(ENTRA_TOKEN, 2**40)


def azure_with(credential: Credential, cloud: str = "AzureChinaCloud", **options: Any) -> Azure:
    names = {"subscription_id": "s", "resource_group": "g", "location": "l"}
    return Azure(CLOUDS[cloud], credential, keys=KeyStore(Path()), **names, **options)


@pytest.mark.parametrize(
    "server",
    [
        "evil.azurecr.cn.attacker.example", "evilazurecr.cn", "azurecr.cn", ".azurecr.cn", "attacker.example",
        "attacker.example/.azurecr.cn", "attacker.example?x=.azurecr.cn", "attacker.example#.azurecr.cn",
        "user@evil.azurecr.cn", "evil.azurecr.cn:8443", "evil.azurecr.cn/", "evil.azurecr.cn\n", "evil\n.azurecr.cn",
        "a.b.azurecr.cn", "myregistry.azurecr.io", "evil.azurecr.cn.", "ｅvil.azurecr.cn", "https://evil.azurecr.cn", "",
    ],
)  # fmt: skip
def test_look_alikes_get_no_token(server: str) -> None:
    credential = Credential()
    with pytest.raises(ParameterError, match="No token was sent"):
        azure_with(credential).registry_content(server)
    assert credential.asked == 0


@pytest.mark.parametrize(
    ("cloud", "server"),
    [
        ("AzureChinaCloud", "good.azurecr.cn"), ("AzureChinaCloud", "Good-a1b2.AZURECR.cn"),
        ("AzureCloud", "good.azurecr.io"), ("AzureUSGovernment", "good.azurecr.us"),
    ],
)  # fmt: skip
def test_registries_of_the_cloud_are_taken(cloud: str, server: str) -> None:
    with azure_with(Credential(), cloud).registry_content(server) as content:
        assert content


class Redirecting:
    """A proxy on loopback behind which a registry answers everything with a redirect to a thief."""

    def __init__(self, folder: Path, status: int, challenges: bool) -> None:
        ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        ca.cert_pem.write_to_path(str(self.ca_file))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("*.azurecr.cn").configure_cert(self._tls)
        self._status, self._challenges = status, challenges
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()
        with socket.socket() as last:  # wakes accept
            last.connect_ex(("127.0.0.1", int(self.url.rpartition(":")[2])))
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            try:
                host = connection.recv(4096).split(b" ")[1].decode()
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                with self._tls.wrap_socket(connection, server_side=True) as encrypted:
                    encrypted.sendall(self._answer(host, encrypted.recv(65536).decode()))
            except (OSError, IndexError):
                connection.close()

    def _answer(self, host: str, request: str) -> bytes:
        self.asked.append(f"{host} {request.split(' ')[0]}")
        if self._challenges and request.startswith("GET"):
            challenge = f'Bearer realm="https://thief.azurecr.cn/oauth2/token",service="{SERVER}",scope="x"'
            head = f"401 Unauthorized\r\nWWW-Authenticate: {challenge}"
        else:
            head = f"{self._status} Look there\r\nLocation: https://thief.azurecr.cn/oauth2/exchange"
        return f"HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


@pytest.fixture(params=[(status, challenges) for status in (301, 302, 303, 307, 308) for challenges in (True, False)])
def redirecting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Redirecting]:
    server = Redirecting(tmp_path, *request.param)
    yield server
    server.close()


def test_redirects_are_not_followed(redirecting: Redirecting) -> None:
    azure = azure_with(Credential(), proxy=redirecting.url, ca_file=redirecting.ca_file)
    with pytest.raises((AzureError, RunbookError)), azure.registry_content(SERVER) as content:
        list(content.list_repository_names(retry_total=0))
    assert redirecting.asked
    assert {each.split(" ")[0] for each in redirecting.asked} == {f"{SERVER}:443"}


def test_redirects_would_be_followed_otherwise(tmp_path: Path) -> None:
    # The test above is worth something: the client by itself does follow them.
    from azure.containerregistry import ContainerRegistryClient

    server = Redirecting(tmp_path, 307, challenges=False)
    try:
        azure = azure_with(Credential(), proxy=server.url, ca_file=server.ca_file)
        with (
            pytest.raises(AzureError),
            ContainerRegistryClient(f"https://{SERVER}", azure.credential, audience="x", **azure.transport) as content,
        ):
            list(content.list_repository_names(retry_total=0))
        assert "thief.azurecr.cn:443 GET" in server.asked
    finally:
        server.close()
