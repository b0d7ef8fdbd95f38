"""What becomes of a fault: the step succeeds all the same, or ends in one clear error and succeeds when it is run again."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from azure_sandbox import faults, process

from . import stage
from .children import Ending, Forker, Order
from .kinds import Cell
from .points import Recorded
from .walkthrough import CLOUD, IMAGE, Names

TRIES = 3  # on a busy machine an operation may have ended before it is asked about as often as undisturbed
SUCCESS, ERROR = "success", "clear error, then success"
# What Azure or a program on the VM has said, or what the operator is reported to do.
_SAYS = re.compile(
    r"again|anew|grant|look at|choose|ask for|is it running|admit|give it|set |delete it|"
    r"Code: \w+|\(\w+\) |AADSTS\d+|ended with exit status \d+:\n.",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Outcome:
    """What became of a cell."""

    cell: Cell
    what: str
    """SUCCESS, ERROR, or what is bad."""
    seconds: float
    error: str = ""
    """Its type and text."""
    details: str = ""
    traffic_before: int = 0
    """How many requests the sandbox had answered before a pair of faults."""

    @property
    def good(self) -> bool:
        return self.what in (SUCCESS, ERROR)


def try_cell(cell: Cell, recorded: Sequence[Recorded], exercises: bool, forker: Forker, sandbox: Path) -> Outcome:
    """Run one step with one fault, and again without it where it did not succeed.

    Args:
        recorded: the undisturbed walkthrough, with or without the exercises.
        sandbox: the folder of a sandbox of the caller's own.
    """
    number = cell.point.number
    last = last_step(cell, recorded)
    before, wanted = recorded[number], recorded[last]
    order = Order(number, last + 1, before.known, exercises)
    began = time.monotonic()
    for _ in range(TRIES):
        stage.put_back(before.before, sandbox, forker)
        running = process.find(sandbox)
        traffic = len(process.traffic(running, CLOUD)) if running and cell.also else 0
        rules = [faults.add(sandbox, each.fault) for each in cell.both]
        ending = forker.run(sandbox, order).wait()
        happened = _clear_hit(sandbox, rules)
        if happened:
            break

    def outcome(what: str, details: str = "") -> Outcome:
        return Outcome(cell, what, round(time.monotonic() - began, 1), _error(ending), details, traffic)

    if not happened:
        return outcome("the fault did not happen")
    again, ended_well = ending, True
    for _ in cell.both:  # what one fault has kept from happening happens when the step is run again
        complaint = "" if again.ok else _complaint(again, cell)
        if complaint:
            return outcome(complaint, again.output[-2000:])
        if not again.ok or _refused(again, wanted, cell):
            ended_well = False
            again = forker.run(sandbox, order).wait()
            happened |= _clear_hit(sandbox, rules)
    faults.clear(sandbox)
    if not again.ok:
        return outcome("a re-run does not succeed", f"{_error(again)}\n{again.output[-2000:]}")
    differences = stage.differences(stage.state(sandbox), stage.state(wanted.after))
    differences += stage.differences(_results(again.result["known"]), _results({**wanted.known, **wanted.added}))
    if differences:
        return outcome("another state than without the fault", "\n".join(differences[:10]))
    both = "both faults happened" if len(happened) > 1 else ""
    return outcome(SUCCESS if ended_well else ERROR, both)


def _clear_hit(sandbox: Path, rules: Sequence[str]) -> set[str]:
    """Clear the rules that have had their effect; which ones these are."""
    happened = {hit["rule"] for hit in faults.hits(sandbox)} & set(rules)
    for rule in happened:
        faults.clear(sandbox, rule)
    return happened


def last_step(cell: Cell, recorded: Sequence[Recorded]) -> int:
    """The number of the last step that a cell runs."""
    number = cell.point.number
    return _next_pull(recorded, number) if any(each.until for each in cell.both) else number


def _next_pull(recorded: Sequence[Recorded], number: int) -> int:
    pulls = [place for place, each in enumerate(recorded) if "pull" in each.step.title and place > number]
    return pulls[0] if pulls else number


def _error(ending: Ending) -> str:
    error = ending.result.get("error")
    return f"{error['type']}: {error['text']}" if error else ""


def _results(known: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in known.items() if key != "login"}  # its command names the way there


def _refused(ending: Ending, wanted: Recorded, cell: Cell) -> bool:
    """Whether an exercise shows that Azure refuses where a fault refuses: `try_pull` returns that, and does not raise."""
    refuses = any(isinstance(each.fault, faults.Status) and each.fault.status == 403 for each in cell.both)
    attempts = [known.get("attempt") for known in (ending.result["known"], {**wanted.known, **wanted.added})]
    return refuses and attempts[0] == "refused" != attempts[1]


def _complaint(ending: Ending, cell: Cell) -> str:
    """What is wrong with how a step failed; nothing where it failed well."""
    error = ending.result.get("error")
    if ending.status is None:
        return "it hangs"
    if error is None:
        return f"it ended with status {ending.status}"
    if not error["typed"]:
        return "another error than the runbook's and Azure's"
    if "Traceback" in ending.output:
        return "a traceback besides the error"
    names = Names()
    failed = [line for line in ending.output.splitlines() if line.endswith((": failed", ": refused"))]
    seen = "\n".join([*failed, error["text"]])  # what a reader of the cell sees
    if "AADSTS" in error["text"]:  # Entra's own words
        return ""
    places = [text for each in cell.both for text in (each.point.host, each.point.path)]
    known = [*vars(names).values(), IMAGE, *places, "login.chinacloudapi.cn"]
    if not any(name and name.lower() in seen.lower() for name in known):
        return "the error names neither resource nor host"
    if not _SAYS.search(error["text"]):
        return "the error does not tell what to do"
    return ""
