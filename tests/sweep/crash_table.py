"""The crash table: for programs and for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .crashes import CrashOutcome


def write(folder: Path, outcomes: Sequence[CrashOutcome], every: int = 0) -> str:
    """Write the table as JSON and as Markdown; returns the figures in one line.

    Args:
        every: how many crashes there are, where not all were tried.
    """
    folder.mkdir(parents=True, exist_ok=True)
    good = sum(each.good for each in outcomes)
    repeated = sum(len(each.repeated) for each in outcomes)
    counts = ", ".join(f"{count} {what}" for what, count in Counter(each.what for each in outcomes).most_common())
    line = f"{good} of {len(outcomes)} crashes end well ({counts}); {repeated} answered writes or commands done twice"
    line += f" (of {every} that there are)" if every > len(outcomes) else ""
    rows = [
        {
            "crash": each.crash.name, "outcome": each.what, "seconds": each.seconds, "error": each.error,
            "details": each.details, "repeated": each.repeated,
        }
        for each in outcomes
    ]  # fmt: skip
    (folder / "crash.json").write_text(json.dumps({"figures": line, "crashes": rows}, indent=1), encoding="utf-8")
    lines = [
        "# Crash and resume",
        "",
        line,
        "",
        "| where | outcome | s | what the run said |",
        "| --- | --- | ---: | --- |",
    ]
    for each in sorted(outcomes, key=lambda each: each.good):
        said = " ".join(f"{each.error} {'' if each.good else each.details[-500:]}".split())[:700]
        cells = (each.crash.name.replace(" | ", ": "), each.what, str(each.seconds), said)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    (folder / "crash.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return line
