"""The key store: the pair of SSH keys that we sign in to VMs with, and the host keys that VMs prove themselves with.

It is a folder of the runbook, never the user's ~/.ssh.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from filelock import FileLock

from ..errors import ConnectionFailed
from ..files import private_folder, write_atomic

if TYPE_CHECKING:
    from azure.mgmt.compute.models import VirtualMachine


@dataclass(frozen=True)
class Pin:
    """The host key that a VM must have."""

    kind: str
    base64: str
    vm_id: str | None = None
    """The VM's own id when the key was pinned, where it is known: one made anew under the same name has another."""

    @property
    def public_key(self) -> str:
        """As in a file `ssh_host_*_key.pub`."""
        return f"{self.kind} {self.base64}"


@dataclass(frozen=True)
class KeyStore:
    """The keys in a folder. A VM is known by its resource id, since addresses go from one VM to another."""

    folder: Path
    key_bits: int = 3072

    def private_key_path(self) -> Path:
        """Our private key, as a file in OpenSSH's form.

        Raises:
            ConnectionFailed: it is missing, or others can read it, so that it is none any more.
        """
        path = self.folder / "id_rsa"
        if not path.exists():
            again = "`runbook trust-vm NAME` makes one, and says how to let it into a VM"
            raise ConnectionFailed(f"Our SSH key is missing in {self.folder}: {again}.")
        _refuse_readable_by_others(path)
        return path

    def public_key(self) -> str:
        """The public half of our key as in authorized_keys; the key is made where it is missing.

        Raises:
            ConnectionFailed: others can read the private key.
        """
        path = self.folder / "id_rsa"
        private_folder(self.folder)
        with FileLock(self.folder / "lock", mode=0o600):
            if not path.exists():
                if path.is_symlink():  # to nowhere; the key would come to stand where somebody else wants it
                    raise FileExistsError(f"{path} is a link")
                # RSA, since Azure takes that in every cloud.
                write_atomic(path, _private_text(rsa.generate_private_key(65537, self.key_bits)))
        return _public_text(load_private_key(self.private_key_path()))

    def pin(self, resource_id: str, public_key: str, vm_id: str | None = None) -> None:
        """Remember a VM's host key, in place of the one that was pinned before.

        Args:
            public_key: type and base64, as in a file `ssh_host_*_key.pub`.
            vm_id: the VM's own id, where Azure has given it one already.
        """
        path = self.known_hosts_file(resource_id)
        private_folder(path.parent)
        key = " ".join(public_key.split()[:2])
        write_atomic(path, f"{path.name} {key} {resource_id} {vm_id or ''}".rstrip() + "\n")

    def forget(self, resource_id: str) -> None:
        """Undo `pin`, for a VM that was not made after all."""
        self.known_hosts_file(resource_id).unlink(missing_ok=True)

    def pinned(self, resource_id: str) -> Pin | None:
        """The host key that was pinned for a VM; None where none was."""
        path = self.known_hosts_file(resource_id)
        words = path.read_text(encoding="utf-8").split() if path.exists() else []
        if words and words[0] != path.name:  # an early version wrote no name in front
            words = [path.name, *words]
        return Pin(words[1], words[2], words[4] if len(words) > 4 else None) if len(words) > 2 else None

    def note_vm_id(self, resource_id: str, vm_id: str) -> None:
        """Add to a pin which VM it is for, where that is not known yet: once the VM has shown the key."""
        pin = self.pinned(resource_id)
        if pin and not pin.vm_id:
            self.pin(resource_id, pin.public_key, vm_id)

    def host_key_of(self, vm: VirtualMachine) -> Pin:
        """The host key that a VM must prove itself with.

        Raises:
            ConnectionFailed: it is not known on this machine, or the VM is another than the one whose key is known.
        """
        pin = self.pinned(str(vm.id))
        again = f"read it through Azure with `runbook trust-vm {vm.name}`"
        if pin is None:
            message = (
                f"The host key of the VM {vm.name} is not known on this machine, so an impostor could "
                f"take the VM's place: {again}, run where it was made (its key is kept in {self.folder}), or let this runbook make "
                "another VM."
            )
            raise ConnectionFailed(message)
        if pin.vm_id and vm.vm_id and pin.vm_id.lower() != vm.vm_id.lower():
            message = (
                f"The VM {vm.name} was made anew by other means since its host key was noted (vmId {vm.vm_id}, then "
                f"{pin.vm_id}), so its key is another one now, and no attack: {again}."
            )
            raise ConnectionFailed(message)
        return pin

    def lock(self, resource_id: str) -> FileLock:
        """Held by whoever makes the VM on this machine: two host keys for one VM would leave it with the wrong one."""
        path = self.known_hosts_file(resource_id)
        private_folder(path.parent)
        return FileLock(path.with_suffix(".lock"), mode=0o600)

    def known_hosts_file(self, resource_id: str) -> Path:
        """The pin of a VM: a known_hosts file of one line, in which the VM is called by the file's name."""
        return self.folder / "known_hosts" / hashlib.sha256(resource_id.lower().encode()).hexdigest()[:32]


def load_private_key(path: Path) -> rsa.RSAPrivateKey:
    """Our private key, from its file."""
    # Whether its numbers are primes takes 0.1 s to see; it is not asked, since we have made it.
    key = serialization.load_ssh_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def new_host_key() -> tuple[str, str]:
    """A host key for a VM that is about to be made: private (OpenSSH PEM) and public."""
    key = ed25519.Ed25519PrivateKey.generate()
    return _private_text(key).decode(), _public_text(key)


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
