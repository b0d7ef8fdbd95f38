"""Programs that say what the machine is: its release, processor, memory, name."""

from __future__ import annotations

from .proc_files import CPUS, memory
from .program import Failure, Process, Unsupported, program
from .releases import processor_name, release_of


@program("uname", "arch")
def _uname(process: Process, arguments: list[str]) -> int:
    names = ["kernel-name", "nodename", "kernel-release", "kernel-version", "machine", "processor", "hardware-platform"]
    short = "snrvmpi"
    pairs, operands = process.options(arguments, short + "oa", [*names, "operating-system", "all"])
    if operands:
        raise Failure(
            f"{process.name}: extra operand ‘{operands[0]}’\nTry '{process.name} --help' for more information."
        )
    release, processor = release_of(process.disk.machine), processor_name(process.disk.machine)
    values = {
        "s": "Linux",
        "n": process.disk.machine.computer_name,
        "r": release.kernel,
        "v": f"#12~{release.version}.1-Ubuntu SMP",
        "m": processor,
        "p": processor,
        "i": processor,
        "o": "GNU/Linux",
    }
    letters = {f"--{name}": letter for name, letter in zip(names, short, strict=True)}
    flags = {{**letters, "--operating-system": "o", "--all": "a"}.get(name, name[1:]) for name, _ in pairs}
    flags = flags or {"m" if process.name == "arch" else "s"}
    process.print(" ".join(value for key, value in values.items() if key in flags or "a" in flags))
    return 0


@program("nproc")
def _nproc(process: Process, arguments: list[str]) -> int:
    process.options(arguments, "", ["all"])
    process.print(process.disk.machine.cores)
    return 0


@program("hostname")
def _hostname(process: Process, arguments: list[str]) -> int:
    if process.options(arguments, "s", ["short"])[1]:
        raise Unsupported("hostname", "change of the name")
    process.print(process.disk.machine.computer_name)
    return 0


@program("hostnamectl")
def _hostnamectl(process: Process, arguments: list[str]) -> int:
    if process.options(arguments)[1] not in ([], ["status"]):
        raise Unsupported("hostnamectl", f"command {' '.join(arguments)}")
    machine, release = process.disk.machine, release_of(process.disk.machine)
    lines = {
        "Static hostname": machine.computer_name,
        "Icon name": "computer-vm",
        "Chassis": "vm",
        "Virtualization": "microsoft",
        "Operating System": f"Ubuntu {release.point}",
        "Kernel": f"Linux {release.kernel}",
        "Architecture": processor_name(machine).replace("aarch64", "arm64").replace("_", "-"),
    }
    for name, value in lines.items():
        process.print(f"{name:>16}: {value}")
    return 0


@program("lscpu")
def _lscpu(process: Process, arguments: list[str]) -> int:
    process.options(arguments)
    machine = process.disk.machine
    for name, value in {
        "Architecture:": processor_name(machine),
        "CPU(s):": machine.cores,
        "Model name:": CPUS[machine.architecture],
    }.items():
        process.print(f"{name:<33}{value}")
    return 0


@program("lsb_release")
def _lsb_release(process: Process, arguments: list[str]) -> int:
    names = ["all", "id", "description", "release", "codename", "short"]
    pairs, _ = process.options(arguments, "aidrcs", names)
    flags = {name.lstrip("-")[0] for name, _ in pairs}
    release = release_of(process.disk.machine)
    values = {
        "i": ("Distributor ID", "Ubuntu"),
        "d": ("Description", f"Ubuntu {release.point}"),
        "r": ("Release", release.version),
        "c": ("Codename", release.codename),
    }
    if not flags or "a" in flags:
        process.warn("No LSB modules are available.")
    for key, (label, value) in values.items():
        if key in flags or "a" in flags:
            process.print(value if "s" in flags else f"{label}:\t{value}")
    return 0


@program("python3")
def _python(process: Process, arguments: list[str]) -> int:
    if arguments not in (["--version"], ["-V"]):
        raise Unsupported("python3", "programs to run: only python3 --version")
    process.print(f"Python {release_of(process.disk.machine).package_version('python3')}")
    return 0


@program("df")
def _df(process: Process, arguments: list[str]) -> int:
    process.options(arguments, "h")
    process.print("Filesystem      Size  Used Avail Use% Mounted on")
    full = process.disk.faults.meet("disk_full")
    process.print(f"/dev/root        29G  {' 29G     0 100%' if full else '1.9G   27G   7%'} /")
    return 0


@program("free")
def _free(process: Process, arguments: list[str]) -> int:
    pairs, _ = process.options(arguments, "hmgkb", ["human", "mebi", "gibi", "kibi", "bytes"])
    unit = pairs[-1][0].lstrip("-")[0] if pairs else "k"
    total, used = memory(process.disk.machine)

    def shown(kibibytes: int) -> str:
        if unit == "h":
            return f"{kibibytes / (1 << 20):.1f}Gi" if kibibytes >= 1 << 20 else f"{kibibytes >> 10}Mi"
        shift = {"b": -10, "k": 0, "m": 10, "g": 20}[unit]
        return str(kibibytes << -shift if shift < 0 else kibibytes >> shift)

    columns = [total, used, total - used - total // 10, 0, total // 10, total - used]
    process.print("               total        used        free      shared  buff/cache   available")
    process.print("Mem:    " + "".join(f"{shown(value):>12}" for value in columns))
    process.print("Swap:   " + "".join(f"{shown(0):>12}" for _ in range(3)))
    return 0
