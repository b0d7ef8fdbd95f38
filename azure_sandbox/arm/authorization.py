"""Microsoft.Authorization: role definitions and role assignments, at any scope."""

from __future__ import annotations

import re

from starlette.responses import JSONResponse, Response

from ..access import conditions
from ..access.decide import assignments, remove_assignment, role_id_of, scope_of
from ..access.roles import BUILT_IN_ROLES, definition_id, role_assignment, role_definition
from ..faults.rules import Hide
from ..resource import ASSIGNMENT, DEFINITION, Json, Resource, ResourceId, spelled
from . import errors
from .call import Call

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def named_scope(call: Call) -> ResourceId:
    """The scope in front of /providers/Microsoft.Authorization; in the case it was first stored in."""
    stored = call.tenant.store.get(call.id.scope)
    return stored.id if stored else call.id.scope


def require_scope(call: Call, scope: ResourceId) -> None:
    """404 where the scope of a new assignment is a group or a resource that is not there."""
    if not scope.group:
        return
    if call.tenant.store.get(call.tenant.group(scope.group)) is None:
        raise errors.group_not_found(group=scope.group)
    is_child = "/" in scope.names  # which is stored in its parent
    if scope.names and not is_child and call.tenant.store.get(scope) is None:
        raise errors.resource_not_found(id=scope)


async def list_definitions(call: Call) -> Json:
    """Built-in and custom roles; filters: roleName eq '<name>', type eq '<type>', atScopeAndBelow()."""
    wanted = call.request.query_params.get("$filter", "")
    criteria = dict(re.findall(r"(roleName|type) eq '([^']*)'", wanted, re.IGNORECASE))
    rest = re.sub(r"(roleName|type) eq '[^']*'|atScopeAndBelow\(\)|\band\b|\s", "", wanted, flags=re.IGNORECASE)
    if rest:
        raise errors.filter_not_emulated(filter=wanted, known="roleName, type and atScopeAndBelow()")
    store, subscription, scope = call.tenant.store, call.tenant.subscription_id, named_scope(call)
    found = [role_definition(store, role_id, subscription) for role_id in BUILT_IN_ROLES]
    value = [
        definition
        for definition in [*found, *store.resources(type=DEFINITION)]
        if definition
        and all(
            spelled(text, [definition.properties[spelled(key, ("roleName", "type")) or key]])
            for key, text in criteria.items()
        )
        and _assignable(definition, scope)
    ]
    return {"value": value}


def _assignable(definition: Resource, scope: ResourceId) -> bool:
    """Whether a role may be assigned at a scope: it, or one above it, is among the role's assignable scopes."""
    return any(ResourceId(each).covers(scope) for each in definition.properties["assignableScopes"])


async def get_definition(call: Call) -> Json:
    role_id = call.parameters["name"]
    definition = role_definition(call.tenant.store, role_id, call.tenant.subscription_id)
    if definition is None:
        raise errors.role_not_found(id=role_id)
    return definition


async def put_definition(call: Call) -> Response:
    """Make or change a custom role."""
    given, role_id, tenant = call.body.get("properties") or {}, call.parameters["name"], call.tenant
    if not GUID.fullmatch(role_id):
        raise errors.invalid_role_id(id=role_id)
    if role_id.lower() in BUILT_IN_ROLES:
        raise errors.role_is_built_in(id=role_id)
    name, permissions = str(given.get("roleName") or ""), given.get("permissions")
    if not name or not isinstance(permissions, list) or not given.get("assignableScopes"):
        raise errors.incomplete_role()
    names = {role.name.lower(): role.id for role in BUILT_IN_ROLES.values()}
    names |= {d.properties["roleName"].lower(): d.name for d in tenant.store.resources(type=DEFINITION)}
    if names.get(name.lower(), role_id).lower() != role_id.lower():
        raise errors.role_name_in_use(name=name)
    existing = tenant.store.get(definition_id(tenant.subscription_id, role_id))
    now, keys = tenant.clock.timestamp(), ("actions", "notActions", "dataActions", "notDataActions")
    definition: Json = {
        "properties": {
            "roleName": name,
            "type": "CustomRole",
            "description": given.get("description"),
            "assignableScopes": given["assignableScopes"],
            "permissions": [{key: list(each.get(key) or []) for key in keys} for each in permissions],
            "createdOn": existing.properties["createdOn"] if existing else now,
            "updatedOn": now,
            "createdBy": existing.properties["createdBy"] if existing else call.claims["oid"],
            "updatedBy": call.claims["oid"],
        },
        "id": definition_id(tenant.subscription_id, role_id),
        "type": DEFINITION,
        "name": role_id,
    }
    tenant.store.put(definition)
    return JSONResponse(_without_creator(definition), status_code=201)


async def delete_definition(call: Call) -> Response | Json:
    tenant, role_id = call.tenant, call.parameters["name"]
    definition = tenant.store.get(definition_id(tenant.subscription_id, role_id))
    if definition is None:
        return Response(status_code=204)
    if any(role_id_of(each).lower() == role_id.lower() for each in tenant.store.resources(type=ASSIGNMENT)):
        raise errors.role_in_use(id=role_id)
    tenant.store.delete(definition.id)
    return definition


