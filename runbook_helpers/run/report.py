"""The report of a run: result.json for programs, junit.xml for pipelines, the table for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from ..errors import ParameterError
from ..files import write_atomic
from ..foreign_text import visible
from ..outcome import Outcome
from .result import SCHEMA

RESULT, JUNIT, PARAMETERS, PAGE = "result.json", "junit.xml", "parameters.yaml", "report.html"


@dataclass
class NotebookRun:
    """One notebook of a run."""

    notebook: str
    outcome: Outcome = Outcome.NOT_RUN
    seconds: float = 0.0
    error: str | None = None
    exception: str | None = None
    """The name of the exception's class."""
    made: bool | None = None
    """Whether a notebook that failed may have made something; None where that is not known."""
    result: dict[str, Any] | None = None
    """The result that the notebook displayed at its end."""

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def reason(self) -> str:
        """The first line of the error."""
        return (self.error or "").partition("\n")[0]


@dataclass
class Report:
    """A run: what was executed, with which parameters, and how it ended."""

    parameters: dict[str, Any]
    output: Path
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    steps: list[NotebookRun] = field(default_factory=list)
    clean_up: bool = False
    """Whether notebook 06 is run also after another one has failed."""
    unwritten: dict[str, str] = field(default_factory=dict, init=False)
    """The files that could not be written the last time, and why."""

    @property
    def outcome(self) -> Outcome:
        """The outcome of the first notebook that failed; an interruption counts before all, a notebook not run after all."""
        rank = {Outcome.INTERRUPTED: 0, Outcome.NOT_RUN: 2}
        bad = [step.outcome for step in self.steps if not step.ok]
        return min(bad, key=lambda outcome: rank.get(outcome, 1), default=Outcome.OK)

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def seconds(self) -> float:
        return round(sum(step.seconds for step in self.steps), 1)

    @property
    def pulls(self) -> list[dict[str, str]]:
        return [pull for step in self.steps if step.result for pull in step.result.get("pulls", [])]

    @property
    def left(self) -> list[str]:
        """The sentences of notebook 06 on what stays."""
        return [sentence for step in self.steps if step.result for sentence in step.result.get("left", [])]

    def write(self) -> None:
        """Write result.json, junit.xml and parameters.yaml next to the executed notebooks.

        What cannot be written, on a full disk or in a folder that is gone, is lost, and no run ends of it.
        """
        # Written as a whole: who reads them while the run goes on sees the old one or the new one.
        files = {
            RESULT: json.dumps(self._content(), indent=1, ensure_ascii=False) + "\n",
            JUNIT: self._junit(),
            PARAMETERS: yaml.safe_dump(self.parameters, sort_keys=False, allow_unicode=True),
        }
        for name, text in files.items():
            self.write_file(name, text)

    def write_file(self, name: str, text: str) -> None:
        """Write a file of the run, as a whole and through no link; where that fails, note why."""
        try:
            write_atomic(self.output / name, text, mode=0o666)
            self.unwritten.pop(name, None)
        except OSError as error:
            self.unwritten[name] = error.strerror or str(error)

    def _content(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "outcome": self.outcome.value,
            "started": self.started,
            "seconds": self.seconds,
            "clean_up": self.clean_up,
            "parameters": self.parameters,
            "notebooks": [{**asdict(step), "outcome": step.outcome.value, "ok": step.ok} for step in self.steps],
            "pulls": self.pulls,
        }

    @property
    def loss(self) -> str:
        """The sentence on what could not be written; empty where all was."""
        reasons = ", ".join(sorted(set(self.unwritten.values())))
        return f"Not written into {self.output}: {', '.join(self.unwritten)} ({reasons})." if reasons else ""

    def table(self) -> str:
        """The run as text: a line a notebook."""
        width = max(len(step.notebook) for step in self.steps)
        lines = [f"{'notebook':{width}}  result  seconds"]
        lines += [f"{step.notebook:{width}}  {word(step):7} {step.seconds:7.1f}" for step in self.steps]
        return "\n".join(lines + self.pull_lines() + [f"clean-up: {sentence}" for sentence in self.left])

    def pull_lines(self) -> list[str]:
        return [f"pulled with the {p['identity']} identity: {p['image']} {p['digest']}" for p in self.pulls]

    def _junit(self) -> str:
        """JUnit XML as GitHub's and Azure DevOps' readers take it: a test case a notebook."""
        failed = [step for step in self.steps if not step.ok and step.outcome is not Outcome.NOT_RUN]
        counts = {
            "name": "runbook",
            "tests": str(len(self.steps)),
            "failures": str(len(failed)),
            "errors": "0",
            "skipped": str(sum(step.outcome is Outcome.NOT_RUN for step in self.steps)),
            "time": f"{self.seconds:.1f}",
        }
        root = ElementTree.Element("testsuites", {key: counts[key] for key in ("name", "tests", "failures", "time")})
        started = datetime.fromisoformat(self.started).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        suite = ElementTree.SubElement(root, "testsuite", {**counts, "timestamp": started})
        for step in self.steps:
            attributes = {"classname": "notebooks", "name": step.notebook, "time": f"{step.seconds:.1f}"}
            case = ElementTree.SubElement(suite, "testcase", attributes)
            if step.outcome is Outcome.NOT_RUN:
                ElementTree.SubElement(case, "skipped", {"message": "not run: another notebook failed or is missing"})
            elif not step.ok:
                attributes = {"type": step.outcome.value, "message": visible(step.reason)}
                ElementTree.SubElement(case, "failure", attributes).text = visible(step.error or "")
        ElementTree.indent(root, " ")
        return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def word(step: NotebookRun) -> str:
    """The end of a notebook, in a word for people."""
    return {Outcome.OK: "ok", Outcome.NOT_RUN: "not run", Outcome.INTERRUPTED: "stopped"}.get(step.outcome, "FAILED")


def read_report(folder: Path) -> Report:
    """The run whose result.json is in a folder.

    Raises:
        ParameterError: the folder has none, or not one of this version.
    """
    path = folder / RESULT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise ValueError(f"its schema is {content['schema']}, and {SCHEMA} is known")
        steps = [
            NotebookRun(
                **{key: each.get(key) for key in ("notebook", "seconds", "error", "exception", "made", "result")},
                outcome=Outcome(each["outcome"]),
            )
            for each in content["notebooks"]
        ]
        return Report(content["parameters"], folder, content["started"], steps, content["clean_up"])
    except FileNotFoundError as error:
        raise ParameterError([f"There is no run in {folder}: it has no {RESULT}."]) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError([f"The run in {folder} cannot be taken up: {RESULT} does not fit ({error})."]) from error
