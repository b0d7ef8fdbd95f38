"""The command ``runbook sandbox fault``: rules that make the sandbox misbehave."""

from __future__ import annotations

import collections
import shlex
from pathlib import Path
from typing import Any

import click

from .options import duration, folder_of, plain, with_folder


@click.group()
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
@click.option("--delay", default="0", type=duration, help="Answer later; for a command's reset: after so long.")
@click.option("--cut", type=int, metavar="BYTES", help="Close the connection after so much of the answer's body.")
@click.option("--flip", type=int, metavar="BYTE", help="Change this byte of the answer's body.")
@click.option(
    "--operation",
    default="",
    metavar="stuck|failed",
    help="Of the long-running operation that it starts. A new registry starts none: it is there at once.",
)
@click.option("--code", default="", help="Of the error of a failed operation.")
@click.option("--message", default="", help="Of the error of a failed operation.")
@click.option("--hide", default="0", type=duration, help="The identity or role that it makes is not seen so long.")
@click.option("--ssh", default="", metavar="refused|silent|reset|host_key", help="Of a connection to a VM.")
@click.option("--guest", default="", metavar="apt_lock|docker_slow|disk_full", help="On a VM.")
@click.option("--seconds", default="0", type=duration, help="How long it is so on the VM.")
@click.option("--exit-status", type=int, help="A command is not run and ends so.")
@click.option("--stderr", default="", help="What such a command says.")
@with_folder
def add_fault(folder: Path | None, **fields: Any) -> None:
    """Add a rule: where (the first five options), when (the next four), and what happens (one of the rest)."""
    from azure_sandbox.faults import rules
    from azure_sandbox.folder import make_folder

    make_folder(folder_of(folder))
    context = click.get_current_context()
    for name, value in fields.items():  # an unset variable of a script would mean "any"
        if value == "" and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} is empty: leave it out where it may be any.")
    fields["headers"] = dict(fields["headers"])
    try:
        rule = rules.Fault(**fields)
    except rules.FaultError as error:
        raise click.UsageError(str(error)) from error
    click.echo(rules.add(folder_of(folder), rule))


@fault.command("list")
@with_folder
def list_faults(folder: Path | None) -> None:
    """Print how often each rule has happened, and its options, as `add` takes them."""
    from azure_sandbox.faults import rules

    happened = collections.Counter(hit["rule"] for hit in rules.hits(folder_of(folder)))
    for rule in rules.read(folder_of(folder)):
        click.echo(f"{rule.id} happened {happened[rule.id]} times: {shlex.join(_options(rule.fault.given()))}")


@fault.command("clear")
@click.argument("rule", required=False)
@with_folder
def clear_faults(folder: Path | None, rule: str | None) -> None:
    """Remove the RULE, or all of them; what they hold goes on."""
    from azure_sandbox.faults import rules

    removed = rules.clear(folder_of(folder), rule)
    if rule is not None and not removed:
        raise click.UsageError(f"there is no rule {rule}: `runbook sandbox fault list` shows those that there are.")
    click.echo(f"{removed} removed")


def _options(given: dict[str, Any]) -> list[str]:
    words = []
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if name == "headers":
            words += [word for header in value.items() for word in ("--header", *header)]
        elif value is True:
            words.append(option)
        else:
            words += [option, plain(value) if isinstance(value, float) else str(value)]
    return words
