"""kill -9 of a run, and of the sandbox under it: the next run ends as an undisturbed one, and nothing is done twice."""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .children import Forker
from .crashes import CrashOutcome, crashes, try_crash
from .points import distinct, record
from .sweeping import spread
from .walkthrough import steps

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="children are forked and killed")
whole = pytest.mark.skipif(not os.environ.get("RUNBOOK_SWEEP"), reason="`make sweep` runs it: it takes long")
SAMPLE = 3
SEED = 20261125
EVERY = 5
"""Of the reads that nothing depends on, every fifth; all writes and all remote commands."""


def _write(folder: Path, outcomes: Sequence[CrashOutcome]) -> str:
    """The crash table, as JSON and as Markdown; returns the figures in one line."""
    folder.mkdir(parents=True, exist_ok=True)
    good = sum(each.good for each in outcomes)
    repeated = sum(len(each.repeated) for each in outcomes)
    counts = ", ".join(f"{count} {what}" for what, count in Counter(each.what for each in outcomes).most_common())
    line = f"{good} of {len(outcomes)} crashes end well ({counts}); {repeated} answered writes or commands done twice"
    rows = [{"crash": each.crash.name, "outcome": each.what, "seconds": each.seconds, "error": each.error,
             "details": each.details, "repeated": each.repeated} for each in outcomes]  # fmt: skip
    (folder / "crash.json").write_text(json.dumps({"figures": line, "crashes": rows}, indent=1), encoding="utf-8")
    lines = [
        "# Crash and resume",
        "",
        line,
        "",
        "| where | outcome | s | what the run said |",
        "| --- | --- | ---: | --- |",
    ]
    for each in sorted(outcomes, key=lambda each: each.good):
        said = " ".join(f"{each.error} {'' if each.good else each.details[-500:]}".split())[:700]
        where = each.crash.name.replace(" | ", ": ")
        lines.append(
            "| " + " | ".join(x.replace("|", "\\|") for x in (where, each.what, str(each.seconds), said)) + " |"
        )
    (folder / "crash.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return line


def _crash(tmp_path: Path, folder: Path, sample: int, every: int, workers: int) -> tuple[str, list[CrashOutcome]]:
    with Forker(tmp_path / "children") as forker:
        recorded = record(forker, tmp_path / "kept", steps(False, False), exercises=False)
    found = crashes(distinct(recorded), every)
    only = os.environ.get("RUNBOOK_SWEEP_ONLY", "")
    chosen = random.Random(SEED).sample(found, sample) if sample else [each for each in found if only in each.name]

    def told(outcome: CrashOutcome) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "crash-progress.txt").open("a", encoding="utf-8") as file:
            details = " ".join(outcome.details.split())[-900:]
            mark = "good" if outcome.good else "BAD"
            file.write(
                f"{mark} {outcome.seconds} s | {outcome.crash.name} | {outcome.what} | {outcome.error} | {details}\n"
            )

    outcomes = spread(tmp_path, chosen, workers, lambda crash, forker, sandbox: try_crash(crash, recorded, forker, sandbox),
                      told)  # fmt: skip
    return _write(folder, outcomes), outcomes


def test_a_sample_of_crashes(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    line, outcomes = _crash(tmp_path, tmp_path / "table", SAMPLE, EVERY, 2)
    record_property("figures", line)
    assert not [each for each in outcomes if not each.good]


@whole
def test_the_whole_crash_table(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    folder = Path(os.environ.get("RUNBOOK_SWEEP_TABLE") or tmp_path / "table")
    line, outcomes = _crash(tmp_path, folder, 0, EVERY, int(os.environ.get("RUNBOOK_SWEEP_WORKERS", "2")))
    print(line)
    record_property("figures", f"{line}; the table is in {folder}")
    assert not [f"{each.crash.name}: {each.what}: {each.details}" for each in outcomes if not each.good]
