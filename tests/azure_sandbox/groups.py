"""A resource group of a test's own in AzureCloud, and what its tests ask for."""

from __future__ import annotations

import uuid
from typing import Any

import jwt
import requests

from azure_sandbox.clouds import REGISTRY_AUDIENCE

from .replay import ZERO, PublicCloud

Json = dict[str, Any]
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
PUSH = "8311e382-0749-4cb8-b61a-304f252e45ec"
DELETE = "c2f4ef07-c644-48eb-af81-4b1b4947fb11"
REPOSITORY_READER = "b93aa761-3e63-49ed-ac28-beffa264f7ac"
REPOSITORY_WRITER = "2a1e307c-b015-4ebd-883e-5b7698a07328"
CATALOG_LISTER = "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7"
TOKEN_USER = "00000000-0000-0000-0000-000000000000"
METADATA = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"


class Group:
    """A resource group of a test's own."""

    def __init__(self, public: PublicCloud) -> None:
        self.name = "g" + uuid.uuid4().hex[:12]
        self.id = f"/subscriptions/{ZERO}/resourceGroups/{self.name}"
        self.public = public
        assert public.arm("PUT", self.id, {"location": "westus"}).status_code == 201

    def registry(self, sku: str = "Basic", **properties: Any) -> str:
        """The id of a registry."""
        registry = f"{self.id}/providers/Microsoft.ContainerRegistry/registries/{self.name}"
        body = {"location": "westus", "sku": {"name": sku}, "properties": properties}
        made = self.public.arm("PUT", registry, body)
        assert made.status_code == 200, made.text
        return registry

    def identity(self, name: str = "identity") -> Json:
        path = f"{self.id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
        made: Json = self.public.arm("PUT", path, {"location": "westus"}).json()
        return made

    def vm(self, name: str = "vm", identity: Json | None = None) -> tuple[str, requests.Session]:
        """The id of a VM, and a session as this VM."""
        path = f"{self.id}/providers/Microsoft.Compute/virtualMachines/{name}{self.name}"
        self.public.make(path, {"identity": identity or {"type": "SystemAssigned"}})
        return path, self.public.vm(path.rpartition("/")[2]).session

    def principal(self, vm: str) -> str:
        return str(self.public.arm("GET", vm).json()["identity"]["principalId"])

    def assign(self, role: str, principal: str, scope: str = "", **properties: Any) -> requests.Response:
        path = f"{scope or self.id}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
        definition = f"/subscriptions/{ZERO}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        given = {"roleDefinitionId": definition, "principalId": principal, **properties}
        return self.public.arm("PUT", path, {"properties": given}, "2022-04-01")


def code(answer: requests.Response) -> str:
    return str(answer.json()["error"]["code"])


def vm_token(session: requests.Session, resource: str = REGISTRY_AUDIENCE, **selector: str) -> str:
    asked = session.get(METADATA, params={"resource": resource, **selector}, headers={"Metadata": "true"})
    assert asked.status_code == 200, asked.text
    return str(asked.json()["access_token"])


def exchange(session: requests.Session, server: str, token: str) -> requests.Response:
    form = {"grant_type": "access_token", "service": server, "access_token": token}
    return session.post(f"https://{server}/oauth2/exchange", data=form)


def granted(session: requests.Session, server: str, refresh: str, scope: str) -> list[str]:
    """The actions that an access token has for a repository."""
    form = {"grant_type": "refresh_token", "service": server, "scope": scope, "refresh_token": refresh}
    answer = session.post(f"https://{server}/oauth2/token", data=form)
    assert answer.status_code == 200, answer.text
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    return sorted(action for each in claims["access"] for action in each["actions"])


def server_of(registry: str) -> str:
    return f"{registry.rpartition('/')[2].lower()}.azurecr.io"
