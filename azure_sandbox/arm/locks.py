"""Microsoft.Authorization: management locks, and what they refuse."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from ..resource import LOCK, Json, Resource, ResourceId
from . import errors
from .authorization import named_scope, require_scope
from .call import Call

LEVELS = ("CanNotDelete", "ReadOnly")


def refuse(call: Call) -> None:
    """Refuse a call that a lock stands against: a deletion at it, above it or below it; a write below one that is ReadOnly."""
    target, deletes = call.id, call.request.method == "DELETE"
    if target.type.lower() == LOCK.lower():
        return
    found = [
        lock.id.scope
        for lock in call.tenant.store.resources(type=LOCK)
        if (lock.id.scope.covers(target) and (deletes or lock.properties["level"] == "ReadOnly"))
        or (deletes and target.covers(lock.id.scope))
    ]
    if found:
        locked = ", ".join(dict.fromkeys(str(scope) for scope in found))
        raise errors.scope_locked(scope=target, operation="delete" if deletes else "write", locked=locked)


def _level(call: Call) -> str:
    level = str((call.body.get("properties") or {}).get("level", ""))
    if level not in LEVELS:
        raise errors.invalid_lock(level=level, levels=", ".join(LEVELS))
    return level


async def put(call: Call) -> Response:
    scope, given, name = named_scope(call), call.body.get("properties") or {}, call.parameters["name"]
    require_scope(call, scope)
    existing = call.stored()
    lock: Json = {
        "properties": {"level": _level(call)} | {key: given[key] for key in ("notes", "owners") if given.get(key)},
        "id": f"{scope}/providers/{LOCK}/{name}",
        "type": LOCK,
        "name": name,
    }
    call.tenant.store.put(lock)
    return JSONResponse(lock, status_code=200 if existing else 201)


async def get(call: Call) -> Json:
    return _existing(call)


async def delete(call: Call) -> Response:
    lock = call.stored()
    if lock is None:
        return Response(status_code=204)
    call.tenant.store.delete(lock.id)
    return Response(status_code=200)


async def get_all(call: Call) -> Json:
    """At the scope and, unless $filter says atScope(), below it."""
    scope, wanted = named_scope(call), call.request.query_params.get("$filter", "")
    if wanted.strip().lower() not in ("", "atscope()"):
        raise errors.filter_not_emulated(filter=wanted, known="atScope()")
    found = call.tenant.store.resources(type=LOCK)
    return {"value": [lock for lock in found if _is_listed(scope, lock.id.scope, at_scope=bool(wanted))]}


def _is_listed(scope: ResourceId, at: ResourceId, *, at_scope: bool) -> bool:
    return at == scope if at_scope else scope.covers(at)


def _existing(call: Call) -> Resource:
    lock = call.stored()
    if lock is None:
        raise errors.lock_not_found(name=call.parameters["name"])
    return lock
