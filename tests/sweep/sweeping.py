"""Several workers, each with a sandbox and a forker of its own."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from . import stage
from .children import Forker

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    folder: Path,
    items: Sequence[Item],
    workers: int,
    attempt: Callable[[Item, Forker, Path], Result],
    told: Callable[[Result], object] = lambda result: None,
) -> list[Result]:
    """Try items, as many at once as there are workers; the results are in the items' order.

    Args:
        attempt: given an item, and the forker and the sandbox's folder of the worker.
        told: each result as it comes.
    """
    waiting: queue.SimpleQueue[tuple[int, Item]] = queue.SimpleQueue()
    for place, item in enumerate(items):
        waiting.put((place, item))
    results: dict[int, Result] = {}

    def work(number: int) -> None:
        sandbox = folder / f"worker-{number}" / "sandbox"
        with Forker(folder / f"worker-{number}" / "children") as forker:
            try:
                while True:
                    try:
                        place, item = waiting.get_nowait()
                    except queue.Empty:
                        return
                    results[place] = attempt(item, forker, sandbox)
                    told(results[place])
            finally:
                stage.end(sandbox)

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, number) for number in range(workers)]:
            done.result()
    return [results[place] for place in sorted(results)]
