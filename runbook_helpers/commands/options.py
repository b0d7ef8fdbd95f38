"""Options and arguments that several commands have in common."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from ..errors import ParameterError


class Group(click.Group):
    """A group of commands whose list shows the first sentence of each one's help in full: click's own cuts it."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        cmd.short_help = cmd.short_help or " ".join((cmd.help or "").partition("\n\n")[0].split())
        super().add_command(cmd, name)


Overrides = tuple[tuple[str, str], ...]

with_file = click.option(
    "-f",
    "file",
    type=click.Path(path_type=Path),
    default=None,
    help="Parameter file.  [default: parameters/sandbox.yaml]",
)
with_overrides = click.option(
    "-p", "overrides", type=(str, str), multiple=True, metavar="NAME VALUE", help="Set one parameter."
)

with_folder = click.option(
    "--folder", type=click.Path(path_type=Path), default=None, help="Its folder.  [default: RUNBOOK_SANDBOX]"
)


def folder_of(folder: Path | None) -> Path:
    """The folder that `--folder` says, or that is meant without it."""
    from azure_sandbox import process

    return folder.absolute() if folder else process.default_folder()


def duration(text: str) -> float:
    """The type of an argument that says how long something is: seconds, from 90, 90s, 5m, 3h or 1h30m."""
    from azure_sandbox import settings

    try:
        return settings.seconds(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error  # click says of which


def plain(number: float) -> str:
    """A number as options take it: all its digits, and no exponent."""
    return f"{Decimal(str(number)).normalize():f}"


def parameters_of(file: Path | None, overrides: Overrides, *needed: str) -> dict[str, Any]:
    """The parameters that `-f` and `-p` give.

    Raises:
        ParameterError: everything that is wrong with them, at once; or one that is needed is missing.
    """
    from ..run import inputs

    values = inputs.collect_parameters(file or inputs.PROJECT / "parameters" / "sandbox.yaml", overrides)
    missing = [f"{name} is missing." for name in needed if name not in values]
    if missing:
        raise ParameterError(missing)
    return values
