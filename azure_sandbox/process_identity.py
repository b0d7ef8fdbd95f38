"""The identity of a process: its number, which another one may have by now, and when it began."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any


def identity(pid: int) -> str | None:
    """Which process has a number, and when it began, in a form that is only compared; None where there is none."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        boot = ""  # where it can be had: the moments are counted from a boot on
        with contextlib.suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return None if fields[0] in "ZX" else f"{boot} {pid} {fields[19]}"  # Z: ended, and not yet reaped
    if sys.platform == "win32":
        return _identity_on_windows(pid)
    listed = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
    state, _, began = listed.stdout.strip().partition(" ")
    return None if listed.returncode or state.startswith("Z") else f"{pid} {began.strip()}"


def _identity_on_windows(pid: int) -> str | None:
    import ctypes

    kernel: Any = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return None
    created, ended, in_kernel, in_user = (ctypes.c_ulonglong() for _ in range(4))
    times = [ctypes.byref(each) for each in (created, ended, in_kernel, in_user)]
    found = kernel.GetProcessTimes(handle, *times)
    kernel.CloseHandle(handle)
    return f"{pid} {created.value}" if found and not ended.value else None


def send_signal(pid: int, known: str | None, number: int) -> None:
    """Signal the process that has this number and identity, and no other; where it has ended, nobody."""
    with contextlib.suppress(ProcessLookupError), contextlib.ExitStack() as closing:
        descriptor = _open(pid)  # before the look, so that the signal goes to the process that was looked at
        if descriptor is not None:
            closing.callback(os.close, descriptor)
        if known is None or identity(pid) != known:
            return
        if descriptor is None:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(descriptor, number)


def _open(pid: int) -> int | None:
    """A descriptor of the process of a number, which no later one takes over; None where the system has none."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (AttributeError, OSError):  # not Linux; an old kernel
        return None