async def put_assignment(call: Call) -> Response:
    given = call.body.get("properties") or {}
    name, scope = call.parameters["name"], named_scope(call)
    require_scope(call, scope)
    principal_id = _checked_principal_id(given)
    role_id = ResourceId(str(given.get("roleDefinitionId", ""))).name
    definition = role_definition(call.tenant.store, role_id, call.tenant.subscription_id)
    if definition is None or not _assignable(definition, scope):
        raise errors.role_not_found(id=role_id)
    if not GUID.fullmatch(name):
        raise errors.invalid_assignment_name(name=name)
    condition = _checked_condition(given)
    principal_type = _principal_type(call, principal_id, given.get("principalType"))
    existing = _conflict(call, name, scope, principal_id, role_id)
    before = existing.properties if existing else {}
    assignment = role_assignment(
        scope,
        name,
        definition_id(call.tenant.subscription_id, role_id),
        principal_id,
        when=call.tenant.clock.timestamp(),
        who=call.claims["oid"],
        principalType=principal_type,
        condition=condition,
        conditionVersion="2.0" if condition else None,
        description=given.get("description"),
        **{key: before[key] for key in ("createdOn", "createdBy") if key in before},
    )
    call.tenant.store.put(assignment)
    if fault := call.fault(Hide):
        call.tenant.pending.hide(fault, assignment["id"])
    return JSONResponse(_without_creator(assignment), status_code=201)


def _without_creator(resource: Json) -> Json:
    """The answer to a PUT does not name the creator yet; a later GET does."""
    return {**resource, "properties": {**resource["properties"], "createdBy": None}}


def _checked_condition(given: Json) -> str | None:
    condition = given.get("condition")
    if not condition:
        return None
    if given.get("conditionVersion", "2.0") != "2.0":
        raise errors.invalid_condition_version()
    try:
        conditions.parse(condition)
    except conditions.ConditionError as error:
        raise errors.invalid_condition(reason=error) from error
    return str(condition)


def _checked_principal_id(given: Json) -> str:
    principal_id = str(given.get("principalId", ""))
    if not GUID.fullmatch(principal_id):
        raise errors.invalid_principal_id(id=principal_id)
    return principal_id.lower()


_PRINCIPAL_TYPES = ("User", "Group", "ServicePrincipal", "ForeignGroup", "Device")


def _principal_type(call: Call, principal_id: str, said: str | None) -> str:
    """The type of the principal; the directory is asked only where the caller does not say it."""
    given = spelled(said or "", _PRINCIPAL_TYPES)
    if said and given is None:
        raise errors.invalid_principal_type(type=said, known=", ".join(_PRINCIPAL_TYPES))
    tenant = call.tenant
    known = "ServicePrincipal" if tenant.in_directory(tenant.principal(principal_id)) else None
    if tenant.directory_group(principal_id):
        known = "Group"
    if known and given not in (None, known):
        raise errors.other_principal_type(id=principal_id.replace("-", ""), known=known, type=given)
    found = given or known
    if found is None:
        raise errors.principal_not_found(id=principal_id.replace("-", ""), tenant=tenant.tenant_id)
    return found


def _conflict(call: Call, name: str, scope: ResourceId, principal_id: str, role_id: str) -> Resource | None:
    """The assignment this PUT repeats, if any; 409 or 400 where it contradicts one."""
    triple = (scope, principal_id, role_id.lower())
    for assignment in call.tenant.store.resources(type=ASSIGNMENT):
        other = (scope_of(assignment), assignment.properties["principalId"], role_id_of(assignment).lower())
        same_name = assignment.name.lower() == name.lower()  # names are unique over all scopes
        if same_name and other == triple:
            return assignment
        if same_name:
            raise errors.assignment_cannot_change()
        if other == triple:
            raise errors.assignment_exists(name=assignment.name.replace("-", ""))
    return None


async def get_assignment(call: Call) -> Json:
    assignment = call.stored()
    if assignment is None:
        raise errors.assignment_not_found(name=call.parameters["name"])
    return assignment


async def delete_assignment(call: Call) -> Response | Json:
    assignment = call.stored()
    if assignment is None:
        return Response(status_code=204)
    remove_assignment(call.tenant, assignment)
    return assignment


async def list_assignments(call: Call) -> Json:
    """At the scope and, unless $filter says atScope(), below it; filters: atScope(), principalId eq, assignedTo()."""
    scope = named_scope(call)
    wanted = call.request.query_params.get("$filter", "")
    principal = re.search(r"(principalId eq|assignedTo\()\s*'([^']+)'", wanted, re.IGNORECASE)
    rest = re.sub(r"atScope\(\)|(principalId eq\s*|assignedTo\()'[^']+'\)?|\band\b|\s", "", wanted, flags=re.IGNORECASE)
    if rest:
        raise errors.filter_not_emulated(filter=wanted, known="atScope(), principalId and assignedTo()")
    at_scope, holders = "atscope()" in wanted.lower(), {principal[2].lower()} if principal else set()
    if principal and principal[1].lower().startswith("assignedto"):  # what its groups have counts too
        holders |= call.tenant.groups_of(principal[2])
    value = [
        assignment
        for assignment in call.tenant.store.resources(type=ASSIGNMENT)
        if (scope_of(assignment).covers(scope) or (not at_scope and scope.covers(scope_of(assignment))))
        and (principal is None or assignment.properties["principalId"] in holders)
    ]
    return {"value": value}


async def list_permissions(call: Call) -> Json:
    """The caller's permissions at the scope: one for each of its roles there; anybody may ask for their own.

    As in Azure, conditions are not in the answer.
    """
    scope = named_scope(call)
    require_scope(call, scope)
    held = [
        role_definition(call.tenant.store, role_id_of(assignment), call.tenant.subscription_id)
        for assignment in assignments(call.tenant, call.claims["oid"])
        if scope_of(assignment).covers(scope)
    ]
    value = [permission for definition in held if definition for permission in definition.properties["permissions"]]
    return {"value": value}
