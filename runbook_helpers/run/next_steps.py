"""Next steps after a run: sentences with commands to copy, each only where it is true."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from ..errors import NotOurs
from ..outcome import Outcome
from .inputs import CLEAN_UP, select_notebooks
from .report import PARAMETERS, NotebookRun, Report


def program() -> str:
    """This program as it can be called again: its bare name where that finds it, else as it was called now."""
    called = Path(sys.argv[0])
    if called.stem != "runbook":  # a test, or another program
        return "runbook"
    found = shutil.which("runbook")
    # Windows: a script sees its name without .exe.
    same = found and Path(found).with_suffix("").resolve() == called.with_suffix("").resolve()
    return "runbook" if same else sys.argv[0]


def how_to_go_on(report: Report) -> list[str]:
    """The sentences on how to finish a run that is not: none where it is, or where only notebook 06 refuses to delete."""
    bad = [step for step in report.steps if not step.ok]
    if not bad or all(_is_not_ours(step) for step in bad):
        return []
    resume = _command("--resume", str(report.output))
    if report.outcome is Outcome.INTERRUPTED:
        return [f"Interrupted; {report.output} has what was done. Run it again to go on: `{resume}`"]
    lines = [f"Not finished: mend the cause, then go on with `{resume}`"]
    # Perhaps a parameter is the cause.
    if report.outcome in (Outcome.BAD_PARAMETERS, Outcome.CLOUD_REFUSED, Outcome.VM_UNREACHABLE):
        again = _command("-f", str(report.output / PARAMETERS), "-p", "NAME", "VALUE", *_chosen(report))
        lines.append(f"With another value of a parameter it is a new run: `{again}`")
    return lines


def how_to_delete(report: Report, plain: bool) -> list[str]:
    """The sentence on how to delete what the run made, where it may have made something and would not be refused.

    Args:
        plain: the run had the parameters that a run has by default.
    """
    file = [] if plain else ["-f", str(report.output / PARAMETERS)]
    delete = _command(*file, "--only", CLEAN_UP)
    last = report.steps[-1]
    if last.notebook.startswith(CLEAN_UP):
        if last.ok or _is_not_ours(last):
            return []
        return [f"What was made may still be there, and cost money. To delete it: `{delete}`, or notebook 06."]
    if not any(_may_have_made(step) for step in report.steps):
        return []
    return [
        f"What was made stays. To delete it: `{delete}`, or notebook 06; `--clean-up` deletes it at the end of a run."
    ]


def _command(*arguments: str) -> str:
    return shlex.join([program(), "run", *arguments])


def _chosen(report: Report) -> list[str]:
    """The options for the notebooks of a run; none where they are those of any run."""
    usual = select_notebooks([], clean_up=report.clean_up)
    deletes = ["--clean-up"] * report.clean_up
    if [step.notebook for step in report.steps] == [path.stem for path in usual]:
        return deletes
    return ["--only", ",".join(step.notebook[:2] for step in report.steps), *deletes]


def _is_not_ours(step: NotebookRun) -> bool:
    return step.notebook.startswith(CLEAN_UP) and step.exception == NotOurs.__name__


def _may_have_made(step: NotebookRun) -> bool:
    """Whether a notebook may have made something; in doubt it has, since what is forgotten costs money."""
    return step.outcome not in (Outcome.NOT_RUN, Outcome.BAD_PARAMETERS) and step.made is not False
