"""The command ``runbook refresh``: the notebooks' outputs in the repository."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import click

ANSWER = "nbval-skip"  # the tag of the cells whose output is not kept


@click.command()
def refresh() -> None:
    """Execute all notebooks in a fresh sandbox and keep their outputs.

    The answers of the exercises are not executed: the reader shall see them only after trying.
    """
    import nbformat
    from nbclient import NotebookClient

    from azure_sandbox import process

    from ..run.inputs import NOTEBOOKS, every_notebook
    from ..run.runner import KERNEL_ARGUMENTS

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["RUNBOOK_SANDBOX"] = folder  # of this process and its kernels
        try:
            for path in every_notebook().values():
                notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
                client = NotebookClient(
                    notebook,
                    record_timing=False,
                    coalesce_streams=True,
                    skip_cells_with_tag=ANSWER,
                    resources={"metadata": {"path": str(NOTEBOOKS)}},
                    extra_arguments=KERNEL_ARGUMENTS,
                )
                client.execute()
                path.write_text(_normalised(notebook), encoding="utf-8", newline="\n")
                click.echo(path.name)
        finally:
            process.stop(Path(folder))


def _normalised(notebook: Any) -> str:
    """A notebook as it is kept in the repository: counts, outputs, tags and folded cells, but no times and nothing of this
    machine."""
    import nbformat

    # As JupyterLab writes it, with what the kernel says of its language: else JupyterLab would change it when it is opened.
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": notebook.metadata.language_info,
    }
    for cell in notebook.cells:
        cell.metadata = {name: cell.metadata[name] for name in ("jupyter", "tags") if cell.metadata.get(name)}
    return str(nbformat.writes(notebook)) + "\n"  # type: ignore[no-untyped-call]
