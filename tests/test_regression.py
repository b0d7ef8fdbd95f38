"""The kept outputs hold in every order of the notebooks, again, after a kernel's restart, in other zones and languages."""

from __future__ import annotations

import configparser
import itertools
import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.util import run_sync

from runbook_helpers.commands.refresh import ANSWER
from runbook_helpers.run.inputs import CLEAN_UP, NOTEBOOKS, PROJECT
from runbook_helpers.run.runner import KERNEL_ARGUMENTS

from .conftest import regression
from .test_nbval import all_compared, nbval

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
# Python must not be told to use UTF-8 whatever the language, as `make` tells it.
CHINA = {"TZ": "Asia/Shanghai", "LANG": "zh_CN.UTF-8", "LC_ALL": "zh_CN.UTF-8", "PYTHONUTF8": "0"}
PLAIN = {"TZ": "America/St_Johns", "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ORDERS = {
    "forward": NAMES,
    "backward": NAMES[::-1],
    "shuffled": random.Random(6).sample(NAMES, len(NAMES)),
    "clean up first": sorted(NAMES, key=lambda name: not name.startswith(CLEAN_UP)),
}


def copies(folder: Path, names: Iterable[str]) -> list[Path]:
    """A notebook for each name, in folders of their own: pytest takes a path only once."""
    found = []
    for number, name in enumerate(names):
        shutil.copytree(NOTEBOOKS, folder / str(number), ignore=shutil.ignore_patterns(".*"))
        found.append(folder / str(number) / name)
    return found


def check(names: Iterable[str], folder: Path, variables: dict[str, str]) -> None:
    paths = copies(folder / "copies", names)
    done = nbval(*paths, variables=variables | chinese(folder, variables))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert all_compared(*paths).search(done.stdout), done.stdout[-500:]


def chinese(folder: Path, variables: dict[str, str]) -> dict[str, str]:
    """A folder with the language of the variables, where it can be made; else programs fall back to C, as anywhere."""
    if not variables.get("LANG", "").startswith("zh") or not shutil.which("localedef"):
        return {}
    command = ["localedef", "--no-archive", "-i", "zh_CN", "-f", "UTF-8", str(folder / "locales" / "zh_CN.UTF-8")]
    (folder / "locales").mkdir()
    made = subprocess.run(command, capture_output=True, text=True)
    return {"LOCPATH": str(folder / "locales")} if made.returncode == 0 else {}


@regression
def test_backward_and_again_in_china(fresh: Path, tmp_path: Path) -> None:
    check([*NAMES[5:3:-1], NAMES[4]], tmp_path, CHINA)  # all of it is in `make regression`


@regression
@pytest.mark.parametrize("variables", [{}, CHINA, PLAIN], ids=["here", "china", "plain"])
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_twice(order: str, variables: dict[str, str], fresh: Path, tmp_path: Path) -> None:
    check(ORDERS[order] * 2, tmp_path, variables)


@regression
def test_every_notebook_after_every_other(fresh: Path, tmp_path: Path) -> None:
    walk = after_each_other(NAMES)
    assert set(itertools.pairwise(walk)) == set(itertools.product(NAMES, NAMES))
    check(walk, tmp_path, {})


def after_each_other(names: list[str]) -> list[str]:
    """The shortest walk that has each pair of neighbours once: always the pair that is last in the list and still free."""
    walk, free = [names[0]], {name: list(names) for name in names}
    while free[walk[-1]]:
        following = free[walk[-1]]
        walk.append(following.pop())
    return walk


@regression
@pytest.mark.parametrize("name", NAMES)
def test_after_a_kernel_was_killed_half_way(name: str, fresh: Path) -> None:
    """As a person does: run half, restart the kernel, run all."""
    kept: Any = nbformat.read(NOTEBOOKS / name, as_version=4)  # type: ignore[no-untyped-call]
    notebook: Any = nbformat.read(NOTEBOOKS / name, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOKS)}}, extra_arguments=KERNEL_ARGUMENTS
    )
    with client.setup_kernel():
        assert client.km and client.kc
        for number, cell in list(enumerate(notebook.cells))[: len(notebook.cells) * 2 // 3]:
            client.execute_cell(cell, number)
        run_sync(client.km.restart_kernel)(now=True)
        run_sync(client.kc._async_wait_for_ready)(timeout=60)
        client.code_cells_executed = 0
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
    for cell, before in zip(notebook.cells, kept.cells, strict=True):
        if cell.cell_type == "code" and ANSWER not in cell.metadata.get("tags", []):
            assert shown(cell) == shown(before), cell.id


def shown(cell: Any) -> list[str]:
    """A cell's outputs as nbval compares them: what differs from run to run is made the same."""
    streams = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    found = [streams, *(json.dumps(output.data, sort_keys=True) for output in cell.outputs if "data" in output)]
    rules = configparser.RawConfigParser()
    rules.read(PROJECT / "tests" / "nbval-sanitize.cfg")
    for rule in rules.sections():
        found = [re.sub(rules[rule]["regex"], rules[rule]["replace"], text) for text in found]
    return found
