"""Faults in pairs: two at once, drawn at random, in one step or until the step where the first one shows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from azure_sandbox import process

from .children import Forker
from .kinds import Cell, cells
from .outcomes import Outcome, last_step, try_cell
from .points import Point, Recorded, distinct, glob
from .walkthrough import CLOUD


def pairs(recorded: Sequence[Recorded], count: int, seed: int) -> list[Cell]:
    """So many pairs, the same ones for the same seed."""
    every = [cell for point in distinct(recorded) for cell in cells(point)]
    steps = {number: [cell for each in recorded for cell in _cells(each, number)] for number in range(len(recorded))}
    chance = random.Random(seed)
    drawn: dict[str, Cell] = {}
    while len(drawn) < count:
        first = chance.choice(every)
        last = last_step(first, recorded)
        others = [cell for number in range(first.point.number, last + 1) for cell in steps[number]]
        other = chance.choice(others)
        if other.name != first.name:
            pair = replace(first, kind=f"{first.kind} + {other.point.what} | {other.kind}", also=other)
            drawn.setdefault(pair.name, pair)
    return list(drawn.values())


def _cells(recorded: Recorded, number: int) -> list[Cell]:
    return [cell for point in recorded.points if point.number == number for cell in cells(point)]


def try_pair(pair: Cell, recorded: Sequence[Recorded], exercises: bool, forker: Forker, sandbox: Path) -> Outcome:
    """As `try_cell`; and no write that was answered is done twice, but for those that the faults are at."""
    outcome = try_cell(pair, recorded, exercises, forker, sandbox)
    running = process.find(sandbox)
    if not outcome.good or running is None:
        return outcome
    assert pair.also
    span = recorded[pair.point.number : last_step(pair, recorded) + 1]
    allowed = Counter(_write(point) for each in span for point in each.points if point.writes)
    faulty = {_write(pair.point), _write(pair.also.point)}
    done = Counter(
        (each["method"], glob(each["path"]))
        for each in process.traffic(running, CLOUD)[outcome.traffic_before :]
        if each["host"].startswith("management.")
        and each["method"] not in ("GET", "HEAD")
        and 200 <= each["status"] < 300
    )
    twice = [f"{method} {path}" for (method, path), times in done.items()
             if times > max(allowed[method, path], 1) and (method, path) not in faulty]  # fmt: skip
    if twice and not any("operation" in each.kind for each in (pair, pair.also)):  # what failed is made again
        return replace(outcome, what="an answered write was done twice", details="\n".join(twice))
    return outcome


def _write(point: Point) -> tuple[str, str]:
    return point.method, point.path
