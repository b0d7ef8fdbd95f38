"""docs/sandbox/ says what is."""

from __future__ import annotations

import re

from ..conformance import proved
from .page import PAGE, written
from .test_recordings import DEVIATIONS


def test_the_page_is_up_to_date() -> None:
    assert written() == PAGE.read_text(encoding="utf-8"), "run `make docs`"
    assert f"{len(DEVIATIONS)} differ [on purpose]" in PAGE.with_name("overview.md").read_text(encoding="utf-8")


def test_what_clients_used_is_still_there() -> None:
    """An operation that a client used and that is gone would vanish from the page in silence."""
    text = PAGE.read_text(encoding="utf-8")
    clients = {name for names in proved.read().values() for name in names}
    assert {"az", "az 2.72", "skopeo", "podman"} <= clients
    shown = {
        cell.strip() for line in text.splitlines() if line.startswith("| ") for cell in line.split("|")[-2].split(",")
    }
    assert clients <= shown
    assert not re.search(r"/tmp|/work|/root", text)
