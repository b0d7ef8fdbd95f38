"""The command ``runbook``: its subcommands, and those that need no module of their own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from ..errors import RunbookError, outcome_of
from ..foreign_text import shown_text
from ..outcome import Outcome
from .init import init
from .options import Group, Overrides, parameters_of, with_file, with_overrides
from .refresh import refresh
from .run import run
from .sandbox import sandbox


class _Group(Group):
    """Shows an expected error as a sentence, with its exit status, and a traceback only where it is asked for."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except click.UsageError as error:
            raise click.UsageError(shown_text(error.format_message()), ctx=error.ctx) from error
        except Exception as error:
            expected = isinstance(error, RunbookError) or type(error).__module__.startswith("azure.")
            if not expected or context.find_root().params.get("traceback"):
                raise
            click.echo(f"Error: {shown_text(_sentence(error))}", err=True)
            context.exit(outcome_of(type(error)).exit_code)


def _sentence(error: Exception) -> str:
    if isinstance(error, RunbookError):
        return str(error)
    # Of the SDKs: what is no answer of Azure's, such as a model that does not fit.
    return f"{str(error).partition(chr(10))[0].rstrip('.') or type(error).__name__}."


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="azure-acr-runbook", prog_name="runbook")
@click.option("--traceback", is_flag=True, help="Show the Python traceback of an error.")
def main(traceback: bool) -> None:
    """Use an Azure managed identity to authenticate to an Azure container registry: the runbook."""


main.add_command(run)
main.add_command(init)
main.add_command(refresh)
main.add_command(sandbox)


@main.command(context_settings={"allow_interspersed_args": False})
@with_file
@with_overrides
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(file: Path | None, overrides: Overrides, command: tuple[str, ...]) -> None:
    """Open a terminal on the VM, or run COMMAND on it.

    Exit status: that of ssh, which is that of the command, or 255; before ssh begins, as for run.
    """
    from ..connection import connect_with
    from ..ssh.terminal import open_terminal

    values = parameters_of(file, overrides, "vm_name")
    sys.exit(open_terminal(connect_with(values), values["vm_name"], command))


@main.command()
@with_file
@with_overrides
def check(file: Path | None, overrides: Overrides) -> None:
    """Say which permissions are missing for a run; nothing is changed.

    Exit status: 0 nothing is missing, 1 another failure, 2 bad parameters, 3 something is missing, or Azure refused or did
    not answer in time.
    """
    from ..connection import connect_with
    from ..verbs.preflight import check_permissions

    names = ("registry_name", "vm_name", "identity_name")
    values = parameters_of(file, overrides, *names)
    found = check_permissions(connect_with(values), **{name: values[name] for name in names})
    click.echo(shown_text(repr(found)))


@main.command("trust-vm")
@click.argument("name")
@click.option("--first-use", is_flag=True, help="Believe what answers at its address now; compare the fingerprint.")
@with_file
@with_overrides
def trust_vm(name: str, first_use: bool, file: Path | None, overrides: Overrides) -> None:
    """Pin the host key of the VM NAME, which exists already.

    It is read through Azure, by run-command, unless --first-use is given. The VM is not changed: what it needs to let us in is printed.
    """
    from ..connection import connect_with
    from ..ssh import host_keys

    azure = connect_with(parameters_of(file, (*overrides, ("vm_name", name))))
    fingerprint = host_keys.trust_vm(azure, name, first_use=first_use)
    click.echo(f"The VM {name} has the host key {fingerprint}; it is pinned.")
    if first_use:
        click.echo(
            "Nobody vouches for it: compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the VM."
        )
    click.echo(f"To let this runbook in, if it does not yet:\n{host_keys.admission(azure, name)}")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: tuple[str, ...]) -> None:
    """Open JupyterLab on the first notebook.

    ARGUMENTS go to `jupyter lab`: --no-browser, --port 8889.
    """
    from ..run.inputs import PROJECT
    from .shell import path_with_runbook

    try:
        from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]

        from .contents import Contents
    except ImportError as error:
        raise RunbookError("JupyterLab is not installed: `make lab` installs it.") from error
    # In this process, not in a child: Ctrl-C and the pid are JupyterLab's own. Its terminals begin where it runs, or in the
    # folder that is looked at; they are no login shells, which would set their PATH anew.
    os.chdir(PROJECT)
    os.environ["PATH"] = path_with_runbook()
    own = [f"--ServerApp.root_dir={PROJECT}", "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"]
    own += [f"--ServerApp.contents_manager_class={Contents.__module__}.{Contents.__name__}"]
    if os.name == "posix":
        own += [f"--ServerApp.terminado_settings={ {'shell_command': [os.environ.get('SHELL') or '/bin/sh']}!r}"]
    LabApp.launch_instance([*own, *arguments])


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--notebooks",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="Their folder.  [default: the repository's]",
)
def coverage(as_json: bool, notebooks: Path | None) -> None:
    """Print which cell does which command of the document.

    Exit status 1 where a command has none.
    """
    from .. import document
    from ..run.inputs import NOTEBOOKS

    lines = document.cover(notebooks or NOTEBOOKS)
    if as_json:
        click.echo(json.dumps([line.as_json() for line in lines], indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(document.table(lines)))
    missing = [line for line in lines if line.cell is None]
    for line in missing:
        click.echo(f"No cell does `{line.command.text}` ({line.command.section}).", err=True)
    if missing:
        sys.exit(Outcome.FAILED.exit_code)
