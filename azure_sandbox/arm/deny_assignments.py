"""Microsoft.Authorization: deny assignments. Most are made by Azure itself; since 2024-07-01-preview users make some."""

from __future__ import annotations

import re

from starlette.responses import JSONResponse, Response

from ..access.decide import EVERYONE, scope_of
from ..resource import DENIAL, Json
from . import errors
from .authorization import GUID, named_scope, require_scope
from .call import Call


async def get_all(call: Call) -> Json:
    """At the scope and, unless $filter says atScope(), below it; filters: atScope(), denyAssignmentName eq, principalId eq."""
    scope, wanted = named_scope(call), call.request.query_params.get("$filter", "")
    named = dict(re.findall(r"(denyAssignmentName|principalId) eq '([^']*)'", wanted, re.IGNORECASE))
    rest = re.sub(
        r"(denyAssignmentName|principalId) eq '[^']*'|atScope\(\)|\band\b|\s", "", wanted, flags=re.IGNORECASE
    )
    if rest:
        raise errors.filter_not_emulated(filter=wanted, known="atScope(), denyAssignmentName eq and principalId eq")
    criteria = {key.lower(): value.lower() for key, value in named.items()}
    at_scope = "atscope()" in wanted.lower()
    value = [
        denial
        for denial in call.tenant.store.resources(type=DENIAL)
        if (scope_of(denial).covers(scope) or (not at_scope and scope.covers(scope_of(denial))))
        and criteria.get("denyassignmentname") in (None, denial.properties["denyAssignmentName"].lower())
        and ("principalid" not in criteria or criteria["principalid"] in _ids(denial.properties["principals"]))
    ]
    return {"value": value}


def _ids(principals: list[Json]) -> set[str]:
    return {str(each.get("id", "")).lower() for each in principals}


async def get(call: Call) -> Json:
    denial = call.stored()
    if denial is None:
        raise errors.denial_not_found(name=call.parameters["name"])
    return denial


async def put(call: Call) -> Response:
    given, name, scope = call.body.get("properties") or {}, call.parameters["name"], named_scope(call)
    require_scope(call, scope)
    if not GUID.fullmatch(name):
        raise errors.invalid_denial(reason=f"its id '{name}' is not a GUID")
    _check_denial(given)
    for other in call.tenant.store.resources(type=DENIAL):
        if other.name != name and other.properties["denyAssignmentName"] == given["denyAssignmentName"]:
            raise errors.denial_exists(name=given["denyAssignmentName"])
    now, existing = call.tenant.clock.timestamp(), call.stored()
    lists = ("actions", "notActions", "dataActions", "notDataActions")
    denial: Json = {
        "properties": {
            "denyAssignmentName": given["denyAssignmentName"],
            "description": given.get("description"),
            "permissions": [{key: each.get(key, []) for key in lists} for each in given["permissions"]],
            "scope": str(scope),
            "doNotApplyToChildScopes": False,
            "principals": given["principals"],
            "excludePrincipals": given.get("excludePrincipals", []),
            "isSystemProtected": False,
            "createdOn": existing.properties["createdOn"] if existing else now,
            "updatedOn": now,
            "createdBy": existing.properties["createdBy"] if existing else call.claims["oid"],
            "updatedBy": call.claims["oid"],
        },
        "id": f"{scope}/providers/{DENIAL}/{name}",
        "type": DENIAL,
        "name": name,
    }
    call.tenant.store.put(denial)
    return JSONResponse(denial, status_code=200 if existing else 201)


def _check_denial(given: Json) -> None:
    """Users' deny assignments are for everyone with exceptions, or for one principal that is no group."""
    principals, excluded = given.get("principals") or [], given.get("excludePrincipals") or []
    actions = [action for each in given.get("permissions") or [] for action in each.get("actions", [])]
    kinds = [each.get("type") for each in principals]
    if not given.get("denyAssignmentName") or not actions:
        raise errors.invalid_denial(reason="it needs a denyAssignmentName and permissions with actions")
    if any(action.lower().endswith("/read") for action in actions):
        raise errors.invalid_denial(reason="reading cannot be denied")
    if len(principals) != 1 or (_ids(principals) != {EVERYONE} and kinds[0] not in ("User", "ServicePrincipal")):
        raise errors.invalid_denial(
            reason=f"it needs one principal, a User, a ServicePrincipal, or everyone: {EVERYONE}"
        )
    if _ids(principals) == {EVERYONE} and not excluded:
        raise errors.invalid_denial(reason="one for everyone needs at least one of excludePrincipals")


async def delete(call: Call) -> Response | Json:
    denial = call.stored()
    if denial is None:
        return Response(status_code=204)
    call.tenant.store.delete(denial.id)
    return denial
