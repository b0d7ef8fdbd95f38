"""Terminals in the sandbox: the variables that take one there and out again, and a shell that is there."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from azure_sandbox import process

from ..connection import SANDBOX_TERMINAL
from ..errors import RunbookError


def path_with_runbook() -> str:
    """PATH with the folder of the program `runbook` in it, first."""
    here, before = sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)
    return before if here in before.split(os.pathsep) else os.pathsep.join([here, before])


def variables(running: process.Running, cloud: str, vm: str | None) -> dict[str, str | None]:
    """The variables of a terminal that is in the sandbox; None is one that it does not have.

    SANDBOX_TERMINAL keeps what the terminal had before, a company's proxy for instance.
    """
    values: dict[str, str | None] = dict.fromkeys(process.OPERATOR_VARIABLES)
    values |= process.environment(running, cloud, vm)
    before = {name: os.environ[name] for name in values if name in os.environ}
    values[SANDBOX_TERMINAL] = os.environ.get(SANDBOX_TERMINAL) or json.dumps(before)
    return values


def variables_of_before() -> dict[str, str | None]:
    """The variables that take a terminal out of the sandbox; none where it is not in it."""
    if SANDBOX_TERMINAL not in os.environ:
        return {}
    try:
        before = dict(json.loads(os.environ[SANDBOX_TERMINAL]))
    except (TypeError, ValueError):
        before = {}
    names = (*process.OPERATOR_VARIABLES, *process.SHARED_VARIABLES, SANDBOX_TERMINAL)
    return {name: before.get(name) for name in names}


def script(values: Mapping[str, str | None]) -> list[str]:
    """The lines that set the variables in a shell."""
    gone = [name for name, value in values.items() if value is None]
    lines = [f"unset {' '.join(gone)}"] if gone else []
    return lines + [f"export {name}={shlex.quote(value)}" for name, value in values.items() if value is not None]


def run_shell(values: Mapping[str, str | None], mark: str) -> int:
    """Run the user's shell with these variables until it ends; returns its exit status.

    Args:
        mark: before its prompt.
    """
    environment = {**os.environ, "PATH": path_with_runbook()}
    for name, value in values.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    program = environment.get("COMSPEC", "cmd.exe") if os.name == "nt" else environment.get("SHELL") or "/bin/sh"
    with tempfile.TemporaryDirectory(prefix="runbook-") as folder:
        arguments, more = _marked(Path(program).stem, Path(folder), script(values), mark)
        try:
            return subprocess.run([program, *arguments], env=environment | more).returncode
        except OSError as error:
            raise RunbookError(
                f"The shell {program} cannot be run: {error.strerror}. SHELL says which it is."
            ) from error


def _marked(shell: str, folder: Path, lines: list[str], mark: str) -> tuple[list[str], dict[str, str]]:
    """The arguments and variables with which a shell marks its prompt.

    The user's own start files come first: they may set a prompt, or a proxy, and `lines` have the last word.
    """
    text = "\n".join(lines)
    home = Path.home()
    if shell == "bash":
        _write(folder / "rc", f'[ -f ~/.bashrc ] && . ~/.bashrc\n{text}\nPS1={shlex.quote(mark)}"$PS1"\n')
        return ["--rcfile", str(folder / "rc"), "-i"], {}
    if shell == "zsh":
        own = shlex.quote(os.environ.get("ZDOTDIR") or str(home))
        _write(folder / ".zshenv", f"[ -f {own}/.zshenv ] && . {own}/.zshenv\nZDOTDIR={shlex.quote(str(folder))}\n")
        rc = f'ZDOTDIR={own}\n[ -f {own}/.zshrc ] && . {own}/.zshrc\n{text}\nPROMPT={shlex.quote(mark)}"$PROMPT"\n'
        _write(folder / ".zshrc", rc)
        return ["-i"], {"ZDOTDIR": str(folder)}
    if shell == "fish":
        prompt = (
            f"functions -c fish_prompt _own_prompt; function fish_prompt; echo -n {shlex.quote(mark)}; _own_prompt; end"
        )
        exports = "\n".join(
            line.replace("unset ", "set -e ", 1) if line.startswith("unset ") else line for line in lines
        )
        return ["-i", "-C", f"{exports}\n{prompt}"], {}
    if os.name == "nt":
        return [], {"PROMPT": f"{mark}$P$G"}
    own = shlex.quote(os.environ.get("ENV", ""))
    _write(folder / "rc", f'[ -f {own} ] && . {own}\n{text}\nPS1={shlex.quote(mark)}"$PS1"\n')
    return ["-i"], {"ENV": str(folder / "rc")}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
