"""The command `runbook` in a terminal: what a person sees while it works."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from runbook_helpers import create_vm
from runbook_helpers.commands.main import main

from ..conftest import SSH_SOURCE, clean_environment, connect_to, regression
from .test_cli import runbook

if sys.platform == "win32":
    pytest.skip("there is no pty", allow_module_level=True)

from .terminal import terminal


@regression
def test_a_run_shows_what_is_waited_for_at_once_and_counts_the_seconds(fresh: Path, tmp_path: Path) -> None:
    assert runbook("sandbox", "set", "operation_seconds", "2s").returncode == 0
    with terminal("run", "--only", "02", "--output", tmp_path / "o") as screen:
        assert screen.end(200) == 0
    printed = re.sub(r"\x1b\[\??\d*[a-zA-Z]", "", screen.printed)
    assert "%" not in printed
    lines = re.split(r"[\r\n]+", printed)
    waits = [
        re.fullmatch(r"\[1/1\] 02_virtual_machine  (\d+) s: VM myDockerVM: Azure makes it", line) for line in lines
    ]
    seconds = [int(found[1]) for found in waits if found]
    assert len(seconds) > 1 and seconds == sorted(set(seconds))
    assert any(line.endswith(": VM myDockerVM: Azure makes its network") for line in lines)
    assert [line for line in lines if re.fullmatch(r"\[1/1\] 02_virtual_machine \(\d+\.\d s\): ok", line)]


SHELLS = [found for name in ("bash", "sh", "zsh", "fish") if (found := shutil.which(name))]
PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize("program", SHELLS, ids=lambda program: Path(program).name)
def test_a_shell_in_the_sandbox_is_marked_and_is_left_with_exit(program: str, fresh: Path, tmp_path: Path) -> None:
    for name in (".bashrc", ".zshrc", ".config/fish/config.fish"):  # the user's own: the sandbox has the last word
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"export HTTPS_PROXY={PROXY}; export OWN=mine\n")
    with terminal("sandbox", "shell", variables={"SHELL": program, "HOME": str(tmp_path)}) as screen:
        screen.wait_for(r"`exit` leaves it")
        screen.wait_for(r"\(sandbox\) ")
        screen.type("echo proxy=$HTTPS_PROXY own=$OWN id=$AZURE_CLIENT_ID.\r")
        own = "" if Path(program).name == "sh" else "mine"
        screen.wait_for(rf"proxy=http://127\.0\.0\.1:\d+ own={own} id=[0-9a-f-]{{36}}\.")
        screen.type("command -v runbook && exit 7\r")
        screen.wait_for(r"/runbook\r\n")
        assert screen.end() == 7


def test_a_shell_of_a_vm_says_which_and_has_no_secret(fresh: Path) -> None:
    create_vm(connect_to("myResourceGroup"), "vm", ssh_source=SSH_SOURCE)
    variables = {"SHELL": "/bin/sh", "AZURE_CLIENT_SECRET": "mine"}
    with terminal("sandbox", "shell", "--vm", "vm", variables=variables) as screen:
        screen.wait_for(r"\(sandbox vm\) ")
        screen.type('echo "secret=${AZURE_CLIENT_SECRET-none}."\r')
        screen.wait_for(r"secret=none\.")
        screen.type("exit\r")
        assert screen.end() == 0


def test_unset_gives_a_terminal_back_what_it_had(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("AZURE_TENANT_ID", "it's mine")
    for name in ("AZURE_CLIENT_ID", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    code = f"{sys.executable} -c 'from runbook_helpers.commands.main import main; main()' sandbox env"
    script = f"""eval "$({code})"; eval "$({code})"; echo "$HTTPS_PROXY"; eval "$({code} --unset)"
        for name in HTTPS_PROXY AZURE_TENANT_ID AZURE_CLIENT_ID SSL_CERT_FILE RUNBOOK_SANDBOX_TERMINAL; do
        eval "echo \\"$name=\\${{$name-none}}\\""; done"""
    done = subprocess.run(["sh", "-c", script], env=clean_environment(), capture_output=True, text=True, timeout=60)
    proxy, *after = done.stdout.splitlines()
    assert proxy.startswith("http://127.0.0.1:")
    assert after == [
        f"HTTPS_PROXY={PROXY}", "AZURE_TENANT_ID=it's mine", "AZURE_CLIENT_ID=none", "SSL_CERT_FILE=none",
        "RUNBOOK_SANDBOX_TERMINAL=none",
    ]  # fmt: skip


def test_unset_outside_starts_nothing(fresh: Path) -> None:
    done = runbook("sandbox", "env", "--unset")
    assert (done.returncode, done.stdout) == (0, "") and "not in the sandbox" in done.stderr
    assert not fresh.exists()


def test_a_shell_that_is_not_there(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/nowhere/sh")
    done = runbook("sandbox", "shell")
    assert done.returncode == 1
    assert "The shell /nowhere/sh cannot be run: No such file or directory." in done.stderr


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, ...]]:
    yield names
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield (*names, name)


@pytest.mark.parametrize("names", list(commands(main)), ids=" ".join)
def test_each_command_has_help_that_is_not_cut(names: tuple[str, ...]) -> None:
    short, long = (CliRunner().invoke(main, [*names, option]) for option in ("-h", "--help"))
    assert short.exit_code == long.exit_code == 0 and short.output == long.output
    _, _, text = short.output.partition("\n")
    assert text and "..." not in text


def test_version() -> None:
    assert runbook("--version").stdout == f"runbook, version {version('azure-acr-runbook')}\n"
