"""How hard to fuzz: `make fuzz` gives each test many more examples, and new ones each time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, settings

Test = TypeVar("Test", bound=Callable[..., object])
TIMES = int(os.environ.get("RUNBOOK_FUZZ", "1"))


def fuzzed(examples: int) -> Callable[[Test], Test]:
    """Try a test with so many examples; the same ones each time, but for `make fuzz`."""
    return settings(
        max_examples=examples * TIMES,
        deadline=None,  # other tests run beside this one
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
