"""Authorization in a registry: its OAuth 2.0 endpoints, and the check of the tokens they issue.

An Entra token is exchanged for a refresh token of the registry, and that for an access token that holds what the
principal's roles grant at that moment. Source: Azure/acr, docs/AAD-OAuth.md.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..access.decide import assignment_mode, may_list_catalog, may_sign_in, repository_actions
from ..clouds import REGISTRY_AUDIENCE
from ..limits import REGISTRY_TOKEN_LIMIT
from ..requests import basic_credentials, bearer_token, note, note_token, read_form
from ..resource import Resource
from ..tenant import Tenant
from ..tokens import TokenError, token_id
from ..topology import login_servers, registry_admits, registry_at, source_address
from .admin_user import is_admin

ISSUER = "Azure Container Registry"
REFRESH_SECONDS = 11700
ACCESS_SECONDS = 4500
TOKEN_USER = "00000000-0000-0000-0000-000000000000"
UNAUTHORIZED = "authentication required, visit https://aka.ms/acr/authorization for more information."
ADMIN = "admin"
"""The subject of a token of the admin user, which may do everything in its registry."""


class RegistryError(Exception):
    """An error answer in the form of the distribution specification."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        detail: Any = None,
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.error = {"code": code, "message": message, **({"detail": detail} if detail is not None else {}), **members}

    def response(self) -> JSONResponse:
        return JSONResponse({"errors": [self.error]}, status_code=self.status, headers=self.headers)


@dataclass(frozen=True)
class Scope:
    """What a token is asked for, as in the distribution's specification: repository:app:pull, registry:catalog:*."""

    type: str
    name: str
    actions: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Scope:
        type, _, rest = text.partition(":")
        name, _, actions = rest.rpartition(":")
        return cls(type, name, tuple(actions.split(",")))

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(self.actions)}"


CATALOG = Scope("registry", "catalog", ("*",))
_ADMIN_ACTIONS = {"pull", "push", "delete", "metadata_read", "metadata_write"}
_ANONYMOUS_ACTIONS = {"pull", "metadata_read"}


def pull_refused(repository: str) -> RegistryError:
    """The refusal of somebody who may not pull from a repository."""
    detail = [{"Type": "repository", "Class": "", "Name": repository, "Action": "pull"}]
    return RegistryError(401, "UNAUTHORIZED", UNAUTHORIZED, detail=detail)


