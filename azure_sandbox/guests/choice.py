"""The choice of a sandbox's guest, `runbook sandbox start --guest`, kept in the folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import reading
from ..files import write_atomic

SIMULATED, MACHINE = "simulated", "machine"


@dataclass(frozen=True)
class Choice:
    """A guest, and what it needs."""

    guest: str = SIMULATED
    image: str = ""
    """Folder of a real machine's root file system."""
    sources: tuple[str, ...] = ()
    """host:port of all that a real machine may reach besides the emulated cloud."""
    index_url: str = ""
    """pip's package index, for a real machine's azure-cli."""


def read(folder: Path) -> Choice:
    """The choice of a sandbox's folder."""
    path = folder / "guest.json"
    try:
        with reading(path):
            document = json.loads(path.read_text(encoding="utf-8"))
            return Choice(**{**document, "sources": tuple(document["sources"])})
    except FileNotFoundError:
        return Choice()


def make_ready(folder: Path, guest: str | None, say: Callable[[str], None]) -> None:
    """Build what a chosen guest needs; returns at once where it is there.

    Args:
        guest: None goes on with the one before, and with the image that it has.
        say: called with what takes long.

    Raises:
        SandboxError: a real machine is not possible here; the sentence names what is missing.
    """
    before = read(folder)
    if (guest or before.guest) == MACHINE and (guest or not Path(before.image).is_dir()):
        from .machine import disk_image, host

        host.check(folder)
        disk_image.image(say)


def prepare(folder: Path, guest: str | None) -> Choice:
    """Keep the choice of a guest in the folder; None goes on with the one before.

    Raises:
        SandboxError: a real machine is not possible here; the sentence names what is missing.
    """
    before = read(folder)
    if (guest or before.guest) == SIMULATED:
        chosen = Choice()
    else:
        from .machine import apt_sources, disk_image, host

        host.check(folder)
        if guest is None and Path(before.image).is_dir():
            return before
        image = disk_image.image()
        index = apt_sources.package_index()
        urls = [url for source in apt_sources.apt_sources() for url in source.urls]
        sources = {apt_sources.host_and_port(url) for url in urls} | set(index.hosts if index else ())
        chosen = Choice(MACHINE, str(image), tuple(sorted(sources)), index.url if index else "")
    if chosen != before:
        write_atomic(folder / "guest.json", json.dumps(asdict(chosen), indent=1))
    return chosen
