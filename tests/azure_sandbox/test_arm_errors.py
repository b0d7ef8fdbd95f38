"""ARM's errors: each call gives the names of its sentence, and every sentence is used."""

from __future__ import annotations

import ast
from pathlib import Path
from string import Formatter

import azure_sandbox
from azure_sandbox.arm import errors

KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, errors._Kind)}
ARM = Path(azure_sandbox.__file__).parent / "arm"


def test_each_error_is_called_with_what_its_sentence_names() -> None:
    called = set()
    for path in ARM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in KINDS:
                fields = {name for _, name, _, _ in Formatter().parse(KINDS[node.func.attr].sentence) if name}
                wanted = {field.partition(".")[0] for field in fields}
                assert {keyword.arg for keyword in node.keywords} == wanted, (path.name, node.lineno)
                called.add(node.func.attr)
    indirectly = {"subnet_in_use", "address_in_use", "invalid_port_range", "invalid_rule_prefix"}
    assert called | indirectly == set(KINDS)


def test_only_errors_py_makes_errors() -> None:
    users = {path.name for path in ARM.glob("*.py") if "ArmError(" in path.read_text(encoding="utf-8")}
    assert users == {"errors.py"}
