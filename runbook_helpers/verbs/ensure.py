"""Long-running operations: waiting for their end, and resources that are made where they are missing, also where an earlier
run was interrupted while Azure made them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..answers import UNREADABLE, unreadable
from ..connection import Azure
from ..errors import NotFound, OperationFailed, OperationTimeout
from .tags import is_ours

if TYPE_CHECKING:
    from azure.core.polling import LROPoller

T = TypeVar("T")
ENDED = ("Succeeded", "Failed", "Canceled")


def ensure(
    azure: Azure,
    what: str,
    show: Callable[[], T],
    create: Callable[[], LROPoller[T]],
    repair: Callable[[T], LROPoller[T]] | None = None,
) -> T:
    """The resource, made where it is missing; nothing is written where it exists, or is being made.

    Args:
        what: it is, for messages: "The VM myDockerVM".
        show: look it up; raises azure.core.exceptions.ResourceNotFoundError where it is missing.
        create: begin to make it.
        repair: begin to make again what we have asked for and Azure has given up; as `create` where it is left out.

    Raises:
        OperationFailed: Azure gave up making it.
        OperationTimeout: it was not ready in time.
    """
    return begin_ensure(azure, what, show, create, repair)()


def begin_ensure(
    azure: Azure,
    what: str,
    show: Callable[[], T],
    create: Callable[[], LROPoller[T]],
    repair: Callable[[T], LROPoller[T]] | None = None,
) -> Callable[[], T]:
    """The beginning of `ensure`, and what waits for its end: several can be made at the same time."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        found = settled(azure, what, show)
    except ResourceNotFoundError:
        return partial(wait, azure, create(), what)
    if provisioning_state(found) in (None, "Succeeded") or not is_ours(found):
        return lambda: found
    return partial(wait, azure, repair(found) if repair else create(), what)


def found_elsewhere(at: Azure, what: str, parameter: str, show: Callable[[], T]) -> T:
    """A resource that is somebody else's, where a parameter says that it is; it is never made there.

    Raises:
        NotFound: it is not there.
    """
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return settled(at, what, show)
    except ResourceNotFoundError as error:
        message = (
            f"{what} is not in the resource group {at.resource_group} of the subscription {at.subscription_id}, where "
            f"{parameter} says it is, and nothing is made there, since it is somebody else's: correct the name or "
            f"{parameter}."
        )
        raise NotFound(message) from error


def settled(azure: Azure, what: str, show: Callable[[], T]) -> T:
    """The resource that `show` shows, once nothing is being done with it any more.

    Raises:
        OperationTimeout: that took too long.
        azure.core.exceptions.ResourceNotFoundError: it does not exist, or no more.
    """
    began = time.monotonic()
    while True:
        found = show()
        if provisioning_state(found) in (None, *ENDED):
            return found
        if time.monotonic() - began > azure.timeouts.operation:
            message = (
                f"{what} is in the state {provisioning_state(found)} for {azure.timeouts.operation:.0f} s: look at it in the portal, and run "
                "this step again."
            )
            raise OperationTimeout(message)
        time.sleep(azure.timeouts.polling_interval)


def provisioning_state(resource: Any) -> str | None:
    """The provisioning state of a resource: Creating, Updating, Deleting, Succeeded, Failed, Canceled."""
    for holder in (resource, getattr(resource, "properties", None)):
        state = getattr(holder, "provisioning_state", None)
        if state is not None:
            return str(getattr(state, "value", state))  # the SDK's enum, or the string that Azure answered
    return None


def wait(azure: Azure, poller: LROPoller[T], what: str) -> T:
    """The result of a long-running operation.

    Raises:
        OperationFailed: it ended badly, or Azure does not say how.
        CloudUnavailable: there is no sense in what Azure says.
        OperationTimeout: it did not end in time. (The SDK's own result(timeout) returns quietly then.)
    """
    from azure.core.exceptions import HttpResponseError

    from ..refusals import advice, cause_of_failure

    limit = azure.timeouts.operation
    try:
        result: T = poller.result(timeout=limit)
    except HttpResponseError as error:
        cause = cause_of_failure(error)
        if error.status_code in (401, 403, 404):  # we may not look at it, or Azure does not know it
            raise OperationFailed(
                f"{what}: how it ended in Azure is not known: {cause}. Run this step again."
            ) from error
        raise OperationFailed(f"{what} failed in Azure: {cause}. {advice(cause, azure.cloud.name)}") from error
    except UNREADABLE as error:
        raise unreadable(what, error) from error
    if not poller.done():
        message = f"{what} was not ready after {limit:.0f} s: look at it in the portal, and run this step again."
        raise OperationTimeout(message)
    return result
