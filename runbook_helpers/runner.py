"""Run the notebooks headlessly with papermill, and report; execute them anew for the repository."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import ParameterError
from .parameters import RULES, problems, read_parameters
from .results import read_result

PROJECT = Path(__file__).parents[1]
NOTEBOOKS = PROJECT / "notebooks"
CLEAN_UP = "06"
KERNEL_ARGUMENTS = ["--IPKernelApp.log_level=ERROR"]  # it warns at each start that it listens on loopback


@dataclass
class Step:
    """One notebook of a run."""

    notebook: str
    ok: bool = False
    seconds: float = 0.0
    error: str | None = None


@dataclass
class Report:
    """A run: what was executed, with which parameters, and the pulls that were made."""

    parameters: dict[str, Any]
    output: Path
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    steps: list[Step] = field(default_factory=list)
    pulls: list[dict[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)

    def write(self) -> Path:
        """Write result.json next to the executed notebooks."""
        path = self.output / "result.json"
        content = {
            "schema": 1,
            "ok": self.ok,
            "started": self.started,
            "seconds": round(sum(step.seconds for step in self.steps), 1),
            "parameters": self.parameters,
            "notebooks": [asdict(step) for step in self.steps],
            "pulls": self.pulls,
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def table(self) -> str:
        """The run as text: a line a notebook."""
        width = max(len(step.notebook) for step in self.steps)
        lines = [f"{'notebook':{width}}  result  seconds"]
        for step in self.steps:
            result = "ok" if step.ok else ("FAILED" if step.seconds else "not run")
            lines.append(f"{step.notebook:{width}}  {result:7} {step.seconds:7.1f}")
        lines += [f"pulled with the {p['identity']} identity: {p['image']} {p['digest']}" for p in self.pulls]
        return "\n".join(lines)


def collect_parameters(file: Path, overrides: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The parameters of a run: those of the file, and over them those of the command line.

    Raises:
        ParameterError: everything that is wrong with them, at once.
    """
    values = read_parameters(file)
    for name, text in overrides:
        rule = RULES.get(name)
        values[name] = {"true": True, "false": False}.get(text.lower(), text) if rule and rule.kind is bool else text
    found = problems(values)
    if found:
        raise ParameterError(found)
    return values


def select_notebooks(only: Sequence[str], clean_up: bool) -> list[Path]:
    """The notebooks of a run, in order: 00 to 05, or those named; 06 where it is asked for.

    Raises:
        ParameterError: a number that no notebook has.
    """
    every = {path.name[:2]: path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}
    unknown = [number for number in only if number not in every]
    if unknown:
        raise ParameterError([f"There is no notebook {', '.join(unknown)}: --only takes {', '.join(every)}."])
    wanted = set(only or every) - (set() if CLEAN_UP in only else {CLEAN_UP}) | ({CLEAN_UP} if clean_up else set())
    return [path for number, path in every.items() if number in wanted]


def new_output_folder() -> Path:
    """A folder that no other run has: runs/<UTC time>."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path("runs") / stamp


def run(
    notebooks: Sequence[Path],
    parameters: Mapping[str, Any],
    output: Path,
    say: Callable[[str], None],
) -> Report:
    """Execute the notebooks in order; after one that fails the rest is not run.

    Args:
        say: called with one line for each notebook.
    """
    output.mkdir(parents=True, exist_ok=True)
    report = Report(dict(parameters), output, steps=[Step(path.stem) for path in notebooks])
    for number, (path, step) in enumerate(zip(notebooks, report.steps, strict=True), 1):
        started = time.monotonic()
        try:
            step.error = _execute(path, output / path.name, parameters, report)
        except KeyboardInterrupt:
            step.error = "interrupted: run it again, what is there already is kept"
            raise
        finally:
            step.ok = step.error is None
            step.seconds = round(time.monotonic() - started, 1)
            report.write()
        result = "ok" if step.ok else f"FAILED\n{step.error}"
        say(f"[{number}/{len(notebooks)}] {path.stem} ({step.seconds:.1f} s): {result}")
        if not step.ok:
            break
    return report


def _execute(path: Path, target: Path, parameters: Mapping[str, Any], report: Report) -> str | None:
    """Execute one notebook; returns what went wrong, or None."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    bar: Any = {"desc": path.stem, "leave": False} if sys.stderr.isatty() else False
    try:
        notebook = papermill.execute_notebook(
            path,
            target,
            dict(parameters),
            progress_bar=bar,
            cwd=NOTEBOOKS,
            start_timeout=120,
            extra_arguments=KERNEL_ARGUMENTS,
        )
    except papermill.PapermillExecutionError as error:
        return f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        return "The notebook's kernel died (killed, or out of memory): run it again, what is there already is kept."
    except CellTimeoutError as error:
        return str(error).strip().splitlines()[0]
    result = read_result(notebook)
    if result is None:
        return "The notebook ended without showing its result: its last cell did not run."
    report.pulls += result.get("pulls", [])
    return None


def refresh() -> list[Path]:
    """Execute all notebooks in a fresh sandbox and keep their outputs in the repository, without times and paths."""
    import nbformat
    from nbclient import NotebookClient

    from .sandbox import process

    done = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        before = os.environ.get("RUNBOOK_SANDBOX")
        os.environ["RUNBOOK_SANDBOX"] = folder
        try:
            for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
                notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
                client = NotebookClient(
                    notebook,
                    record_timing=False,
                    coalesce_streams=True,
                    resources={"metadata": {"path": str(NOTEBOOKS)}},
                    extra_arguments=KERNEL_ARGUMENTS,
                )
                client.execute()
                path.write_text(normalised(notebook), encoding="utf-8", newline="\n")
                done.append(path)
        finally:
            process.stop(Path(folder))
            if before is None:
                del os.environ["RUNBOOK_SANDBOX"]
            else:
                os.environ["RUNBOOK_SANDBOX"] = before
    return done


def normalised(notebook: Any) -> str:
    """A notebook as it is kept in the repository: counts and outputs, but no times and nothing of this machine."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
    import nbformat

    return str(nbformat.writes(notebook)) + "\n"  # type: ignore[no-untyped-call]
