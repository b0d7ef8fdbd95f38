"""Token buckets: how many requests Azure takes before it answers 429 with Retry-After."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A bucket holds `capacity` requests and is refilled with `rate` of them a second."""

    capacity: float
    rate: float


# Per subscription and caller. Source: azure-docs, azure-resource-manager/management/request-limits-and-throttling.
ARM_LIMITS = {"reads": Limit(250, 25), "writes": Limit(200, 10), "deletes": Limit(200, 10)}
METADATA_LIMIT = Limit(20, 20)  # per VM. Source: managed identities, how-to-use-vm-token
INSTANCE_LIMIT = Limit(5, 5)  # per VM, everything but tokens. Source: azure-compute-docs, instance-metadata-service
REGISTRY_TOKEN_LIMIT = Limit(10_000, 10_000 / 60)  # per registry. Source: container-registry-skus


class Buckets:
    """Token buckets by key, which begin full."""

    def __init__(self) -> None:
        self._levels: dict[object, tuple[float, float]] = {}

    def take(self, key: object, limit: Limit, now: float) -> tuple[int, int]:
        """Take one request: how many are left, and 0; or 0 and the seconds to wait where there is none."""
        level, before = self._levels.get(key, (limit.capacity, now))
        level = min(limit.capacity, level + max(0.0, now - before) * limit.rate)
        if level < 1:
            self._levels[key] = (level, now)
            return 0, max(1, math.ceil((1 - level) / limit.rate))
        self._levels[key] = (level - 1, now)
        return int(level - 1), 0
