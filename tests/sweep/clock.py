"""Time that passes faster for a client: what it waits for and how long it would wait at most shrink alike.

The SDKs' delays between two tries and the runbook's deadlines are measured by the same clock, so their order stays as
it is. Limits that the system's own calls count (sockets, locks, threads) do not see that clock: those that a fault makes
a client wait for are shorter, each by itself. The sandbox's clock is real, and so is that of paramiko (time.time), whose
limits (30 s for a greeting) a busy machine would break otherwise.
"""

from __future__ import annotations

import time
from typing import Any, cast

from runbook_helpers.timeouts import Timeouts

FACTOR = 20
TIMEOUTS = Timeouts(
    answer=3.0,  # in place of 120 / FACTOR = 6: a stalled request costs as much again and again
    operation=6.0,
    command=12.0,  # in place of 1800 / FACTOR = 90
    detached=12.0 * FACTOR,
    sandbox_start=30.0 * FACTOR,  # the machine may be busy: it takes as long as it takes
)


def run_fast() -> None:
    """For this process, which is a child that runs steps and ends."""
    sleep = time.sleep

    def scaled(now: Any) -> Any:
        begin = now()
        return lambda: begin + (now() - begin) * FACTOR

    clocks = cast(Any, time)
    clocks.monotonic = scaled(time.monotonic)
    clocks.sleep = lambda seconds: sleep(seconds / FACTOR)
