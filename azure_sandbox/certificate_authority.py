"""The sandbox's certificate authority, which can speak for the emulated names and for no others.

Whoever trusts it (a terminal, a VM) trusts a key that lies in a folder. The constraint of names in the certificate,
which TLS clients check, keeps that key from speaking for the rest of the internet, should it ever be stolen.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .errors import reading
from .files import write_atomic

# As trustme's: what trusts the certificate goes on trusting it, whatever a machine's clock says.
_FROM, _UNTIL = datetime.datetime(2000, 1, 1), datetime.datetime(3000, 1, 1)
_NO_ADDRESS = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


def open_ca(folder: Path, names: list[str]) -> trustme.CA:
    """The CA of a sandbox's folder for these names; made once, so that what trusts it goes on trusting it.

    One that an earlier version made without a constraint is kept; one whose constraint leaves out a name is made anew.
    """
    certificate, key = folder / "ca.pem", folder / "ca-key.pem"
    if certificate.exists() and key.exists():
        with reading(certificate):
            kept = x509.load_pem_x509_certificate(certificate.read_bytes())
        with reading(key):
            serialization.load_pem_private_key(key.read_bytes(), None)
        if _permits(kept, names):
            return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    certificate_pem, key_pem = new_ca(names)
    write_atomic(key, key_pem)
    write_atomic(certificate, certificate_pem)
    return trustme.CA.from_pem(certificate_pem.encode(), key_pem.encode())


def new_ca(names: list[str]) -> tuple[str, str]:
    """Certificate and key of a new CA, as PEM, constrained to DNS names and what is below them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Azure sandbox of this runbook")])
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    constraint = x509.NameConstraints(
        permitted_subtrees=[x509.DNSName(each) for each in sorted({_domain(name) for name in names})],
        excluded_subtrees=[x509.IPAddress(network) for network in _NO_ADDRESS],
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(constraint, critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ).decode(),
    )


def _domain(name: str) -> str:
    return name.removeprefix("*.")


def _permits(certificate: x509.Certificate, names: list[str]) -> bool:
    try:
        constraint = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return True
    permitted = {str(each.value) for each in constraint.permitted_subtrees or ()}
    return all(any(_domain(name) == each or _domain(name).endswith(f".{each}") for each in permitted) for name in names)
