"""Clients of a sandbox that are no SDK: a session as the operator, a token, and all of AzureCloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from azure_sandbox import Sandbox

from .groups import Group
from .replay import PublicCloud

ARM = "https://management.chinacloudapi.cn"
LOGIN = "https://login.chinacloudapi.cn"
IMDS = "http://169.254.169.254/metadata"
TOKEN = f"{IMDS}/identity/oauth2/token"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def client(sandbox: Sandbox) -> requests.Session:
    """The operator's machine."""
    return sandbox.session


@pytest.fixture
def token(sandbox: Sandbox) -> str:
    """The operator's token for Resource Manager."""
    return sandbox.token()


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
