"""Entra ID: OpenID documents, keys, and tokens for applications that prove themselves with a client secret.

Hosts: those of `authority_hosts` in clouds.py, such as login.chinacloudapi.cn.
"""

from __future__ import annotations

import json
import uuid
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from .clouds import REGISTRY_AUDIENCE
from .requests import basic_credentials, not_emulated, note_token, otherwise, read_form
from .tenant import Tenant

_NO_USERS = (
    "The sandbox has no users who could sign in: sign in as a service principal, with the variables that `runbook sandbox "
    "env` sets: az login --service-principal --username $AZURE_CLIENT_ID --password $AZURE_CLIENT_SECRET --tenant "
    "$AZURE_TENANT_ID; or on a VM: az login --identity."
)
LIFETIME = 3599  # seconds a client-credentials token is valid


def audiences(tenant: Tenant) -> set[str]:
    """The resources this tenant issues tokens for, without trailing slashes."""
    return {*tenant.cloud.audiences, REGISTRY_AUDIENCE, f"https://{tenant.cloud.graph}"}


def resource_not_found(tenant: Tenant, resource: str) -> str:
    """The sentence on a resource that the tenant issues no tokens for."""
    return (
        f"The resource principal named {resource} was not found in the tenant named {tenant.tenant_id}. This can happen "
        "if the application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant."
    )


