"""Microsoft.Authorization: role definitions and role assignments, at any scope."""

from __future__ import annotations

import re

from starlette.responses import JSONResponse, Response

from ..access import ASSIGNMENT, BUILT_IN_ROLES, DEFINITION, covers, role_definition
from .arm import ArmError, Call, Json, Operation

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _scope(call: Call) -> str:
    """The scope in front of /providers/Microsoft.Authorization; in the case it was first stored in."""
    path = call.request.url.path
    scope = path[: path.lower().rindex("/providers/microsoft.authorization/")]
    stored = call.played.state.get(scope)
    return stored["id"] if stored else scope


async def list_definitions(call: Call) -> Response:
    wanted = call.request.query_params.get("$filter", "")
    match = re.fullmatch(r"\s*roleName eq '([^']*)'\s*", wanted, re.IGNORECASE)
    if wanted and not match:
        message = f"The sandbox does not emulate the filter {wanted!r}: only roleName eq '<name>'."
        raise ArmError(501, "NotImplementedInSandbox", message)
    value = [
        role_definition(call.played.state, role.id, call.played.subscription_id)
        for role in BUILT_IN_ROLES.values()
        if not match or role.name.lower() == match[1].lower()
    ]
    return JSONResponse({"value": value})


async def get_definition(call: Call) -> Response:
    role_id = call.parameters["name"]
    definition = role_definition(call.played.state, role_id, call.played.subscription_id)
    if definition is None:
        message = f"The specified role definition with ID '{role_id}' does not exist."
        raise ArmError(404, "RoleDefinitionDoesNotExist", message)
    return JSONResponse(definition)


async def put_assignment(call: Call) -> Response:
    given = call.body.get("properties", {})
    name, scope = call.parameters["name"], _scope(call)
    principal_id = _checked_principal_id(given)
    role_id = str(given.get("roleDefinitionId", "")).rpartition("/")[2]
    if role_definition(call.played.state, role_id, call.played.subscription_id) is None:
        message = f"The specified role definition with ID '{role_id}' does not exist."
        raise ArmError(400, "RoleDefinitionDoesNotExist", message)
    if not _GUID.fullmatch(name):
        message = f"The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID."
        raise ArmError(400, "InvalidRoleAssignmentId", message)
    if given.get("condition"):
        message = "The sandbox does not emulate conditions on role assignments."
        raise ArmError(501, "NotImplementedInSandbox", message)
    principal_type = _principal_type(call, principal_id, given.get("principalType"))
    existing = _conflict(call, name, scope, principal_id, role_id)
    now = call.played.clock.timestamp()
    assignment: Json = {
        "properties": {
            "roleDefinitionId": f"/subscriptions/{call.played.subscription_id}/providers/{DEFINITION}/{role_id}",
            "principalId": principal_id,
            "principalType": principal_type,
            "scope": scope,
            "condition": None,
            "conditionVersion": None,
            "createdOn": existing["properties"]["createdOn"] if existing else now,
            "updatedOn": now,
            "createdBy": call.claims["oid"],
            "updatedBy": call.claims["oid"],
            "delegatedManagedIdentityResourceId": None,
            "description": given.get("description"),
        },
        "id": f"{scope}/providers/{ASSIGNMENT}/{name}",
        "type": ASSIGNMENT,
        "name": name,
    }
    call.played.state.put(assignment)
    # The answer to the PUT does not name the creator yet; a later GET does.
    shown = {**assignment, "properties": {**assignment["properties"], "createdBy": None}}
    return JSONResponse(shown, status_code=201)


def _checked_principal_id(given: Json) -> str:
    principal_id = str(given.get("principalId", ""))
    if not _GUID.fullmatch(principal_id):
        message = f"The principal ID '{principal_id}' is not valid. Principal ID must be a GUID."
        raise ArmError(400, "InvalidPrincipalId", message)
    return principal_id.lower()


