"""What each call to Azure has in common: what is done before it, and what is said where there is no proper answer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .errors import CloudUnavailable

if TYPE_CHECKING:
    from azure.core.pipeline.policies import HTTPPolicy

BUSY = 429  # Azure limits how many requests it takes, and says when there may be more
BUSY_SECONDS = 300.0  # how long we come back before we give up


def calls(wake: Callable[[], object]) -> HTTPPolicy[Any, Any]:
    """A policy for the pipeline of an SDK client, outside its retries.

    A POST runs something, and a lost answer does not say whether it has: it is not sent again.

    Args:
        wake: called before each request.
    """
    from azure.core.exceptions import IncompleteReadError, ServiceRequestError, ServiceResponseError
    from azure.core.pipeline.policies import HTTPPolicy

    class Calls(HTTPPolicy[Any, Any]):
        def send(self, request: Any) -> Any:
            wake()
            asked = request.http_request
            began = time.monotonic()
            while True:
                if asked.method == "POST":
                    request.context.options["retry_total"] = 0
                try:
                    response = self.next.send(request)
                except (IncompleteReadError, ServiceRequestError, ServiceResponseError) as error:
                    raise CloudUnavailable(_sentence(asked, f"no answer came ({error})")) from error
                # What was refused for its number was not done, so it may be sent again, whatever it is.
                if response.http_response.status_code != BUSY or time.monotonic() - began > BUSY_SECONDS:
                    break
                time.sleep(_seconds_to_wait(response.http_response))
            status = response.http_response.status_code
            if status == BUSY or status >= 500:
                support = response.http_response.headers.get("x-ms-request-id")
                reason = f"the answer was {status}" + (f", request id {support}" if support else "")
                raise CloudUnavailable(_sentence(asked, reason))
            return response

    return Calls()


def _seconds_to_wait(response: Any) -> float:
    # Many runs may be told the same moment to come back: they spread.
    try:
        wanted = float(response.headers.get("Retry-After", ""))
    except ValueError:
        wanted = 5.0
    return min(wanted, BUSY_SECONDS) + random.uniform(0, 1)


def _sentence(asked: Any, reason: str) -> str:
    parts = urlsplit(asked.url)
    again = "Run this step again: what is there already is kept."
    return f"Azure did not do {asked.method} {parts.path} on {parts.hostname}: {reason}. {again}"
