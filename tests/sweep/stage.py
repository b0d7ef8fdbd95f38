"""A sandbox's folder as it stands between two steps: kept, put back, compared."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

from azure_sandbox import process, settings

from ..conftest import store_of
from .children import Forker
from .walkthrough import CLOUD

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(Z|\+00:00)?")
_PASSING = ("lock", "start.lock", "address.json", "port", "log", "start.log", "faults.json", "faults.log")
# Counters, keys and times that no two runs have in common.
_OWN = {"changes", "customData", "etag", "keyData", "macAddress", "host_key"}


def keep(folder: Path, kept: Path) -> None:
    """Copy what a sandbox knows, which may run, and which nobody uses now."""
    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("*.sqlite*", "blobs", *_PASSING))
    _link(folder / "blobs", kept / "blobs")
    for database in folder.glob("*.sqlite"):
        source, target = sqlite3.connect(database), sqlite3.connect(kept / database.name)
        source.backup(target)
        source.close()
        target.close()


def put_back(kept: Path, folder: Path, forker: Forker) -> process.Running:
    """Start a sandbox that knows what was kept; the one that runs in the folder ends."""
    end(folder)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept, folder, ignore=shutil.ignore_patterns("blobs"))
    _link(kept / "blobs", folder / "blobs")
    return forker.start_sandbox(folder)


def begin(folder: Path, forker: Forker) -> process.Running:
    """Start a new sandbox, whose long-running operations take a moment, so that they are asked about."""
    folder.mkdir(parents=True, mode=0o700)
    settings.write(folder, settings.Values(operation_seconds=0.3))
    return forker.start_sandbox(folder)


def end(folder: Path) -> None:
    """kill -9: what was answered is on the disk, and a stalled request does not hold it up."""
    running = process.find(folder)
    if running is None:
        return
    os.kill(running.pid, signal.SIGKILL)
    while process.find(folder):
        time.sleep(0.01)


def _link(source: Path, target: Path) -> None:
    """Blobs are named by what is in them and written in one step, so copies may be links."""
    shutil.copytree(source, target, copy_function=os.link)


def state(folder: Path) -> dict[str, Any]:
    """Resource Manager's resources, the registries' contents, and what is installed on the VMs; ids and times that
    differ from run to run are numbered in the order in which they come."""
    known = store_of(folder, CLOUD)
    try:
        resources = known.resources()
        names = [str(each["properties"]["loginServer"]) for each in resources if "loginServer" in each["properties"]]
        contents = {
            f"{name}/{repository}": [[tag["name"], tag["digest"]] for tag in known.tags(name, repository)]
            for name in names
            for repository in known.repositories(name)
        }
        disks = [_on_disk(each) for each in known.documents("guest")]
    finally:
        known.close()
    text = json.dumps(_without_own({"resources": resources, "contents": contents, "disks": disks}), sort_keys=True)
    numbers: dict[str, str] = {}
    text = _GUID.sub(lambda found: numbers.setdefault(found[0].lower(), f"id{len(numbers)}"), _TIME.sub("T", text))
    normal: dict[str, Any] = json.loads(text)
    return normal


def _without_own(value: Any) -> Any:
    if isinstance(value, dict):
        # A role assignment's description is a comment: who may not list identities or VMs cannot say there whom it is for.
        own = _OWN | {"description"} if "roleDefinitionId" in value else _OWN
        return {key: _without_own(each) for key, each in value.items() if key not in own}
    return [_without_own(each) for each in value] if isinstance(value, list) else value


def _on_disk(disk: dict[str, Any]) -> dict[str, Any]:
    return {"packages": disk["packages"], "groups": disk["groups"], "images": sorted(disk.get("images", {}))}


def differences(found: Any, wanted: Any, where: str = "") -> list[str]:
    """Where two states differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted({*found, *wanted})
        return [line for key in keys for line in differences(found.get(key), wanted.get(key), f"{where}/{key}")]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        pairs = enumerate(zip(found, wanted, strict=True))
        return [line for number, (one, other) in pairs for line in differences(one, other, f"{where}/{number}")]
    return [] if found == wanted else [f"{where}: {str(found)[:100]} instead of {str(wanted)[:100]}"]
