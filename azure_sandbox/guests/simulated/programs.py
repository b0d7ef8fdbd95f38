"""The programs of a simulated machine: the modules that register them, and how a script is run."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from ...errors import StateError
from . import (  # noqa: F401 - registered
    apt,
    az,
    az_acr,
    az_resources,
    coreutils,
    curl,
    docker,
    docker_containers,
    facts,
    first_boot,
    job_control,
    system,
    text,
)
from .control import Interrupted
from .program import Process
from .shell import bash  # noqa: F401 - registered
from .shell.interpreter import Interpreter
from .shell.session import Session
from .shell.state import State

logger = logging.getLogger(__name__)


def run_script(process: Process, script: str | None) -> int:
    """Run a script, or standard input, in a new shell; its exit status."""
    shell = Interpreter(State.new(process))
    try:
        return Session(shell).interact(login=True) if script is None else shell.main(script)
    except Interrupted:
        return 130
    except StateError as error:
        process.warn(f"the sandbox failed: {error}")
        return 70
    except Exception:
        logger.exception("a program of the simulated guest failed")
        process.warn("the simulated guest failed here; the sandbox's log says how")
        return 70


async def in_thread(function: Callable[[], int]) -> int:
    """Run a function in a thread of its own. A pool would be held up by programs that wait for input."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()

    def finish(status: int) -> None:
        if not done.done():
            done.set_result(status)

    def work() -> None:
        status = function()
        call_in_loop(loop, finish, status)

    threading.Thread(target=work, name="simulated guest", daemon=True).start()
    return await done


def call_in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Call in the loop's thread; nothing where the loop has ended meanwhile."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        logger.debug("the loop has ended")
