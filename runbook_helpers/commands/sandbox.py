"""The command ``runbook sandbox``: start, find, stop and set the embedded Azure."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ParameterError
from ..outcome import Outcome
from .fault import fault
from .options import duration, folder_of, plain, with_folder

if TYPE_CHECKING:
    from azure_sandbox.process import Running


class _SandboxGroup(click.Group):
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


@sandbox.command()
@click.option("--vm", default=None, metavar="NAME", help="Stand in for this VM: its identities, its metadata service.")
@click.option("--cloud", default="AzureChinaCloud", help="As in `az cloud set -n`.", show_default=True)
@with_folder
def env(folder: Path | None, vm: str | None, cloud: str) -> None:
    """Print variables for a terminal: eval "$(runbook sandbox env)"."""
    from azure_sandbox import process

    from ..clouds import CLOUDS
    from ..connection import SANDBOX_TERMINAL

    if cloud not in CLOUDS:
        raise ParameterError([f"cloud must be one of {', '.join(CLOUDS)}; it is {cloud!r}."])
    values = process.environment(process.start(folder_of(folder)), cloud, vm)
    if vm:
        click.echo(f"unset {' '.join(process.OPERATOR_VARIABLES)}")
    values[SANDBOX_TERMINAL] = "1"
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@sandbox.group()
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
