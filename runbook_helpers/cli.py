"""The command ``runbook``."""

from __future__ import annotations

import collections
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .errors import ParameterError, RunbookError
from .outcomes import Outcome, outcome_of
from .run_command import run

if TYPE_CHECKING:
    from .sandbox.process import Running


class _Group(click.Group):
    """Tells our own errors in a sentence, and shows a traceback only where it is asked for."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except RunbookError as error:
            if context.find_root().params.get("traceback"):
                raise
            click.echo(f"Error: {error}", err=True)
            context.exit(outcome_of(type(error).__name__, str(error)).exit_code)
        except Exception as error:
            azure_errors = sys.modules.get("azure.core.exceptions")  # not imported: then it is none of theirs
            known = azure_errors is not None and isinstance(error, azure_errors.AzureError)
            if not known or context.find_root().params.get("traceback"):
                raise
            click.echo(f"Error: {str(error).partition(chr(10))[0] or type(error).__name__}", err=True)
            context.exit(Outcome.CLOUD_REFUSED.exit_code)


@click.group(cls=_Group)
@click.option("--traceback", is_flag=True, help="Show the Python traceback of an error.")
def main(traceback: bool) -> None:
    """Use an Azure managed identity to authenticate to an Azure container registry: the runbook."""


main.add_command(run)


@main.command(context_settings={"allow_interspersed_args": False})
@click.option("-f", "file", type=click.Path(path_type=Path), default=None, help="Parameter file, as for run.")
@click.option("-p", "overrides", type=(str, str), multiple=True, metavar="NAME VALUE", help="Set one parameter.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(file: Path | None, overrides: tuple[tuple[str, str], ...], command: tuple[str, ...]) -> None:
    """Open a terminal on the VM, in the sandbox too; or run COMMAND there.

    Exit status: that of ssh, which is that of the command, or 255.
    """
    from . import runner
    from .connection import connect_with
    from .openssh import open_terminal

    values = runner.collect_parameters(file or runner.PROJECT / "parameters" / "sandbox.yaml", overrides)
    if "vm_name" not in values:
        raise ParameterError(["vm_name is missing."])
    sys.exit(open_terminal(connect_with(values), values["vm_name"], command))


@main.command()
@click.option("-f", "file", type=click.Path(path_type=Path), default=None, help="Parameter file, as for run.")
@click.option("-p", "overrides", type=(str, str), multiple=True, metavar="NAME VALUE", help="Set one parameter.")
def check(file: Path | None, overrides: tuple[tuple[str, str], ...]) -> None:
    """Say which permissions are missing for a run, before anything is made; nothing is changed.

    Exit status: 0 nothing is missing, 2 bad parameters, 3 something is.
    """
    from . import runner
    from .connection import connect_with
    from .preflight import check_permissions

    values = runner.collect_parameters(file or runner.PROJECT / "parameters" / "sandbox.yaml", overrides)
    names = ("registry_name", "vm_name", "identity_name")
    missing = [f"{name} is missing." for name in names if name not in values]
    if missing:
        raise ParameterError(missing)
    click.echo(repr(check_permissions(connect_with(values), **{name: values[name] for name in names})))


@main.command("trust-vm")
@click.argument("name")
@click.option("--first-use", is_flag=True, help="Believe what answers at its address now; compare the fingerprint.")
@click.option("-f", "file", type=click.Path(path_type=Path), default=None, help="Parameter file, as for run.")
@click.option("-p", "overrides", type=(str, str), multiple=True, metavar="NAME VALUE", help="Set one parameter.")
def trust_vm(name: str, first_use: bool, file: Path | None, overrides: tuple[tuple[str, str], ...]) -> None:
    """Pin the host key of the VM NAME, which is there already, so that it can be told from an impostor.

    It is read through Azure, by run-command, unless --first-use is given. The VM is not changed: what it needs to let us in is printed.
    """
    from . import host_keys, runner
    from .connection import connect_with

    overrides = (*overrides, ("vm_name", name))
    azure = connect_with(runner.collect_parameters(file or runner.PROJECT / "parameters" / "sandbox.yaml", overrides))
    told = host_keys.trust_vm(azure, name, first_use=first_use)
    click.echo(f"The VM {name} has the host key {told}; it is pinned.")
    if first_use:
        click.echo(
            "Nobody vouches for it: compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the VM."
        )
    click.echo(f"To let this runbook in, if it does not yet:\n{host_keys.admission(azure, name)}")


@main.command()
def refresh() -> None:
    """Execute all notebooks in a fresh sandbox and keep their outputs."""
    from . import runner

    for path in runner.refresh():
        click.echo(path.name)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: tuple[str, ...]) -> None:
    """Open JupyterLab on the first notebook; ARGUMENTS go to `jupyter lab`: --no-browser, --port 8889."""
    from . import runner

    try:
        from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]
    except ImportError as error:
        raise RunbookError("JupyterLab is not installed: `make lab` installs it.") from error
    # In this process, not in a child: Ctrl-C and the pid are JupyterLab's own. Its terminals begin where it runs.
    os.chdir(runner.PROJECT)
    address = [f"--ServerApp.root_dir={runner.PROJECT}", "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"]
    LabApp.launch_instance([*address, *arguments])


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--notebooks",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="Their folder.  [default: the repository's]",
)
def coverage(as_json: bool, notebooks: Path | None) -> None:
    """Print which command of the document is done in which cell; exit status 1 where one has none."""
    from . import coverage, runner

    lines = coverage.cover(notebooks or runner.NOTEBOOKS)
    if as_json:
        click.echo(json.dumps([line.as_json() for line in lines], indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(coverage.table(lines)))
    missing = [line for line in lines if line.cell is None]
    for line in missing:
        click.echo(f"No cell does `{line.command.text}` ({line.command.section}).", err=True)
    if missing:
        sys.exit(Outcome.FAILED.exit_code)


@main.group(cls=_Group)
def sandbox() -> None:
    """The embedded Azure."""


def _with_folder(command: Callable[..., None]) -> Callable[..., None]:
    option = click.option(
        "--folder", type=click.Path(path_type=Path), default=None, help="Its folder.  [default: RUNBOOK_SANDBOX]"
    )
    return option(command)


def _folder(folder: Path | None) -> Path:
    from .sandbox import process

    return folder.absolute() if folder else process.default_folder()


@sandbox.command()
@click.option("--port", default=0, help="Port on loopback.  [default: a free one]")
@click.option(
    "--guest",
    type=click.Choice(["simulated", "machine"]),
    default=None,
    help="What stands behind the VMs: played programs, or real Debian machines (Linux with root).  [default: as before]",
)
@_with_folder
def start(folder: Path | None, port: int, guest: str | None) -> None:
    """Start it, or find the one that runs."""
    from .sandbox import process

    _tell(process.start(_folder(folder), port, guest, lambda sentence: click.echo(sentence, err=True)))


@sandbox.command()
@_with_folder
def stop(folder: Path | None) -> None:
    """End it; what was made in it stays."""
    from .sandbox import process

    click.echo("stopped" if process.stop(_folder(folder)) else f"no sandbox runs in {_folder(folder)}")


@sandbox.command()
@_with_folder
def status(folder: Path | None) -> None:
    """Print folder, address and pid; exit status 1 where none runs."""
    from .sandbox import process

    running = process.find(_folder(folder))
    if running is None:
        click.echo(f"no sandbox runs in {_folder(folder)}")
        sys.exit(Outcome.FAILED.exit_code)
    _tell(running)


@sandbox.command()
@_with_folder
def reset(folder: Path | None) -> None:
    """End it and forget everything that was made in it."""
    from .sandbox import process

    process.reset(_folder(folder))
    click.echo(f"nothing is left of the sandbox in {_folder(folder)}")


@sandbox.command()
@click.option("--vm", default=None, metavar="NAME", help="Stand in for this VM: its identities, its metadata service.")
@click.option("--cloud", default="AzureChinaCloud", help="As in `az cloud set -n`.", show_default=True)
@_with_folder
def env(folder: Path | None, vm: str | None, cloud: str) -> None:
    """Print what turns a terminal into the sandbox: eval "$(runbook sandbox env)"."""
    from .clouds import CLOUDS
    from .connection import PLAYED_TERMINAL
    from .sandbox import process

    if cloud not in CLOUDS:
        raise ParameterError([f"cloud must be one of {', '.join(CLOUDS)}; it is {cloud!r}."])
    running = process.start(_folder(folder))
    proxy = process.vm_proxy(running, cloud, vm) if vm else running.proxy
    values = {
        "HTTPS_PROXY": proxy,
        "HTTP_PROXY": proxy,
        "https_proxy": proxy,
        "http_proxy": proxy,
        "NO_PROXY": "",
        "no_proxy": "",
        "REQUESTS_CA_BUNDLE": str(running.authority_file),
        "SSL_CERT_FILE": str(running.authority_file),
        "CURL_CA_BUNDLE": str(running.authority_file),
        PLAYED_TERMINAL: "1",
    }
    operator = {f"AZURE_{name.upper()}": value for name, value in running.operator(cloud).items()}
    operator["AZURE_AUTHORITY_HOST"] = CLOUDS[cloud].authority
    if vm:  # a VM has no secret: that is what the runbook is about
        click.echo(f"unset {' '.join(operator)}")
    else:
        values |= operator
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@sandbox.group()
def clock() -> None:
    """The sandbox's time, which all its parts share."""


