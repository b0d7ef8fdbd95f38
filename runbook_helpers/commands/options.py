"""The options and arguments that the commands of the sandbox have in common."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import click

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
