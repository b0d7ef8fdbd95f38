"""Microsoft Graph: the look-ups that ``az role assignment create --assignee`` makes, and nothing else.

Hosts: microsoftgraph.chinacloudapi.cn, graph.microsoft.com, graph.microsoft.us.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from .requests import bearer_token, parse_json
from .tenant import Tenant
from .tokens import TokenError

_FILTER = re.compile(r"servicePrincipalNames/any\(c:\s*c eq '([^']+)'\)")


class Graph:
    """The directory of one emulated cloud's tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.routes = [
            Route("/v1.0/servicePrincipals", self.list_service_principals),
            Route("/v1.0/servicePrincipals/{id}", self.get_service_principal),
            Route("/v1.0/directoryObjects/getByIds", self.get_by_ids, methods=["POST"]),
        ]

    def _refusal(self, request: Request) -> JSONResponse | None:
        try:
            self._tenant.verify_token(bearer_token(request) or "", (f"https://{self._tenant.cloud.graph}",))
        except TokenError as error:
            return _error(401, "InvalidAuthenticationToken", f"Access token is not accepted: {error}")
        return None

    async def list_service_principals(self, request: Request) -> JSONResponse:
        if refusal := self._refusal(request):
            return refusal
        match = _FILTER.fullmatch(request.query_params.get("$filter", ""))
        if not match:
            message = "The sandbox emulates the filter servicePrincipalNames/any(c:c eq '…') only."
            return _error(501, "NotImplementedInSandbox", message)
        # These names are client ids; an object id is none of them.
        principal = self._tenant.in_directory(self._tenant.principal_by_app_id(match[1]))
        context = f"https://{self._tenant.cloud.graph}/v1.0/$metadata#servicePrincipals"
        return JSONResponse({"@odata.context": context, "value": [_shown(principal)] if principal else []})

    async def get_service_principal(self, request: Request) -> JSONResponse:
        if refusal := self._refusal(request):
            return refusal
        wanted = request.path_params["id"]
        principal = self._tenant.in_directory(self._tenant.principal(wanted))
        if principal is None:
            message = (
                f"Resource '{wanted}' does not exist or one of its queried reference-property objects are not present."
            )
            return _error(404, "Request_ResourceNotFound", message)
        return JSONResponse(_shown(principal))

    async def get_by_ids(self, request: Request) -> JSONResponse:
        if refusal := self._refusal(request):
            return refusal
        try:
            ids = parse_json(await request.body())["ids"]
        except (ValueError, TypeError, KeyError):
            ids = None
        if not isinstance(ids, list):
            return _error(400, "Request_BadRequest", "The body must be a JSON object with the array ids.")
        principals = [self._tenant.in_directory(self._tenant.principal(str(each))) for each in ids]
        value = [{"@odata.type": "#microsoft.graph.servicePrincipal", **_shown(p)} for p in principals if p]
        context = f"https://{self._tenant.cloud.graph}/v1.0/$metadata#directoryObjects"
        headers = {"Location": f"https://{self._tenant.cloud.graph}"}
        return JSONResponse({"@odata.context": context, "value": value}, headers=headers)


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


def _error(status: int, code: str, message: str) -> JSONResponse:
    inner = {"request-id": str(uuid.uuid4())}
    return JSONResponse({"error": {"code": code, "message": message, "innerError": inner}}, status_code=status)