@clock.command()
@click.argument("duration")
@_with_folder
def advance(folder: Path | None, duration: str) -> None:
    """Make it later by DURATION (90s, 5m, 3h, 1h30m): tokens expire, roles take effect."""
    from .sandbox import process, settings

    chosen = _folder(folder)
    values = process.change_setting(chosen, "clock_offset", settings.read(chosen).clock_offset + _seconds(duration))
    click.echo(f"{values.clock_offset:.0f} s ahead of this machine's clock")


@sandbox.command("set")
@click.argument("name", required=False)
@click.argument("duration", required=False)
@_with_folder
def set_(folder: Path | None, name: str | None, duration: str | None) -> None:
    """Say how slow it is, as Azure is; without arguments, show it.

    \b
    role_delay         until a role that was assigned works, and one that was removed does not
    directory_delay    until the directory knows a new identity (PrincipalNotFound)
    operation_seconds  how long a long-running operation is in progress
    clock_offset       how far the clock is ahead (`clock advance` adds to it)
    """
    from .sandbox import process, settings

    values = settings.read(_folder(folder))
    if name is not None:
        if name not in settings.NAMES or duration is None:
            raise click.UsageError(f"write NAME DURATION, with a NAME of {', '.join(settings.NAMES)}")
        values = process.change_setting(_folder(folder), name, _seconds(duration))
    for each in settings.NAMES:
        click.echo(f"{each} {getattr(values, each):g}s")


