"""A terminal on the simulated guest: the keys that a user of a shell knows, through real SSH with a PTY."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from .test_simulated_guest import SimulatedVM

PROMPT = r"azureuser@myDockerVM:~\$ $"


class Typed:
    """A terminal that is typed at."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self.channel = channel
        self.shown = ""

    def type(self, text: str, until: str = PROMPT) -> str:
        """What is shown after the text was typed, until a pattern matches."""
        self.channel.sendall(text.encode())
        shown = ""
        while not re.search(until, shown, re.S):
            received = self.channel.recv(4096)
            assert received, f"closed after {shown!r}"
            shown += received.decode()
        return shown


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[SimulatedVM]:
    guest = SimulatedVM(tmp_path)
    yield guest
    guest.close()


@pytest.fixture
def terminal(guest: SimulatedVM) -> Iterator[Typed]:
    with contextlib.closing(guest.connect()) as client:
        channel = client.invoke_shell(width=200)
        channel.settimeout(20)
        terminal = Typed(channel)
        terminal.type("")
        yield terminal


def test_ctrl_c_throws_the_line_away(terminal: Typed) -> None:
    assert "touch made^C\r\n" in terminal.type("touch made\x03")
    assert "130\r\n" in terminal.type("echo $?\r")
    assert "made" not in terminal.type("ls\r")
    terminal.type("for x in a\r", "> $")
    assert "^C" in terminal.type("do echo \x03")
    assert "ok\r\n" in terminal.type("echo ok\r")


def test_ctrl_c_ends_what_runs(terminal: Typed) -> None:
    terminal.type("sleep 1000\r", "sleep 1000\r\n")
    assert "^C" in terminal.type("\x03")
    assert "130\r\n" in terminal.type("echo $?\r")
    terminal.type("while true; do sleep 1000; done\r", "done\r\n")
    terminal.type("\x03")
    assert "130\r\n" in terminal.type("echo $?\r")


def test_ctrl_c_does_not_show_a_password(terminal: Typed) -> None:
    terminal.type("read -s -p 'Password: ' x\r", "Password: $")
    assert "secret" not in terminal.type("secret\x03")


def test_ctrl_d_ends_a_program_s_input_and_then_the_shell(terminal: Typed) -> None:
    terminal.type("cat\r", "cat\r\n")
    terminal.type("one\r", "one\r\n")
    assert "one\r\n" in terminal.type("\x04")
    terminal.type("sudo -s\r", "root@myDockerVM.*# $")
    assert "exit\r\n" in terminal.type("\x04")
    assert terminal.type("\x04", "logout\r\n")
    assert terminal.channel.recv_exit_status() == 0


@pytest.mark.parametrize(
    ("keys", "output"),
    [
        ("echo one two\x17three", "one three"),
        ("rm -rf /\x15echo safe", "safe"),
        ("cho x\x01e\x05y", "xy"),
        ("echo keep lost\x1b[D\x1b[D\x1b[D\x1b[D\x0b", "keep"),
        ("echo ab\x7fc", "ac"),
        ("echo one two\x1bb\x1bb\x0bthree", "three"),
        ("echo first\recho second\r\x1b[A\x1b[A", "first"),
        ("echo needle\recho hay\rneed\x12", "needle"),
    ],
)
def test_keys(terminal: Typed, keys: str, output: str) -> None:
    *lines, last = keys.split("\r")
    for line in lines:
        terminal.type(line + "\r")
    assert terminal.type(last + "\r", rf"\r\n.*{PROMPT}").split("\r\n")[-2] == output


def test_ctrl_l_clears_and_keeps_the_line(terminal: Typed) -> None:
    shown = terminal.type("echo kept\x0c", r"\x1b\[H.*\$ .*echo kept$")
    assert "\x1b[2J" in shown
    assert "kept\r\n" in terminal.type("\r")


def test_tab(terminal: Typed) -> None:
    terminal.type("mkdir folder; touch folder/inside fork; touch 'alone'\r")
    assert "alone\r\n" in terminal.type("ls al\t\r")
    assert "inside\r\n" in terminal.type("ls fol\tin\t\r")
    assert "folder/  fork" in terminal.type("ls fo\t\t", r"fork\r\n.*\$ ls fo")
    terminal.type("\x03")
    assert terminal.type("hostn\t\t", r"hostname  hostnamectl\r\n.*\$ hostname")
    terminal.type("\x03")
    assert "root\r\n" in terminal.type("sudo whoa\t\r")


def test_help_and_history(terminal: Typed) -> None:
    shown = terminal.type("help\r")
    assert "This machine is simulated" in shown and "base64" in shown and "Ctrl-C" in shown
    assert re.search(r"1  help\r\n +2  history\r\n", terminal.type("history\r"))
