"""Policies for the pipelines of the Azure SDKs: what passes is asked again, what does not becomes an error of ours."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .answers import UNREADABLE, unreadable
from .clouds import Cloud
from .errors import AGAIN, CloudUnavailable, SignInRefused
from .sign_in import sign_in_error
from .timeouts import Timeouts

if TYPE_CHECKING:
    from azure.core.pipeline.policies import HTTPPolicy, SansIOHTTPPolicy

TOO_MANY_REQUESTS, NOT_IMPLEMENTED = 429, 501
_OPERATION = re.compile("/operation(s|statuses|results)/", re.IGNORECASE)


def translate_errors(
    wake: Callable[[], object], cloud: Cloud, timeouts: Timeouts, *, renew_registry: Callable[[], bool] | None = None
) -> HTTPPolicy[Any, Any]:
    """A policy outside of the SDK's retries: throttling is obeyed, and what stays without an answer, or is refused, is an error of ours.

    Args:
        wake: called before each request.
        cloud: for messages.
        renew_registry: the client is one of a registry's content; this has our credential forget its tokens, and says whether it
            could: a registry does not say whether it refuses one since it has expired. Elsewhere a POST runs something, and
            a lost answer does not say whether it has: it is not sent again.
    """
    registry = renew_registry is not None
    from azure.core.exceptions import (
        ClientAuthenticationError,
        DecodeError,
        IncompleteReadError,
        ServiceRequestError,
        ServiceResponseError,
    )
    from azure.core.pipeline.policies import HTTPPolicy

    class TranslateErrors(HTTPPolicy[Any, Any]):
        def send(self, request: Any) -> Any:
            wake()
            asked, renew = request.http_request, renew_registry
            began = time.monotonic()
            while True:
                if not registry and asked.method == "POST":
                    request.context.options["retry_total"] = 0
                try:
                    response = self.next.send(request)
                except (DecodeError, ServiceRequestError, ServiceResponseError) as error:
                    answer = error.response if isinstance(error, DecodeError) else None
                    if (
                        answer is not None
                        and (answer.status_code or 0) >= 400
                        and not isinstance(error, IncompleteReadError)
                    ):
                        raise _answer_error(
                            asked, answer, cloud
                        ) from error  # an error that is not JSON, and says it is
                    raise CloudUnavailable(f"Azure did not answer {_request(asked)} ({error}). {AGAIN}") from error
                except SignInRefused as error:  # by the exchange of our token, which has this policy too
                    if error.no_role_helps or renew is None or not renew():
                        raise
                    renew = None  # once
                    continue
                except ClientAuthenticationError as error:
                    raise _sign_in_error(error, asked, cloud) from error
                except UNREADABLE as error:  # of a sign-in too, which azure-identity reads
                    raise unreadable(f"Azure at {_request(asked)}", error) from error
                pause = _pause(asked, response, time.monotonic() - began, timeouts)
                if pause is None:
                    break
                time.sleep(pause)
            status = response.http_response.status_code
            if status in (401, 403) and registry:  # also after it has given us a token
                raise _sign_in_refused(asked, _words(response.http_response))
            if status >= 400 and (asked.method, status) != ("HEAD", 404):  # which asks whether something is there
                raise _answer_error(asked, response.http_response, cloud)
            return response

    return TranslateErrors()


def check_content() -> SansIOHTTPPolicy[Any, Any]:
    """A policy inside of the SDK's retries: an answer that breaks off, or is not the JSON that it should be, is asked for
    again, like one that does not come."""
    from azure.core.exceptions import ServiceResponseError
    from azure.core.pipeline.policies import SansIOHTTPPolicy
    from requests import RequestException

    class CheckContent(SansIOHTTPPolicy[Any, Any]):
        def on_response(self, request: Any, response: Any) -> None:
            try:
                # requests keeps it, so that each generation of the SDKs may still read it as a stream.
                content = response.http_response.internal_response.content
                done = response.http_response.status_code in (200, 201)
                if done and content and not isinstance(json.loads(content), dict):
                    raise ValueError("it is no JSON object")
            except (RequestException, ValueError, RecursionError) as error:
                raise ServiceResponseError(f"its answer cannot be read: {error}", error=error) from error

    return CheckContent()


def limit_retry_after(timeouts: Timeouts) -> Callable[[Any], None]:
    """A `raw_response_hook`, which is inside of the SDK's retries: they would sleep for as long as Azure says, in silence.

    It raises CloudUnavailable where they would sleep for more than `timeouts.throttled`.
    """

    def check(response: Any) -> None:
        if response.http_response.status_code >= 400:
            wanted = _retry_after(response)
            if wanted * (response.context.get("retry_count", 0) + 1) > timeouts.throttled:
                later = f", and to ask again after {wanted:.0f} s, not before"
                raise _failed(response.http_request, response.http_response, later)

    return check


def _retry_after(response: Any) -> float:
    """The seconds that an answer says to wait before the same is asked again; 0 where it does not say."""
    from azure.core.pipeline.policies import RetryPolicy

    try:
        return max(RetryPolicy().get_retry_after(response) or 0.0, 0.0)
    except (ValueError, TypeError):  # neither a number nor a date
        return 0.0


def _pause(asked: Any, response: Any, waited: float, timeouts: Timeouts) -> float | None:
    """Seconds until the same request is sent again; None where the answer is to be taken as it is."""
    answer = response.http_response
    if answer.status_code == TOO_MANY_REQUESTS:
        # What was refused for its number was not done, so it may be sent again, whatever it is.
        wanted = _retry_after(response) or timeouts.throttled_pause
        # Many runs may get the same moment: they spread.
        return wanted + random.uniform(0, 1) if waited + wanted <= timeouts.throttled else None
    new = asked.method == "GET" and answer.status_code == 404 and waited < timeouts.new_operation
    return 1.0 if new and _OPERATION.search(urlsplit(asked.url).path) else None


def _request(asked: Any) -> str:
    parts = urlsplit(asked.url)
    return f"{asked.method} {parts.path} on {parts.hostname}"


def _answer_error(asked: Any, answer: Any, cloud: Cloud) -> Exception:
    """The error of an answer that is one: Azure refuses, or it cannot now."""
    from .refusals import refusal

    status = answer.status_code
    if status == TOO_MANY_REQUESTS or (status >= 500 and status != NOT_IMPLEMENTED):
        return _failed(asked, answer)
    return refusal(asked, answer, cloud.name)


def _failed(asked: Any, answer: Any, more: str = "") -> CloudUnavailable:
    from .refusals import cause_of

    support, cause = answer.headers.get("x-ms-request-id"), cause_of(answer)
    reason = f"the answer was {answer.status_code}" + (f", request id {support}" if support else "")
    return CloudUnavailable(
        f"Azure failed at {_request(asked)}: {reason}{f': {cause}' if cause else ''}{more}. {AGAIN}"
    )


def _sign_in_error(error: Exception, asked: Any, cloud: Cloud) -> Exception:
    """The error of a failed sign-in: that of azure-identity with Entra, or that of the SDK with a registry."""
    status = getattr(error, "status_code", None)
    if status is None or "AADSTS" in str(error):
        return sign_in_error(error, cloud)
    return _sign_in_refused(asked, f"{status}: {str(error).partition(chr(10))[0].rstrip('.')}")


def _words(answer: Any) -> str:
    """The status and the message of a registry's answer."""
    from .refusals import cause_of

    cause = cause_of(answer)
    return f"{answer.status_code}: {cause.message}" if cause else str(answer.status_code)


def _sign_in_refused(asked: Any, words: str) -> SignInRefused:
    host = urlsplit(asked.url).hostname or ""
    address = re.search("client with IP '([^']*)' is not allowed access", words)
    if address:
        return SignInRefused(
            f"{host} does not admit this machine's address {address[1]} by its network rules, which no role mends: `az acr "
            f"network-rule add --name {host.partition('.')[0].partition('-')[0]} --ip-address {address[1]}` admits it, or run "
            "this where the registry admits it.",
            no_role_helps=True,
        )
    return SignInRefused(f"{host} does not accept our sign-in ({words}): who runs this needs a role there. {AGAIN}")
