"""Refusals: how a "no" to the VM's identity is told from a Docker or an Azure CLI that does not work."""

from __future__ import annotations

import re

# What docker, `az login` and `az acr login` say of an answer 401 or 403, of a registry or of Azure.
_REFUSED = re.compile(
    r"unauthorized|\bdenied:|access denied|\b403 forbidden|response code: 40[13]\b|no access was configured", re.I
)
# The VM's own: docker's socket, or a file of docker's or az's that cannot be read; without it docker asks as nobody.
_OWN = re.compile(r"permission denied", re.I)


def is_refusal(text: str) -> bool:
    """Whether words of docker or az on a VM tell a "no" to its identity, and not another failure.

    Args:
        text: all that it said; the end alone may not tell.
    """
    return _REFUSED.search(text) is not None and _OWN.search(text) is None
