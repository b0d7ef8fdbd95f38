"""The page report.html: a run on one page that needs nothing but itself."""

from __future__ import annotations

import logging
import re
from base64 import b64decode
from collections.abc import Sequence
from html import escape, unescape
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

from ..files import write_atomic
from ..foreign_text import visible
from ..journal import FAILURE
from ..outcome import Outcome
from ..parameters import read_parameters
from .inputs import NOTEBOOKS, PROJECT
from .report import PAGE, NotebookRun, Report, word

# The browser itself refuses what would come from elsewhere.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --soft: #5c6066; --line: #c8c8c8; --link: #0b5cad;
  --bad: #a4262c; --bad-paper: #fdf3f4; --card: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6e9; --paper: #16191d; --soft: #a3a9b1; --line: #464b52;
  --link: #78b4f5; --bad: #ff9a9f; --bad-paper: #3a2023; --card: #22262b; } }
body { font: 16px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; color: var(--ink);
  background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
a { color: var(--link); }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: .3rem .8rem; border: 1px solid var(--line); }
th { overflow-wrap: break-word; }
th[scope=row] { font-weight: normal; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.good, .bad, .not-run { white-space: nowrap; }
.bad { font-weight: bold; color: var(--bad); }
.not-run { color: var(--soft); }
pre { overflow-x: auto; margin: 0; padding: .6rem .8rem; font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { color: var(--soft); }
dd { margin: 0; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .8rem 0; padding: 0 1rem; }
summary { cursor: pointer; padding: .6rem 0; font-weight: bold; }
figure { margin: 1rem 0; overflow-x: auto; }
figure img { min-width: 42rem; }
article table { display: block; overflow-x: auto; }
.cell { margin: .8rem 0; }
.prompt, .anchor-link { display: none; }
.input_area, .highlight, pre.text { background: var(--card); border-radius: 4px; }
.output_area pre { border-left: 3px solid var(--link); margin: .3rem 0; }
.output_error pre, .output_stderr pre, pre.error { border-left: 3px solid var(--bad); background: var(--bad-paper); }
img, svg { max-width: 100%; height: auto; background: #fff; }
"""


def write(report: Report, next_steps: Sequence[str] = ()) -> Path:
    """Write report.html next to the executed notebooks.

    Where it was, what to do next, the table, the pictures and the pulls; and folded, each notebook with its outputs.

    Args:
        next_steps: sentences on what to do now.
    """
    notebooks = {step.notebook: _read(report, step) for step in report.steps if step.outcome is not Outcome.NOT_RUN}
    parts = [_head(report), _next_steps(report, next_steps), _table(report)]
    parts += [_picture(*each) for notebook in notebooks.values() for each in _pictures(notebook)]
    parts += [_list("Images that were pulled", report.pull_lines()), _list("Clean-up", report.left)]
    parts += [_notebook(step, notebooks[step.notebook]) for step in report.steps if step.notebook in notebooks]
    parts += [_list("Parameters", [f"{name}: {value}" for name, value in report.parameters.items()])]
    path = report.output / PAGE
    write_atomic(path, visible("\n".join([*parts, "</body>\n</html>\n"])), mode=0o666)
    return path


def _head(report: Report) -> str:
    title = _title(report)
    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("default", "github-dark"))
    code = f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}"
    facts = {**_place(report), "Started": report.started, "Duration": f"{report.seconds:.1f} s"}
    listed = "\n".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{code}{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<dl>
{listed}
</dl>"""


def _place(report: Report) -> dict[str, str]:
    """The place of the run: what no parameter says is as the notebooks have it."""
    values = {**read_parameters(PROJECT / "parameters" / "sandbox.yaml"), **report.parameters}
    kind = (
        "the sandbox, which emulates it on this machine"
        if values["sandbox"]
        else "real Azure: what is there costs money"
    )
    return {
        "Cloud": f"{values['cloud']} ({kind})",
        "Subscription": str(values["subscription_id"]),
        "Resource group": str(values["resource_group"]),
    }


def _next_steps(report: Report, sentences: Sequence[str]) -> str:
    bad = [step for step in report.steps if not step.ok and step.error]
    errors = [f'<pre class="error">{escape(step.notebook)}: {escape(step.error or "")}</pre>' for step in bad]
    return "\n".join([*errors, _list("What to do next", sentences)])


def _title(report: Report) -> str:
    if report.ok:
        return "The run went well"
    reason = f": {report.outcome.value.replace('_', ' ')}"
    if any(step.outcome in (Outcome.NOT_RUN, Outcome.INTERRUPTED) for step in report.steps):
        return f"The run did not finish{reason}"
    return "The run failed" + (reason if report.outcome is not Outcome.FAILED else "")


def _table(report: Report) -> str:
    rows = []
    for step in report.steps:
        name = escape(step.notebook)
        if step.outcome is Outcome.NOT_RUN:
            kind, seconds = "not-run", ""
        else:
            kind, seconds, name = "good" if step.ok else "bad", f"{step.seconds:.1f}", f'<a href="#{name}">{name}</a>'
        row = f'<th scope="row">{name}</th><td class="{kind}">{word(step)}</td><td class="number">{seconds}</td>'
        rows.append(f"<tr>{row}</tr>")
    head = "".join(f'<th scope="col">{name}</th>' for name in ("notebook", "result", "seconds"))
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = (re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(line)) for line in lines)
    return f"<h2>{title}</h2>\n<ul>\n" + "\n".join(f"<li>{item}</li>" for item in items) + "\n</ul>"


def _pictures(notebook: Any) -> list[tuple[str, str]]:
    """The journeys that a notebook shows: as picture, and as text."""
    outputs = [output for cell in getattr(notebook, "cells", []) for output in cell.get("outputs", [])]
    shown = [
        output.data for output in outputs if 'src="data:image/svg+xml' in output.get("data", {}).get("text/html", "")
    ]
    return [(data["text/html"], data.get("text/plain", "")) for data in shown]


def _picture(picture: str, text: str) -> str:
    title, _, _ = text.partition("\n")
    folded = f'<details>\n<summary>As text</summary>\n<pre class="text">{escape(text)}</pre>\n</details>'
    return f'<h2>{escape(title)}</h2>\n<figure tabindex="0">{picture}</figure>\n{folded}'


def _notebook(step: NotebookRun, notebook: Any) -> str:
    """One executed notebook, folded; one that failed is open."""
    summary = f"{step.notebook}: {word(step)}"
    shown = "" if step.ok else " open"
    body = f"<p>The notebook cannot be shown: {escape(str(notebook))}</p>"  # an interrupted run may have left none
    if not isinstance(notebook, Exception):
        body = _body(notebook, step.notebook)
    return f'<details{shown}>\n<summary>{summary}</summary>\n<article id="{step.notebook}">\n{body}\n</article>\n</details>'


def _read(report: Report, step: NotebookRun) -> Any:
    """An executed notebook, as far as it was executed; or why it cannot be read."""
    try:
        notebook = nbformat.read(report.output / f"{step.notebook}.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        return error
    # Papermill's own words on an error stand in the way: the page says it at its head.
    notebook.cells = [
        cell for cell in notebook.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
    ]
    for cell in notebook.cells:
        if cell.get("outputs"):  # only programs read FAILURE
            cell.outputs = [output for output in cell.outputs if set(output.get("data", ())) != {FAILURE}]
    if not step.ok:
        _cut(notebook)
    return notebook


def _cut(notebook: Any) -> None:
    """Leave out what is below the last cell that ran: it has not happened."""
    ran = [
        number for number, cell in enumerate(notebook.cells, 1) if cell.get("execution_count") or cell.get("outputs")
    ]
    kept, rest = notebook.cells[: max(ran, default=0)], notebook.cells[max(ran, default=0) :]
    code = [cell for cell in rest if cell.cell_type == "code"]
    if code:
        note = f"*The rest of the notebook was not run: {len(code)} cells with code.*"
        notebook.cells = [*kept, nbformat.v4.new_markdown_cell(note)]  # type: ignore[no-untyped-call]


def _body(notebook: Any, name: str) -> str:
    """A notebook as HTML without a page around it, its pictures inside."""
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="basic", embed_images=True, exclude_anchor_links=True
    )
    exporter.log.setLevel(logging.ERROR)  # it warns of pictures without words, which get theirs below
    # Pictures are looked for where the notebooks come from, not where the executed ones are.
    html, _ = exporter.from_notebook_node(notebook, {"metadata": {"path": str(NOTEBOOKS), "name": name}})
    html = re.sub(r"<(/?)h([1-5])>", lambda match: f"<{match[1]}h{int(match[2]) + 1}>", html)  # the page has its own h1
    html = re.sub(r'<img alt="No description[^>]*src="data:image/svg\+xml;base64,([^"]+)"', _with_its_title, html)
    return re.sub(r'href="(?:[^"/]*/)*(\d\d_\w+)\.ipynb"', r'href="#\1"', html)


def _with_its_title(picture: re.Match[str]) -> str:
    """An SVG picture of an output, with its own title as its words."""
    title = re.search(r"<title[^>]*>([^<]*)", b64decode(picture[1]).decode("utf-8"))
    words = escape(unescape(title[1])) if title else ""
    return f'<img alt="{words}" src="data:image/svg+xml;base64,{picture[1]}"'
