"""Every request and every remote command of the walkthrough, with every fault that fits it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from . import table
from .children import Forker
from .kinds import Cell, cells
from .outcomes import Outcome, try_cell
from .pairs import pairs, try_pair
from .points import distinct, record
from .sweeping import forkers, shuffled, spread, whole, workers
from .walkthrough import steps

PAIRS = 200


def _progress(folder: Path, name: str = "progress.txt") -> Callable[[Outcome], None]:
    """Keep each outcome at once, for who watches; the table is written at the end."""
    folder.mkdir(parents=True, exist_ok=True)

    def report(outcome: Outcome) -> None:
        with (folder / name).open("a", encoding="utf-8") as file:
            error = " ".join(outcome.error.split())[:300]
            details = "" if outcome.good else " ".join(outcome.details.split())[-600:]
            mark = "good" if outcome.good else "BAD"
            file.write(f"{mark} {outcome.seconds} s | {outcome.cell.name} | {outcome.what} | {error} | {details}\n")

    return report


def _chosen(every: list[Cell]) -> list[Cell]:
    """All cells; or those with a text in their name, or the bad ones of an earlier run's progress.txt."""
    only, before = os.environ.get("RUNBOOK_SWEEP_ONLY", ""), os.environ.get("RUNBOOK_SWEEP_AGAIN")
    chosen = [cell for cell in every if only in cell.name]
    if before:
        lines = [line.split(" | ") for line in Path(before).read_text(encoding="utf-8").splitlines()]
        bad = {" | ".join(words[1:4]) for words in lines if words[0].startswith("BAD")}
        chosen = [cell for cell in chosen if cell.name in bad]
    return shuffled(chosen)


@whole
def test_the_whole_sweep(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    folder = Path(os.environ.get("RUNBOOK_SWEEP_TABLE") or tmp_path / "table")
    with forkers(tmp_path, workers()) as several:
        recorded = record(several[0], tmp_path / "kept", steps(), exercises=True)
        every = [cell for point in distinct(recorded) for cell in cells(point)]

        def attempt(cell: Cell, forker: Forker, sandbox: Path) -> Outcome:
            return try_cell(cell, recorded, True, forker, sandbox)

        outcomes = spread(tmp_path, _chosen(every), several, attempt, _progress(folder))
    assert outcomes, "no cell was chosen"
    assert len(every) >= 700
    outcomes.sort(key=lambda each: every.index(each.cell))
    line = table.write(folder, outcomes, len(every))
    print(line)
    record_property("figures", f"{line}; the table is in {folder}")
    assert not [f"{each.cell.name}: {each.what}: {each.error}" for each in outcomes if not each.good]


@whole
def test_pairs(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Two faults at once: RUNBOOK_SWEEP_SEED draws other ones, RUNBOOK_SWEEP_MINUTES tries as many as there is time for."""
    folder = Path(os.environ.get("RUNBOOK_SWEEP_TABLE") or tmp_path / "table")
    with forkers(tmp_path, workers()) as several:
        recorded = record(several[0], tmp_path / "kept", steps(), exercises=True)
        drawn = pairs(recorded, PAIRS, int(os.environ.get("RUNBOOK_SWEEP_SEED", "0")))

        def attempt(pair: Cell, forker: Forker, sandbox: Path) -> Outcome:
            return try_pair(pair, recorded, True, forker, sandbox)

        outcomes = spread(tmp_path, drawn, several, attempt, _progress(folder, "pairs-progress.txt"))
    assert outcomes, "no pair was tried"
    both = sum("both" in each.details for each in outcomes)
    line = f"{table.write(folder, outcomes, len(drawn), 'pairs')}; in {both} both faults happened"
    print(line)
    record_property("figures", f"{line}; the table is in {folder}")
    assert not [f"{each.cell.name}: {each.what}: {each.error}" for each in outcomes if not each.good]
