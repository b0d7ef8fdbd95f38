"""The command ``runbook init``: asks for what only its user knows, and writes the parameter file."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import yaml

from ..clouds import CLOUDS
from ..errors import NotReady, ParameterError, RunbookError
from ..files import write_atomic
from ..parameters import HOW_TO_FIND, PARAMETER_FILES, problems, read_parameters
from .options import Overrides, with_overrides

QUESTIONS = {
    "subscription_id": "Subscription",
    "resource_group": "Resource group, a new one",
    "location": "Location",
    "registry_name": "Name of the registry, unique in the whole cloud",
    "ssh_source": "Public address of this machine, the only one that may reach the VM by SSH",
}
OWN = ("subscription_id", "ssh_source")
"""What is asked only where the cloud's file leaves it to its user."""


@click.command()
@click.option(
    "-f", "file", type=click.Path(path_type=Path, dir_okay=False), default="my-parameters.yaml", show_default=True,
    help="The file to write.",
)  # fmt: skip
@with_overrides
@click.option(
    "--sandbox", "template", flag_value="sandbox", help="For the sandbox: it has a subscription and an address for you."
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def init(file: Path, overrides: Overrides, template: str | None, force: bool) -> None:
    """Ask a few questions, and write a parameter file.

    What -p gives is not asked; without a terminal nothing is. Azure is asked whether the registry's name is free, and
    nobody else anything.
    """
    from ..run.inputs import typed
    from ..run.next_steps import program

    if file.exists() and not force:
        raise ParameterError([f"The file {file} is there already: --force writes over it, -f names another one."])
    given = typed(overrides)
    _check(given)
    account = _az_account() if template is None else {}
    cloud = given.get("cloud") or _ask("cloud", "Cloud", account.get("environmentName", "AzureChinaCloud"), None)
    path = PARAMETER_FILES / f"{template or cloud}.yaml"
    values = read_parameters(path)
    location = read_parameters(PARAMETER_FILES / f"{cloud}.yaml")["location"]
    left = {name for name, value in values.items() if str(value).startswith("<")}
    values |= {"cloud": cloud, "location": location, **given}
    defaults = {name: value for name, value in values.items() if name not in left}
    if "subscription_id" in left - given.keys():
        defaults["subscription_id"] = _subscription(cloud, account)
        defaults["ssh_source"] = _own_address()
    for name, text in QUESTIONS.items():
        look = (lambda answer: _refuse_taken(answer, values)) if name == "registry_name" and name in left else None
        if name in given:
            if look:
                look(given[name])
        elif name not in OWN or name in left:
            values[name] = _ask(name, text, defaults.get(name), look)
    _check(values)
    _write(file, path, values)
    click.echo(f"Written: {file}. Next: `{shlex.join([program(), 'check', '-f', str(file)])}`")


def _check(values: dict[str, Any]) -> None:
    found = problems(values)
    if found:
        raise ParameterError(found)


def _ask(name: str, text: str, default: str | None, further: Callable[[str], None] | None) -> str:
    """The answer to a question, asked again until it keeps the rule of the parameter."""

    def take(answer: str) -> str:
        found = problems({name: answer.strip()})
        if found:
            raise click.UsageError(found[0])
        try:
            if further:
                further(answer.strip())
        except NotReady as error:
            raise click.UsageError(str(error)) from error
        return answer.strip()

    if sys.stdin.isatty():
        if default is None and name in HOW_TO_FIND:
            click.echo(f"({name}{HOW_TO_FIND[name]}.)")
        return str(click.prompt(text, default=default, value_proc=take))
    if default is None:
        raise ParameterError(
            [f"{name} is missing, and here is no terminal to ask in: `-p {name} VALUE`{HOW_TO_FIND.get(name, '')}."]
        )
    return default


def _az_account() -> dict[str, Any]:
    """The subscription that azure-cli is signed in to; empty where it is not, or is not installed."""
    program = shutil.which("az.cmd" if os.name == "nt" else "az")
    if program is None:
        return {}
    try:
        done = subprocess.run(
            [program, "account", "show", "--output", "json"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )  # fmt: skip
        found = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    known = isinstance(found, dict) and found.get("environmentName") in CLOUDS and isinstance(found.get("id"), str)
    return found if known else {}


def _subscription(cloud: str, account: dict[str, Any]) -> str | None:
    """The subscription of azure-cli's sign-in, where that is of the cloud; says so, or what to do."""
    sign_in = f"`az cloud set -n {cloud}`, then `az login`"
    own = account.get("environmentName") == cloud
    if own:
        click.echo(f"azure-cli is signed in to {cloud}, subscription {account.get('name')}.")
    elif account:
        click.echo(f"azure-cli is signed in to {account['environmentName']}, not to {cloud}: {sign_in}.", err=True)
    else:
        click.echo(f"azure-cli is not signed in to {cloud}: {sign_in}.", err=True)
    return str(account["id"]) if own else None


def _refuse_taken(registry_name: str, values: dict[str, Any]) -> None:
    """Ask Azure whether a registry's name can be had.

    Raises:
        NotReady: it cannot.
    """
    from ..connection import connect_with
    from ..verbs.preflight import name_taken
    from ..verbs.resource_groups import find_resource_group

    azure = connect_with(values)
    try:
        find_resource_group(azure)  # says whether the subscription is known
        found = name_taken(azure, registry_name)
    except RunbookError as error:
        reason = str(error).partition("\n")[0]
        click.echo(f"Whether the name {registry_name} is free is not known: {reason}", err=True)
    else:
        if found:
            raise NotReady(found)


def _own_address() -> str | None:
    """A public address of this machine itself, where it has one; behind a router only others see it, and nobody is asked."""
    found = [os.environ.get("SSH_CONNECTION", "  ").split(" ")[2]]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        try:
            unused.connect(("192.0.2.1", 9))  # nothing is sent
            found.append(unused.getsockname()[0])
        except OSError:
            pass
    for each in found:
        try:
            if ipaddress.IPv4Address(each).is_global:
                return each
        except ValueError:
            pass
    return None


def _write(path: Path, template: Path, values: dict[str, Any]) -> None:
    """Write the file: the template, its comments kept, with these values."""
    lines, rest = [], dict(values)
    for line in template.read_text(encoding="utf-8").splitlines():
        match = re.match(r"(\w+): .*?(\s+#.*)?$", line)
        if match and match[1] in rest:
            line = _line(match[1], rest.pop(match[1])) + (match[2] or "")
        lines.append(line.replace(" Replace what stands in <>.", ""))
    lines += [_line(name, value) for name, value in rest.items()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "\n".join(lines) + "\n", mode=0o666)
    except OSError as error:
        raise ParameterError([f"The file {path} cannot be written: {error.strerror}."]) from error


def _line(name: str, value: Any) -> str:
    return yaml.safe_dump({name: value}, allow_unicode=True, width=10_000).rstrip("\n")
