"""Microsoft Graph: the look-ups that ``az role assignment create --assignee`` makes, and groups with their members.

Hosts: microsoftgraph.chinacloudapi.cn, graph.microsoft.com, graph.microsoft.us.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .requests import bearer_token, not_emulated, otherwise, parse_json
from .resource import Json
from .tenant import Tenant
from .tokens import TokenError

_CONDITION = re.compile(
    r"servicePrincipalNames/any\(c:\s*c eq '(?P<names>[^']+)'\)|startswith\(displayName,\s*'(?P<start>[^']*)'\)|"
    r"(?P<member>displayName|mailNickname) eq '(?P<equal>[^']*)'"
)


class GraphError(Exception):
    """A refusal in the form of Microsoft Graph."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def response(self) -> JSONResponse:
        inner = {"request-id": str(uuid.uuid4())}
        error = {"code": self.code, "message": str(self), "innerError": inner}
        return JSONResponse({"error": error}, status_code=self.status)


_Handler = Callable[[Request], Awaitable[Response]]


class Graph:
    """The directory of one emulated cloud's tenant: its service principals and groups; users it has none."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.routes = [
            self._route("GET", "/v1.0/me", self.me),
            self._route("GET", "/v1.0/users", self.list_users),
            self._route("GET", "/v1.0/users/{id}", self.get_user),
            self._route("GET", "/v1.0/servicePrincipals", self.list_service_principals),
            self._route("GET", "/v1.0/servicePrincipals/{id}", self.get_service_principal),
            self._route("POST", "/v1.0/directoryObjects/getByIds", self.get_by_ids),
            self._route("GET", "/v1.0/groups", self.list_groups),
            self._route("POST", "/v1.0/groups", self.create_group),
            self._route("GET", "/v1.0/groups/{id}", self.get_group),
            self._route("DELETE", "/v1.0/groups/{id}", self.delete_group),
            self._route("GET", "/v1.0/groups/{id}/members", self.list_members),
            self._route("POST", "/v1.0/groups/{id}/members/$ref", self.add_member),
            self._route("DELETE", "/v1.0/groups/{id}/members/{member}/$ref", self.remove_member),
            otherwise(self._checked(self.not_emulated)),
        ]

    def _route(self, method: str, path: str, handler: _Handler) -> Route:
        route = Route(path, self._checked(handler), methods=[method])
        assert route.methods
        route.methods.discard("HEAD")  # which Graph does not answer
        return route

    def _checked(self, handler: _Handler) -> _Handler:
        """The handler behind the check of the caller's token."""

        async def answer(request: Request) -> Response:
            try:
                token = bearer_token(request) or ""
                request.state.claims = self._tenant.verify_token(token, (f"https://{self._tenant.cloud.graph}",))
                return await handler(request)
            except TokenError as error:
                return GraphError(
                    401, "InvalidAuthenticationToken", f"Access token is not accepted: {error}"
                ).response()
            except GraphError as error:
                return error.response()

        return answer

    async def not_emulated(self, request: Request) -> Response:
        raise GraphError(501, "NotImplementedInSandbox", not_emulated(request))

    def _listed(self, request: Request, kind: str, found: list[Json]) -> JSONResponse:
        """The directory objects that $filter wants of these."""
        wanted = request.query_params.get("$filter", "")
        for condition in filter(None, wanted.split(" and ")):
            match = _CONDITION.fullmatch(condition.strip())
            if match is None:
                known = "displayName eq '…', mailNickname eq '…', startswith(displayName,'…') and servicePrincipalNames/any(c:c eq '…')"
                message = f"The sandbox emulates the filters {known} only, not {wanted}."
                raise GraphError(501, "NotImplementedInSandbox", message)
            found = [each for each in found if _satisfies(each, match)]
        return JSONResponse({"@odata.context": self._context(kind), "value": found})

    def _context(self, kind: str) -> str:
        return f"https://{self._tenant.cloud.graph}/v1.0/$metadata#{kind}"

    async def me(self, request: Request) -> Response:
        raise GraphError(400, "BadRequest", "/me request is only valid with delegated authentication flow.")

    async def list_users(self, request: Request) -> JSONResponse:
        return JSONResponse({"@odata.context": self._context("users"), "value": []})

    async def get_user(self, request: Request) -> Response:
        raise _not_found(request.path_params["id"])

    async def list_service_principals(self, request: Request) -> JSONResponse:
        # The names that a filter asks for are client ids; an object id is none of them.
        principals = [self._tenant.in_directory(each) for each in self._tenant.store.documents("principal")]
        return self._listed(request, "servicePrincipals", [_shown(each) for each in principals if each])

    async def get_service_principal(self, request: Request) -> JSONResponse:
        wanted = request.path_params["id"]
        principal = self._tenant.in_directory(self._tenant.principal(wanted))
        if principal is None:
            raise _not_found(wanted)
        return JSONResponse(_shown(principal))

    async def get_by_ids(self, request: Request) -> JSONResponse:
        ids = (await _body(request)).get("ids")
        if not isinstance(ids, list):
            raise GraphError(400, "Request_BadRequest", "The body must be a JSON object with the array ids.")
        headers = {"Location": f"https://{self._tenant.cloud.graph}"}
        value = [found for each in ids if (found := self._object(str(each)))]
        return JSONResponse({"@odata.context": self._context("directoryObjects"), "value": value}, headers=headers)

    def _object(self, object_id: str) -> Json | None:
        """A service principal or a group, as one of many objects; None where there is none with the id."""
        if principal := self._tenant.in_directory(self._tenant.principal(object_id)):
            return {"@odata.type": "#microsoft.graph.servicePrincipal", **_shown(principal)}
        if found := self._tenant.directory_group(object_id):
            return {"@odata.type": "#microsoft.graph.group", **_shown_group(found)}
        return None

    # Groups

    async def list_groups(self, request: Request) -> JSONResponse:
        return self._listed(request, "groups", [_shown_group(each) for each in self._tenant.store.documents("group")])

    async def create_group(self, request: Request) -> JSONResponse:
        self._require_operator(request)
        body = await _body(request)
        if unknown := set(body) - {"displayName", "description", "mailNickname", "mailEnabled", "securityEnabled"}:
            message = f"The sandbox does not emulate these properties of a group: {', '.join(sorted(unknown))}."
            raise GraphError(501, "NotImplementedInSandbox", message)
        if body.get("mailEnabled") or not body.get("securityEnabled"):
            message = "The sandbox emulates security groups only: securityEnabled is true, and mailEnabled is false."
            raise GraphError(501, "NotImplementedInSandbox", message)
        for name in ("displayName", "mailNickname"):
            if not isinstance(body.get(name), str) or not body[name]:
                message = f"A value is required for property '{name}' of resource 'Group'."
                raise GraphError(400, "Request_BadRequest", message)
        group: Json = {
            "id": str(uuid.uuid4()),
            **{name: body.get(name) for name in ("displayName", "description", "mailNickname")},
            "created": self._tenant.clock.now(),
            "members": [],
        }
        self._tenant.store.write("group", str(group["id"]), group)
        return JSONResponse({"@odata.context": self._context("groups/$entity"), **_shown_group(group)}, 201)

    async def get_group(self, request: Request) -> JSONResponse:
        return JSONResponse({"@odata.context": self._context("groups/$entity"), **_shown_group(self._group(request))})

    async def delete_group(self, request: Request) -> Response:
        self._require_operator(request)
        self._tenant.store.erase("group", self._group(request)["id"])  # its role assignments stay, as in Azure
        return Response(status_code=204)

    async def list_members(self, request: Request) -> JSONResponse:
        found = [self._object(each) for each in self._group(request)["members"]]
        return JSONResponse(
            {"@odata.context": self._context("directoryObjects"), "value": [each for each in found if each]}
        )

    async def add_member(self, request: Request) -> Response:
        self._require_operator(request)
        group, wanted = (
            self._group(request),
            str((await _body(request)).get("@odata.id", "")).rpartition("/")[2].lower(),
        )
        if self._object(wanted) is None:
            raise _not_found(wanted)
        if wanted in group["members"]:
            message = (
                "One or more added object references already exist for the following modified properties: 'members'."
            )
            raise GraphError(400, "Request_BadRequest", message)
        self._tenant.store.write("group", group["id"], {**group, "members": [*group["members"], wanted]})
        return Response(status_code=204)

    async def remove_member(self, request: Request) -> Response:
        self._require_operator(request)
        group, wanted = self._group(request), request.path_params["member"].lower()
        if wanted not in group["members"]:
            raise _not_found(wanted)
        left = [each for each in group["members"] if each != wanted]
        self._tenant.store.write("group", group["id"], {**group, "members": left})
        return Response(status_code=204)

    def _group(self, request: Request) -> Json:
        group = self._tenant.directory_group(request.path_params["id"])
        if group is None:
            raise _not_found(request.path_params["id"])
        return group

    def _require_operator(self, request: Request) -> None:
        """A managed identity has no permission in the directory, whatever its roles are."""
        if self._tenant.application(request.state.claims["appid"]) is None:
            raise GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def _satisfies(shown: Json, condition: re.Match[str]) -> bool:
    """Whether a condition of $filter holds for a directory object; texts are compared in any case."""
    if condition["names"]:
        return condition["names"].lower() in shown.get("servicePrincipalNames", [])
    if condition["member"]:
        return str(shown.get(condition["member"], "")).lower() == condition["equal"].lower()
    return str(shown["displayName"]).lower().startswith(condition["start"].lower())


