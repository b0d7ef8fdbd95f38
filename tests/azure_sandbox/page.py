"""docs/sandbox/operations.md: from the sandbox's routes, the clients' runs, and the recordings' test.

`make docs` writes it; a test says when it is out of date.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from starlette.routing import Host, Route

from azure_sandbox.access.roles import BUILT_IN_ROLES
from azure_sandbox.arm import ROUTES
from azure_sandbox.clouds import CLOUDS
from azure_sandbox.server import Server

from ..conformance import proved
from .test_recordings import DEVIATIONS, NOT_EMULATED

PAGE = Path(__file__).parents[2] / "docs" / "sandbox" / "operations.md"
TEXT = """\
# Every operation of the sandbox

<!-- Written by `make docs`. -->

"Used by" names the clients that have used an operation with success in `make conformance`; "–" means that only this
project's own tests have. What is not here is answered with `501 NotImplementedInSandbox`. What differs from Azure on
purpose stands in the [overview](overview.md#different-on-purpose).

## Resource Manager

`…` stands for the subscription and the resource group. A permission is asked for at the scope of the path.

{management}

## Other hosts

The names are those of Azure China; the other clouds have the same.

{others}

## Built-in roles

The roles that can be assigned besides the custom ones. A data action counts in the registries only: nobody signs in to a
VM with a role.

{roles}

## Recorded answers

Recorded answers of Azure that the sandbox does not give, and why.

{recordings}
"""


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join([_row(*header), _row(*["---"] * len(header)), *(_row(*row) for row in rows)])


def management() -> str:
    """Resource Manager: by provider."""
    known = proved.read()
    by_provider: dict[str, list[tuple[str, ...]]] = {}
    for each in ROUTES:
        # The last namespace counts: role assignments are below any resource.
        provider = each.path.split("/providers/")[-1].partition("/")[0] if "/providers/" in each.path else ""
        short = each.path.replace("/subscriptions/{subscription}", "…").replace("/resourceGroups/{group}", "/…")
        clients = ", ".join(sorted(known.get(f"{each.method} {each.path}", set()))) or "–"
        row = (f"{each.method} `{short}`", f"`{each.action}`" if each.action else "–", clients)
        by_provider.setdefault(provider or "Microsoft.Resources", []).append(row)
    header = ("operation", "permission", "used by")
    return "\n\n".join(f"### {name}\n\n{_table(header, rows)}" for name, rows in sorted(by_provider.items()))


def others() -> str:
    """Everything that is not Resource Manager."""
    known = proved.read()
    china = CLOUDS["AzureChinaCloud"]
    titles = {
        china.authority_hosts[0]: "Entra ID",
        china.graph: "Microsoft Graph",
        "169.254.169.254": "Instance metadata service",
        "{registry}" + china.registry_suffix: "Container registries",
    }
    found = []
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), 0)
        routes = server.app.routes
        server.close()
    for host in routes:
        assert isinstance(host, Host)
        title = titles.get(host.host)
        if title is None:
            continue
        rows = [
            (f"{method} `{route.path}`", ", ".join(sorted(known.get(f"{method} {route.path}", set()))) or "–")
            for route in host.routes
            if isinstance(route, Route) and route.path != "/{path:path}"
            for method in sorted(route.methods or [])
            if method != "HEAD" or "manifests" in route.path or "blobs" in route.path
        ]
        found.append(f"### {title}\n\n{_table(('request', 'used by'), rows)}")
    return "\n\n".join(found)


def roles() -> str:
    """The built-in roles, by name."""
    found = sorted(BUILT_IN_ROLES.values(), key=lambda role: role.name)
    return _table(("role", "id"), [(role.name, f"`{role.id}`") for role in found])


def recordings() -> str:
    """What differs from the recorded answers, and what was not replayed."""
    different = [(f"`{name}`", why) for name, (_, why) in sorted(DEVIATIONS.items())]
    missing = [(f"`{name}`", why) for name, why in sorted(NOT_EMULATED.items())]
    return (
        f"{_table(('recorded answer', 'why the sandbox differs'), different)}\n\n"
        f"{_table(('recorded answer', 'not emulated'), missing)}"
    )


def written() -> str:
    """The page as it is now."""
    return TEXT.format(management=management(), others=others(), roles=roles(), recordings=recordings())


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
