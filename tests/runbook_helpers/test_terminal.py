"""The command `runbook` in a terminal: what a person sees while it works."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from .test_cli import runbook

if sys.platform == "win32":
    pytest.skip("there is no pty", allow_module_level=True)

from .terminal import terminal


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
