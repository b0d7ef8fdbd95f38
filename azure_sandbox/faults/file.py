"""The file of a sandbox's folder that keeps its fault rules, ``faults.json``, and the log of their effects.

A rule stands there as the options of ``fault add``. The file is written in one step, and a running sandbox reads it when
it has changed. Each time that a rule has had its effect, a line goes to ``faults.log``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import StateError, reading
from ..files import write_atomic
from ..folder import changing
from .rules import Fault, FaultError, from_options


def read(folder: Path) -> list[Fault]:
    """The rules of a sandbox's folder, in the order in which they were added."""
    try:
        return [from_options(each) for each in _load(folder)["rules"]]
    except FaultError as error:
        reason = f"{folder / 'faults.json'} cannot be read: {error} `runbook sandbox fault clear` empties it."
        raise FaultError(reason) from error


def add(folder: Path, fault: Fault) -> str:
    """Add a rule, which takes effect at once. Returns its id."""
    with changing(folder):
        kept = _load(folder)
        kept["last"] += 1
        rule_id = f"f{kept['last']}"
        kept["rules"].append({"id": rule_id, **fault.options()})
        _store(folder, kept)
    return rule_id


def clear(folder: Path, rule_id: str | None = None) -> int:
    """Remove a rule, or all of them; what they hold goes on. Returns how many there were."""
    if not (folder / "faults.json").exists():
        return 0
    with changing(folder):
        try:
            kept = _load(folder)
        except StateError:  # what cannot be read is emptied, as its error advises
            if rule_id is not None:
                raise
            _store(folder, {"last": 0, "rules": []})
            return 0
        left = [each for each in kept["rules"] if rule_id not in (None, each["id"])]
        removed = len(kept["rules"]) - len(left)
        _store(folder, {**kept, "rules": left})
    return removed


def hits(folder: Path) -> list[dict[str, Any]]:
    """The effects of the rules, in order: the rule's id, its kind, the time, and the request or command affected."""
    path = folder / "faults.log"
    try:
        with reading(path):
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _load(folder: Path) -> dict[str, Any]:
    path = folder / "faults.json"
    try:
        with reading(path):
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if type(kept["last"]) is not int or not all(isinstance(each["id"], str) for each in kept["rules"]):
                raise ValueError("it holds no rules")
            return kept
    except (FileNotFoundError, NotADirectoryError):
        return {"last": 0, "rules": []}
    except StateError as error:
        sentence = str(error).replace("sandbox reset` begins anew", "sandbox fault clear` empties it")
        raise StateError(sentence) from error


def _store(folder: Path, kept: dict[str, Any]) -> None:
    write_atomic(folder / "faults.json", json.dumps(kept))
