"""An embedded Azure: the services that the walkthrough needs, on this machine, offline, for the real clients."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sandbox import Sandbox

__all__ = ["Sandbox"]


def __getattr__(name: str) -> Any:
    # Imported where it is used: pytest imports this package with its plugin in projects that do not use it.
    if name != "Sandbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .sandbox import Sandbox

    return Sandbox