class RegistryAccess:
    """The token endpoints and the token check of all registries of one emulated cloud."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.routes = [
            Route("/oauth2/exchange", self.exchange, methods=["POST"]),
            Route("/oauth2/token", self.token, methods=["GET", "POST"]),
        ]

    def find(self, request: Request) -> Resource:
        """The registry whose login server is the request's host."""
        server = (request.url.hostname or "").lower()
        registry = registry_at(self._tenant.store, server)
        if registry is None:
            raise RegistryError(404, "NAME_UNKNOWN", f"There is no registry {server}.")
        client = source_address(self._tenant.store, request.state.caller.vm_id)
        if not registry_admits(registry, client):
            message = (
                f"client with IP '{client}' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
            )
            if request.url.path.startswith("/oauth2/"):
                message += f" CorrelationId: {uuid.uuid4()}"
            raise RegistryError(403, "DENIED", message)
        return registry

    # Tokens

    async def exchange(self, request: Request) -> Response:
        try:
            registry = self.find(request)
            headers = self._count(registry)
            form = {name: values[0] for name, values in (await read_form(request)).items()}
            token = self._exchange(registry, request, form)
            note_token(request, token)
            return JSONResponse({"refresh_token": token}, headers=headers)
        except RegistryError as error:
            return error.response()

    def _count(self, registry: Resource) -> dict[str, str]:
        """Take the request from the registry's bucket, and tell what is left of it; 429 where nothing is."""
        limit, now = REGISTRY_TOKEN_LIMIT, self._tenant.clock.now()
        left, wait = self._tenant.buckets.take(("registry", registry["id"]), limit, now)
        if wait:
            headers = {"Retry-After": str(wait)}
            raise RegistryError(429, "TOOMANYREQUESTS", "too many requests: try again later", headers=headers)
        return {"x-ms-ratelimit-remaining-calls-per-second": f"{left / 60:.6g}"}

    def _exchange(self, registry: Resource, request: Request, form: dict[str, str]) -> str:
        # The second form is deprecated, and what the kubelet's plugin sends: the access token counts.
        known = ("access_token", "access_token_refresh_token") if form.get("refresh_token") else ("access_token",)
        if form.get("grant_type") not in known or form.get("service", "").lower() not in login_servers(registry):
            message = f"The exchange needs grant_type=access_token and service={registry.properties['loginServer']}."
            raise RegistryError(400, "BAD_REQUEST", message)
        if form.get("tenant", self._tenant.tenant_id).lower() != self._tenant.tenant_id:
            raise self._refused()
        claims = self._entra_claims(registry, form.get("access_token", ""))
        note(request, principal=claims["oid"])
        return self._admitted(registry, self._tenant.principal(claims["oid"]))

    def _entra_claims(self, registry: Resource, token: str) -> dict[str, Any]:
        """The claims of a token of Entra ID that the registry takes."""
        accepted = [REGISTRY_AUDIENCE]
        if registry.properties["policies"]["azureADAuthenticationAsArmPolicy"]["status"] == "enabled":
            accepted += self._tenant.cloud.audiences
        try:
            return self._tenant.verify_token(token, tuple(accepted))
        except TokenError as error:
            raise self._refused() from error

    def _admitted(self, registry: Resource, principal: dict[str, Any] | None) -> str:
        """A refresh token for a principal that has a role which has to do with the registry."""
        if principal is None or not may_sign_in(self._tenant, principal["objectId"], registry):
            raise self._refused()
        return self._refresh_token(registry, principal["objectId"], principal["appId"])

    def _refused(self) -> RegistryError:
        return RegistryError(401, "UNAUTHORIZED", f"{UNAUTHORIZED} CorrelationId: {uuid.uuid4()}")

    def _refresh_token(self, registry: Resource, object_id: str, app_id: str) -> str:
        return self._issue(
            registry,
            REFRESH_SECONDS,
            sub=object_id,
            grant_type="refresh_token",
            appid=app_id,
            tenant=self._tenant.tenant_id,
            roles=[],
        )

    def _issue(self, registry: Resource, lifetime: int, **claims: Any) -> str:
        now = int(self._tenant.clock.now())
        times = {"nbf": now, "exp": now + lifetime, "iat": now}
        identity = {"jti": str(uuid.UUID(token_id())), "iss": ISSUER, "aud": registry.properties["loginServer"]}
        identity |= {"version": "1.0", "rid": self._registry_id(registry), "mode": assignment_mode(registry)}
        return self._tenant.signer.sign({**identity, **times, **claims})

    def _registry_id(self, registry: Resource) -> str:
        """The `rid` of a registry's tokens; one that is made again under the same name has another."""
        return self._tenant.stable_id(str(registry.id))

    def _verify(self, token: str, registry: Resource, grant_type: str) -> dict[str, Any]:
        """The claims of a token that this registry issued in the roleAssignmentMode that it is in now.

        Refresh tokens of an admin user end when it is switched off.
        """
        now, server = self._tenant.clock.now(), registry.properties["loginServer"]
        claims = self._tenant.signer.verify(token, now=now, issuer=ISSUER, audiences={server})
        if claims.get("grant_type") != grant_type or claims.get("rid") != self._registry_id(registry):
            raise TokenError(TokenError.INVALID, f"not a token of grant type {grant_type} of this registry")
        if claims.get("mode") != assignment_mode(registry):
            raise TokenError(TokenError.INVALID, "issued while another roleAssignmentMode was in effect")
        admin_is_off = claims["sub"] == ADMIN and not registry.properties["adminUserEnabled"]
        if grant_type == "refresh_token" and admin_is_off:
            raise TokenError(TokenError.INVALID, "the admin user is switched off")
        return claims

    async def token(self, request: Request) -> Response:
        try:
            registry = self.find(request)
            headers = self._count(registry)
            if request.method == "POST":
                form = await read_form(request)
            else:
                form = {name: request.query_params.getlist(name) for name in request.query_params}
            return JSONResponse(self._token(registry, request, form), headers=headers)
        except RegistryError as error:
            return error.response()

    def _token(self, registry: Resource, request: Request, form: dict[str, list[str]]) -> dict[str, str]:
        server = registry.properties["loginServer"]
        if form.get("service", [server])[0].lower() not in login_servers(registry):
            raise RegistryError(400, "BAD_REQUEST", f"The service of this registry is {server}.")
        refresh_token = self._presented(registry, request, form)
        object_id = None
        if refresh_token:
            try:
                object_id = self._verify(refresh_token, registry, "refresh_token")["sub"]
            except TokenError as error:
                raise self._refused() from error
            note(request, principal=object_id)
        elif not registry.properties["anonymousPullEnabled"]:
            raise self._refused()
        wanted = [Scope.parse(scope) for text in form.get("scope", []) for scope in text.split(" ") if scope]
        access = [granted for scope in wanted if (granted := self._granted(registry, object_id, scope))]
        token = self._issue(
            registry,
            ACCESS_SECONDS,
            sub=object_id or "anonymous",
            access=access,
            roles=[],
            grant_type="access_token",
        )
        note_token(request, token)
        answer = {"access_token": token}
        if refresh_token and form.get("offline_token", [""])[0] == "true":
            answer["refresh_token"] = refresh_token
        return answer

    def _presented(self, registry: Resource, request: Request, form: dict[str, list[str]]) -> str | None:
        """The refresh token that a client presents in one of the three ways there are; None where it has none.

        The admin user presents a password instead and an application its secret, and each gets one here.
        """
        grant = form.get("grant_type", [""])[0]
        if grant not in ("refresh_token", "password") and (grant or request.method == "POST"):
            raise RegistryError(400, "BAD_REQUEST", f"The grant type '{grant}' is not supported.")
        if grant == "refresh_token":
            if not form.get("refresh_token", [""])[0]:
                raise self._refused()
            return form["refresh_token"][0]
        user, password = form.get("username", [""])[0], form.get("password", [""])[0]
        try:
            user, password = basic_credentials(request) or (user, password)
        except ValueError as error:
            raise self._refused() from error
        if not user and not password:
            return None
        return self.sign_in(registry, user, password)

    def sign_in(self, registry: Resource, user: str, password: str) -> str:
        """The refresh token of a user with a password: a token itself, the admin user, or an application."""
        if user == TOKEN_USER:
            return password
        if is_admin(self._tenant, registry, user, password):
            return self._refresh_token(registry, ADMIN, registry.name)
        application = self._tenant.application(user)
        if application is None or not self._tenant.is_secret(application, password):
            raise self._refused()
        return self._admitted(registry, application)

    def object_id_of(self, registry: Resource, username: str, password: str) -> str:
        """The principal of credentials as an import has them; without a user name they are a token of Entra ID."""
        if not username:
            return str(self._entra_claims(registry, password)["oid"])
        try:
            return str(self._verify(self.sign_in(registry, username, password), registry, "refresh_token")["sub"])
        except TokenError as error:
            raise self._refused() from error

    def may_pull(self, registry: Resource, repository: str, object_id: str) -> bool:
        """Whether somebody may pull from a repository; where anonymous pull is on, everybody may."""
        is_public = bool(registry.properties["anonymousPullEnabled"])
        return is_public or self._granted(registry, object_id, Scope("repository", repository, ("pull",))) is not None

    def _granted(self, registry: Resource, object_id: str | None, scope: Scope) -> dict[str, Any] | None:
        """The part of a scope that a principal is granted; None where that is nothing."""
        held = self._actions(registry, object_id, scope)
        granted = held if held == {"*"} or scope.actions == ("*",) else held & set(scope.actions)
        return {"type": scope.type, "name": scope.name, "actions": sorted(granted)} if granted else None

    def _actions(self, registry: Resource, object_id: str | None, scope: Scope) -> set[str]:
        """What somebody may do there: the admin user everything, a principal what its roles say.

        Without a principal it is only reached where the registry allows anonymous pull: all may be read then.
        """
        if (scope.type, scope.name) == (CATALOG.type, CATALOG.name):
            without_role = not object_id or object_id == ADMIN
            return {"*"} if without_role or may_list_catalog(self._tenant, object_id or "", registry) else set()
        if scope.type != "repository":
            return set()
        if object_id == ADMIN:
            return _ADMIN_ACTIONS
        return repository_actions(self._tenant, object_id, registry, scope.name) if object_id else _ANONYMOUS_ACTIONS

    # The check

    def require(self, request: Request, *scopes: Scope) -> Resource:
        """The registry that is asked, where the request's access token holds all these permissions; 401 otherwise."""
        registry = self.find(request)
        server = (request.url.hostname or "").lower()  # tokens are for all login servers of the registry
        token = bearer_token(request) or self._token_of_basic(request, registry, scopes)
        if token is None:
            raise self._challenge(server, scopes, "")
        try:
            claims = self._verify(token, registry, "access_token")
        except TokenError as error:
            raise self._challenge(server, scopes, "invalid_token") from error
        note(request, principal=claims["sub"])
        for scope in scopes:
            held = {
                a for g in claims["access"] if (g["type"], g["name"]) == (scope.type, scope.name) for a in g["actions"]
            }
            if not set(scope.actions) <= held:
                raise self._challenge(server, scopes, "insufficient_scope")
        return registry

    def _token_of_basic(self, request: Request, registry: Resource, scopes: tuple[Scope, ...]) -> str | None:
        """An access token for a client that presents what it signs in with, with each request."""
        try:
            user, password = basic_credentials(request) or ("", "")
            claims = self._verify(self.sign_in(registry, user, password), registry, "refresh_token")
        except (ValueError, TokenError, RegistryError):
            return None
        access = [granted for scope in scopes if (granted := self._granted(registry, claims["sub"], scope))]
        return self._issue(registry, ACCESS_SECONDS, sub=claims["sub"], access=access, grant_type="access_token")

    @staticmethod
    def _challenge(server: str, scopes: tuple[Scope, ...], error: str) -> RegistryError:
        header = f'Bearer realm="https://{server}/oauth2/token",service="{server}"'
        if scopes:
            header += f',scope="{" ".join(map(str, scopes))}"'
        if error:
            header += f',error="{error}"'
        detail = [
            {"Type": each.type, "Name": each.name, "Action": action} for each in scopes for action in each.actions
        ]
        headers = {"Www-Authenticate": header}
        if detail:
            return RegistryError(401, "UNAUTHORIZED", UNAUTHORIZED, detail=detail, headers=headers)
        refusal = RegistryError(401, "UNAUTHORIZED", UNAUTHORIZED, headers=headers)
        refusal.error["detail"] = None
        return refusal