class LoginError(Exception):
    """An OAuth 2.0 error answer; `code` is the AADSTS number."""

    def __init__(self, status: int, error: str, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.code = status, error, code


def _basic_credentials(request: Request) -> dict[str, str]:
    """The client's id and secret where they stand in the Authorization header; each is percent-encoded there."""
    try:
        found = basic_credentials(request)
    except ValueError as error:
        message = "The Authorization header of the request is no valid Basic header."
        raise LoginError(400, "invalid_request", 900144, message) from error
    return dict(zip(("client_id", "client_secret"), map(unquote, found), strict=True)) if found else {}


class Login:
    """The authority of one emulated cloud's tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.routes = [
            Route("/common/discovery/instance", self.instance_discovery),
            Route("/{tenant}/.well-known/openid-configuration", self.openid_configuration),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", self.openid_configuration),
            Route("/{tenant}/discovery/keys", self.keys),
            Route("/{tenant}/discovery/v2.0/keys", self.keys),
            Route("/{tenant}/oauth2/token", self.token, methods=["POST"]),
            Route("/{tenant}/oauth2/v2.0/token", self.token, methods=["POST"]),
            Route("/{tenant}/oauth2/v2.0/devicecode", self.device_code, methods=["POST"]),
            Route("/common/userrealm/{user}", self.user_realm),
            otherwise(self.not_emulated),
        ]

    async def instance_discovery(self, request: Request) -> JSONResponse:
        hosts = list(self._tenant.cloud.authority_hosts)
        return JSONResponse(
            {
                "tenant_discovery_endpoint": f"https://{hosts[0]}/{self._tenant.tenant_id}"
                "/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": hosts[-1], "preferred_cache": hosts[0], "aliases": hosts}],
            }
        )

    async def openid_configuration(self, request: Request) -> JSONResponse:
        try:
            tenant = self._tenant_of(request)
        except LoginError as error:
            return self.refusal(error)
        authority = f"https://{request.url.hostname}/{tenant}"
        v2 = "/v2.0" if "/v2.0/" in request.url.path else ""
        return JSONResponse(
            {
                "issuer": f"{authority}/v2.0" if v2 else self._tenant.issuer,
                "authorization_endpoint": f"{authority}/oauth2{v2}/authorize",
                "token_endpoint": f"{authority}/oauth2{v2}/token",
                "device_authorization_endpoint": f"{authority}/oauth2{v2}/devicecode",
                "jwks_uri": f"{authority}/discovery{v2}/keys",
                "response_types_supported": ["code", "id_token", "code id_token", "token id_token", "token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "tenant_region_scope": None,
                "cloud_instance_name": self._tenant.cloud.authority_hosts[-1].removeprefix("login."),
                "msgraph_host": self._tenant.cloud.graph,
            }
        )

    async def keys(self, request: Request) -> JSONResponse:
        try:
            self._tenant_of(request)
        except LoginError as error:
            return self.refusal(error)
        return JSONResponse(self._tenant.signer.key_set())

    async def token(self, request: Request) -> JSONResponse:
        form = {name: values[0] for name, values in (await read_form(request)).items()}
        try:
            self._tenant_of(request)
            form |= _basic_credentials(request)
            return self._client_credentials(request, form, v2="/v2.0/" in request.url.path)
        except LoginError as error:
            return self.refusal(error)

    async def device_code(self, request: Request) -> JSONResponse:
        """The refusal of a sign-in with a code. azure-cli looks for one whatever the status is, and ends in a traceback where
        there is none; with these members it shows the message, asks for a token, and prints why it gets none."""
        refusal = self.refusal(LoginError(400, "invalid_request", 90023, _NO_USERS))
        members = {"user_code": "", "device_code": "", "verification_uri": "", "message": _NO_USERS}
        return JSONResponse({**json.loads(bytes(refusal.body)), **members, "expires_in": 0, "interval": 1}, 400)

    async def user_realm(self, request: Request) -> JSONResponse:
        """Where a user's password is checked: nowhere, since there are none."""
        cloud = self._tenant.cloud.authority_hosts[-1].removeprefix("login.")
        return JSONResponse({"ver": "1.0", "account_type": "Unknown", "cloud_instance_name": cloud})

    async def not_emulated(self, request: Request) -> JSONResponse:
        return self.refusal(LoginError(501, "NotImplementedInSandbox", 90023, not_emulated(request)))

    def _tenant_of(self, request: Request) -> str:
        tenant: str = request.path_params["tenant"]
        if tenant.lower() not in (self._tenant.tenant_id, "common", "organizations"):
            message = f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."
            raise LoginError(400, "invalid_request", 90002, message)
        return tenant

    def _client_credentials(self, request: Request, form: dict[str, str], *, v2: bool) -> JSONResponse:
        grant = form.get("grant_type", "")
        if grant == "password":
            tenant = self._tenant.tenant_id
            message = f"The user account {{EmailHidden}} does not exist in the {tenant} directory. {_NO_USERS}"
            raise LoginError(400, "invalid_grant", 50034, message)
        if grant != "client_credentials":
            message = f"The app requested an unsupported grant type '{grant}'. {_NO_USERS}"
            raise LoginError(400, "unsupported_grant_type", 70003, message)
        client_id = form.get("client_id", "")
        principal = self._tenant.application(client_id)
        if principal is None:
            tenant = self._tenant.tenant_id
            message = f"Application with identifier '{client_id}' was not found in the directory '{tenant}'."
            raise LoginError(400, "unauthorized_client", 700016, message)
        if not self._tenant.is_secret(principal, form.get("client_secret", "")):
            message = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{client_id}'."
            )
            raise LoginError(401, "invalid_client", 7000215, message)
        # Version 2.0 names a scope: the resource with "/.default" behind it. A resource that ends in a slash thus has
        # two of them, and the token's audience keeps the one.
        resource = form.get("scope", "").removesuffix("/.default") if v2 else form.get("resource", "")
        if v2 and not form.get("scope", "").endswith("/.default"):
            message = (
                f"The provided value for scope {form.get('scope', '')} is not valid. Client credential flows must have "
                "a scope value with /.default suffixed to the resource identifier (application ID URI)."
            )
            raise LoginError(400, "invalid_scope", 1002012, message)
        if resource.removesuffix("/") not in audiences(self._tenant):
            message = resource_not_found(self._tenant, resource)
            message += " You might have sent your authentication request to the wrong tenant."
            raise LoginError(400, "invalid_resource", 500011, message)
        token = self._tenant.issue_token(principal, resource, LIFETIME + 1, {"appidacr": "1"})
        note_token(request, token)
        answer: dict[str, object] = {
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "ext_expires_in": LIFETIME,
            "access_token": token,
        }
        if not v2:
            now = int(self._tenant.clock.now())
            answer |= {"expires_on": str(now + LIFETIME), "not_before": str(now), "resource": resource}
        return JSONResponse(answer, headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})

    def refusal(self, error: LoginError) -> JSONResponse:
        """The error as Entra ID answers it."""
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        timestamp = self._tenant.clock.timestamp()[:19].replace("T", " ") + "Z"
        return JSONResponse(
            {
                "error": error.error,
                "error_description": f"AADSTS{error.code}: {error} Trace ID: {trace} "
                f"Correlation ID: {correlation} Timestamp: {timestamp}",
                "error_codes": [error.code],
                "timestamp": timestamp,
                "trace_id": trace,
                "correlation_id": correlation,
            },
            status_code=error.status,
        )
