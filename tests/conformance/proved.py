"""Which client has used which operation of the sandbox: kept by `make conformance`, shown in docs/sandbox/operations.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

from azure_sandbox.arm import ROUTES
from azure_sandbox.clouds import CLOUDS

from ..conftest import store_of

FILE = Path(__file__).with_name("proved.json")

# How clients call themselves, and how the page does.
_AGENTS = {
    r"AZURECLI/2\.72": "az 2.72",
    r"AZURECLI/": "az",
    r"azsdk-python-containerregistry": "SDK containerregistry",
    r"azsdk-python-(mgmt-)?(\S+?)/": "SDK",
    r"azsdk-python-identity|MSAL": "SDK identity",
    r"skopeo/": "skopeo",
    r"libpod|podman|containers/": "podman",
    r"docker/|Docker-Client": "docker",
}


def client(agent: str, by_requests: str | None = None) -> str | None:
    """The client's name; the simulated guest is none."""
    if "simulated guest" in agent:
        return None
    if agent.startswith("python-requests"):
        return by_requests
    return next((name for pattern, name in _AGENTS.items() if re.search(pattern, agent)), None)


def operation(method: str, host: str, path: str) -> str | None:
    """The operation that a request was for, as the page names it."""
    clouds = CLOUDS.values()
    if any(host == cloud.resource_manager for cloud in clouds):
        for each in ROUTES:
            if each.method == method and each.pattern.fullmatch(path):
                return f"{method} {each.path}"
        return None
    if any(host.endswith(cloud.registry_suffix) for cloud in clouds):
        path = re.sub(r"^(/v2|/acr/v1)/(?!_catalog)(.+?)(/(?:manifests|blobs|tags|referrers|_tags|_manifests)\b.*)?$",
                      lambda m: f"{m[1]}/{{name:path}}{m[3] or ''}", path)  # fmt: skip
        path = re.sub(r"/(manifests)/[^/]+$", r"/\1/{reference}", path)
        path = re.sub(r"/blobs/uploads/[^/]+$", "/blobs/uploads/{upload}", path)
        path = re.sub(r"/(_tags)/[^/]+$", r"/\1/{tag}", path)
        path = re.sub(r"/(blobs|_manifests|referrers)/(?!uploads)[^/]+$", r"/\1/{digest}", path)
        return f"{method} {path}"
    if any(host in cloud.authority_hosts for cloud in clouds):
        return f"{method} {re.sub(r'^/[^/]+/(?!discovery/instance)', '/{tenant}/', path)}"
    if any(host == cloud.graph for cloud in clouds):
        return f"{method} {re.sub(r'/servicePrincipals/[^/]+', '/servicePrincipals/{id}', path)}"
    return f"{method} {path}" if host == "169.254.169.254" else None


def remember(folder: Path, by_requests: str | None = None) -> None:
    """Add what the clients asked a sandbox, and got; `by_requests` is who calls itself python-requests there."""
    known = read()
    for cloud in CLOUDS:
        store = store_of(folder, cloud)
        try:
            for entry in store.traffic():
                name = client(entry.get("agent", ""), by_requests)
                found = operation(entry["method"], entry["host"], entry["path"])
                if name and found and 200 <= entry["status"] < 400:
                    known.setdefault(found, set()).add(name)
        finally:
            store.close()
    text = json.dumps({key: sorted(known[key]) for key in sorted(known)}, indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")


def read() -> dict[str, set[str]]:
    if not FILE.exists():
        return {}
    return {key: set(value) for key, value in json.loads(FILE.read_text(encoding="utf-8")).items()}
