"""The command ``runbook run``: its options, what it says at the end, and its exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ParameterError
from ..foreign_text import shown_text
from .options import Overrides, parameters_of, with_file, with_overrides

if TYPE_CHECKING:
    from ..run.report import Report

# What a terminal takes as: delete to the end of the line; cut long lines; wrap them.
_CLEAR, _NO_WRAP, _WRAP = "\x1b[K", "\x1b[?7l", "\x1b[?7h"


@click.command()
@with_file
@with_overrides
@click.option("--only", default=None, metavar="NUMBERS", help="Run these notebooks only, for instance 01,04.")
@click.option("--keep-going", is_flag=True, help="After a notebook that failed, run the others all the same.")
@click.option(
    "--clean-up",
    is_flag=True,
    help="Run notebook 06 too, which deletes what was made; also after a notebook that failed.",
)
@click.option("--output", type=click.Path(path_type=Path), default=None, help="Folder.  [default: runs/<UTC time>]")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR",
    help="Take up the run in this folder, with its parameters; what was ok is not run again.",
)
def run(
    file: Path | None,
    overrides: Overrides,
    only: str | None,
    keep_going: bool,
    clean_up: bool,
    output: Path | None,
    resume: Path | None,
) -> None:
    """Run notebooks 00 to 05, or those of --only, and report.

    The folder gets the executed notebooks, report.html, result.json, junit.xml and parameters.yaml. Exit status: 0 all
    went well, 2 bad parameters, 3 Azure refused or did not answer in time, 4 the VM cannot be reached, 5 a pull was
    denied, 130, 143 or 129 interrupted, 1 a notebook failed for another reason.
    """
    from ..run import inputs, next_steps, runner
    from ..run.report import RESULT, NotebookRun, Report

    before: Report | None = None
    if resume:
        if only or output:
            raise ParameterError(
                ["--resume takes up the notebooks and the folder of a run: leave --only and --output out."]
            )
        before = inputs.resume(resume.absolute(), file, overrides, clean_up)
        parameters, folder, clean_up = before.parameters, before.output, before.clean_up
        notebooks = [inputs.NOTEBOOKS / f"{step.notebook}.ipynb" for step in before.steps]
    else:
        parameters = parameters_of(file, overrides)
        chosen = [number.strip() for number in (only or "").split(",") if number.strip()]
        if only is not None and not chosen:  # an unset variable of a pipeline
            raise ParameterError(["--only names no notebook: leave it out to run them all."])
        notebooks = inputs.select_notebooks(chosen, clean_up)
        folder = inputs.new_output_folder(output).absolute()
    lines = _Lines()
    report = before or Report(parameters, folder, steps=[NotebookRun(path.stem) for path in notebooks])
    arguments: dict[str, Any] = {
        "begin": lines.begin, "meanwhile": lines.meanwhile, "interval": lines.interval, "keep_going": keep_going,
        "clean_up": clean_up, "before": report,
    }  # fmt: skip
    with _stops() as signals:
        runner.run(notebooks, parameters, folder, lines.end, **arguments)
        if clean_up and signals and signals[0] != signal.SIGINT:  # nobody is there who could do it
            runner.run(notebooks, parameters, folder, lines.end, only_clean_up=True, **arguments)
    go_on = next_steps.how_to_go_on(report)
    delete = next_steps.how_to_delete(report, plain=not (file or overrides or resume))
    page = _write_page(report, go_on + delete)
    _say(f"\n{report.table()}" + ("" if RESULT in report.unwritten else f"\nResult: {report.output / RESULT}"))
    if page:
        _say(f"Report: {page}")
    for line in [report.loss] * bool(report.loss) + go_on:
        _say(line, err=True)
    for line in delete:
        _say(line)
    sys.exit(128 + signals[0] if signals else report.outcome.exit_code)


def _say(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Print a text. A terminal that has gone, a closed pipe or a full disk ends no run: what stands behind a run that costs
    money is still to come. What standard output does not take goes to standard error."""
    stream = sys.stderr if err else sys.stdout
    try:
        click.echo(text, nl=nl, err=err)
    except OSError:
        try:
            os.dup2(sys.stderr.fileno(), stream.fileno())
            stream.flush()  # what it has kept
        except (OSError, ValueError):
            _to_nowhere(stream)


def _to_nowhere(stream: Any) -> None:
    """Have a stream go nowhere from now on: Python would end with another exit status where it cannot flush it."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


@contextmanager
def _stops() -> Iterator[list[int]]:
    """SIGTERM, which a pipeline sends, and SIGHUP, when the terminal is gone, stop a run as Ctrl-C does; yields the signals
    that came. A terminal that goes away may send it twice, which stops no clean-up; Ctrl-C does.

    Afterwards all are left alone: what is still to be done is short.
    """
    came: list[int] = []

    def stop(number: int, frame: Any) -> None:
        first = not came
        came.append(number)
        if first or number == signal.SIGINT:
            raise KeyboardInterrupt

    # A background job of a shell ignores Ctrl-C, nohup SIGHUP, and so it shall stay.
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    chosen = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
    for each in chosen:
        signal.signal(each, stop)
    try:
        yield came
    finally:
        for each in chosen:
            signal.signal(each, signal.SIG_IGN)


def _write_page(report: Report, sentences: list[str]) -> Path | None:
    try:
        from ..run import html

        return html.write(report, sentences)
    except ModuleNotFoundError as error:
        _say(f"report.html is not written: {error.name} is not installed.", err=True)
    except Exception as error:  # whatever it is, how the run ended is still to be said
        _say(f"report.html is not written: {shown_text(str(error))}", err=True)
    return None


class _Lines:
    """A line for each notebook. In a terminal it shows, while the notebook runs, for how long and what is waited for;
    elsewhere that gets a line of its own each minute."""

    def __init__(self) -> None:
        self._begun = self._shown = ""
        self._terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self.interval = 0.2 if self._terminal else 60.0
        """Seconds between two calls of `meanwhile`."""

    def begin(self, text: str) -> None:
        self._begun = text
        _say(text, nl=False)

    def meanwhile(self, text: str) -> None:
        if not self._terminal:
            start = "\n" if self._begun else ""
            _say(f"{start}  {text}")
            self._begun = ""
        elif text != self._shown:
            # What does not fit into the line is not shown: wrapped, it could not be written over.
            _say(f"\r{_NO_WRAP}{self._begun}  {text}{_CLEAR}{_WRAP}", nl=False)
            self._shown = text

    def end(self, text: str) -> None:
        _say(f"\r{_CLEAR}{text}" if self._terminal else text.removeprefix(self._begun))
        self._begun = self._shown = ""