def _not_found(wanted: str) -> GraphError:
    message = f"Resource '{wanted}' does not exist or one of its queried reference-property objects are not present."
    return GraphError(404, "Request_ResourceNotFound", message)


async def _body(request: Request) -> Json:
    try:
        body = parse_json(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise GraphError(400, "BadRequest", "The body of the request must be a JSON object.")
    return body


def _shown_group(group: Json) -> Json:
    created = datetime.fromtimestamp(group["created"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "id": group["id"],
        "deletedDateTime": None,
        "createdDateTime": created,
        "displayName": group["displayName"],
        "description": group["description"],
        "groupTypes": [],
        "mail": None,
        "mailEnabled": False,
        "mailNickname": group["mailNickname"],
        "securityEnabled": True,
    }


def _shown(principal: dict[str, Any]) -> dict[str, Any]:
    """A service principal, with the members that Graph answers."""
    resource = [principal["resourceId"]] if principal["resourceId"] else []
    created = datetime.fromtimestamp(principal["created"], UTC)
    absent = (
        "deletedDateTime", "appDisplayName", "appDescription", "applicationTemplateId", "appOwnerOrganizationId",
        "description", "disabledByMicrosoftStatus", "homepage", "loginUrl", "logoutUrl", "notes",
        "preferredSingleSignOnMode", "preferredTokenSigningKeyThumbprint", "signInAudience", "tokenEncryptionKeyId",
        "samlSingleSignOnSettings",
    )  # fmt: skip
    lists = (
        "notificationEmailAddresses", "replyUrls", "tags", "addIns", "appRoles", "keyCredentials",
        "oauth2PermissionScopes", "passwordCredentials", "resourceSpecificApplicationPermissions",
    )  # fmt: skip
    shown: dict[str, Any] = dict.fromkeys(absent)
    shown |= {name: [] for name in lists}
    if principal["kind"] == "Application":
        links = ("logoUrl", "marketingUrl", "privacyStatementUrl", "supportUrl", "termsOfServiceUrl")
        shown |= {
            "appDisplayName": principal["displayName"],
            "signInAudience": "AzureADMyOrg",
            "appOwnerOrganizationId": principal["objectId"],
            "info": dict.fromkeys(links),
        }
    else:
        shown["info"] = None
        shown["keyCredentials"] = [_certificate(principal, created)]
    return shown | {
        "id": principal["objectId"],
        "appId": principal["appId"],
        "displayName": principal["displayName"],
        "createdDateTime": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "servicePrincipalType": principal["kind"],
        "servicePrincipalNames": [principal["appId"]],
        "alternativeNames": [f"isExplicit={'userAssigned' in resource[0]}", *resource] if resource else [],
        "accountEnabled": True,
        "appRoleAssignmentRequired": False,
        "verifiedPublisher": {"displayName": None, "verifiedPublisherId": None, "addedDateTime": None},
    }


def _certificate(principal: dict[str, Any], created: datetime) -> dict[str, Any]:
    """The certificate that the platform gives a managed identity, and renews; nobody sees its key."""
    end = created + timedelta(days=90)
    return {
        "customKeyIdentifier": uuid.uuid5(uuid.NAMESPACE_OID, principal["objectId"]).hex.upper(),
        "displayName": f"CN={principal['appId']}",
        "endDateTime": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "key": None,
        "keyId": str(uuid.uuid5(uuid.NAMESPACE_OID, principal["appId"])),
        "startDateTime": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    }
