"""The sandbox's CA speaks for the emulated names and for no others, and those that are there already go on to work."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from azure_sandbox import Sandbox
from azure_sandbox.certificate_authority import open_ca

from .conftest import ARM
from .raw_http import ARM_HOST, inside

NAMES = [ARM_HOST, "*.azurecr.cn", "mcr.microsoft.com"]


def handshake(ca: trustme.CA, ca_file: Path, name: str) -> None:
    """A TLS client that trusts the CA, and a server with a certificate of it for a name. Raises ssl.SSLError."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(server_side)
    client_side = ssl.create_default_context(cafile=ca_file)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server_side.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client_side.wrap_socket(ours, server_hostname=name.replace("*", "any")):
            pass
    finally:
        ours.close()
        thread.join()


@pytest.mark.parametrize("name", [ARM_HOST, "*.azurecr.cn", "myregistry.azurecr.cn", "mcr.microsoft.com"])
def test_played_names_are_trusted(tmp_path: Path, name: str) -> None:
    handshake(open_ca(tmp_path, NAMES), tmp_path / "ca.pem", name)


@pytest.mark.parametrize(
    "name",
    ["example.com", "azurecr.cn.evil.example", "evilazurecr.cn", "chinacloudapi.cn", "login.evil.example", "127.0.0.1"],
)
def test_other_names_are_not(tmp_path: Path, name: str) -> None:
    ca = open_ca(tmp_path, NAMES)
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        handshake(ca, tmp_path / "ca.pem", name)


def test_no_further_ca_may_be_made(tmp_path: Path) -> None:
    open_ca(tmp_path, NAMES)
    certificate = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical and constraints.value.path_length == 0
    assert certificate.extensions.get_extension_for_class(x509.NameConstraints).critical


def test_it_is_made_once_and_anew_where_it_leaves_out_a_name(tmp_path: Path) -> None:
    open_ca(tmp_path, NAMES)
    first = (tmp_path / "ca.pem").read_text()
    open_ca(tmp_path, NAMES[:2])
    assert (tmp_path / "ca.pem").read_text() == first
    open_ca(tmp_path, [*NAMES, "new.microsoft.com"])
    assert (tmp_path / "ca.pem").read_text() != first


def test_ca_of_an_earlier_version_goes_on_to_work(fresh: Path) -> None:
    old = trustme.CA(organization_name="Azure sandbox of this runbook")
    fresh.mkdir(mode=0o700)
    (fresh / "start.lock").touch()
    (fresh / "ca.pem").write_bytes(old.cert_pem.bytes())
    (fresh / "ca-key.pem").write_bytes(old.private_key_pem.bytes())
    with Sandbox(fresh) as azure:
        assert azure.session.get(f"{ARM}/subscriptions?api-version=2022-12-01").status_code == 401
    assert (fresh / "ca.pem").read_bytes() == old.cert_pem.bytes()


def test_the_running_sandbox_has_a_constrained_one(sandbox: Sandbox, tmp_path: Path) -> None:
    with inside(sandbox) as connection:
        leaf = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")
    certificate = x509.load_pem_x509_certificate(Path(sandbox.ca_file).read_bytes())
    constraint = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    permitted = {str(name.value) for name in constraint.value.permitted_subtrees or ()}
    assert {ARM_HOST, "azurecr.cn", "mcr.microsoft.com"} <= permitted and constraint.critical
    if shutil.which("openssl"):
        (tmp_path / "leaf.pem").write_text(leaf)
        command = [
            "openssl",
            "verify",
            "-x509_strict",
            "-CAfile",
            sandbox.ca_file,
            str(tmp_path / "leaf.pem"),
        ]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_a_client_that_is_not_openssl_takes_it(sandbox: Sandbox) -> None:
    environment = {"HTTPS_PROXY": sandbox.proxy, "SSL_CERT_FILE": sandbox.ca_file, "PATH": "/usr/bin:/bin"}
    command = ["skopeo", "inspect", "--no-tags", "docker://mcr.microsoft.com/azuredocs/aci-helloworld:latest"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
