"""Resources of Resource Manager: their types, their ids, and a view of what is stored of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

Json = dict[str, Any]

ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
DEFINITION = "Microsoft.Authorization/roleDefinitions"
DENIAL = "Microsoft.Authorization/denyAssignments"
DEPLOYMENT = "Microsoft.Resources/deployments"
GROUP = "Microsoft.Resources/resourceGroups"
LOCK = "Microsoft.Authorization/locks"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
REGISTRY = "Microsoft.ContainerRegistry/registries"
VIRTUAL_MACHINE = "Microsoft.Compute/virtualMachines"
EXTENSION = f"{VIRTUAL_MACHINE}/extensions"
ADDRESS = "Microsoft.Network/publicIPAddresses"
INTERFACE = "Microsoft.Network/networkInterfaces"
NETWORK = "Microsoft.Network/virtualNetworks"
SUBNET = f"{NETWORK}/subnets"
SECURITY_GROUP = "Microsoft.Network/networkSecurityGroups"
SECURITY_RULE = f"{SECURITY_GROUP}/securityRules"


def spelled(text: str, words: Iterable[str]) -> str | None:
    """The one of the words that the text is, in whatever case it is written."""
    return next((word for word in words if word.lower() == text.lower()), None)


class ResourceId:
    """The id of a resource, of a group or of a subscription; ids that differ in case only are the same one.

    /subscriptions/…/resourceGroups/…/providers/{provider}/{type}/{name}, and pairs of type and name for each child.
    What is below a resource and no child of it, such as an action, has the resource as its parent too.
    """

    _GROUP = re.compile("/subscriptions/([^/]+)(?:/resourcegroups/([^/]+))?", re.IGNORECASE)
    _PROVIDER = re.compile("(.*)/providers/([^/]+)/(.+)", re.IGNORECASE)

    def __init__(self, text: str) -> None:
        self._text = text.rstrip("/")
        self.key = self._text.lower()
        """What is equal for equal ids."""

    def __str__(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResourceId) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @cached_property
    def _scopes(self) -> tuple[str, str]:
        match = self._GROUP.match(self._text)
        return (match[1], match[2] or "") if match else ("", "")

    @cached_property
    def _parts(self) -> tuple[str, str, list[str]]:
        """The scope, the provider, and the types and names behind it."""
        match = self._PROVIDER.fullmatch(self._text)
        return (match[1], match[2], match[3].split("/")) if match else (self._text, "", [])

    @property
    def subscription(self) -> str:
        return self._scopes[0]

    @property
    def group(self) -> str:
        """The name of its resource group; empty where it is in none."""
        return self._scopes[1]

    @property
    def scope(self) -> ResourceId:
        """What the provider stands behind: a group, a subscription, or a resource, for a role assignment at it."""
        return ResourceId(self._parts[0])

    @property
    def provider(self) -> str:
        return self._parts[1]

    @property
    def type(self) -> str:
        """Microsoft.Network/virtualNetworks/subnets, in the case it is written in."""
        return "/".join([self.provider, *self._parts[2][0::2]])

    @property
    def names(self) -> str:
        """The resource's name behind those of the resources that it is a child of."""
        return "/".join(self._parts[2][1::2])

    @property
    def name(self) -> str:
        return self._text.rpartition("/")[2]

    @property
    def parent(self) -> ResourceId:
        """The resource that it is a child or an action of."""
        action = len(self._parts[2]) % 2
        return ResourceId(self._text.rsplit("/", 1 if action else 2)[0])

    @property
    def collection(self) -> str:
        """The type of a child as its parent knows it, such as subnets."""
        parts = self._parts[2]
        return parts[-1 if len(parts) % 2 else -2]

    def child(self, collection: str, name: str) -> ResourceId:
        return ResourceId(f"{self}/{collection}/{name}")

    def covers(self, other: ResourceId) -> bool:
        """Whether the other one is the same or below it: in the subscription, in the group, a child."""
        return other == self or other.key.startswith(f"{self.key}/")


class Resource(Json):
    """A resource as it is stored, with names for the members that all resources have."""

    @property
    def id(self) -> ResourceId:
        return ResourceId(self["id"])

    @property
    def name(self) -> str:
        return str(self["name"])

    @property
    def type(self) -> str:
        return str(self["type"])

    @property
    def location(self) -> str:
        return str(self.get("location", ""))

    @property
    def tags(self) -> Json:
        return self.get("tags") or {}

    @property
    def properties(self) -> Json:
        properties: Json = self["properties"]
        return properties

    def children(self, collection: str) -> list[Resource]:
        """The resources that are stored inside this one, such as the subnets of a network."""
        return [Resource(each) for each in self.properties.get(collection, [])]


def reference(properties: Json, member: str) -> ResourceId | None:
    """The id in a member that refers to another resource: {"id": …}."""
    found = (properties.get(member) or {}).get("id")
    return ResourceId(found) if found else None
