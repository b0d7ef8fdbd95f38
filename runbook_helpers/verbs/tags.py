"""The tag of what this runbook makes."""

from __future__ import annotations

from typing import Any

TAG = {"made-by": "azure-acr-runbook"}
"""Carried by the resource groups and resources that this runbook made, and may therefore change or delete."""


def is_ours(resource: Any) -> bool:
    """Whether this runbook made a resource group or a resource: it has our tag."""
    return TAG.items() <= (getattr(resource, "tags", None) or {}).items()
