"""The calling user's ~/.docker/config.json: which registries docker is signed in to."""

from __future__ import annotations

import base64
import json
from typing import Any

from .program import Failure, Process
from .registry_client import Credentials

HUB = "https://index.docker.io/v1/"


def config_path(process: Process) -> str:
    """The path of the calling user's file."""
    folder = process.environment.get("DOCKER_CONFIG") or f"{process.environment.get('HOME', process.user.home)}/.docker"
    return f"{folder}/config.json"


def read_config(process: Process) -> dict[str, Any]:
    """The file's content; empty where there is none."""
    if process.disk.stat(config_path(process), process.user) is None:
        return {}
    try:
        config: dict[str, Any] = json.loads(process.read_file(config_path(process)))
    except ValueError as error:
        raise Failure(f"WARNING: Error loading config file: {config_path(process)}: {error}") from error
    return config


def save_config(process: Process, config: dict[str, Any]) -> None:
    """Write it, for nobody else to read."""
    path = config_path(process)
    folder = path.rpartition("/")[0]
    if process.disk.stat(folder, process.user) is None:
        process.disk.make_directory(folder, process.user, mode=0o700)
    process.write_file(path, json.dumps(config, indent="\t"), mode=0o600)


def credentials(process: Process, host: str) -> Credentials | None:
    """What the calling user is signed in to a registry with."""
    entry = read_config(process).get("auths", {}).get(HUB if host == "docker.io" else host)
    if not entry:
        return None
    try:
        username, _, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
    except ValueError as error:
        raise Failure(f"Error loading config file: {config_path(process)}: auth of {host}: {error}") from error
    return Credentials(username, password, entry.get("identitytoken", ""))
