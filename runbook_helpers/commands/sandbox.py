"""The command ``runbook sandbox``: start, find, stop and set the embedded Azure."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ParameterError
from ..outcome import Outcome
from .fault import fault
from .options import Group, duration, folder_of, plain, with_folder

if TYPE_CHECKING:
    from azure_sandbox.process import Running


class _SandboxGroup(Group):
    """The sandbox's commands, whose errors become ours."""

    def invoke(self, context: click.Context) -> Any:
        from ..connection import sandbox_errors

        with sandbox_errors():
            return super().invoke(context)


@click.group(cls=_SandboxGroup)
def sandbox() -> None:
    """The embedded Azure."""


@sandbox.command()
@click.option("--port", default=0, help="Port on loopback.  [default: a free one]")
@click.option(
    "--guest",
    type=click.Choice(["simulated", "machine"]),
    default=None,
    help="What stands behind the VMs: simulated programs, or real Debian machines (Linux with root).  [default: as before]",
)
@with_folder
def start(folder: Path | None, port: int, guest: str | None) -> None:
    """Start it, or find the one that runs."""
    from azure_sandbox import process

    _print(process.start(folder_of(folder), port, guest, lambda sentence: click.echo(sentence, err=True)))


@sandbox.command()
@with_folder
def stop(folder: Path | None) -> None:
    """End it; what was made in it stays."""
    from azure_sandbox import process

    click.echo("stopped" if process.stop(folder_of(folder)) else f"no sandbox runs in {folder_of(folder)}")


@sandbox.command()
@with_folder
def status(folder: Path | None) -> None:
    """Print folder, address and pid; exit status 1 where none runs."""
    from azure_sandbox import process

    running = process.find(folder_of(folder))
    if running is None:
        click.echo(f"no sandbox runs in {folder_of(folder)}")
        sys.exit(Outcome.FAILED.exit_code)
    _print(running)


@sandbox.command()
@with_folder
def reset(folder: Path | None) -> None:
    """End it and forget everything that was made in it."""
    from azure_sandbox import process

    process.reset(folder_of(folder))
    click.echo(f"nothing is left of the sandbox in {folder_of(folder)}")


def _with_identity(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say who a terminal is, and where."""
    vm = click.option("--vm", metavar="NAME", help="Be this VM: its identities, its metadata service.")
    cloud = click.option("--cloud", default="AzureChinaCloud", help="As in `az cloud set -n`.", show_default=True)
    return vm(cloud(with_folder(command)))


def _variables(folder: Path | None, vm: str | None, cloud: str) -> dict[str, str | None]:
    from azure_sandbox import process

    from ..clouds import CLOUDS
    from .shell import variables

    if cloud not in CLOUDS:
        raise ParameterError([f"cloud must be one of {', '.join(CLOUDS)}; it is {cloud!r}."])
    return variables(process.start(folder_of(folder)), cloud, vm)


@sandbox.command()
@_with_identity
@click.option("--unset", is_flag=True, help="Print what takes the terminal out of the sandbox again.")
def env(folder: Path | None, vm: str | None, cloud: str, unset: bool) -> None:
    """Print variables for a terminal: eval "$(runbook sandbox env)"."""
    from .shell import script, variables_of_before

    values = variables_of_before() if unset else _variables(folder, vm, cloud)
    if not values:
        click.echo("This terminal is not in the sandbox: nothing is to be unset.", err=True)
    for line in script(values):
        click.echo(line)


@sandbox.command()
@_with_identity
def shell(folder: Path | None, vm: str | None, cloud: str) -> None:
    """Open a shell that is in the sandbox; `exit` leaves it.

    It is the one that SHELL names, with your own start files, and its prompt begins with (sandbox). Exit status: that of
    the shell.
    """
    from .shell import run_shell

    values = _variables(folder, vm, cloud)
    where = f"{cloud}, as the VM {vm}" if vm else cloud
    click.echo(f"This shell is in the sandbox ({where}), with your own az and SDKs; `exit` leaves it.", err=True)
    sys.exit(run_shell(values, f"(sandbox {vm}) " if vm else "(sandbox) "))


@sandbox.group(cls=Group)
def clock() -> None:
    """The sandbox's time, which all its parts share."""


@clock.command()
@click.argument("seconds", type=duration, metavar="DURATION")
@with_folder
def advance(folder: Path | None, seconds: float) -> None:
    """Make it later by DURATION (90s, 5m, 3h, 1h30m): tokens expire, roles take effect."""
    from azure_sandbox.clock import Clock
    from azure_sandbox.settings import Settings

    ahead = Clock(Settings(folder_of(folder))).advance(seconds)
    click.echo(f"{ahead:.0f} s ahead of this machine's clock")


@sandbox.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("name", required=False)
@click.argument("seconds", type=duration, required=False, metavar="[DURATION]")
@with_folder
def set_(folder: Path | None, name: str | None, seconds: float | None) -> None:
    """Say how slow it is, as Azure is; without arguments, show it.

    \b
    role_delay         until a role that was assigned works, and one that was removed does not
    directory_delay    until the directory knows a new identity (PrincipalNotFound)
    operation_seconds  how long a long-running operation is in progress
    clock_offset       how far the clock is ahead (`clock advance` adds to it)
    """
    from azure_sandbox import settings

    values = settings.read(folder_of(folder))
    if name is not None:
        if name not in settings.NAMES or seconds is None:
            raise click.UsageError(f"write NAME DURATION, with a NAME of {', '.join(settings.NAMES)}")
        values = settings.Settings(folder_of(folder)).change(**{name: seconds})
    for each in settings.NAMES:
        click.echo(f"{each} {plain(getattr(values, each))}s")


def _print(running: Running) -> None:
    click.echo(f"folder {running.folder}\naddress {running.proxy}\npid {running.pid}")


sandbox.add_command(fault)
