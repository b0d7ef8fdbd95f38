"""Resources that are made where they are missing, also where an earlier run was interrupted while Azure made them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .. import connection
from ..connection import wait
from ..errors import OperationTimeout
from ..tags import is_ours

if TYPE_CHECKING:
    from azure.core.polling import LROPoller

T = TypeVar("T")
ENDED = ("Succeeded", "Failed", "Canceled")


def ensure(
    what: str,
    show: Callable[[], T],
    create: Callable[[], LROPoller[T]],
    repair: Callable[[T], LROPoller[T]] | None = None,
) -> T:
    """The resource; nothing is written where it is there, or being made.

    Args:
        what: it is, for messages: "The VM myDockerVM".
        show: look it up; raises azure.core.exceptions.ResourceNotFoundError where it is missing.
        create: begin to make it.
        repair: begin to make again what we have asked for and Azure has given up; as `create` where it is left out.

    Raises:
        OperationFailed: Azure gave up making it.
        OperationTimeout: it was not ready in time.
    """
    from azure.core.exceptions import ResourceNotFoundError

    try:
        found = settled(what, show)
    except ResourceNotFoundError:
        return wait(create(), what)
    if provisioning_state(found) in (None, "Succeeded") or not is_ours(found):
        return found
    return wait(repair(found) if repair else create(), what)


def settled(what: str, show: Callable[[], T]) -> T:
    """What `show` shows, once nothing is being done with it any more.

    Raises:
        OperationTimeout: that took too long.
        azure.core.exceptions.ResourceNotFoundError: it is not there, or no more.
    """
    began = time.monotonic()
    while True:
        found = show()
        if provisioning_state(found) in (None, *ENDED):
            return found
        if time.monotonic() - began > connection.OPERATION_SECONDS:
            seconds = connection.OPERATION_SECONDS
            message = (
                f"{what} is in the state {provisioning_state(found)} for {seconds:.0f} s: look at it in the portal, and run "
                "this step again."
            )
            raise OperationTimeout(message)
        time.sleep(connection.POLLING_INTERVAL)


def provisioning_state(resource: Any) -> str | None:
    """What Azure says of how far a resource is: Creating, Updating, Deleting, Succeeded, Failed, Canceled."""
    for holder in (resource, getattr(resource, "properties", None)):
        state = getattr(holder, "provisioning_state", None)
        if state is not None:
            return str(getattr(state, "value", state))  # the SDK's enum, or the string that Azure answered
    return None
