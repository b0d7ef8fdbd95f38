"""Which version of an API shows which member of a resource."""

from __future__ import annotations

from typing import Any

from ..resource import Json

NEVER = "9999"
Since = dict[str, tuple[str, str]]
"""By a member's path, the first preview and the first stable version that has it."""


def known(document: Json, version: str, since: Since, path: str = "") -> Json:
    """The members of a resource that a version of the API has; those that `since` does not name are in all of them."""
    column = 0 if version.endswith("-preview") else 1
    return {
        key: _known(value, version, since, f"{path}{key}.")
        for key, value in document.items()
        if version >= since.get(f"{path}{key}", ("", ""))[column]
    }


def _known(value: Any, version: str, since: Since, path: str) -> Any:
    if isinstance(value, dict):
        return known(value, version, since, path)
    if isinstance(value, list):
        return [_known(each, version, since, path) for each in value]
    return value
