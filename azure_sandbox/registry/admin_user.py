"""The admin user of a registry: its two passwords, and whether somebody is it."""

from __future__ import annotations

import secrets

from ..resource import Resource
from ..tenant import Tenant

NAMES = ("password", "password2")


def passwords(tenant: Tenant, registry: Resource) -> list[str]:
    """Its passwords, in the order of their names; none before it was first enabled."""
    return list((tenant.store.read("secret", str(registry.id)) or {"passwords": []})["passwords"])


def renew(tenant: Tenant, registry: Resource, *names: str) -> None:
    """Give it new passwords of these names."""
    kept = dict(zip(NAMES, passwords(tenant, registry), strict=False))
    renewed = [secrets.token_urlsafe(39) if name in names else kept[name] for name in NAMES]
    tenant.store.write("secret", str(registry.id), {"passwords": renewed})


def is_admin(tenant: Tenant, registry: Resource, user: str, password: str) -> bool:
    """Whether these are the registry's admin user and one of its two passwords."""
    if not registry.properties["adminUserEnabled"] or user.lower() != registry.name.lower():
        return False
    return any(secrets.compare_digest(password.encode(), each.encode()) for each in passwords(tenant, registry))
