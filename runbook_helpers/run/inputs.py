"""The inputs of a run: its parameters, its notebooks, its folder; those of an earlier run where it is taken up."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from .. import parameter_file
from ..errors import ParameterError
from ..files import write_atomic
from ..foreign_text import shown_text
from ..parameters import RULES, problems, read_parameters, secret_problem
from ..secrets import shown, shown_name
from .report import JUNIT, PAGE, PARAMETERS, RESULT, NotebookRun, Report, read_report

PROJECT = Path(__file__).parents[2]
NOTEBOOKS = PROJECT / "notebooks"
CLEAN_UP = "06"
MARK = "run-folder.txt"
MARK_TEXT = "The folder of a run: `runbook run` made it, and may write into it again (`runbook run --resume`).\n"


def collect_parameters(file: Path, overrides: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The parameters of a run: those of the file, and over them those of the command line.

    Raises:
        ParameterError: everything that is wrong with them, at once.
    """
    values = {**read_parameters(file), **typed(overrides)}
    found = problems(values)
    if values.get("result_path"):
        found.append(
            "result_path is for one notebook by itself: a run writes all results to result.json in its folder."
        )
    if found:
        raise ParameterError(found)
    return values


def typed(overrides: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The parameters of the command line, with true and false where the rules have them, and mappings in YAML or JSON."""
    return {name: _value(RULES[name].kind if name in RULES else str, text) for name, text in overrides}


def _value(kind: type, text: str) -> Any:
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind is dict:
        with contextlib.suppress(parameter_file.StrictError):
            return parameter_file.load(text.encode())
    return text


def select_notebooks(only: Sequence[str], clean_up: bool) -> list[Path]:
    """The notebooks of a run, in order: 00 to 05, or those named; last of all 06, where it is asked for.

    Raises:
        ParameterError: a number that no notebook has.
    """
    every = every_notebook()
    only = [number.zfill(2) if number.isdecimal() else number for number in only]
    unknown = [number for number in only if number not in every]
    if unknown:
        raise ParameterError([f"There is no notebook {', '.join(unknown)}: --only takes {', '.join(sorted(every))}."])
    # What comes after clean-up are exercises: a person does them, or names them.
    wanted = set(only) or {number for number in every if number < CLEAN_UP}
    return [path for number, path in every.items() if number in wanted or (clean_up and number == CLEAN_UP)]


def every_notebook() -> dict[str, Path]:
    """The notebooks by their numbers, in the order of a run: clean-up is the last."""
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"), key=lambda path: (path.name.startswith(CLEAN_UP), path.name))
    return {path.name[:2]: path for path in paths}


def new_output_folder(chosen: Path | None = None) -> Path:
    """A folder with nothing in it but the mark of a run, made here: the chosen one, or runs/<UTC time>.

    Raises:
        ParameterError: the chosen one has a run already, or other files; or the folder cannot be made or written.
    """
    if chosen is not None and chosen.resolve().is_relative_to(NOTEBOOKS):
        raise ParameterError([f"The folder {chosen} is the notebooks' own: use another folder."])
    try:
        if chosen is None:
            folder = _stamped_folder(Path("runs") / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))
        else:
            folder = chosen
            folder.mkdir(parents=True, exist_ok=True)
        _refuse_what_is_in_it(folder)
        write_atomic(folder / MARK, MARK_TEXT, mode=0o666)
    except OSError as error:
        where = chosen or Path("runs")
        raise ParameterError([f"The folder {where} cannot be made or written: {error.strerror}."]) from error
    return folder


def _refuse_what_is_in_it(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    if RESULT in names and MARK in names:
        raise ParameterError(
            [f"The folder {folder} has notebooks of a run already: use another folder, or `--resume {folder}`."]
        )
    if names - {MARK}:
        message = (
            f"The folder {folder} has files already ({shown_text(min(names - {MARK}))}), and a run overwrites no file of "
            "yours: use another folder, which is made where it is missing."
        )
        raise ParameterError([message])


def _stamped_folder(path: Path) -> Path:
    # Two runs may start in the same second: who makes the folder has it.
    for number in count(2):
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            path = path.with_name(f"{path.name.partition('-')[0]}-{number}")
        else:
            break
    return path


def _refuse_what_is_no_runs(folder: Path, report: Report) -> None:
    """Refuse a folder that no run made, or that has something else where a run writes its files."""
    written = [MARK, RESULT, JUNIT, PARAMETERS, PAGE, *(f"{step.notebook}.ipynb" for step in report.steps)]
    found = [folder / name for name in written]
    strange = [path for path in found if path.is_symlink() or (path.exists() and not path.is_file())]
    if not strange and (folder / MARK).exists():
        return
    reason = f"{strange[0].name} is no plain file" if strange else f"it has no {MARK}, so no run made it"
    raise ParameterError([f"The run in {folder} cannot be taken up: {reason}. Start a new run in another folder."])


def resume(folder: Path, file: Path | None, overrides: Sequence[tuple[str, str]], clean_up: bool) -> Report:
    """The run in a folder, to be taken up by `run`.

    Raises:
        ParameterError: the folder has no run, or other parameters are given than it had.
    """
    report = read_report(folder)
    found = [problem for name, text in overrides if (problem := secret_problem(name, text, known=name in RULES))]
    if found:
        raise ParameterError(found)
    _refuse_what_is_no_runs(folder, report)
    given = collect_parameters(file, overrides) if file else {**report.parameters, **typed(overrides)}
    names = [name for name in {**report.parameters, **given} if report.parameters.get(name) != given.get(name)]
    if names:
        had = ", ".join(
            f"{shown_name(name)} {shown(report.parameters.get(name))} (not {shown(given.get(name))})" for name in names
        )
        message = (
            f"--resume goes on with the parameters of the run in {folder}, which had {had}: start a new run for others."
        )
        raise ParameterError([message])
    every = [path.stem for path in every_notebook().values()]
    unknown = [step.notebook for step in report.steps if step.notebook not in every]
    if unknown:
        raise ParameterError([f"The run in {folder} cannot be taken up: there is no notebook {', '.join(unknown)}."])
    report.clean_up |= clean_up
    last = every[-1]
    steps = [step if step.ok else NotebookRun(step.notebook) for step in report.steps if step.notebook != last]
    deletes = [step for step in report.steps if step.notebook == last] or [NotebookRun(last)] * clean_up
    # What is made from now on is deleted too, even where an earlier part of the run has deleted what it had made.
    report.steps = steps + (deletes if all(step.ok for step in steps) else [NotebookRun(last) for _ in deletes])
    return report
