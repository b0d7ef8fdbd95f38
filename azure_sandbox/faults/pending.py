"""The resources whose operations are pending or have failed, and those that are not visible yet.

They are kept in the store, for the next start after a kill, and in memory, so that they cost nothing where there are none.
"""

from __future__ import annotations

from typing import Any

from ..clock import Clock
from ..store import Store
from .active import Faults
from .rules import Hide

_PENDING, _HIDDEN = "pending", "hidden"


class PendingOperations:
    """Those of one tenant."""

    def __init__(self, store: Store, clock: Clock, faults: Faults) -> None:
        self._store, self._clock, self._faults = store, clock, faults
        self._resources = {each["id"]: each["rule"] for each in store.documents(_PENDING)}
        self._hidden: dict[str, dict[str, Any]] = {each["id"]: each for each in store.documents(_HIDDEN)}

    def leave(self, resource_id: str, provisioning_state: str, rule_id: str | None) -> None:
        """Show a resource in this state: until the rule is cleared, or until a later operation does its work."""
        if self._show(resource_id, provisioning_state):
            name = resource_id.lower()
            self._resources[name] = rule_id
            self._store.write(_PENDING, name, {"id": name, "rule": rule_id})

    def settle(self) -> None:
        """End the operations whose rule was cleared."""
        for resource_id, rule_id in list(self._resources.items()):
            if rule_id is not None and not self._faults.has(rule_id):
                self.done(resource_id)

    def done(self, resource_id: str) -> None:
        """A later operation has done its work."""
        name = resource_id.lower()
        if name in self._resources:
            del self._resources[name]
            self._store.erase(_PENDING, name)
            self._show(name, "Succeeded")

    def hide(self, fault: Hide, *names: str) -> None:
        """Hide what has these names, for as long as the fault says."""
        for name in names:
            document = {"id": name.lower(), "rule": fault.id, "until": self._clock.now() + fault.hide}
            self._hidden[name.lower()] = document
            self._store.write(_HIDDEN, name.lower(), document)

    def is_hidden(self, name: str) -> bool:
        """Whether something is not visible yet."""
        found = self._hidden.get(name.lower())
        return found is not None and found["until"] > self._clock.now() and self._faults.has(found["rule"])

    def _show(self, resource_id: str, provisioning_state: str) -> bool:
        resource = self._store.get(resource_id)
        if resource is None:
            return False
        resource["properties"]["provisioningState"] = provisioning_state
        self._store.put(resource)
        return True
