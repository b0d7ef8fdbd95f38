"""The store: what the sandbox knows, on disk. No other file of the sandbox opens a database.

One SQLite database (WAL mode: an answered request survives ``kill -9``) for each emulated cloud, and a folder of blobs
named by their digests that all of them share.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import reading, using
from .resource import Json, Resource, ResourceId

SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (key TEXT PRIMARY KEY, type TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS resource_type ON resource (type, key);
CREATE TABLE IF NOT EXISTS generation (key TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS document (kind TEXT, key TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blob (registry TEXT, repository TEXT, digest TEXT,
    PRIMARY KEY (registry, repository, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS manifest (registry TEXT, repository TEXT, digest TEXT, body TEXT NOT NULL,
    PRIMARY KEY (registry, repository, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tag (registry TEXT, repository TEXT, name TEXT, body TEXT NOT NULL,
    PRIMARY KEY (registry, repository, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS traffic (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""
TRAFFIC_KEPT = 10_000  # requests
LOCKS = "locks"
"""The kind of the documents that say what is locked of a repository as a whole."""


class Store:
    """The resources, documents and repositories of one emulated cloud."""

    def __init__(self, database: Path, blobs: Blobs) -> None:
        self.blobs = blobs
        self._lock = threading.RLock()
        self.path = database
        with using(database):
            database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            database.touch(mode=0o600)
        with reading(database):
            self._db = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    def _query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, reading(self.path):
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block's changes, or none of them. Do not await inside."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._query("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # SQLite itself has ended it where the disk is full
                    self._db.execute("ROLLBACK")
                raise
            self._query("COMMIT")

    # Resources of Resource Manager. An id is found whatever its case; the stored case is what is answered.

    def get(self, resource_id: ResourceId | str) -> Resource | None:
        rows = self._query("SELECT body FROM resource WHERE key = ?", str(resource_id).lower())
        return Resource(json.loads(rows[0][0])) if rows else None

    def put(self, resource: Json) -> None:
        self._query(
            "INSERT OR REPLACE INTO resource VALUES (?, ?, ?)",
            resource["id"].lower(),
            resource["type"].lower(),
            json.dumps(resource),
        )

    def delete(self, resource_id: ResourceId | str) -> None:
        """Remove a resource; one made later under the same id is another generation."""
        with self.transaction():
            self._query("DELETE FROM resource WHERE key = ?", str(resource_id).lower())
            self.next_generation(str(resource_id))

    def generation(self, key: str) -> int:
        """How many things of this id there have been before this one."""
        rows = self._query("SELECT number FROM generation WHERE key = ?", key.lower())
        return rows[0][0] if rows else 0

    def next_generation(self, key: str) -> None:
        self._query(
            "INSERT INTO generation VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET number = number + 1", key.lower()
        )

    def resources(self, *, under: ResourceId | None = None, type: str = "") -> list[Resource]:
        """The resources of a type (any, when empty) that are below an id (any, when None), ordered by id."""
        prefix = f"{under.key}/" if under else ""
        rows = self._query(
            "SELECT body FROM resource WHERE (? = '' OR type = ?) AND substr(key, 1, ?) = ? ORDER BY key",
            type,
            type.lower(),
            len(prefix),
            prefix,
        )
        return [Resource(json.loads(row[0])) for row in rows]

    # Documents: everything else that has a name (principals, operations, the files of a simulated guest).

    def read(self, kind: str, key: str) -> Json | None:
        rows = self._query("SELECT body FROM document WHERE kind = ? AND key = ?", kind, key.lower())
        return json.loads(rows[0][0]) if rows else None

    def write(self, kind: str, key: str, document: Json) -> None:
        self._query("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", kind, key.lower(), json.dumps(document))

    def erase(self, kind: str, key: str) -> None:
        self._query("DELETE FROM document WHERE kind = ? AND key = ?", kind, key.lower())

    def documents(self, kind: str) -> list[Json]:
        rows = self._query("SELECT body FROM document WHERE kind = ? ORDER BY key", kind)
        return [json.loads(row[0]) for row in rows]

    # Repositories. `registry` is a login server, `manifest` and `tag` are documents that registry/images.py writes.

    def link_blob(self, registry: str, repository: str, digest: str) -> None:
        self._query("INSERT OR IGNORE INTO blob VALUES (?, ?, ?)", registry, repository, digest)

    def unlink_blob(self, registry: str, repository: str, digest: str) -> None:
        self._query("DELETE FROM blob WHERE (registry, repository, digest) = (?, ?, ?)", registry, repository, digest)

    def has_blob(self, registry: str, repository: str, digest: str) -> bool:
        return bool(
            self._query(
                "SELECT 1 FROM blob WHERE (registry, repository, digest) = (?, ?, ?)", registry, repository, digest
            )
        )

    def manifest(self, registry: str, repository: str, digest: str) -> Json | None:
        rows = self._query(
            "SELECT body FROM manifest WHERE (registry, repository, digest) = (?, ?, ?)", registry, repository, digest
        )
        return json.loads(rows[0][0]) if rows else None

    def put_manifest(self, registry: str, repository: str, digest: str, manifest: Json) -> None:
        self._query(
            "INSERT OR REPLACE INTO manifest VALUES (?, ?, ?, ?)", registry, repository, digest, json.dumps(manifest)
        )

    def delete_manifest(self, registry: str, repository: str, digest: str) -> None:
        self._query(
            "DELETE FROM manifest WHERE (registry, repository, digest) = (?, ?, ?)", registry, repository, digest
        )

    def manifests(self, registry: str, repository: str) -> list[Json]:
        rows = self._query(
            "SELECT body FROM manifest WHERE (registry, repository) = (?, ?) ORDER BY digest", registry, repository
        )
        return [json.loads(row[0]) for row in rows]

    def tag(self, registry: str, repository: str, name: str) -> Json | None:
        rows = self._query(
            "SELECT body FROM tag WHERE (registry, repository, name) = (?, ?, ?)", registry, repository, name
        )
        return json.loads(rows[0][0]) if rows else None

    def put_tag(self, registry: str, repository: str, name: str, tag: Json) -> None:
        self._query("INSERT OR REPLACE INTO tag VALUES (?, ?, ?, ?)", registry, repository, name, json.dumps(tag))

    def delete_tag(self, registry: str, repository: str, name: str) -> None:
        self._query("DELETE FROM tag WHERE (registry, repository, name) = (?, ?, ?)", registry, repository, name)

    def tags(self, registry: str, repository: str) -> list[Json]:
        """In the order of their names."""
        rows = self._query(
            "SELECT body FROM tag WHERE (registry, repository) = (?, ?) ORDER BY name", registry, repository
        )
        return [json.loads(row[0]) for row in rows]

    def repositories(self, registry: str) -> list[str]:
        """The names of the repositories that hold a manifest, in order."""
        rows = self._query("SELECT DISTINCT repository FROM manifest WHERE registry = ? ORDER BY repository", registry)
        return [row[0] for row in rows]

    def delete_repository(self, registry: str, repository: str) -> None:
        with self.transaction():
            for table in ("manifest", "tag", "blob"):
                self._query(f"DELETE FROM {table} WHERE (registry, repository) = (?, ?)", registry, repository)
            self.erase(LOCKS, f"{registry}/{repository}")

    def delete_registry(self, registry: str) -> None:
        with self.transaction():
            for table in ("manifest", "tag", "blob"):
                self._query(f"DELETE FROM {table} WHERE registry = ?", registry)
            prefix = f"{registry}/"
            self._query("DELETE FROM document WHERE kind = ? AND substr(key, 1, ?) = ?", LOCKS, len(prefix), prefix)

    # Traffic: who asked what and what was answered, without headers and bodies, so without secrets.

    def log_traffic(self, entry: Json) -> None:
        with self.transaction():
            self._query("INSERT INTO traffic (body) VALUES (?)", json.dumps(entry))
            self._query("DELETE FROM traffic WHERE number <= (SELECT max(number) FROM traffic) - ?", TRAFFIC_KEPT)

    def traffic(self) -> list[Json]:
        return [json.loads(row[0]) for row in self._query("SELECT body FROM traffic ORDER BY number")]


class Blobs:
    """Content-addressed files: ``<folder>/<algorithm>/<hex digest>``, and uploads that have no digest yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with using(folder):
            (folder / "uploads").mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, digest: str) -> Path:
        algorithm, _, value = digest.partition(":")
        if algorithm not in ("sha256", "sha512") or not value.isalnum():
            raise ValueError(f"not a digest: {digest[:80]}")
        return self._folder / algorithm / value

    def exists(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def size(self, digest: str) -> int:
        return self.path(digest).stat().st_size

    def read(self, digest: str, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start`; all that follow where no length is given."""
        with self.path(digest).open("rb") as file:
            file.seek(start)
            return file.read() if length is None else file.read(length)

    def write(self, content: bytes, algorithm: str = "sha256") -> str:
        """Keep the content and return its digest."""
        upload = self.new_upload()
        self.append(upload, content)
        digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        self.finish_upload(upload, digest)
        return digest

    def new_upload(self) -> str:
        """Begin an upload and return its id."""
        upload = secrets.token_hex(16)
        path = self._folder / "uploads" / upload
        with using(path):
            path.touch(mode=0o600)
        return upload

    def upload_size(self, upload: str) -> int | None:
        """How many bytes it has, or None where there is no such upload."""
        path = self._upload_path(upload)
        return path.stat().st_size if path and path.is_file() else None

    def append(self, upload: str, content: bytes) -> None:
        path = self._upload_path(upload)
        assert path
        with using(path), path.open("ab") as file:
            file.write(content)

    def finish_upload(self, upload: str, digest: str) -> bool:
        """Keep the upload under its digest; False, and nothing kept, where the content has another one."""
        path = self._upload_path(upload)
        assert path
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, digest.partition(":")[0]).hexdigest()
        if f"{digest.partition(':')[0]}:{actual}" != digest:
            path.unlink()
            return False
        target = self.path(digest)
        target.parent.mkdir(exist_ok=True, mode=0o700)
        os.replace(path, target)
        return True

    def cancel_upload(self, upload: str) -> None:
        path = self._upload_path(upload)
        if path:
            path.unlink(missing_ok=True)

    def _upload_path(self, upload: str) -> Path | None:
        return self._folder / "uploads" / upload if upload.isalnum() else None
