"""The files in /proc of a simulated machine, by its size."""

from __future__ import annotations

from .. import Machine
from .releases import release_of

CPUS = {"amd64": "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz", "arm64": "Neoverse-N1"}


def memory(machine: Machine) -> tuple[int, int]:
    """Total and used memory in KiB; the kernel keeps some of what the size has."""
    total = machine.memory_mib * 1000
    return total, total // 20


def proc_files(machine: Machine) -> dict[str, str]:
    """The files by their paths."""
    total, used = memory(machine)
    free = f"{total - used:>8} kB"
    return {
        "/proc/cpuinfo": "".join(_processor(machine, number) for number in range(machine.cores)),
        "/proc/meminfo": f"MemTotal:       {total:>8} kB\nMemFree:        {free}\nMemAvailable:   {free}\n",
        "/proc/version": f"Linux version {release_of(machine).kernel} (the sandbox's simulated guest)\n",
    }


def _processor(machine: Machine, number: int) -> str:
    if machine.architecture == "arm64":
        kind = "BogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n"
    else:
        kind = f"vendor_id\t: GenuineIntel\nmodel name\t: {CPUS['amd64']}\ncpu cores\t: {machine.cores}\n"
    return f"processor\t: {number}\n{kind}\n"
