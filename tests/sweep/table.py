"""The table of the sweep: for programs and for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .outcomes import Outcome


def write(folder: Path, outcomes: Sequence[Outcome], every: int = 0, name: str = "sweep") -> str:
    """Write the table as JSON and as Markdown; returns the figures in one line.

    Args:
        name: of the files.
        every: how many cells there are, where not all were tried.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "step": each.cell.point.step.name, "point": each.cell.point.what, "fault": each.cell.kind, "good": each.good,
            "outcome": each.what, "seconds": each.seconds, "error": each.error, "details": each.details,
        }
        for each in outcomes
    ]  # fmt: skip
    line = figures(outcomes) + (f" (of {every} that there are)" if every > len(outcomes) else "")
    (folder / f"{name}.json").write_text(json.dumps({"figures": line, "cells": rows}, indent=1), encoding="utf-8")
    (folder / f"{name}.md").write_text(_markdown(line, outcomes), encoding="utf-8")
    return line


def figures(outcomes: Sequence[Outcome]) -> str:
    """The share of good cells, and what there is of each outcome."""
    good = sum(each.good for each in outcomes)
    share = 100 * good / len(outcomes) if outcomes else 0
    counts = Counter(each.what for each in outcomes).most_common()
    return f"{good} of {len(outcomes)} cells are good ({share:.1f} %): " + ", ".join(
        f"{count} {what}" for what, count in counts
    )


def _markdown(line: str, outcomes: Sequence[Outcome]) -> str:
    kinds = list(dict.fromkeys(each.cell.kind for each in outcomes))
    lines = [f"# The sweep\n\n{line}\n\n## By kind of fault\n\n| fault | success | clear error, then success | bad |"]
    lines.append("| --- | ---: | ---: | ---: |")
    for kind in kinds:
        these = [each for each in outcomes if each.cell.kind == kind]
        bad = sum(not each.good for each in these)
        success = sum(each.what == "success" for each in these)
        lines.append(f"| {kind} | {success} | {len(these) - bad - success} | {bad} |")
    for title, chosen in (("Bad cells", [each for each in outcomes if not each.good]), ("All cells", outcomes)):
        lines += [
            f"\n## {title}\n",
            "| step | point | fault | outcome | s | error |",
            "| --- | --- | --- | --- | ---: | --- |",
        ]
        lines += [_row(each, 400 if title == "Bad cells" else 120) for each in chosen]
    return "\n".join(lines) + "\n"


def _row(each: Outcome, length: int) -> str:
    shown = " ".join(each.error.split())[:length]
    if not each.good and each.details:
        shown += " // " + " ".join(each.details.split())[-length:]
    cells = (each.cell.point.step.name, each.cell.point.what, each.cell.kind, each.what, str(each.seconds), shown)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
