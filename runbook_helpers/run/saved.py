"""The file of an executed notebook, as papermill writes it again and again while it executes."""

from __future__ import annotations

from typing import Any

import nbformat

from ..foreign_text import shown_value
from .report import Report

SCHEME = "run:"


class Saved:
    """A handler of papermill's for one executed notebook: written in one step, through no link, and without what programs
    print that looks like a secret. Where it cannot be written, on a full disk, it is lost, and the notebook goes on."""

    def __init__(self, report: Report, name: str) -> None:
        from papermill.iorw import papermill_io

        self._report, self._name = report, name
        self.notebook: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
        # Not the path: papermill puts parameters where it has braces. Of two handlers papermill takes the later one.
        self.name = f"{SCHEME}{name}"
        papermill_io.register(self.name, self)

    def write(self, content: str, name: str) -> None:
        self.notebook = nbformat.reads(content, as_version=4)  # type: ignore[no-untyped-call]
        for cell in self.notebook.cells:
            if "outputs" in cell:
                cell.outputs = [nbformat.from_dict(_shown(output)) for output in cell.outputs]  # type: ignore[no-untyped-call]
        self._report.write_file(self._name, nbformat.writes(self.notebook))  # type: ignore[no-untyped-call]

    def pretty_path(self, name: str) -> str:
        return name


def _shown(output: dict[str, Any]) -> dict[str, Any]:
    pictures = {kind: data for kind, data in output.get("data", {}).items() if kind.startswith("image/")}
    shown: dict[str, Any] = shown_value(output, colours=True)
    if pictures:
        shown["data"] |= pictures
    return shown
