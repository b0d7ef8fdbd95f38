"""The errors of the sandbox's own management: starting, finding and stopping it."""

from __future__ import annotations


class SandboxError(Exception):
    """The sandbox cannot be started, found or stopped."""
