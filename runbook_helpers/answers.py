"""Answers of the other side: read up to a limit, and an error of ours where there is no sense in one."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .errors import AGAIN, CloudUnavailable, RunbookError
from .timeouts import Timeouts

if TYPE_CHECKING:
    from azure.core.pipeline.transport import RequestsTransport

P = ParamSpec("P")
T = TypeVar("T")
LARGEST = 32 << 20
"""Bytes that an answer may have."""
UNREADABLE = (AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What the SDKs, and we, run into where an answer is not what it should be."""


def is_unreadable(error: Exception) -> bool:
    """Whether an error says that an answer is not what it should be."""
    if isinstance(error, RunbookError):
        return False
    status = getattr(error, "status_code", None)  # an SDK's error for a good status that it does not expect
    return isinstance(error, UNREADABLE) or (isinstance(status, int) and status < 400)


def unreadable(what: str, error: Exception) -> CloudUnavailable:
    """The error of an answer without sense.

    Args:
        what: it answers, for the sentence.
    """
    words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return CloudUnavailable(f"{what}: what was answered is not what it should be ({words}). {AGAIN}")


def reads_answers(verb: Callable[P, T]) -> Callable[P, T]:
    """A verb of which an answer without sense is an error in a sentence.

    Raises (when it is called):
        CloudUnavailable: there is no sense in an answer.
    """

    @functools.wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return verb(*args, **kwargs)
        except Exception as error:
            if not is_unreadable(error):
                raise
            raise unreadable(verb.__name__, error) from error

    return call


def limited_transport(timeouts: Timeouts, **options: Any) -> RequestsTransport:
    """The transport of an SDK's client, which reads no answer without an end.

    Args:
        options: for the connection, as the clients take them.
    """
    import requests
    from azure.core.pipeline.transport import RequestsTransport
    from requests.adapters import HTTPAdapter

    class Limited(HTTPAdapter):
        def send(self, request: Any, stream: bool = False, *args: Any, **kwargs: Any) -> requests.Response:
            response = super().send(request, stream, *args, **kwargs)
            if not stream:
                _read(response, timeouts.answer_total)
            return response

    session = requests.Session()
    session.auth = lambda request: request  # a line in .netrc would take the place of our token
    for scheme in ("https://", "http://"):
        session.mount(scheme, Limited(max_retries=0))
    return RequestsTransport(session=session, **options)


def _read(response: Any, seconds: float) -> None:
    """Read an answer to its end.

    Raises:
        requests.RequestException: it has none, or breaks off.
    """
    import urllib3
    from requests.exceptions import ChunkedEncodingError, ReadTimeout

    content, deadline = bytearray(), time.monotonic() + seconds
    try:
        while chunk := response.raw.read1(65536, decode_content=True):
            content += chunk
            if len(content) > LARGEST or time.monotonic() > deadline:
                response.close()
                limit = f"is longer than {LARGEST >> 20} MiB" if len(content) > LARGEST else "did not end"
                raise ReadTimeout(f"the answer {limit} in {seconds:.0f} s", request=response.request)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise ReadTimeout(error, request=response.request) from error
    except urllib3.exceptions.HTTPError as error:
        raise ChunkedEncodingError(error, request=response.request) from error
    response._content, response._content_consumed = bytes(content), True  # as its own `content` does
