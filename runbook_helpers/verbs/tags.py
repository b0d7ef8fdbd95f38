"""The tag of what this runbook makes."""

from __future__ import annotations

from typing import Any

from ..connection import Azure

TAG = {"made-by": "azure-acr-runbook"}
"""Carried by the resource groups and resources that this runbook made, and may therefore change or delete."""


def our_tags(azure: Azure) -> dict[str, str]:
    """The tags of what is made: ours, and those of the parameter `tags`."""
    return {**azure.tags, **TAG}


def is_ours(resource: Any) -> bool:
    """Whether this runbook made a resource group or a resource: it has our tag."""
    return TAG.items() <= (getattr(resource, "tags", None) or {}).items()
