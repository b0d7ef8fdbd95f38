"""The files of `runbook lab`."""

from __future__ import annotations

import sys
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager


class Contents(AsyncLargeFileManager):
    """JupyterLab's own files, but a notebook comes with the version of this Python.

    JupyterLab writes the kernel's version into a notebook as soon as it is opened. Where it is another than the one that
    is kept, the notebook is changed then, and JupyterLab asks to save what nobody has written.
    """

    async def get(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        model: dict[str, Any] = await super().get(*arguments, **options)  # type: ignore[no-untyped-call]
        if model["type"] == "notebook" and model["content"]:
            language = model["content"]["metadata"].get("language_info", {})
            if language.get("name") == "python" and "version" in language:
                language["version"] = sys.version.split()[0]
        return model
