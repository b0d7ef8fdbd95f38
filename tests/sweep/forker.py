"""``python -m tests.sweep.forker``: has everything imported, and runs steps in children of its own.

Reads one order as JSON a line and answers with lines {"pid"} and, when that child has ended, {"ended", "status"}. A
child so costs some hundredths of a second, where a new Python with the SDKs takes more than one. Sandboxes are started
so too: what they do is the same, only their modules are there already.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import sys
import traceback
from pathlib import Path
from typing import Any

import asyncssh  # noqa: F401
import azure.containerregistry
import azure.identity
import azure.mgmt.authorization
import azure.mgmt.compute
import azure.mgmt.containerregistry
import azure.mgmt.msi
import azure.mgmt.network
import azure.mgmt.resource.resources  # noqa: F401
from azure.core.exceptions import AzureError

from azure_sandbox import server  # noqa: F401
from runbook_helpers import RunbookError

from . import clock
from .walkthrough import Known, Names, steps


def main() -> None:
    children: set[int] = set()
    while True:
        ready = select.select([0], [], [], 0.01 if children else None)[0]
        if ready:
            line = _read_line()
            if not line:
                return
            children.add(_begin(json.loads(line)))
        for child in list(children):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                children.discard(child)
                _say({"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _read_line() -> bytes:
    """Byte by byte: what follows stays where select sees it."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        line += byte
    return line


def _begin(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            _begin_log(order)
            _sandbox(order) if "sandbox" in order else _run(order)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _say({"pid": pid})
    return pid


def _say(answer: dict[str, int]) -> None:
    os.write(1, (json.dumps(answer) + "\n").encode())


def _begin_log(order: dict[str, Any]) -> None:
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.dup2(null, 0)


def _sandbox(order: dict[str, Any]) -> None:
    sys.argv = ["sandbox", order["sandbox"]]
    runpy.run_module("azure_sandbox", run_name="__main__")


def _run(order: dict[str, Any]) -> None:
    """Run the steps that an order names, and write what came of them, step by step, to the file that it names."""
    os.environ.update(order["environment"])
    clock.run_fast()
    result: dict[str, Any] = {"done": [], "known": order["known"], "error": None}
    names = Names(**order["names"])
    try:
        azure, notebook = None, ""
        for step in steps(**order["which"])[order["first"] : order["last"]]:
            if azure is None or step.notebook != notebook:
                azure, notebook = (
                    names.connect(clock.TIMEOUTS),
                    step.notebook,
                )  # a notebook has a kernel, and so a token, of its own
            added: Known = step.run(azure, names, result["known"])
            result["known"] = {**result["known"], **added}
            result["done"].append(step.name)
            _write(Path(order["result"]), result)
    except BaseException as error:
        known = isinstance(error, (RunbookError, AzureError))
        result["error"] = {"type": type(error).__name__, "typed": known, "text": str(error)}
        if not known:
            traceback.print_exc()
    _write(Path(order["result"]), result)


def _write(path: Path, result: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(result))
    new.replace(path)


if __name__ == "__main__":
    main()
