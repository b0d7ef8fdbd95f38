"""Every request and every remote command of the walkthrough, with every fault that fits it."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from . import table
from .children import Forker
from .kinds import Cell, cells
from .outcomes import Outcome, try_cell
from .points import Recorded, distinct, record
from .sweeping import spread
from .walkthrough import steps

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="children are forked and killed")
whole = pytest.mark.skipif(not os.environ.get("RUNBOOK_SWEEP"), reason="`make sweep` runs it: it takes long")
SAMPLE = 12
SEED = 20261125


def _progress(folder: Path) -> Callable[[Outcome], None]:
    """Keep each outcome at once, for who watches; the table is written at the end."""
    folder.mkdir(parents=True, exist_ok=True)

    def told(outcome: Outcome) -> None:
        with (folder / "progress.txt").open("a", encoding="utf-8") as file:
            error = " ".join(outcome.error.split())[:300]
            details = "" if outcome.good else " ".join(outcome.details.split())[-600:]
            mark = "good" if outcome.good else "BAD"
            file.write(f"{mark} {outcome.seconds} s | {outcome.cell.name} | {outcome.what} | {error} | {details}\n")

    return told


def _bad_before() -> set[str] | None:
    """The bad cells of an earlier run, where only they are to be tried again."""
    before = os.environ.get("RUNBOOK_SWEEP_AGAIN")
    if not before:
        return None
    lines = (line.split(" | ") for line in Path(before).read_text(encoding="utf-8").splitlines())
    return {" | ".join([*words[1:4]]) for words in lines if words[0].startswith("BAD")}


def _sweep(
    folder: Path,
    chosen: Sequence[Cell],
    recorded: Sequence[Recorded],
    exercises: bool,
    workers: int,
    told: Callable[[Outcome], object] = lambda outcome: None,
) -> list[Outcome]:
    def attempt(cell: Cell, forker: Forker, sandbox: Path) -> Outcome:
        return try_cell(cell, recorded, exercises, forker, sandbox)

    return spread(folder, chosen, workers, attempt, told)


def test_a_sample_of_the_sweep(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    with Forker(tmp_path / "children") as forker:
        recorded = record(forker, tmp_path / "kept", steps(exercises=False), exercises=False, last=12)
    every = [cell for point in distinct(recorded) for cell in cells(point)]
    chosen = random.Random(SEED).sample(every, SAMPLE)
    outcomes = _sweep(tmp_path, chosen, recorded, False, 2)
    record_property("figures", f"sample of {len(every)}: {table.write(tmp_path, outcomes)}")
    assert not [f"{each.cell.name}: {each.what}: {each.error}\n{each.details}" for each in outcomes if not each.good]


@whole
def test_the_whole_sweep(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    folder = Path(os.environ.get("RUNBOOK_SWEEP_TABLE") or tmp_path / "table")
    with Forker(tmp_path / "children") as forker:
        recorded = record(forker, tmp_path / "kept", steps(), exercises=True)
    every = [cell for point in distinct(recorded) for cell in cells(point)]
    only = os.environ.get("RUNBOOK_SWEEP_ONLY", "")  # a part of a cell's name, to try some again
    bad = _bad_before()
    chosen = [cell for cell in every if only in cell.name and (bad is None or cell.name in bad)]
    random.Random(SEED).shuffle(chosen)  # a run that is broken off has seen something of everything
    workers = int(os.environ.get("RUNBOOK_SWEEP_WORKERS", "2"))
    outcomes = _sweep(tmp_path, chosen, recorded, True, workers, _progress(folder))
    outcomes.sort(key=lambda each: every.index(each.cell))
    line = table.write(folder, outcomes)
    print(line)
    record_property("figures", f"{line}; the table is in {folder}")
    assert not [f"{each.cell.name}: {each.what}: {each.error}" for each in outcomes if not each.good]
