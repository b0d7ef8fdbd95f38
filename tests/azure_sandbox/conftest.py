"""A sandbox of AzureCloud, for the tests that ask Resource Manager and registries without the SDKs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .groups import Group
from .replay import PublicCloud


@pytest.fixture(scope="module")
def public() -> Iterator[PublicCloud]:
    """The public cloud, for the tests of one file."""
    with PublicCloud() as public:
        yield public


@pytest.fixture
def group(public: PublicCloud) -> Iterator[Group]:
    """A resource group of the test's own."""
    public.clock.advance(20)  # so many requests would empty the operator's bucket
    group = Group(public)
    yield group
    public.set(role_delay=0, directory_delay=0, operation_seconds=0)
    public.arm("DELETE", group.id)
