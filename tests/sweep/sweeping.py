"""Several workers, each with a sandbox and a forker of its own."""

from __future__ import annotations

import os
import queue
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from . import stage
from .children import Forker

PROBLEMS = 5
Item = TypeVar("Item")
Result = TypeVar("Result")
whole = pytest.mark.skipif(
    sys.platform == "win32" or not os.environ.get("RUNBOOK_SWEEP"), reason="`make sweep` runs it: it takes long"
)


def minutes() -> float:
    """How long items are begun; what is left over then is reported in the figures."""
    return float(os.environ.get("RUNBOOK_SWEEP_MINUTES", "600"))


def workers() -> int:
    """Many of the cells wait for something; a worker more than there are processors does no harm."""
    return int(os.environ.get("RUNBOOK_SWEEP_WORKERS", "2"))


def shuffled(items: Sequence[Item]) -> list[Item]:
    """The items in a random order, so that a sweep which is broken off has seen something of everything."""
    return random.Random(int(os.environ.get("RUNBOOK_SWEEP_SEED", "0"))).sample(items, len(items))


@contextmanager
def forkers(folder: Path, count: int) -> Iterator[list[Forker]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Forker(folder / f"children-{number}")) for number in range(count)]


def spread(
    folder: Path,
    items: Sequence[Item],
    forkers: Sequence[Forker],
    attempt: Callable[[Item, Forker, Path], Result],
    report: Callable[[Result], object] = lambda result: None,
) -> list[Result]:
    """Try items, as many at once as there are forkers, for so many minutes; the results are in the items' order.

    Args:
        attempt: given an item, and the forker and the sandbox's folder of the worker.
        report: each result as it comes.
    """
    problems: list[Exception] = []
    waiting: queue.SimpleQueue[tuple[int, Item]] = queue.SimpleQueue()
    for place, item in enumerate(items):
        waiting.put((place, item))
    results: dict[int, Result] = {}
    deadline = time.monotonic() + 60 * minutes()

    def work(number: int, forker: Forker) -> None:
        sandbox = folder / f"worker-{number}" / "sandbox"
        try:
            while time.monotonic() < deadline:
                try:
                    place, item = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    results[place] = attempt(item, forker, sandbox)
                    report(results[place])
                except Exception as problem:  # of this machine or of the tests: the others go on
                    problems.append(problem)
                    if len(problems) > PROBLEMS:
                        raise
                    waiting.put((place, item))
        finally:
            stage.end(sandbox)

    with ThreadPoolExecutor(len(forkers)) as pool:
        for done in [pool.submit(work, number, forker) for number, forker in enumerate(forkers)]:
            done.result()
    return [results[place] for place in sorted(results)]
