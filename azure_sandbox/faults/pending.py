"""What faults have left undone in a cloud: resources that are stuck or have failed, and what is not seen yet.

It is kept in the state, so that a sandbox that was killed goes on with it, and in memory, so that it costs nothing
where there is none.
"""

from __future__ import annotations

from typing import Any

from ..clock import Clock
from ..store import Store
from .active import Faults
from .rules import Rule

_PENDING, _HIDDEN = "pending", "hidden"


class PendingOperations:
    """That of one cloud."""

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
        """Let the operations go on whose rule was cleared."""
        for resource_id, rule_id in list(self._resources.items()):
            if rule_id is not None and not self._faults.stands(rule_id):
                self.done(resource_id)

    def done(self, resource_id: str) -> None:
        """A later operation has done its work."""
        name = resource_id.lower()
        if name in self._resources:
            del self._resources[name]
            self._store.erase(_PENDING, name)
            self._show(name, "Succeeded")

    def hide(self, rule: Rule, *names: str) -> None:
        """Let what has these names not be seen yet."""
        for name in names:
            document = {"id": name.lower(), "rule": rule.id, "until": self._clock.now() + rule.fault.hide}
            self._hidden[name.lower()] = document
            self._store.write(_HIDDEN, name.lower(), document)

    def is_hidden(self, name: str) -> bool:
        """Whether something is not seen yet."""
        found = self._hidden.get(name.lower())
        return found is not None and found["until"] > self._clock.now() and self._faults.stands(found["rule"])

    def _show(self, resource_id: str, provisioning_state: str) -> bool:
        resource = self._store.get(resource_id)
        if resource is None:
            return False
        resource["properties"]["provisioningState"] = provisioning_state
        self._store.put(resource)
        return True
