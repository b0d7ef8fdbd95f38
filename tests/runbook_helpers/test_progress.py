"""What a long step says: seconds and a reason where a person looks on, one plain line elsewhere; the same text stays."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runbook_helpers.errors import AccessDenied
from runbook_helpers.run.progress import LIVE, step

CODE = """
import time
from runbook_helpers.run import progress
progress.TICK = 0.05
with progress.step("VM myDockerVM") as waiting:
    waiting.waits_for("Azure makes it")
    time.sleep(0.4)
"""


def said(**variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != LIVE} | variables
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, check=True, timeout=60)
    return done.stdout.decode().replace(os.linesep, "\n")  # as bytes, since text would lose the carriage returns


def test_headless_it_is_one_line() -> None:
    assert said() == "VM myDockerVM: ready\n"


def test_live_it_counts_and_ends_as_the_same_line() -> None:
    *frames, last = said(**{LIVE: "notebooks/02.ipynb"}).split("\r")
    assert [frame.rstrip() for frame in frames[:2]] == ["VM myDockerVM: 0 s", "VM myDockerVM: 0 s, Azure makes it"]
    assert len(frames) > 2
    assert frames[-1].rstrip() == "VM myDockerVM: 0 s, Azure makes it"
    assert last.rstrip(" \n") == "VM myDockerVM: ready"
    assert len(last.rstrip("\n")) == len(frames[-1])  # it covers what stood there


@pytest.mark.parametrize(("error", "outcome"), [(AccessDenied("no"), "refused"), (OSError("no"), "failed")])
def test_a_step_that_fails_says_so(error: Exception, outcome: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(type(error)), step("Docker on vm", "signed in"):
        raise error
    assert capsys.readouterr().out == f"Docker on vm: {outcome}\n"
