"""Time that passes faster for a client: what it waits for and how long it would wait at most shrink alike.

The SDKs' delays between two tries and the runbook's deadlines are measured by the same clock, so their order stays as
it is. Limits that the system's own calls count (sockets, locks, threads) do not see that clock: those that a fault makes
a client wait for are shorter, each by itself. The sandbox's clock is real, and so is that of paramiko (time.time), whose
limits (30 s for a greeting) a busy machine would break otherwise.
"""

from __future__ import annotations

import time
from typing import Any, cast

FACTOR = 20
READ_SECONDS = 3.0  # in place of the SDKs' 300 / FACTOR = 15: a stalled request costs as much again and again
COMMAND_SECONDS = 12.0  # in place of 1800 / FACTOR = 90
OPERATION_SECONDS = 6.0


def _faster() -> None:
    sleep = time.sleep

    def scaled(now: Any) -> Any:
        begin = now()
        return lambda: begin + (now() - begin) * FACTOR

    clocks = cast(Any, time)
    clocks.monotonic = scaled(time.monotonic)
    clocks.sleep = lambda seconds: sleep(seconds / FACTOR)


def run_fast() -> None:
    """For this process, which is a child that runs steps and ends."""
    from azure_sandbox import process
    from runbook_helpers import connection
    from runbook_helpers.ssh import client

    _faster()
    cast(Any, connection).ANSWER_SECONDS = READ_SECONDS
    cast(Any, connection).OPERATION_SECONDS = OPERATION_SECONDS
    cast(Any, client).COMMAND_SECONDS = COMMAND_SECONDS
    for command in (client.Shell.run, client.Shell.run_job):
        cast(Any, command).__kwdefaults__["timeout"] = COMMAND_SECONDS * (
            FACTOR if command.__name__ == "run_job" else 1
        )
    # The machine may be busy: the sandbox's start takes as long as it takes.
    cast(Any, process).START_SECONDS = process.START_SECONDS * FACTOR
