"""What each call to Azure has in common: what is done before it, and what is said where there is no proper answer."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .errors import CloudUnavailable, SignInRefused

if TYPE_CHECKING:
    from azure.core.pipeline.policies import HTTPPolicy, SansIOHTTPPolicy

BUSY = 429  # Azure limits how many requests it takes, and says when there may be more
BUSY_SECONDS = 300.0  # how long we come back before we give up
BUSY_PAUSE = 5.0  # before we come back, where it does not say
NEW_SECONDS = 10.0  # how long an operation that has just begun may be unknown to where it is looked up
_OPERATION = re.compile("/operation(s|statuses|results)/", re.IGNORECASE)
_NO_SIGN_IN = re.compile(  # a metadata service that is not there (IMDS) is none that fails
    r"^(?!.*\bIMDS\b).*(HTTP Error: (429|5\d\d)|to ask again after|unable to connect|failed to establish|failed to resolve"
    r"|connection (aborted|reset|broken)|remote end closed|timed out|max retries|Authentication failed: (?!.*AADSTS))",
    re.IGNORECASE,
)
AGAIN = "Run this step again: what is done already is not done anew."


def calls(wake: Callable[[], object], authority: str, *, registry: bool = False) -> HTTPPolicy[Any, Any]:
    """A policy for the pipeline of an SDK client, outside its retries.

    Args:
        wake: called before each request.
        authority: the host that we sign in at, for messages.
        registry: the client is one of a registry's content. Elsewhere a POST runs something, and a lost answer does not say
            whether it has: it is not sent again.
    """
    from azure.core.exceptions import (
        ClientAuthenticationError,
        IncompleteReadError,
        ServiceRequestError,
        ServiceResponseError,
    )
    from azure.core.pipeline.policies import HTTPPolicy

    class Calls(HTTPPolicy[Any, Any]):
        def send(self, request: Any) -> Any:
            wake()
            asked = request.http_request
            began = time.monotonic()
            while True:
                if not registry and asked.method == "POST":
                    request.context.options["retry_total"] = 0
                try:
                    response = self.next.send(request)
                except (IncompleteReadError, ServiceRequestError, ServiceResponseError) as error:
                    raise CloudUnavailable(f"Azure did not answer {_named(asked)} ({error}). {AGAIN}") from error
                except ClientAuthenticationError as error:
                    raise _of_sign_in(error, asked, authority) from error
                pause = _pause(asked, response, time.monotonic() - began)
                if pause is None:
                    break
                time.sleep(pause)
            status = response.http_response.status_code
            if status == 401 and registry:  # also after it has given us a token
                raise _not_let_in(asked, "401")
            if status == BUSY or status >= 500:
                raise _failed(asked, response.http_response)
            return response

    return Calls()


def whole_answers() -> SansIOHTTPPolicy[Any, Any]:
    """A policy inside the retries: an answer that breaks off, or is not the JSON that it should be, is asked for again, like
    one that does not come."""
    from azure.core.exceptions import ServiceResponseError
    from azure.core.pipeline.policies import SansIOHTTPPolicy
    from requests import RequestException

    class Whole(SansIOHTTPPolicy[Any, Any]):
        def on_response(self, request: Any, response: Any) -> None:
            try:
                # requests keeps it, so that each generation of the SDKs may still read it as a stream.
                content = response.http_response.internal_response.content
                done = response.http_response.status_code in (200, 201)
                if done and content and not isinstance(json.loads(content), dict):
                    raise ValueError("it is no JSON object")
            except (RequestException, ValueError) as error:
                raise ServiceResponseError(f"its answer cannot be read: {error}", error=error) from error

    return Whole()


def not_much_later(response: Any) -> None:
    """For an SDK's `raw_response_hook`, which is inside its retries: they would sleep for as long as Azure says, without
    a word.

    Raises:
        CloudUnavailable: with this one they would have slept for more than BUSY_SECONDS.
    """
    if response.http_response.status_code >= 400:
        wanted = _wanted_pause(response)
        if wanted * (response.context.get("retry_count", 0) + 1) > BUSY_SECONDS:
            raise _failed(
                response.http_request, response.http_response, f", and to ask again after {wanted:.0f} s, not before"
            )


def _wanted_pause(response: Any) -> float:
    """The seconds that an answer says to wait before the same is asked again; 0 where it does not say."""
    from azure.core.pipeline.policies import RetryPolicy

    try:
        return max(RetryPolicy().get_retry_after(response) or 0.0, 0.0)
    except (ValueError, TypeError):  # neither a number nor a date
        return 0.0


def _pause(asked: Any, response: Any, waited: float) -> float | None:
    """Seconds until the same request is sent again; None where the answer is to be taken as it is."""
    answer = response.http_response
    if answer.status_code == BUSY:
        # What was refused for its number was not done, so it may be sent again, whatever it is.
        wanted = _wanted_pause(response) or BUSY_PAUSE
        # Many runs may be told the same moment: they spread.
        return wanted + random.uniform(0, 1) if waited + wanted <= BUSY_SECONDS else None
    new = asked.method == "GET" and answer.status_code == 404 and waited < NEW_SECONDS
    return 1.0 if new and _OPERATION.search(urlsplit(asked.url).path) else None


def _named(asked: Any) -> str:
    parts = urlsplit(asked.url)
    return f"{asked.method} {parts.path} on {parts.hostname}"


def _failed(asked: Any, answer: Any, more: str = "") -> CloudUnavailable:
    support = answer.headers.get("x-ms-request-id")
    reason = f"the answer was {answer.status_code}" + (f", request id {support}" if support else "") + more
    return CloudUnavailable(f"Azure failed at {_named(asked)}: {reason}. {AGAIN}")


def _of_sign_in(error: Exception, asked: Any, authority: str) -> Exception:
    """What a failed sign-in means: that of azure-identity with Entra, or that of the SDK with a registry."""
    told = [line.strip() for line in str(error).splitlines()] or [""]
    # azure-identity tells all that goes wrong as this class; DefaultAzureCredential in a line for each way to sign in.
    passing = next((line for line in told if _NO_SIGN_IN.search(line)), None)
    if passing:
        return CloudUnavailable(f"No sign-in at {authority}: {passing.removesuffix(AGAIN).strip(' .')[:300]}. {AGAIN}")
    words = told[0].rstrip(".")
    status = getattr(error, "status_code", None)
    if status is None or "AADSTS" in words:  # azure-identity's own words say what to do
        return error
    return _not_let_in(asked, f"{status}: {words}")


def _not_let_in(asked: Any, words: str) -> SignInRefused:
    host = urlsplit(asked.url).hostname
    return SignInRefused(f"{host} does not accept our sign-in ({words}): who runs this needs a role there. {AGAIN}")
