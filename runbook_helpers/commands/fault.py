"""The command ``runbook sandbox fault``: rules for what fails in the sandbox."""

from __future__ import annotations

import collections
import shlex
from pathlib import Path
from typing import Any

import click

from .options import Group, duration, folder_of, plain, with_folder


@click.group(cls=Group)
def fault() -> None:
    """Make it misbehave: what a client sees when Azure or the network fails."""


@fault.command("add")
@click.option("--host", help="Of a request: a glob, such as 'management.*'.")
@click.option("--method")
@click.option("--path", help="Of a request: a glob, without the query; no regard to case.")
@click.option("--vm", help="The VM that asks, or that is connected to.")
@click.option("--command", help="A glob on the command line that an SSH client runs.")
@click.option("--nth", default=1, show_default=True, help="The first match that it happens to.")
@click.option("--times", default=1, show_default=True, help="To how many from there on; 0 is all.")
@click.option("--probability", default=1.0, show_default=True, type=click.FloatRange(0, 1, min_open=True))
@click.option("--seed", type=int, help="The same seed makes the same choices.")
@click.option("--status", type=int, metavar="CODE", help="Answer this instead.")
@click.option("--header", "headers", type=(str, str), multiple=True, metavar="NAME VALUE", help="Of that answer.")
@click.option("--body", help="Of that answer.")
@click.option("--after", is_flag=True, help="The work is done first; only its answer is lost, late or another.")
@click.option("--reset", is_flag=True, help="Reset the connection.")
@click.option("--stall", is_flag=True, help="Hold it until the rule is cleared.")
@click.option("--delay", type=duration, help="Answer later; for a command's reset: after so long.")
@click.option("--cut", type=int, metavar="BYTES", help="Close the connection after so much of the answer's body.")
@click.option("--flip", type=int, metavar="BYTE", help="Change this byte of the answer's body.")
@click.option(
    "--operation",
    metavar="stuck|failed",
    help="Of the long-running operation that it starts. A new registry starts none: it is there at once.",
)
@click.option("--code", help="Of the error of a failed operation.")
@click.option("--message", help="Of the error of a failed operation.")
@click.option("--hide", type=duration, help="The identity or role that it makes is not seen so long.")
@click.option("--ssh", metavar="refused|silent|reset|host_key", help="Of a connection to a VM.")
@click.option("--guest", metavar="apt_lock|docker_slow|disk_full", help="On a VM.")
@click.option("--seconds", type=duration, help="How long it is so on the VM.")
@click.option("--exit-status", type=int, help="A command is not run and ends so.")
@click.option("--stderr", help="What such a command says.")
@with_folder
def add_fault(folder: Path | None, **options: Any) -> None:
    """Add a rule: where (the first five options), when (the next four), and what happens (one of the rest)."""
    from azure_sandbox import faults

    source = click.get_current_context().get_parameter_source
    given = {name: value for name, value in options.items() if source(name) is click.core.ParameterSource.COMMANDLINE}
    for name, value in given.items():  # an unset variable of a script would mean "any"
        if value == "":
            raise click.UsageError(f"--{name} is empty: leave it out where it may be any.")
    if "headers" in given:
        given["headers"] = dict(given["headers"])
    try:
        rule = faults.from_options(given)
    except faults.FaultError as error:
        raise click.UsageError(str(error)) from error
    click.echo(faults.add(folder_of(folder), rule))


@fault.command("list")
@with_folder
def list_faults(folder: Path | None) -> None:
    """Print how often each rule has happened, and its options, as `add` takes them."""
    from azure_sandbox import faults

    happened = collections.Counter(hit["rule"] for hit in faults.hits(folder_of(folder)))
    for rule in faults.read(folder_of(folder)):
        click.echo(f"{rule.id} happened {happened[rule.id]} times: {shlex.join(_words(rule.options()))}")


@fault.command("clear")
@click.argument("rule", required=False)
@with_folder
def clear_faults(folder: Path | None, rule: str | None) -> None:
    """Remove the RULE, or all of them; what they hold goes on."""
    from azure_sandbox import faults

    removed = faults.clear(folder_of(folder), rule)
    if rule is not None and not removed:
        raise click.UsageError(f"there is no rule {rule}: `runbook sandbox fault list` shows those that there are.")
    click.echo(f"{removed} removed")


def _words(options: dict[str, Any]) -> list[str]:
    """The options of a rule as words of a command line, in the order of the help."""
    words = []
    for parameter in add_fault.params:
        option, value = parameter.opts[0], options.get(str(parameter.name))
        if isinstance(value, dict):
            words += [word for header in value.items() for word in (option, *header)]
        elif value is True:
            words.append(option)
        elif value is not None:
            words += [option, plain(value) if isinstance(value, float) else str(value)]
    return words
