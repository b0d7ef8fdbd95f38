"""SSH keys of our own: the pair we sign in to VMs with, and the host keys that VMs prove themselves with.

They are kept in a folder of the runbook, never in the user's ~/.ssh.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from filelock import FileLock

from ..errors import ConnectionFailed
from ..files import private_file, private_folder

KEY_BITS = 3072


def login_key(folder: Path) -> tuple[Path, str]:
    """Path of our private key, and the public one as in authorized_keys; made where they are missing.

    Raises:
        ConnectionFailed: others can read the private key, so it is none any more.
    """
    path = folder / "id_rsa"
    private_folder(folder)
    with FileLock(folder / "lock", mode=0o600):
        if not path.exists():
            if path.is_symlink():  # to nowhere; the key would come to stand where somebody else wants it
                raise FileExistsError(f"{path} is a link")
            # RSA, since Azure takes that in every cloud.
            private_file(path, _private_text(rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)))
    _refuse_readable_by_others(path)
    key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    return path, _public_text(key)  # type: ignore[arg-type]


def new_host_key() -> tuple[str, str]:
    """A host key for a VM that is about to be made: private (OpenSSH PEM) and public."""
    key = ed25519.Ed25519PrivateKey.generate()
    return _private_text(key).decode(), _public_text(key)


def pin_host_key(folder: Path, resource_id: str, public_key: str, vm_id: str | None = None) -> None:
    """Remember which host key a VM has; the VM is known by its resource id, since addresses go from one to another.

    Args:
        public_key: type and base64, as in a file `ssh_host_*_key.pub`.
        vm_id: the VM's own id, if it is there already: one that is made anew under the same name has another.
    """
    path = known_host_file(folder, resource_id)
    private_folder(path.parent)
    key = " ".join(public_key.split()[:2])
    private_file(path, f"{path.name} {key} {resource_id} {vm_id or ''}".rstrip() + "\n")


def forget_host_key(folder: Path, resource_id: str) -> None:
    """Undo `pin_host_key`, for a VM that was not made after all."""
    known_host_file(folder, resource_id).unlink(missing_ok=True)


def vm_lock(folder: Path, resource_id: str) -> FileLock:
    """Held by whoever makes the VM on this machine: two host keys for one VM would leave it with the wrong one."""
    path = known_host_file(folder, resource_id)
    private_folder(path.parent)
    return FileLock(path.with_suffix(".lock"), mode=0o600)


def pinned_host_key(folder: Path, resource_id: str) -> tuple[str, str] | None:
    """Type and base64 of the host key a VM must have; None where we know none."""
    words = _pin(folder, resource_id)
    return (words[1], words[2]) if len(words) >= 3 else None


def pinned_vm_id(folder: Path, resource_id: str) -> str | None:
    """The VM's own id when its host key was pinned; None where that is not known."""
    words = _pin(folder, resource_id)
    return words[4] if len(words) >= 5 else None


def note_vm_id(folder: Path, resource_id: str, vm_id: str) -> None:
    """Remember which VM has the pinned key, where that is not known yet: to be called once the VM has shown the key."""
    words = _pin(folder, resource_id)
    if 3 <= len(words) < 5:
        pin_host_key(folder, resource_id, " ".join(words[1:3]), vm_id)


def known_host_file(folder: Path, resource_id: str) -> Path:
    """Where a VM's host key is pinned: a known_hosts file of one line, in which the VM is called by the file's name."""
    return folder / "known_hosts" / hashlib.sha256(resource_id.lower().encode()).hexdigest()[:32]


def _pin(folder: Path, resource_id: str) -> list[str]:
    """Name, type, base64, resource id, VM id; shorter where less is known."""
    path = known_host_file(folder, resource_id)
    words = path.read_text(encoding="utf-8").split() if path.exists() else []
    if words and words[0] != path.name:  # an early version wrote no name in front
        pin_host_key(folder, resource_id, " ".join(words[:2]))
        words = [path.name, *words]
    return words


def _refuse_readable_by_others(path: Path) -> None:
    """As ssh does; Windows keeps other rights."""
    found = path.stat()
    if os.name != "nt" and found.st_uid == os.geteuid() and found.st_mode & 0o077:
        message = (
            f"Others can read our private key {path} (mode {stat.S_IMODE(found.st_mode):04o}), so it is not used. If nobody "
            f"has read it: chmod 600 {path}. Otherwise delete it: VMs made with it must then be made anew."
        )
        raise ConnectionFailed(message)


def _private_text(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def _public_text(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(encoding, form).decode()
