"""What a notebook ends with: its result, for people to read and for programs to pick up."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from ..connection import Azure
from ..errors import ParameterError

MIME_TYPE = "application/vnd.azure-acr-runbook.result+json"
SCHEMA = 1


def show_result(azure: Azure, result_path: str = "", **values: Any) -> None:
    """Display the result of a notebook: as JSON for `runbook run` and others, and as text. See docs/results.md.

    Args:
        result_path: where to write the same JSON; "" for nowhere. Missing folders are made.
        values: what the notebook did. `pulls` is a list of {"identity", "image", "digest"}.

    Raises:
        ParameterError: there is another file at `result_path`.
    """
    from IPython.display import display

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
    text = json.dumps(result, indent=1, ensure_ascii=False)
    if result_path:
        _write(Path(result_path), text + "\n")
    bundle = {MIME_TYPE: result, "text/plain": text}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def _write(path: Path, text: str) -> None:
    """Write the result's file, in one step; another file of this name, and a link, are left alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or (path.exists() and not _is_result(path)):
        raise ParameterError([f"result_path {path} is there and no result of a notebook: name another file."])
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with beside.open("x", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)


def _is_result(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"schema", "cloud", "resource_group"} <= set(content)


def read_result(notebook: Any) -> dict[str, Any] | None:
    """The result in an executed notebook; None where it did not get there."""
    for cell in reversed(notebook.cells):
        for output in cell.get("outputs", []):
            if MIME_TYPE in output.get("data", {}):
                result: dict[str, Any] = output["data"][MIME_TYPE]
                return result
    return None
