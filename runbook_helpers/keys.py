"""SSH keys of our own: the pair we sign in to VMs with, and the host keys that VMs prove themselves with.

They are kept in a folder of the runbook, never in the user's ~/.ssh.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from filelock import FileLock

KEY_BITS = 3072


def login_key(folder: Path) -> tuple[Path, str]:
    """Path of our private key, and the public one as in authorized_keys; made where they are missing."""
    path = folder / "id_rsa"
    _private_folder(folder)
    with FileLock(folder / "lock", mode=0o600):
        if not path.exists():
            # RSA, since Azure takes that in every cloud.
            _write_private(path, rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS))
    key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    return path, _public_text(key)  # type: ignore[arg-type]


def new_host_key() -> tuple[str, str]:
    """A host key for a VM that is about to be made: private (OpenSSH PEM) and public."""
    key = ed25519.Ed25519PrivateKey.generate()
    return _private_text(key).decode(), _public_text(key)


def pin_host_key(folder: Path, vm_id: str, public_key: str) -> None:
    """Remember which host key a VM has; the VM is known by its resource id, since addresses go from one to another."""
    _private_folder(folder / "known_hosts")
    path = known_host_file(folder, vm_id)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{path.name} {public_key} {vm_id}\n")


def forget_host_key(folder: Path, vm_id: str) -> None:
    """Undo `pin_host_key`, for a VM that was not made after all."""
    known_host_file(folder, vm_id).unlink(missing_ok=True)


def vm_lock(folder: Path, vm_id: str) -> FileLock:
    """Held by whoever makes the VM on this machine: two host keys for one VM would leave it with the wrong one."""
    _private_folder(folder / "known_hosts")
    return FileLock(known_host_file(folder, vm_id).with_suffix(".lock"), mode=0o600)


def pinned_host_key(folder: Path, vm_id: str) -> tuple[str, str] | None:
    """Type and base64 of the host key a VM must have; None where we know none."""
    path = known_host_file(folder, vm_id)
    words = path.read_text(encoding="utf-8").split() if path.exists() else []
    if words and words[0] != path.name:  # an early version wrote no name in front
        pin_host_key(folder, vm_id, " ".join(words[:2]))
        words = [path.name, *words]
    return (words[1], words[2]) if len(words) >= 3 else None


def known_host_file(folder: Path, vm_id: str) -> Path:
    """Where a VM's host key is pinned: a known_hosts file of one line, in which the VM is called by the file's name."""
    return folder / "known_hosts" / hashlib.sha256(vm_id.lower().encode()).hexdigest()[:32]


def _private_folder(folder: Path) -> None:
    # `parents=True` would leave those above it to the umask: whoever may write there may put another folder in place.
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(exist_ok=True, mode=0o700)


def _private_text(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def _public_text(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(encoding, form).decode()


def _write_private(path: Path, key: rsa.RSAPrivateKey) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_private_text(key))