@sandbox.group()
def fault() -> None:
    """Make it misbehave: what a client sees when Azure or the network fails."""


@fault.command("add")
@click.option("--host", default="", help="Of a request: a glob, such as 'management.*'.")
@click.option("--method", default="")
@click.option("--path", default="", help="Of a request: a glob, without the query; no regard to case.")
@click.option("--vm", default="", help="The VM that asks, or that is connected to.")
@click.option("--command", default="", help="A glob on the command line that an SSH client runs.")
@click.option("--nth", default=1, show_default=True, help="The first match that it happens to.")
@click.option("--times", default=1, show_default=True, help="To how many from there on; 0 is all.")
@click.option("--probability", default=1.0, show_default=True)
@click.option("--seed", default=0, help="The same seed makes the same choices.")
@click.option("--status", default=0, metavar="CODE", help="Answer this instead.")
@click.option("--header", "headers", type=(str, str), multiple=True, metavar="NAME VALUE", help="Of that answer.")
@click.option("--body", default="", help="Of that answer.")
@click.option("--after", is_flag=True, help="The work is done first; only its answer is lost, late or another.")
@click.option("--reset", is_flag=True, help="Reset the connection.")
@click.option("--stall", is_flag=True, help="Hold it until the rule is cleared.")
@click.option("--delay", default="0", metavar="DURATION", help="Answer later; for a command's reset: after so long.")
@click.option("--cut", type=int, metavar="BYTES", help="Close the connection after so much of the answer's body.")
@click.option("--flip", type=int, metavar="BYTE", help="Change this byte of the answer's body.")
@click.option("--operation", default="", metavar="stuck|failed", help="Of the long-running operation that it starts.")
@click.option("--code", default="", help="Of the error of a failed operation.")
@click.option("--message", default="", help="Of the error of a failed operation.")
@click.option("--hide", default="0", metavar="DURATION", help="The identity or role that it makes is not seen so long.")
@click.option("--ssh", default="", metavar="refused|silent|reset|host_key", help="Of a connection to a VM.")
@click.option("--guest", default="", metavar="apt_lock|docker_slow|disk_full", help="On a VM.")
@click.option("--seconds", default="0", metavar="DURATION", help="How long it is so on the VM.")
@click.option("--exit-status", type=int, help="A command is not run and ends so.")
@click.option("--stderr", default="", help="What such a command says.")
@_with_folder
def add_fault(folder: Path | None, **fields: Any) -> None:
    """Add a rule: where (the first five options), when (the next four), and what happens (one of the rest)."""
    from .sandbox import faults

    fields |= {name: _seconds(fields[name]) for name in ("delay", "hide", "seconds")}
    fields["headers"] = dict(fields["headers"])
    try:
        rule = faults.Fault(**fields)
    except faults.FaultError as error:
        raise click.UsageError(str(error)) from error
    click.echo(faults.add(_folder(folder), rule))


@fault.command("list")
@_with_folder
def list_faults(folder: Path | None) -> None:
    """Print the rules, and how often each has happened."""
    from .sandbox import faults

    happened = collections.Counter(hit["rule"] for hit in faults.hits(_folder(folder)))
    for rule in faults.read(_folder(folder)):
        shown = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in rule.fault.given().items())
        click.echo(f"{rule.id} happened {happened[rule.id]} times: {shown}")


@fault.command("clear")
@click.argument("rule", required=False)
@_with_folder
def clear_faults(folder: Path | None, rule: str | None) -> None:
    """Remove the RULE, or all of them; what they hold goes on."""
    from .sandbox import faults

    click.echo(f"{faults.clear(_folder(folder), rule)} removed")


def _seconds(duration: str) -> float:
    from .sandbox import settings

    try:
        return settings.seconds(duration)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def _tell(running: Running) -> None:
    click.echo(f"folder {running.folder}\naddress {running.proxy}\npid {running.pid}")
