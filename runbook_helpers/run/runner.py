"""A headless run of the notebooks, by papermill."""

from __future__ import annotations

import builtins
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from .. import errors
from ..files import write_atomic
from ..foreign_text import shown_text, shown_value
from ..outcome import Outcome
from ..parameters import read_parameters
from . import progress
from .inputs import CLEAN_UP, NOTEBOOKS, PROJECT
from .report import NotebookRun, Report, word
from .result import made_something, read_result, result_of
from .saved import Saved

# It warns at each start that it listens on loopback, and logs an interrupted cell's end as an error of its own.
KERNEL_ARGUMENTS = ["--IPKernelApp.log_level=CRITICAL"]
KERNEL_LOG = "kernel.log"
MEANWHILE = ".progress"
SILENCE = 60.0  # seconds without a heartbeat after which a kernel is ended
START_TIMEOUT = 120  # seconds that a kernel may take to start
AGAIN = "Run it again: what is there already is kept."
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
    only_clean_up: bool = False,
) -> Report:
    """Execute the notebooks in order; after one that fails the rest is not run.

    An interruption (KeyboardInterrupt) ends the run; the report says at which notebook. A report that cannot be written
    any more ends no run.

    Args:
        say: called with one line for each notebook, when it ends.
        begin: called with the beginning of that line, when the notebook begins.
        meanwhile: called with how long the notebook runs, and what it waits for.
        interval: seconds between two of these calls.
        keep_going: run the rest all the same.
        clean_up: run notebook 06 all the same, so that nothing is left that costs money.
        before: the same run, as far as it came: what was ok in it is not run again.
        only_clean_up: of the rest run notebook 06 only.

    Raises:
        ParameterError: nothing can be written into the folder; nothing has been run.
    """
    with suppress(OSError):  # the report says why
        output.mkdir(parents=True, exist_ok=True)
    report = before or Report(dict(parameters), output, steps=[NotebookRun(path.stem) for path in notebooks])
    report.clean_up = clean_up
    report.write()
    if report.loss and not only_clean_up:
        raise errors.ParameterError([f"{report.loss} Use another folder."])
    names = {path.stem: f"[{number}/{len(notebooks)}] {path.stem}" for number, path in enumerate(notebooks, 1)}
    failed, step = only_clean_up, report.steps[0]
    try:
        for path, step in zip(notebooks, report.steps, strict=True):
            deletes = clean_up and path.name.startswith(CLEAN_UP)
            if step.ok or (failed and not deletes and (only_clean_up or not keep_going)):
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
        _execute(path, step, report)
        if path.name.startswith(CLEAN_UP) and step.outcome is Outcome.FAILED and step.exception is None:
            _clean_up_here(step, report.parameters)
    finally:
        step.seconds = round(time.monotonic() - started, 1)
        report.write()


def _execute(path: Path, step: NotebookRun, report: Report) -> None:
    """Execute one notebook, and note in its step how it ended."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    log, saved, kernels = report.output / KERNEL_LOG, Saved(report, path.name), _Kernels()
    with suppress(OSError):
        (report.output / path.name).unlink(missing_ok=True)  # of an earlier part of the run
    logging.getLogger("asyncio").addFilter(_is_no_dead_kernel)
    try:
        used = papermill.inspect_notebook(path)  # of what it does not use, papermill would say that it is unknown
        notebook = papermill.execute_notebook(
            path,
            saved.name,
            {name: value for name, value in report.parameters.items() if name in used},
            progress_bar=False,  # it would stand still in a long cell, and invent when it ends
            cwd=NOTEBOOKS,
            start_timeout=START_TIMEOUT,
            extra_arguments=KERNEL_ARGUMENTS,
            kernel_manager_class=_kernels(log, report.output / MEANWHILE, kernels),
        )
        step.result = shown_value(read_result(notebook))
        step.error = (
            None if step.result else "The notebook ended without showing its result: its last cell did not run."
        )
        step.outcome = Outcome.OK if step.result else Outcome.FAILED
    except papermill.PapermillExecutionError as error:
        step.outcome, step.exception = outcome_of_name(error.ename), error.ename
        step.error = shown_text(f"{error.ename}: {error.evalue}")
        step.made = made_something(saved.notebook)
    except DeadKernelError:
        how = (
            f"did not answer for {SILENCE:.0f} s, and was ended"
            if kernels.silent
            else "died (killed, or out of memory)"
        )
        step.outcome, step.error = Outcome.FAILED, f"The notebook's kernel {how}. {AGAIN}"
    except CellTimeoutError as error:
        step.outcome, step.error = Outcome.FAILED, str(error).strip().splitlines()[0]
    except (
        Exception
    ) as error:  # no kernel, no files left to open, no memory: --clean-up and the report are still to come
        reason = shown_text(str(error).strip().partition("\n")[0] or type(error).__name__)
        step.outcome, step.error = Outcome.FAILED, f"The notebook could not be executed: {reason}. {AGAIN}"
    finally:
        kernels.end()
        printed = _end_log(log)
        if step.error and step.exception is None and printed:
            step.error += f" (The kernel printed: {log})"


def _clean_up_here(step: NotebookRun, parameters: Mapping[str, Any]) -> None:
    """Do what notebook 06 does in this process, where no kernel executes it: what is there costs money."""
    from ..connection import connect_with
    from ..verbs.clean_up import delete_resource_group

    values = {**read_parameters(PROJECT / "parameters" / "sandbox.yaml"), **parameters}
    names = ("registry_name", "vm_name", "identity_name")
    try:
        with redirect_stdout(StringIO()):
            azure = connect_with(values)
            left = delete_resource_group(azure, **{name: values[name] for name in names})
    except Exception as error:
        step.outcome, step.exception = errors.outcome_of(type(error)), type(error).__name__
        step.error = shown_text(f"{step.error}\nWithout a kernel: {step.exception}: {error}")
    else:
        step.result = shown_value(result_of(azure, deleted=azure.resource_group, left=left))
        step.outcome, step.error = Outcome.OK, None


def _end_log(log: Path) -> bool:
    """Leave of what kernels printed what may be shown; returns whether there is anything."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
        if not text:
            log.unlink()
        elif (shown := shown_text(text)) != text:
            write_atomic(log, shown, mode=0o666)
    except OSError:
        return False
    return bool(text)