def _principal_type(call: Call, principal_id: str, given: str | None) -> str:
    """The type of the principal; the directory is asked only where the caller does not say it."""
    known = call.played.principal(principal_id)
    if known is not None and given not in (None, "", "ServicePrincipal"):
        message = (
            f"The PrincipalId '{principal_id.replace('-', '')}' has type 'ServicePrincipal', which is different from "
            f"specified PrincipalType '{given}'."
        )
        raise ArmError(400, "UnmatchedPrincipalType", message)
    if known is None and not given:
        message = (
            f"Principal {principal_id.replace('-', '')} does not exist in the directory {call.played.tenant_id}. "
            "Check that you have the correct principal ID. If you are creating this principal and then immediately "
            "assigning a role, this error might be related to a replication delay. In this case, set the role "
            "assignment principalType property to a value, such as ServicePrincipal, User, or Group.  See "
            "https://aka.ms/docs-principaltype"
        )
        raise ArmError(400, "PrincipalNotFound", message)
    return given or "ServicePrincipal"


def _conflict(call: Call, name: str, scope: str, principal_id: str, role_id: str) -> Json | None:
    """The assignment this PUT repeats, if any; 409 or 400 where it contradicts one."""
    triple = (scope.lower(), principal_id, role_id.lower())
    for assignment in call.played.state.resources(type=ASSIGNMENT):
        properties = assignment["properties"]
        other = (
            properties["scope"].lower(),
            properties["principalId"],
            properties["roleDefinitionId"].rpartition("/")[2].lower(),
        )
        same_name = assignment["name"].lower() == name.lower() and other[0] == triple[0]
        if same_name and other == triple:
            return assignment
        if same_name:
            message = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
            raise ArmError(400, "RoleAssignmentUpdateNotPermitted", message)
        if other == triple:
            message = (
                "The role assignment already exists. The ID of the existing role assignment is "
                f"{assignment['name'].replace('-', '')}."
            )
            raise ArmError(409, "RoleAssignmentExists", message)
    return None


async def get_assignment(call: Call) -> Response:
    assignment = call.played.state.get(call.request.url.path)
    if assignment is None:
        message = f"The role assignment '{call.parameters['name']}' is not found."
        raise ArmError(404, "RoleAssignmentNotFound", message)
    return JSONResponse(assignment)


async def delete_assignment(call: Call) -> Response:
    assignment = call.played.state.get(call.request.url.path)
    if assignment is None:
        return Response(status_code=204)
    call.played.state.delete(assignment["id"])
    return JSONResponse(assignment)


async def list_assignments(call: Call) -> Response:
    """At the scope and, unless $filter says atScope(), below it; filters: atScope(), principalId eq, assignedTo()."""
    scope = _scope(call)
    wanted = call.request.query_params.get("$filter", "")
    principal = re.search(r"(?:principalId eq|assignedTo\()\s*'([^']+)'", wanted, re.IGNORECASE)
    rest = re.sub(r"atScope\(\)|(principalId eq\s*|assignedTo\()'[^']+'\)?|\band\b|\s", "", wanted, flags=re.IGNORECASE)
    if rest:
        message = f"The sandbox does not emulate the filter {wanted!r}: only atScope(), principalId and assignedTo()."
        raise ArmError(501, "NotImplementedInSandbox", message)
    at_scope = "atscope()" in wanted.lower()
    value = [
        assignment
        for assignment in call.played.state.resources(type=ASSIGNMENT)
        if (
            covers(assignment["properties"]["scope"], scope)
            or (not at_scope and covers(scope, assignment["properties"]["scope"]))
        )
        and (principal is None or assignment["properties"]["principalId"] == principal[1].lower())
    ]
    return JSONResponse({"value": value})


def _operations() -> list[Operation]:
    operations = []
    # A scope is a subscription, a group in it, or a resource; the path in front may be any of these.
    for scope in ("", "/subscriptions/{subscription}", "/subscriptions/{subscription}/{scope:path}"):
        base = f"{scope}/providers/Microsoft.Authorization"
        operations += [
            Operation("GET", f"{base}/roleDefinitions", f"{DEFINITION}/read", list_definitions, False),
            Operation("GET", f"{base}/roleDefinitions/{{name}}", f"{DEFINITION}/read", get_definition, False),
            Operation("GET", f"{base}/roleAssignments", f"{ASSIGNMENT}/read", list_assignments, False),
            Operation("PUT", f"{base}/roleAssignments/{{name}}", f"{ASSIGNMENT}/write", put_assignment, False),
            Operation("GET", f"{base}/roleAssignments/{{name}}", f"{ASSIGNMENT}/read", get_assignment, False),
            Operation("DELETE", f"{base}/roleAssignments/{{name}}", f"{ASSIGNMENT}/delete", delete_assignment, False),
        ]
    return operations


OPERATIONS = _operations()
