"""A few cells of the sweep and a few crashes, for every day; `make sweep` runs all of them."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import crash_table, table
from .children import Forker
from .crashes import CrashOutcome, crashes, try_crash
from .kinds import Cell, cells
from .outcomes import Outcome, try_cell
from .pairs import pairs, try_pair
from .points import Recorded, distinct, record
from .sweeping import spread
from .walkthrough import steps

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="children are forked and killed")
CELLS = 8
CRASHES = 3
PAIRS = 4
SEED = 20261125
LAST = 12  # steps: to the end of notebook 03


@pytest.fixture(scope="module")
def forkers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Forker]]:
    folder = tmp_path_factory.mktemp("forkers")
    with Forker(folder / "0") as one, Forker(folder / "1") as other:
        yield [one, other]


@pytest.fixture(scope="module")
def recorded(forkers: list[Forker], tmp_path_factory: pytest.TempPathFactory) -> list[Recorded]:
    folder = tmp_path_factory.mktemp("recorded")
    return record(forkers[0], folder / "kept", steps(False, False), exercises=False, last=LAST)


def test_some_cells(
    recorded: list[Recorded], forkers: list[Forker], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    every = [cell for point in distinct(recorded) for cell in cells(point)]
    chosen = random.Random(SEED).sample(every, CELLS)

    def attempt(cell: Cell, forker: Forker, sandbox: Path) -> Outcome:
        return try_cell(cell, recorded, False, forker, sandbox)

    outcomes = spread(tmp_path, chosen, forkers, attempt)
    record_property("figures", table.write(tmp_path, outcomes, len(every)))
    assert not [f"{each.cell.name}: {each.what}: {each.error}\n{each.details}" for each in outcomes if not each.good]


def test_some_pairs(
    recorded: list[Recorded], forkers: list[Forker], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    def attempt(pair: Cell, forker: Forker, sandbox: Path) -> Outcome:
        return try_pair(pair, recorded, False, forker, sandbox)

    outcomes = spread(tmp_path, pairs(recorded, PAIRS, SEED), forkers, attempt)
    record_property("figures", table.write(tmp_path, outcomes, name="pairs"))
    assert not [f"{each.cell.name}: {each.what}: {each.error}\n{each.details}" for each in outcomes if not each.good]


def test_some_crashes(
    recorded: list[Recorded], forkers: list[Forker], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    every = crashes(distinct(recorded), every=5)
    chosen = random.Random(SEED).sample(every, CRASHES)
    outcomes = spread(
        tmp_path, chosen, forkers, lambda crash, forker, sandbox: try_crash(crash, recorded, forker, sandbox)
    )
    record_property("figures", crash_table.write(tmp_path, outcomes, len(every)))
    bad: list[CrashOutcome] = [each for each in outcomes if not each.good]
    assert not [f"{each.crash.name}: {each.what}: {each.details}" for each in bad]
