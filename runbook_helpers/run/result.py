"""The result of a notebook, for people to read and for programs to pick up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..connection import Azure
from ..errors import ParameterError
from ..files import write_atomic
from ..journal import FAILURE
from ..parameters import result_path_problem

MIME_TYPE = "application/vnd.azure-acr-runbook.result+json"
SCHEMA = 1


def show_result(azure: Azure, result_path: str = "", **values: Any) -> None:
    """Display the result of a notebook: as JSON for `runbook run` and others, and as text. See docs/results.md.

    Args:
        result_path: where to write the same JSON; "" for nowhere. Missing folders are made.
        values: what the notebook did. `pulls` is a list of {"identity", "image", "digest"}.

    Raises:
        ParameterError: another file is at `result_path`.
    """
    from IPython.display import display

    result = result_of(azure, **values)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    if result_path:
        _write(Path(result_path), text + "\n")
    bundle = {MIME_TYPE: result, "text/plain": text}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def result_of(azure: Azure, **values: Any) -> dict[str, Any]:
    """The result of what a notebook did."""
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "cloud": azure.cloud.name,
        "subscription_id": azure.subscription_id,
        "resource_group": azure.resource_group,
        "location": azure.location,
        **values,
    }
    if azure.journal.shown:
        result["requests"] = azure.journal.requests
    return result


def _write(path: Path, text: str) -> None:
    """Write the result's file, in one step; another file of this name, and a link, are left alone."""
    if problem := result_path_problem(path):
        raise ParameterError([problem])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text, mode=0o666)


def read_result(notebook: Any) -> dict[str, Any] | None:
    """The result in an executed notebook; None where it did not come to it."""
    return _displayed(notebook, MIME_TYPE)


def made_something(notebook: Any) -> bool:
    """Whether a notebook that failed may have made something in Azure; before it is connected, nothing is made."""
    failure = _displayed(notebook, FAILURE)
    return failure is not None and bool(failure["made"])


def _displayed(notebook: Any, mime_type: str) -> dict[str, Any] | None:
    """The last output of a MIME type."""
    for cell in reversed(notebook.cells):
        for output in cell.get("outputs", []):
            if mime_type in output.get("data", {}):
                found: dict[str, Any] = output["data"][mime_type]
                return found
    return None