def outcome_of_name(name: str) -> Outcome:
    """The outcome of an exception in a notebook, of which papermill gives no more than the name of its class."""
    from azure import identity
    from azure.core import exceptions

    from .. import refusals

    found = (vars(module).get(name) for module in (errors, refusals, exceptions, identity, builtins))
    kinds = (kind for kind in found if isinstance(kind, type) and issubclass(kind, BaseException))
    return errors.outcome_of(next(kinds, Exception))


class _Kernels:
    """The kernels of one notebook's execution, with a thread that ends one whose heart does not beat (it was stopped, or
    hangs outside of Python): nbclient would wait for it for ever."""

    def __init__(self) -> None:
        self.silent = False
        self.processes: list[Any] = []
        self.clients: list[Any] = []
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        beat = time.monotonic()
        while not self._ended.wait(0.5):
            hearts = [heart for client in self.clients if (heart := client._hb_channel)]
            # A heart that was not heard yet is the start's matter; one whose listener has died is not known.
            if not hearts or hearts[-1].is_beating() or not hearts[-1].is_alive():
                beat = time.monotonic()
            elif time.monotonic() - beat > SILENCE:
                self.silent = True
                self._kill()

    def end(self) -> None:
        """End what nbclient has left: where files cannot be opened any more, it cannot ask a kernel to end."""
        self._ended.set()
        self._kill()

    def _kill(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def _kernels(log: Path, meanwhile: Path, kernels: _Kernels) -> type:
    """A class of kernels.

    Args:
        log: for what they print: one that is interrupted while it starts prints a traceback.
        meanwhile: for what the step that runs waits for.
        kernels: for those that are started.
    """
    from jupyter_client.manager import AsyncKernelManager

    class Kernel(AsyncKernelManager):
        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            options["env"] = {**options.get("env", os.environ), progress.FILE: str(meanwhile)}
            with _opened(log) as words:
                await super()._async_launch_kernel(kernel_cmd, stderr=words, **options)
            kernels.processes.append(self.provisioner.process)  # type: ignore[union-attr]

        def client(self, **options: Any) -> Any:
            client = super().client(**options)
            kernels.clients.append(client)
            return client

    return Kernel


@contextmanager
def _opened(log: Path) -> Iterator[int]:
    """A file to append to, which is no link; nowhere, where there is no room for it."""
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _watched(path: Path, interval: float, say: Callable[[str], None]) -> Iterator[None]:
    """A thread that now and then says what a notebook waits for, from a file that its kernel writes, so that a long wait is not taken for a hang."""
    ended, began = threading.Event(), time.monotonic()
    with suppress(OSError):
        path.unlink(missing_ok=True)  # of a run that was killed; or a link

    def look() -> None:
        while not ended.wait(interval):
            with suppress(OSError, ValueError):  # whatever it is, the run goes on
                text = path.read_text(encoding="utf-8") if path.exists() else ""
                say(f"{time.monotonic() - began:.0f} s: {shown_text(text) or 'goes on'}")

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(timeout=1)
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _is_no_dead_kernel(record: logging.LogRecord) -> bool:
    """Whether a line of asyncio's log is to be shown: after an interruption it may say, with a traceback, that the kernel
    died, in a task that nobody waits for any more."""
    from nbclient.exceptions import DeadKernelError

    return not (record.exc_info and isinstance(record.exc_info[1], DeadKernelError))
