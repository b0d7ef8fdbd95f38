"""The configuration of Docker's daemon: the proxies that it asks, from its unit and from daemon.json."""

from __future__ import annotations

import json
import shlex

from .disk import ROOT, Disk
from .proxies import from_environment

DROP_INS = "/etc/systemd/system/docker.service.d"
DAEMON_FILE = "/etc/docker/daemon.json"


def unit_proxies(disk: Disk) -> list[str]:
    """The proxies in the drop-ins of the unit docker.service, as they are on the disk."""
    environment: dict[str, str] = {}
    names = disk.names(DROP_INS, ROOT) if disk.stat(DROP_INS, ROOT) else []
    for name in names:
        for line in disk.read(f"{DROP_INS}/{name}", ROOT).splitlines() if name.endswith(".conf") else []:
            key, _, text = line.partition("=")
            if key.strip() == "Environment":
                try:
                    words = shlex.split(text)
                except ValueError:
                    continue  # systemd passes over a line that it cannot read
                environment |= dict(word.split("=", 1) for word in words if "=" in word)
    found = from_environment(environment)
    return [found.http, found.https, found.exceptions]


def daemon_proxies(disk: Disk) -> list[str] | None:
    """The proxies of a daemon that starts now; daemon.json counts first. None where that file cannot be read."""
    unit: list[str] = disk["docker_unit"]
    if disk.stat(DAEMON_FILE, ROOT) is None:
        return unit
    try:
        given = json.loads(disk.read(DAEMON_FILE, ROOT)).get("proxies", {})
        names = ("http-proxy", "https-proxy", "no-proxy")
        return [str(given.get(name) or before) for name, before in zip(names, unit, strict=True)]
    except (ValueError, AttributeError):
        return None
