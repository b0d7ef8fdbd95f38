"""Fixtures: a sandbox of the tests' own, and a connection to it with names that no other test uses."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from azure_sandbox import Sandbox, process
from azure_sandbox.clouds import CLOUDS
from azure_sandbox.store import Blobs, Store
from runbook_helpers import Azure, connect, create_vm

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
SSH_SOURCE = "192.0.2.200"

regression = pytest.mark.skipif(
    not os.environ.get("RUNBOOK_REGRESSION"), reason="`make regression` runs it: it takes long"
)
"""For tests that are one more variation of what another test shows."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test marked `sample(n)` n of its cases, spread evenly; `make regression` runs them all."""
    if os.environ.get("RUNBOOK_REGRESSION"):
        return
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sample"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for found in cases.values():
        mark = found[0].get_closest_marker("sample")
        assert mark
        kept = {round(index * (len(found) - 1) / max(1, mark.args[0] - 1)) for index in range(mark.args[0])}
        for index, item in enumerate(found):
            if index not in kept:
                item.add_marker(pytest.mark.skip(reason="a sample is enough here: `make regression` runs all cases"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests have measured; a worker of xdist cannot print them itself."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(str(value))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for all tests of a worker that do not need one of their own; a process, as notebooks start it."""
    with Sandbox(tmp_path_factory.mktemp("shared") / "sandbox") as shared:
        yield shared


@pytest.fixture(scope="session")
def shared_folder(shared: Sandbox) -> Path:
    return shared.folder


@pytest.fixture
def sandbox(shared: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A running sandbox that other tests use too, and that `connect` finds."""
    monkeypatch.setenv("RUNBOOK_SANDBOX", str(shared.folder))
    return shared


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a sandbox that does not exist yet; what runs in it is ended after the test."""
    folder = tmp_path / "sandbox"
    monkeypatch.setenv("RUNBOOK_SANDBOX", str(folder))
    yield folder
    process.stop(folder)


@pytest.fixture
def name() -> str:
    """Letters and digits that nothing else has."""
    return "t" + uuid.uuid4().hex[:12]


@pytest.fixture
def azure(sandbox: Sandbox, name: str) -> Azure:
    """A connection to a resource group of the test's own."""
    return connect_to(name)


@pytest.fixture
def vm(azure: Azure) -> Azure:
    """The same, with a VM named vm in the group."""
    create_vm(azure, "vm", ssh_source=SSH_SOURCE)
    return azure


def connect_to(resource_group: str, cloud: str = "AzureChinaCloud") -> Azure:
    return connect(
        cloud,
        subscription_id=SUBSCRIPTION,
        resource_group=resource_group,
        location=CLOUDS[cloud].default_location,
        sandbox=True,
    )


def store_of(folder: Path, cloud: str = "AzureChinaCloud") -> Store:
    """What a sandbox knows, read beside it."""
    return Store(folder / f"{cloud}.sqlite", Blobs(folder / "blobs"))


def writes(folder: Path) -> list[str]:
    """The requests to Resource Manager of a sandbox that were not just reads."""
    store = store_of(folder)
    try:
        return [
            f"{entry['method']} {entry['path']}"
            for entry in store.traffic()
            if entry["host"].startswith("management.") and entry["method"] not in ("GET", "HEAD")
        ]
    finally:
        store.close()


def clean_environment() -> dict[str, str]:
    """The environment for a child process, without what this machine sets for its own network."""
    drop = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"}
    return {key: value for key, value in os.environ.items() if key not in drop}
