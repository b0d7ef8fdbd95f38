"""Obstacles to a clean-up: locks, missing roles and deny assignments, which are looked for before anything is deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..connection import Azure
from ..errors import CleanUpRefused
from .permissions import Permission, allows, object_id, own_permissions

LOCKS_VERSION, DENIALS_VERSION = "2020-05-01", "2022-04-01"
_GROUP_DELETE = "Microsoft.Resources/subscriptions/resourceGroups/delete"
_GRANT_DELETE = "Microsoft.Authorization/roleAssignments/delete"
_EVERYONE = "00000000-0000-0000-0000-000000000000"


def refuse_obstacles(azure: Azure, group_id: str | None, scopes: Iterable[str]) -> None:
    """Refuse a clean-up that Azure would refuse half way.

    Args:
        group_id: of the resource group that is to be deleted; None where it is gone.
        scopes: at which role assignments are to be deleted.

    Raises:
        CleanUpRefused: every obstacle.
    """
    needs = {scope.lower(): (scope, _GRANT_DELETE) for scope in scopes}
    if group_id:
        needs[group_id.lower()] = (group_id, _GROUP_DELETE)
    found: dict[str, None] = {}
    for scope, action in needs.values():
        found |= dict.fromkeys(_locks(azure, scope, below=scope == group_id))
        if found:
            continue
        if not _may(azure, scope, action):
            found[f"You may not do {action} at {scope}: a role there, such as Owner, is missing"] = None
        found |= dict.fromkeys(_denials(azure, scope, action))
    if found:
        raise CleanUpRefused(
            f"Something stands against the deletion of the resource group {azure.resource_group}, so nothing is deleted, and "
            "what is there goes on to cost money:\n"
            + "".join(f"- {each}\n" for each in found)
            + "When that is out of the way, run this step again."
        )


def _may(azure: Azure, scope: str, action: str) -> bool:
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return allows(own_permissions(azure, scope), action)
    except ResourceNotFoundError:  # what is gone needs no deletion
        return True


def _locks(azure: Azure, scope: str, *, below: bool) -> list[str]:
    """The locks at a scope, above it, and where it is to be deleted itself below it."""
    subscription = "/".join(scope.split("/")[:3])
    at, found = f"{scope}/".lower(), {}
    for asked in (subscription, scope):  # who may read those of the group only
        for lock in _list(azure, f"{asked}/providers/Microsoft.Authorization/locks", LOCKS_VERSION):
            where = str(lock["id"]).lower().rpartition("/providers/microsoft.authorization/locks/")[0] + "/"
            if at.startswith(where) or (below and where.startswith(at)):
                found[str(lock["id"]).lower()] = lock
    return [_lock_in_words(lock["id"], lock.get("properties") or {}) for lock in found.values()]


def _lock_in_words(lock_id: str, properties: dict[str, Any]) -> str:
    notes = f": {properties['notes']}" if properties.get("notes") else ""
    return (
        f"A lock, {properties.get('level')}, {lock_id}{notes}. Ask who keeps it; "
        f"`az lock delete --ids {lock_id}` takes it away"
    )


def _denials(azure: Azure, scope: str, action: str) -> list[str]:
    """The deny assignments at a scope or above it that take an action away from who is signed in."""
    own, found = object_id(azure), []
    for each in _list(azure, f"{scope}/providers/Microsoft.Authorization/denyAssignments", DENIALS_VERSION):
        denial = each.get("properties") or {}
        principals, excluded = (_ids(denial.get(key)) for key in ("principals", "excludePrincipals"))
        permissions = [
            Permission(tuple(one.get("actions") or ()), tuple(one.get("notActions") or ()))
            for one in denial.get("permissions") or ()
        ]
        above = f"{scope}/".lower().startswith(f"{str(denial.get('scope')).rstrip('/')}/".lower())
        # Whether a group of principals has us is not known here.
        if above and own not in excluded and principals & {own, _EVERYONE} and allows(permissions, action):
            name = denial.get("denyAssignmentName") or denial.get("name")
            found.append(f"By the deny assignment {name!r} at {denial.get('scope')} you may not do {action}")
    return found


def _ids(principals: Any) -> set[str | None]:
    return {str(each.get("id")).lower() for each in principals or ()}


def _list(azure: Azure, path: str, version: str) -> list[dict[str, Any]]:
    """What is listed there; nothing where one may not look, or the cloud has no such list."""
    from azure.core.exceptions import HttpResponseError

    try:
        # The SDK's generic operation takes any path, and hands out the answer as it is.
        content: Any = azure.resources.resources.get_by_id(
            path.strip("/"),
            api_version=version,
            cls=lambda response, model, headers: response.http_response.json(),
        )
    except HttpResponseError as error:
        if error.status_code not in (400, 403, 404):
            raise
        return []
    return list(content.get("value") or ())
