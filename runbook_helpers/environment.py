"""The environment variables that would lead a run in the sandbox astray; docs/environment.md has all that are read."""

from __future__ import annotations

import os

DROPPED = ("AZURE_REGIONAL_AUTHORITY_NAME", "MSAL_FORCE_REGION", "AZURE_SDK_CLOUD_CONF")
"""Another host to sign in at, and another cloud than the parameter `cloud` names."""


def drop() -> None:
    """Take them out of this process; what the SDKs read of them later than now too."""
    for name in DROPPED:
        os.environ.pop(name, None)
