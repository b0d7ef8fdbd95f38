"""A tenant: one emulated cloud, and what its login, Resource Manager, metadata and registries share."""

from __future__ import annotations

import copy
import hmac
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .access.roles import definition_id, role_assignment
from .clock import Clock
from .clouds import Cloud
from .faults.active import Faults
from .faults.pending import PendingOperations
from .guests import Guests
from .limits import Buckets
from .resource import ASSIGNMENT, DENIAL, EXTENSION, ResourceId
from .store import Store
from .tokens import Signer, TokenError, token_id

SUBSCRIPTION_ID = "00000000-0000-0000-0000-000000000000"
SECOND_SUBSCRIPTION_ID = "00000000-0000-0000-0000-000000000001"
LONG_AGO = "2020-01-01T00:00:00.0000000Z"
_OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"


@dataclass(frozen=True)
class ProxyAddress:
    """The address of the sandbox's proxy, and the CA certificate its host names are proved with."""

    port: int
    ca_file: Path

    def url(self, user: str, password: str) -> str:
        """The proxy with a VM's credentials in it."""
        return f"http://{user}:{password}@127.0.0.1:{self.port}"


@dataclass
class Tenant:
    """A cloud with one tenant, as it is seen in one of its two subscriptions: the first, where nothing else is said."""

    cloud: Cloud
    store: Store
    clock: Clock
    signer: Signer
    public_images: Store
    """The content of mcr.microsoft.com."""
    guests: Guests
    proxy: ProxyAddress
    faults: Faults = field(default_factory=Faults)
    buckets: Buckets = field(default_factory=Buckets)
    pending: PendingOperations = field(init=False)
    tenant_id: str = field(init=False)
    subscription_id: str = SUBSCRIPTION_ID

    def __post_init__(self) -> None:
        self.tenant_id = self.stable_id("tenant")
        self.pending = PendingOperations(self.store, self.clock, self.faults)

    @property
    def issuer(self) -> str:
        """The ``iss`` claim of this tenant's tokens."""
        return f"https://{self.cloud.token_issuer}/{self.tenant_id}/"

    def subscriptions(self) -> list[Tenant]:
        """The tenant as it is seen in each of its subscriptions."""
        both = [copy.copy(self), copy.copy(self)]
        both[0].subscription_id, both[1].subscription_id = SUBSCRIPTION_ID, SECOND_SUBSCRIPTION_ID
        return both

    @property
    def subscription(self) -> ResourceId:
        return ResourceId(f"/subscriptions/{self.subscription_id}")

    def group(self, name: str) -> ResourceId:
        """The id of a resource group, in the case that its name is given in."""
        return ResourceId(f"{self.subscription}/resourceGroups/{name}")

    def stable_id(self, name: str) -> str:
        """A GUID that is the same for the same name in the same generation of it, in every sandbox."""
        generation = self.store.generation(name)
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.cloud.name}/{name.lower()}/{generation}"))

    # Principals: {"objectId", "appId", "displayName", "kind": "ManagedIdentity" | "Application", "resourceId"}

    def create_principal(
        self, key: str, display_name: str, kind: str, resource_id: str | None = None
    ) -> dict[str, Any]:
        """A service principal; `key` names what it belongs to."""
        principal: dict[str, Any] = {
            "objectId": self.stable_id(f"{key}/principal"),
            "appId": self.stable_id(f"{key}/client"),
            "displayName": display_name,
            "kind": kind,
            "resourceId": resource_id,
            "created": self.clock.now(),
        }
        self.store.write("principal", principal["objectId"], principal)
        return principal

    def delete_principal(self, key: str) -> None:
        """Remove what `create_principal(key, …)` made; its role assignments stay behind, as in Azure."""
        self.store.erase("principal", self.stable_id(f"{key}/principal"))
        self.store.next_generation(f"{key}/principal")
        self.store.next_generation(f"{key}/client")

    def principal(self, object_id: str) -> dict[str, Any] | None:
        """The service principal with an object id; ids are found in any case."""
        return self.store.read("principal", object_id)

    def principal_by_app_id(self, app_id: str) -> dict[str, Any] | None:
        return next((p for p in self.store.documents("principal") if p["appId"] == app_id.lower()), None)

    def application(self, app_id: str) -> dict[str, Any] | None:
        """The application with a client id, which can prove itself with a secret; a managed identity has none."""
        found = self.principal_by_app_id(app_id)
        return found if found and found["kind"] == "Application" else None

    def is_secret(self, application: dict[str, Any], text: str) -> bool:
        """Whether a text is the client secret of an application."""
        secret = self.store.read("secret", application["objectId"])
        return secret is not None and hmac.compare_digest(text.encode(), secret["value"].encode())

    def in_directory(self, principal: dict[str, Any] | None) -> dict[str, Any] | None:
        """A principal as the directory's replicas know it: a new one only after the sandbox's directory_delay."""
        if principal is None or principal["kind"] == "Application":
            return principal
        known_from = principal["created"] + self.clock.settings.directory_delay
        return principal if known_from <= self.clock.now() else None

    # Groups of the directory: {"id", "displayName", "members": object ids, …}

    def directory_group(self, object_id: str) -> dict[str, Any] | None:
        """The group with an object id."""
        return self.store.read("group", object_id)

    def groups_of(self, object_id: str) -> set[str]:
        """The object ids of the groups that a principal is in, be it through another group."""
        groups, found, inner = self.store.documents("group"), set[str](), {object_id.lower()}
        while inner:
            inner = {group["id"] for group in groups if inner & set(group["members"])} - found
            found |= inner
        return found

    def delete_resource(self, resource_id: ResourceId) -> None:
        """Remove a resource, and with it its extensions, and the role and deny assignments at it and below."""
        with self.store.transaction():
            for resource_type in (ASSIGNMENT, DENIAL, EXTENSION, EXTENSION):
                for assignment in self.store.resources(under=resource_id, type=resource_type):
                    self.store.delete(assignment.id)
            self.store.delete(resource_id)

    def ensure_operator(self) -> dict[str, Any]:
        """The application the operator signs in as: Owner of the subscriptions."""
        object_id = self.stable_id("operator/principal")
        existing = self.principal(object_id)
        if existing:
            return existing
        operator = self.create_principal("operator", "sandbox-operator", "Application")
        principal = operator["objectId"]
        for there, key in zip(self.subscriptions(), ("operator", "operator/second"), strict=True):
            role, name = definition_id(there.subscription_id, _OWNER), self.stable_id(f"{key}/assignment")
            # Made long ago: it works at once, whatever the role_delay.
            self.store.put(role_assignment(there.subscription, name, role, principal, when=LONG_AGO, who=principal))
        return operator

    def issue_token(self, principal: dict[str, Any], audience: str, lifetime: int, extra: dict[str, Any]) -> str:
        """An access token of Entra ID, version 1.0, for an application."""
        now = int(self.clock.now())
        return self.signer.sign(
            {
                "aud": audience,
                "iss": self.issuer,
                "iat": now,
                "nbf": now,
                "exp": now + lifetime,
                "appid": principal["appId"],
                "idp": self.issuer,
                "idtyp": "app",
                "oid": principal["objectId"],
                "sub": principal["objectId"],
                "tid": self.tenant_id,
                "uti": token_id(),
                "ver": "1.0",
                **extra,
            }
        )

    def verify_token(self, token: str, audiences: tuple[str, ...]) -> dict[str, Any]:
        """The claims of a token of this tenant for one of the audiences (with or without a trailing slash)."""
        accepted = {form for audience in audiences for form in (audience, audience + "/")}
        claims = self.signer.verify(token, now=self.clock.now(), issuer=self.issuer, audiences=accepted)
        if claims.get("tid") != self.tenant_id:
            raise TokenError(TokenError.ISSUER, f"of the tenant {claims.get('tid')}")
        if not all(isinstance(claims.get(name), str) for name in ("oid", "appid")):
            raise TokenError(TokenError.INVALID, "oid and appid are missing")
        return claims
