"""The journal of a session: its requests to Resource Manager, under which id (what Azure's support asks for first), and
its sign-ins and pulls on VMs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from azure.core.pipeline.policies import SansIOHTTPPolicy

READS = ("GET", "HEAD")
MAKES = ("PUT", "PATCH")
FAILURE = "application/vnd.azure-acr-runbook.failure+json"
"""The MIME type of what the cell that failed displays."""

# The commands on a VM that are kept, and of their options those that cannot hold a secret, with how many values each has.
COMMANDS: dict[tuple[str, ...], dict[str, int]] = {
    ("az", "login"): {"--identity": 0, "--resource-id": 1, "--username": 1},
    ("az", "acr", "login"): {"--name": 1},
    ("docker", "pull"): {},
}


class Journal:
    """Requests that changed something or failed, and sign-ins and pulls; without anything that may be secret."""

    def __init__(self, shown: bool = False) -> None:
        self.shown = shown
        """Whether the requests are shown, for Azure's support. (The sandbox's support is its own log.)"""
        self.commands: list[dict[str, Any]] = []
        """{"vm", "command", "status", "after"} of each sign-in and pull on a VM: the VM's vmId, the exit status, and how
        many requests came before its end."""
        self.requests: list[dict[str, Any]] = []
        """{"method", "path", "status", "x-ms-request-id"} of each."""
        self._in_group = False
        self._unanswered = 0

    def command(self, vm_id: str, arguments: Sequence[str], exit_status: int) -> None:
        """Keep a command that ended on a VM, where it is one of COMMANDS."""
        for command, options in COMMANDS.items():
            if tuple(arguments[: len(command)]) == command:
                shown, rest = list(command), list(arguments[len(command) :])
                while rest:
                    word = rest.pop(0)
                    if word in options:
                        shown += [word, *rest[: options[word]]]
                        del rest[: options[word]]
                    elif not rest and command == ("docker", "pull"):
                        shown.append(word)  # the image
                kept = {"vm": vm_id, "command": " ".join(shown), "status": exit_status, "after": len(self.requests)}
                self.commands.append(kept)

    @property
    def may_have_made(self) -> bool:
        """Whether something may have been made: the resource group exists, or a write was not answered."""
        return self._in_group or self._unanswered > 0

    def show_on_error(self) -> None:
        """In a notebook, have a cell that fails show what this journal has: it never gets to the notebook's result."""
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if shell is None:
            return
        shown = 0

        def show(result: Any) -> None:
            nonlocal shown
            if result.success:
                return
            new, shown = self.requests[shown:], len(self.requests)
            if new and self.shown:
                asked = (f"{each['method']} {each['path']} {each['status']} {each['x-ms-request-id']}" for each in new)
                sys.stderr.write(f"Azure's request ids: {'; '.join(asked)}\n")
            shell.display_pub.publish({FAILURE: {"schema": 1, "made": self.may_have_made}})

        shell.events.register("post_run_cell", show)

    def policy(self) -> SansIOHTTPPolicy[Any, Any]:
        """A policy for the pipeline of an SDK client, which fills this journal."""
        from azure.core.pipeline.policies import SansIOHTTPPolicy

        journal = self

        class Fill(SansIOHTTPPolicy[Any, Any]):
            def on_request(self, request: Any) -> None:
                journal._unanswered += request.http_request.method in MAKES

            def on_response(self, request: Any, response: Any) -> None:
                journal._answered(request.http_request, response.http_response)

        return Fill()

    def _answered(self, request: Any, response: Any) -> None:
        path, status = urlsplit(request.url).path, response.status_code
        self._unanswered -= request.method in MAKES and status < 500
        self._in_group |= status < 400 and "/resourcegroups/" in path.lower()
        # By a look-up that finds nothing a verb learns that something is to be made.
        if request.method not in READS or (status >= 400 and status != 404):
            support = response.headers.get("x-ms-request-id")
            self.requests.append({"method": request.method, "path": path, "status": status, "x-ms-request-id": support})
