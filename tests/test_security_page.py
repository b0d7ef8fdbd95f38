"""SECURITY.md names a test for each promise, and the tests are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def promises() -> dict[str, list[str]]:
    """The tests by the promise that they hold, each as file::test."""
    found = {}
    for line in (PROJECT / "SECURITY.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("| ") or line.startswith("| Promise"):
            continue
        promise, held = (part.strip() for part in line.strip("|").split("|"))
        tests, file = [], ""
        for name in re.findall(r"`([^`]+)`", held):
            file = name.partition("::")[0] or file
            tests.append(f"{file}::{name.partition('::')[2]}")
        found[promise] = tests
    return found


def test_every_promise_has_tests_that_exist() -> None:
    assert len(promises()) >= 15
    for promise, tests in promises().items():
        assert tests, promise
        for test in tests:
            path, _, name = test.partition("::")
            tree = ast.parse((PROJECT / path).read_text(encoding="utf-8"))
            functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert name.startswith("test_") and name in functions, test


def test_both_readmes_and_the_make_targets_are_there() -> None:
    for readme in ("README.md", "README.zh-CN.md"):
        assert "(SECURITY.md)" in (PROJECT / readme).read_text(encoding="utf-8")
    targets = re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"fuzz", "audit"} <= set(targets)
