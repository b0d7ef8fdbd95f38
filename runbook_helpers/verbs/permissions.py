"""Permissions of a principal: actions and notActions of all its roles, added up as Azure adds them up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..connection import Azure
from .identities import decoded_claims

PERMISSIONS_VERSION = "2022-04-01"
_PRINCIPAL_TYPES = {"app": "ServicePrincipal", "user": "User"}  # by the claim idtyp of a token


@dataclass(frozen=True)
class Permission:
    """The permissions of one role: what its actions match, less what its notActions match."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    def allows(self, action: str, data: bool = False) -> bool:
        """Whether it has an action; with `data` a data action."""
        given, less = (self.data_actions, self.not_data_actions) if data else (self.actions, self.not_actions)
        return _any(given, action) and not _any(less, action)


def allows(permissions: Iterable[Permission], action: str, data: bool = False) -> bool:
    """Whether any of them has an action: notActions take away from their own role only."""
    return any(each.allows(action, data) for each in permissions)


def own_permissions(azure: Azure, scope: str) -> list[Permission]:
    """The permissions of who is signed in, at a scope: those of all roles assigned at it and above it.

    Asked as anybody may ask it: ``az rest --url <scope>/providers/Microsoft.Authorization/permissions``. Conditions of
    role assignments, deny assignments and policies are not in the answer.

    Raises:
        azure.core.exceptions.ResourceNotFoundError: the scope does not exist.
    """
    # The SDK's own operation knows resource groups only; this one takes any id, and hands out the answer as it is.
    address = f"{scope.strip('/')}/providers/Microsoft.Authorization/permissions"
    content: Any = azure.resources.resources.get_by_id(
        address, api_version=PERMISSIONS_VERSION, cls=lambda response, model, headers: response.http_response.json()
    )
    return [_permission(each) for each in content.get("value") or []]


def object_id(azure: Azure) -> str | None:
    """The object id of who is signed in, from the token."""
    return _own_claims(azure).get("oid")


def _own_claims(azure: Azure) -> dict[str, Any]:
    from azure.core.exceptions import ClientAuthenticationError

    try:
        token = azure.credential.get_token(azure.cloud.resource_manager_scope).token
    except ClientAuthenticationError:  # the sign-in has ended meanwhile
        return {}
    return decoded_claims(token.partition(".")[2].partition(".")[0])


def grant_command(azure: Azure, role: str, scope: str) -> str:
    """The command with which an administrator gives a role to who is signed in."""
    claims = _own_claims(azure)
    who = claims.get("oid") or "<your object id>"
    # Without it az asks the directory, which not everybody may, and says that it will be demanded.
    kind = _PRINCIPAL_TYPES.get(str(claims.get("idtyp")))
    of_type = f" --assignee-principal-type {kind}" if kind else ""
    return f'az role assignment create --assignee-object-id {who} --role "{role}" --scope {scope}{of_type}'


def _permission(given: Mapping[str, Any]) -> Permission:
    keys = ("actions", "notActions", "dataActions", "notDataActions")
    return Permission(*(tuple(given.get(key) or ()) for key in keys))


def _any(patterns: Iterable[str], action: str) -> bool:
    # userAssignedIdentities/*/read is also userAssignedIdentities/read: Managed Identity Operator relies on it.
    forms = {form for pattern in patterns for form in (pattern, pattern.replace("/*/", "/"))}
    return any(_compiled(form).fullmatch(action) for form in forms)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Azure takes any case, and * for any text, slashes among it.
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE)
