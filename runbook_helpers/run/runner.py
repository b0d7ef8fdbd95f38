"""A headless run of the notebooks, by papermill."""

from __future__ import annotations

import builtins
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .. import errors
from ..outcome import Outcome
from . import progress
from .inputs import CLEAN_UP, NOTEBOOKS
from .report import NotebookRun, Report, word
from .result import made_something, read_result

# It warns at each start that it listens on loopback, and logs an interrupted cell's end as an error of its own.
KERNEL_ARGUMENTS = ["--IPKernelApp.log_level=CRITICAL"]
KERNEL_LOG = "kernel.log"
MEANWHILE = ".progress"
INTERRUPTED = "interrupted: run it again, what is there already is kept"


def run(
    notebooks: Sequence[Path],
    parameters: Mapping[str, Any],
    output: Path,
    say: Callable[[str], None],
    *,
    begin: Callable[[str], None] = lambda text: None,
    meanwhile: Callable[[str], None] = lambda text: None,
    interval: float = 60.0,
    keep_going: bool = False,
    clean_up: bool = False,
    before: Report | None = None,
) -> Report:
    """Execute the notebooks in order; after one that fails the rest is not run.

    An interruption (KeyboardInterrupt) ends the run; the report says at which notebook.

    Args:
        say: called with one line for each notebook, when it ends.
        begin: called with the beginning of that line, when the notebook begins.
        meanwhile: called with how long the notebook runs, and what it waits for.
        interval: seconds between two of these calls.
        keep_going: run the rest all the same.
        clean_up: run notebook 06 all the same, so that nothing is left that costs money.
        before: the same run, as far as it came: what was ok in it is not run again.
    """
    output.mkdir(parents=True, exist_ok=True)
    report = before or Report(dict(parameters), output, steps=[NotebookRun(path.stem) for path in notebooks])
    report.clean_up = clean_up
    report.write()
    names = {path.stem: f"[{number}/{len(notebooks)}] {path.stem}" for number, path in enumerate(notebooks, 1)}
    failed, step = False, report.steps[0]
    try:
        for path, step in zip(notebooks, report.steps, strict=True):
            if step.ok or (failed and not keep_going and not (clean_up and path.name.startswith(CLEAN_UP))):
                continue
            begin(names[path.stem])
            with _watched(output / MEANWHILE, interval, meanwhile):
                _run(path, step, report)
            sentence = "ok" if step.ok else f"{word(step)}\n{step.error}"
            say(f"{names[path.stem]} ({step.seconds:.1f} s): {sentence}")
            if step.outcome is Outcome.INTERRUPTED:  # the kernel alone was
                break
            failed = failed or not step.ok
    except KeyboardInterrupt:
        # The notebook that was running; or, between two, the next.
        waiting = [step] if step.outcome is Outcome.NOT_RUN else []
        waiting += [each for each in report.steps if each.outcome is Outcome.NOT_RUN]
        for each in waiting[:1]:
            each.outcome, each.error = Outcome.INTERRUPTED, INTERRUPTED
            say(f"{names[each.notebook]} ({each.seconds:.1f} s): {each.error}")
        report.write()
    return report


def _run(path: Path, step: NotebookRun, report: Report) -> None:
    """Execute one notebook, and report."""
    started = time.monotonic()
    try:
        _execute(path, step, report.output / path.name, report.parameters)
    finally:
        step.seconds = round(time.monotonic() - started, 1)
        report.write()


def _execute(path: Path, step: NotebookRun, target: Path, parameters: Mapping[str, Any]) -> None:
    """Execute one notebook, and note in its step how it ended."""
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    target.unlink(missing_ok=True)  # of an earlier part of the run
    log = target.with_name(KERNEL_LOG)
    logging.getLogger("asyncio").addFilter(_is_no_dead_kernel)
    try:
        used = papermill.inspect_notebook(path)  # of what it does not use, papermill would say that it is unknown
        notebook = papermill.execute_notebook(
            path,
            target,
            {name: value for name, value in parameters.items() if name in used},
            progress_bar=False,  # it would stand still in a long cell, and invent when it ends
            cwd=NOTEBOOKS,
            start_timeout=120,
            extra_arguments=KERNEL_ARGUMENTS,
            kernel_manager_class=_kernels(log, target.with_name(MEANWHILE)),
        )
        step.result = read_result(notebook)
        step.error = (
            None if step.result else "The notebook ended without showing its result: its last cell did not run."
        )
        step.outcome = Outcome.OK if step.result else Outcome.FAILED
    except papermill.PapermillExecutionError as error:
        step.outcome, step.exception = outcome_of_name(error.ename), error.ename
        step.error = f"{error.ename}: {error.evalue}"
        step.made = made_something(nbformat.read(target, as_version=4))  # type: ignore[no-untyped-call]
    except DeadKernelError:
        died = "The notebook's kernel died (killed, or out of memory): run it again, what is there already is kept."
        step.outcome, step.error = Outcome.FAILED, f"{died} (it printed: {log})" if log.stat().st_size else died
    except CellTimeoutError as error:
        step.outcome, step.error = Outcome.FAILED, str(error).strip().splitlines()[0]
    finally:
        if log.exists() and not log.stat().st_size:
            log.unlink()


def outcome_of_name(name: str) -> Outcome:
    """The outcome of an exception in a notebook, of which papermill gives no more than the name of its class."""
    from azure import identity
    from azure.core import exceptions

    from .. import refusals

    found = (vars(module).get(name) for module in (errors, refusals, exceptions, identity, builtins))
    kinds = (kind for kind in found if isinstance(kind, type) and issubclass(kind, BaseException))
    return errors.outcome_of(next(kinds, Exception))


def _kernels(log: Path, meanwhile: Path) -> type:
    """A class of kernels.

    Args:
        log: for what they print: one that is interrupted while it starts prints a traceback.
        meanwhile: for what the step that runs waits for.
    """
    from jupyter_client.manager import AsyncKernelManager

    class Kernel(AsyncKernelManager):
        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            options["env"] = {**options.get("env", os.environ), progress.FILE: str(meanwhile)}
            with log.open("ab") as words:
                await super()._async_launch_kernel(kernel_cmd, stderr=words, **options)

    return Kernel


@contextmanager
def _watched(path: Path, interval: float, say: Callable[[str], None]) -> Iterator[None]:
    """A thread that now and then says what a notebook waits for, from a file that its kernel writes, so that a long wait is not taken for a hang."""
    ended, began = threading.Event(), time.monotonic()

    def look() -> None:
        while not ended.wait(interval):
            with suppress(OSError, ValueError):  # whatever it is, the run goes on
                text = path.read_text(encoding="utf-8") if path.exists() else ""
                say(f"{time.monotonic() - began:.0f} s: {text or 'goes on'}")

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(timeout=1)
        path.unlink(missing_ok=True)


def _is_no_dead_kernel(record: logging.LogRecord) -> bool:
    """Whether a line of asyncio's log is to be shown: after an interruption it may say, with a traceback, that the kernel
    died, in a task that nobody waits for any more."""
    from nbclient.exceptions import DeadKernelError

    return not (record.exc_info and isinstance(record.exc_info[1], DeadKernelError))
