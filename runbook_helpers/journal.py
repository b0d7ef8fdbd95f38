"""What this session saw of its own work: the requests to Resource Manager, under which id (what Azure's support asks for
first), and the sign-ins and pulls on VMs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from azure.core.pipeline.policies import SansIOHTTPPolicy

READS = ("GET", "HEAD")

# The commands on a VM that are kept, and of their options those that cannot hold a secret, with how many values each has.
COMMANDS: dict[tuple[str, ...], dict[str, int]] = {
    ("az", "login"): {"--identity": 0, "--resource-id": 1, "--username": 1},
    ("az", "acr", "login"): {"--name": 1},
    ("docker", "pull"): {},
}


class Journal:
    """The requests that changed something or failed, and the sign-ins and pulls; without anything that may be secret."""

    def __init__(self, shown: bool = False) -> None:
        self.shown = shown
        """Whether the requests are shown, for Azure's support. (The sandbox's support is its own log.)"""
        self.commands: list[dict[str, Any]] = []
        """{"vm", "command", "status", "after"} of each sign-in and pull on a VM: the VM's vmId, the exit status, and how
        many requests there were before its end."""
        self.requests: list[dict[str, Any]] = []
        """{"method", "path", "status", "x-ms-request-id"} of each."""

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

    def tell_on_error(self) -> None:
        """In a notebook, have a cell that fails tell the requests so far: it never gets to the notebook's result."""
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if shell is None:
            return
        told = 0

        def tell(result: Any) -> None:
            nonlocal told
            new = self.requests[told:]
            if new and not result.success:
                told = len(self.requests)
                asked = (f"{each['method']} {each['path']} {each['status']} {each['x-ms-request-id']}" for each in new)
                sys.stderr.write(f"Azure's request ids: {'; '.join(asked)}\n")

        shell.events.register("post_run_cell", tell)

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
