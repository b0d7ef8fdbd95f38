"""Look for a sandbox's secrets where they must not be, however they are written down."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]

from azure_sandbox.tokens import CANARY

_PATTERNS = {
    "a JSON web token": re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
ALLOWED_ON_A_VM = re.compile(
    r"/home/\w+/\.(docker/config\.json|azure/.*)|/root/\.(docker|azure)/.*|/etc/ssh/ssh_host_.*"
)
"""What Docker and az keep on a VM for its user, and the VM's own host key."""


@dataclass
class Secrets:
    """What must not be found, by what it is."""

    needles: dict[bytes, str] = field(default_factory=dict)

    def add(self, what: str, secret: str) -> None:
        """A secret as it is, in a URL, and inside of something that is encoded in base64 as a whole."""
        if len(secret) < 8:
            return
        for form in {secret, quote(secret, safe="")}:
            self.needles[form.encode()] = what
        for each in _encoded(secret.encode()):
            self.needles[each] = f"{what}, in base64"

    def add_token(self, token: str) -> None:
        _, payload, signature = token.split(".")
        self.add("a token's payload", payload)
        self.add("a token's signature", signature)
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        self.add("a token's id", str(claims.get("uti") or claims["jti"]))

    def add_key(self, pem: str) -> None:
        for line in pem.splitlines():
            if "-----" not in line and len(line) >= 40:
                self.add("a private key", line.strip())

    def found_in(self, content: bytes) -> set[str]:
        """What of it stands in some bytes."""
        found = {what for needle, what in self.needles.items() if needle in content}
        return found | {what for what, pattern in _PATTERNS.items() if pattern.search(content)}


def _encoded(secret: bytes) -> Iterator[bytes]:
    """The characters that stand for a secret in the base64 of a longer text, wherever it begins there."""
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * shift + secret)
            yield text[(0, 2, 3)[shift] : len(text) - (4 if (shift + len(secret)) % 3 else 0)]


def secrets_of(folder: Path) -> Secrets:
    """All secrets of a sandbox that was started with RUNBOOK_SANDBOX_CANARIES."""
    secrets = Secrets()
    secrets.add("the canary", CANARY)
    for token in (folder / "issued-tokens").read_text().split():
        secrets.add_token(token)
    for operator in json.loads((folder / "operator.json").read_text()).values():
        secrets.add("the operator's client secret", operator["client_secret"])
    for key in (*folder.glob("*key*.pem"), folder / "ssh" / "id_rsa"):
        secrets.add_key(key.read_text())
    for database in folder.glob("*.sqlite"):
        for kind, _, body in documents(database):
            if kind == "secret":
                for value in _strings(json.loads(body)):
                    secrets.add("a VM's proxy credentials or a password", value)
    return secrets


def documents(database: Path) -> list[tuple[str, str, str]]:
    """Everything that a sandbox keeps in a database: kind, key and text."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT kind, key, body FROM document").fetchall()
        for table in ("resource", "manifest", "tag", "traffic"):
            rows += [(table, "", row[0]) for row in connection.execute(f"SELECT body FROM {table}")]
    return rows


def texts_of(database: Path) -> Iterator[tuple[str, bytes]]:
    """What a database keeps and where, without what is there to be secret."""
    for kind, key, body in documents(database):
        if kind == "guest":
            files = json.loads(body)["files"]
            for path, file in files.items():
                if not ALLOWED_ON_A_VM.fullmatch(path):
                    yield f"{database.name}: {path} on the VM {key}", json.dumps(file).encode()
        elif kind != "secret":
            yield f"{database.name}: {kind} {key}", body.encode()


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in _strings(each)]
    return [value] if isinstance(value, str) else []


@contextmanager
def watched_arguments() -> Iterator[set[str]]:
    """The command lines of all processes that were seen while the block ran."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for each in psutil.process_iter():
                try:
                    seen.add(" ".join(each.cmdline()))
                except psutil.Error:
                    continue
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
