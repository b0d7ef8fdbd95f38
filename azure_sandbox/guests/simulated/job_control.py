"""Programs that let a command outlive its connection: flock and setsid."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from .control import Control, Interrupted
from .disk import DiskError
from .program import Failure, Input, Process, UnknownProgram, Unsupported, program

logger = logging.getLogger(__name__)


@program("flock")
def _flock(process: Process, arguments: list[str]) -> int:
    """flock [-n | -w SECONDS] [-E STATUS] FILE COMMAND…; what the command leaves running holds the lock too."""
    pairs, operands = process.options(
        arguments, "nw:E:x", ["nonblock", "timeout=", "conflict-exit-code=", "exclusive"], anywhere=False
    )
    short = {"--nonblock": "-n", "--timeout": "-w", "--conflict-exit-code": "-E"}
    options = {short.get(name, name): value for name, value in pairs}
    if len(operands) < 2 or operands[1] == "-c":
        raise Unsupported("flock", "form other than: flock [-n | -w SECONDS] [-E STATUS] FILE COMMAND")
    path = process.path(operands[0])
    try:
        process.disk.write(path, "", process.user, append=True)
    except DiskError as error:
        raise Failure(f"flock: cannot open lock file {operands[0]}: {error}", 66) from error
    seconds = 0.0 if "-n" in options else float(options["-w"]) if "-w" in options else None
    deadline = None if seconds is None else time.monotonic() + seconds
    held = process.disk.locks.take(path, deadline, process.control.interrupt)
    if held is None:
        if process.control.interrupt.is_set():
            raise Interrupted
        return int(options.get("-E", "1"))
    try:
        return _run(replace(process, locks=(*process.locks, held)), operands[1:])
    finally:
        process.disk.locks.drop(held)


@program("setsid")
def _setsid(process: Process, arguments: list[str]) -> int:
    """setsid [-f] COMMAND…: with -f it returns at once, and the command goes on when the connection ends."""
    pairs, words = process.options(arguments, "f", ["fork"], anywhere=False)
    if not words:
        raise Failure("setsid: no command specified")
    if not pairs:
        return _run(process, words)
    control = Control()
    child = replace(process, control=control, stdin=Input(""), terminal=False)
    for held in process.locks:
        process.disk.locks.share(held)
    process.disk.background.add(control)
    threading.Thread(target=_in_background, args=(child, words), name="simulated job", daemon=True).start()
    return 0


def _in_background(process: Process, words: list[str]) -> None:
    try:
        _run(process, words)
    except Interrupted:  # the machine was stopped
        logger.info("ended with its machine: %s", words[0])
    except Exception:
        logger.exception("a program of the simulated guest failed")
    finally:
        process.disk.background.discard(process.control)
        for held in process.locks:
            process.disk.locks.drop(held)


def _run(process: Process, words: list[str]) -> int:
    try:
        return process.run(words)
    except UnknownProgram as unknown:
        raise Failure(f"{process.name}: failed to execute {words[0]}: No such file or directory", 127) from unknown
