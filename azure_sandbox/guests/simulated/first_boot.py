"""cloud-init of a simulated machine: what custom data asks for.

Files are there before anybody signs in; packages and commands are done in a thread.
"""

from __future__ import annotations

import logging
import threading

from .. import Machine, cloud_init
from .control import Control, Interrupted
from .disk import ROOT, Disk
from .program import Input, Process, Unsupported, program
from .shell.interpreter import Interpreter
from .shell.state import State
from .system import root_environment

logger = logging.getLogger(__name__)
WHO = "the simulated guest's cloud-init"


def prepare(disk: Disk, machine: Machine) -> None:
    """Write the files, and keep what else is to be done: that begins once the machine runs, and anew where it was cut off."""
    config, log = cloud_init.read(machine.custom_data, cloud_init.KNOWN, WHO)
    lines = cloud_init.files(machine, config, log)
    script = cloud_init.commands(machine, config, log)
    with disk.changing() as document:
        document["cloud_init"] = {"state": "running" if script else "done", "warnings": log, "script": script}
        disk.write(cloud_init.LOG, "".join(f"{line}\n" for line in log), ROOT)
        Interpreter(State.new(_process(disk, Control()), "sh")).main("\n".join(lines))
        if not script:
            disk.write(cloud_init.LOG, "Cloud-init finished.\n", ROOT, append=True)


def start(disk: Disk) -> None:
    """Begin what is to be done, in a thread."""
    if disk["cloud_init"]["state"] != "running":
        return
    control = Control()
    disk.background.add(control)
    threading.Thread(target=_run, args=(disk, control), name="simulated cloud-init", daemon=True).start()


def _process(disk: Disk, control: Control) -> Process:
    """root's, whose output is the log."""

    def output(text: str) -> None:
        disk.write(cloud_init.LOG, text, ROOT, append=True)

    return Process(disk, ROOT, root_environment(), "/", Input(""), output, output, control)


def _run(disk: Disk, control: Control) -> None:
    process = _process(disk, control)
    state = "error"
    try:
        state = "done" if Interpreter(State.new(process, "sh")).main(disk["cloud_init"]["script"]) == 0 else "error"
    except Interrupted:  # the machine was stopped
        return
    except Exception:
        logger.exception("cloud-init of the simulated guest failed")
    finally:
        disk.background.discard(control)
    with disk.changing() as document:
        document["cloud_init"]["state"] = state
        process.stdout("Cloud-init finished.\n" if state == "done" else "Cloud-init finished with errors.\n")


@program("cloud-init")
def _cloud_init(process: Process, arguments: list[str]) -> int:
    if arguments in (["--version"], ["-v"]):
        process.print(f"/usr/bin/cloud-init {process.disk['packages']['cloud-init']}")
        return 0
    pairs, words = process.options(arguments, "wl", ["wait", "long"])
    if words != ["status"]:
        raise Unsupported("cloud-init", f"command {' '.join(words) or 'without arguments'}")
    flags = {name.lstrip("-")[0] for name, _ in pairs}
    while "w" in flags and process.disk["cloud_init"]["state"] == "running":
        if process.terminal:
            process.stdout(".")
        if process.control.interrupt.wait(0.2):
            raise Interrupted
    kept = process.disk["cloud_init"]
    state, warnings = kept["state"], kept["warnings"]
    process.print(("\n" if "w" in flags else "") + f"status: {state}")
    if "l" in flags:
        errors = ["Runparts: 1 failures (runcmd) in 1 attempted commands"] if state == "error" else []
        process.print(f"extended_status: {'degraded ' if warnings and state != 'running' else ''}{state}")
        process.print("boot_status_code: enabled-by-generator\ndetail: DataSourceAzure [seed=/dev/sr0]")
        process.print("errors:" + ("".join(f"\n\t- {line}" for line in errors) or " []"))
        warned = "\nWARNING:" + "".join(f"\n\t- {line}" for line in warnings) if warnings else " {}"
        process.print(f"recoverable_errors:{warned}")
    return 1 if state == "error" else 2 if warnings and state == "done" else 0
