"""Two runs at once, in one sandbox: the same names end well together, different names never meet."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from . import stage
from .children import Ending, Forker, Order
from .crashes import answered_writes
from .sweeping import whole
from .walkthrough import Names

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="children are forked and killed")
LAST = 23  # steps: to the pull of notebook 04
OTHERS = Names("otherGroup", "otherRegistry", "otherVM", "otherIdentity")


def _together(folder: Path, both: tuple[Names, Names]) -> list[Ending]:
    sandbox = folder / "sandbox"
    with Forker(folder / "children") as forker:
        stage.begin(sandbox, forker)
        runs = [forker.run(sandbox, Order(0, LAST, {}, False, False, names), 240) for names in both]
        return [run.wait() for run in runs]


def _texts(endings: list[Ending]) -> list[str]:
    return [f"{each.status} {each.result.get('error')} {each.output[-2000:]}" for each in endings if not each.ok]


def test_the_same_names(tmp_path: Path) -> None:
    """Each resource is there once, and both runs have pulled; what was there already was written by one of them only."""
    sandbox = tmp_path / "sandbox"
    try:
        endings = _together(tmp_path, (Names(), Names()))
        assert not _texts(endings)
        digests = {ending.result["known"]["digest"] for ending in endings}
        assert len(digests) == 1
        state = stage.state(sandbox)
        ids = [each["id"].lower() for each in state["resources"]]
        assert len(ids) == len(set(ids))
        machines = [name for name in ids if "/virtualmachines/sweepvm" in name and name.endswith("sweepvm")]
        grants = [name for name in ids if "/registries/" in name and "/roleassignments/" in name]
        assert len(machines) == len(grants) == 1, ids
        machine = [(write, count) for write, count in answered_writes(sandbox).items() if write.endswith("/sweepVM")]
        assert sum(count for write, count in machine if write.startswith("PUT")) == 1, machine
    finally:
        stage.end(sandbox)


@whole
def test_different_names(tmp_path: Path) -> None:
    """What each has made is what it would have made alone, and tells nothing of the other."""
    sandbox = tmp_path / "sandbox"
    try:
        assert not _texts(_together(tmp_path, (Names(), OTHERS)))
        resources = stage.state(sandbox)["resources"]
        for names, other in ((Names(), "other"), (OTHERS, "sweep")):
            own = [each for each in resources if f"/{names.resource_group}".lower() in each["id"].lower()]
            assert len(own) >= 8
            assert other not in json.dumps(own)
    finally:
        stage.end(sandbox)
