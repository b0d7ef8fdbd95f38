"""The fixtures `azure_sandbox` and `azure_sandbox_session` of pytest; imports the sandbox once a test asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .sandbox import Sandbox


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("azure_sandbox_cloud", "the sandbox's cloud, as in `az cloud set -n`", default="AzureChinaCloud")


@pytest.fixture
def azure_sandbox(pytestconfig: pytest.Config) -> Iterator[Sandbox]:
    """A sandbox of the test's own. The environment variables make the test's process, and what it starts, its operator."""
    with _sandbox(pytestconfig) as azure, azure.activate():
        yield azure


@pytest.fixture(scope="session")
def azure_sandbox_session(pytestconfig: pytest.Config) -> Iterator[Sandbox]:
    """One for all tests, which find what the others made. A test that needs the variables calls `activate`."""
    with _sandbox(pytestconfig) as azure:
        yield azure


def _sandbox(config: pytest.Config) -> Sandbox:
    from .sandbox import Sandbox

    return Sandbox(cloud=config.getini("azure_sandbox_cloud"))
