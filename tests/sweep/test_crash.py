"""kill -9 of a run, and of the sandbox under it: the next run ends as an undisturbed one, and nothing is done twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from . import crash_table
from .children import Forker
from .crashes import Crash, CrashOutcome, crashes, try_crash
from .points import distinct, record
from .sweeping import forkers, shuffled, spread, whole, workers
from .walkthrough import steps

EVERY = 5
"""Of the reads that nothing depends on, every fifth; all writes and all remote commands."""


def _progress(folder: Path) -> Callable[[CrashOutcome], None]:
    folder.mkdir(parents=True, exist_ok=True)

    def report(outcome: CrashOutcome) -> None:
        with (folder / "crash-progress.txt").open("a", encoding="utf-8") as file:
            details = " ".join(outcome.details.split())[-900:]
            mark = "good" if outcome.good else "BAD"
            file.write(
                f"{mark} {outcome.seconds} s | {outcome.crash.name} | {outcome.what} | {outcome.error} | {details}\n"
            )

    return report


@whole
def test_the_whole_crash_table(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    folder = Path(os.environ.get("RUNBOOK_SWEEP_TABLE") or tmp_path / "table")
    with forkers(tmp_path, workers()) as several:
        recorded = record(several[0], tmp_path / "kept", steps(False, False), exercises=False)
        only = os.environ.get("RUNBOOK_SWEEP_ONLY", "")
        every = crashes(distinct(recorded), EVERY)
        chosen = shuffled([each for each in every if only in each.name])

        def attempt(crash: Crash, forker: Forker, sandbox: Path) -> CrashOutcome:
            return try_crash(crash, recorded, forker, sandbox)

        outcomes = spread(tmp_path, chosen, several, attempt, _progress(folder))
    line = crash_table.write(folder, outcomes, len(every))
    print(line)
    record_property("figures", f"{line}; the table is in {folder}")
    assert not [f"{each.crash.name}: {each.what}: {each.details}" for each in outcomes if not each.good]
