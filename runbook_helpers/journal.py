"""What was asked of Resource Manager in this session, and under which request id: what Azure's support asks for first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from azure.core.pipeline.policies import SansIOHTTPPolicy

READS = ("GET", "HEAD")


class Journal:
    """The requests that changed something or failed, in order; without headers and bodies, so without secrets."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        """{"method", "path", "status", "x-ms-request-id"} of each."""

    def policy(self) -> SansIOHTTPPolicy[Any, Any]:
        """A policy for the pipeline of an SDK client, which fills this journal."""
        from azure.core.pipeline.policies import SansIOHTTPPolicy

        requests = self.requests

        class Fill(SansIOHTTPPolicy[Any, Any]):
            def on_response(self, request: Any, response: Any) -> None:
                asked, answered = request.http_request, response.http_response
                # A look-up that finds nothing is how a verb learns that there is something to make.
                if asked.method in READS and (answered.status_code < 400 or answered.status_code == 404):
                    return
                requests.append(
                    {
                        "method": asked.method,
                        "path": urlsplit(asked.url).path,
                        "status": answered.status_code,
                        "x-ms-request-id": answered.headers.get("x-ms-request-id"),
                    }
                )

        return Fill()
