"""report.html: a run on one page that needs nothing but itself."""

from __future__ import annotations

import logging
import re
from base64 import b64decode
from html import escape, unescape
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

from ..files import write_atomic
from ..outcome import Outcome
from .inputs import NOTEBOOKS
from .report import PAGE, NotebookRun, Report, printable, word

# The browser itself refuses what would come from elsewhere.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; color: #1b1b1b; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
a { color: #0b5cad; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: .3rem .8rem; border: 1px solid #c8c8c8; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.good, .bad { white-space: nowrap; }
.bad { font-weight: bold; color: #a4262c; }
pre { overflow-x: auto; margin: 0; padding: .6rem .8rem; font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; }
details { border: 1px solid #c8c8c8; border-radius: 6px; margin: .8rem 0; padding: 0 1rem; }
summary { cursor: pointer; padding: .6rem 0; font-weight: bold; }
.cell { margin: .8rem 0; }
.prompt, .anchor-link { display: none; }
.input_area, .highlight { background: #f5f6f8; border-radius: 4px; }
.output_area pre { border-left: 3px solid #0b5cad; margin: .3rem 0; }
.output_error pre, .output_stderr pre, pre.error { border-left: 3px solid #a4262c; background: #fdf3f4; }
img, svg { max-width: 100%; height: auto; }
"""


def write(report: Report) -> Path:
    """Write report.html next to the executed notebooks: the table, the pulls, and each notebook with its outputs."""
    parts = [_head(report), _table(report), _list("Images that were pulled", report.pull_lines())]
    parts += [_list("Clean-up", report.left)]
    parts += [_notebook(report, step) for step in report.steps if step.outcome is not Outcome.NOT_RUN]
    parts += [_list("Parameters", [f"{name}: {value}" for name, value in report.parameters.items()])]
    path = report.output / PAGE
    write_atomic(path, printable("\n".join([*parts, "</body>\n</html>\n"])), mode=0o666)
    return path


def _head(report: Report) -> str:
    title = _title(report)
    code = HtmlFormatter(style="default").get_style_defs(".highlight")
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
<p>Started {escape(report.started)}, {report.seconds:.1f} s.</p>"""


def _title(report: Report) -> str:
    if report.ok:
        return "The run went well"
    reason = f": {report.outcome.value.replace('_', ' ')}"
    if any(step.outcome in (Outcome.NOT_RUN, Outcome.INTERRUPTED) for step in report.steps):
        return f"The run did not finish{reason}"
    return "The run failed" + (reason if report.outcome is not Outcome.FAILED else "")


def _table(report: Report) -> str:
    names = ["notebook", "result", "seconds"] + ["reason"] * (not report.ok)
    rows = []
    for step in report.steps:
        link = (
            f'<a href="#{step.notebook}">{step.notebook}</a>' if step.outcome is not Outcome.NOT_RUN else step.notebook
        )
        kind = "good" if step.ok else "bad"
        row = f'<td>{link}</td><td class="{kind}">{word(step)}</td><td class="number">{step.seconds:.1f}</td>'
        if not report.ok:
            row += f"<td>{escape(step.reason)}</td>"
        rows.append(f"<tr>{row}</tr>")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"


def _list(title: str, lines: list[str]) -> str:
    if not lines:
        return ""
    return f"<h2>{title}</h2>\n<ul>\n" + "\n".join(f"<li>{escape(line)}</li>" for line in lines) + "\n</ul>"


def _notebook(report: Report, step: NotebookRun) -> str:
    """One executed notebook, folded; one that failed is open, with the reason before it."""
    reason = "" if step.ok else f'<pre class="error">{escape(step.error or "")}</pre>\n'
    summary = f"{step.notebook}: {word(step)}"
    shown = "" if step.ok else " open"
    body = _body(report.output / f"{step.notebook}.ipynb")
    return (
        f"<details{shown}>\n<summary>{summary}</summary>\n"
        f'<article id="{step.notebook}">\n{reason}{body}\n</article>\n</details>'
    )


def _body(path: Path) -> str:
    """A notebook as HTML without a page around it, its pictures inside."""
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="basic", embed_images=True, exclude_anchor_links=True
    )
    exporter.log.setLevel(logging.ERROR)  # it warns of pictures without words, which get theirs below
    try:
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # an interrupted run may have left none
        return f"<p>The notebook cannot be shown: {escape(str(error))}</p>"
    # Pictures are looked for where the notebooks come from, not where the executed ones are.
    html, _ = exporter.from_notebook_node(notebook, {"metadata": {"path": str(NOTEBOOKS), "name": path.stem}})
    html = re.sub(r"<(/?)h([1-5])>", lambda match: f"<{match[1]}h{int(match[2]) + 1}>", html)  # the page has its own h1
    html = re.sub(r'<img alt="No description[^>]*src="data:image/svg\+xml;base64,([^"]+)"', _with_its_title, html)
    return re.sub(r'href="(?:[^"/]*/)*(\d\d_\w+)\.ipynb"', r'href="#\1"', html)


def _with_its_title(picture: re.Match[str]) -> str:
    """An SVG picture of an output, with its own title as its words."""
    title = re.search(r"<title[^>]*>([^<]*)", b64decode(picture[1]).decode("utf-8"))
    words = escape(unescape(title[1])) if title else ""
    return f'<img alt="{words}" src="data:image/svg+xml;base64,{picture[1]}"'
