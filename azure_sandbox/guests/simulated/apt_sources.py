"""The sources of apt: the files that name them, and what each of the repositories has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from .disk import ROOT, Disk
from .program import Failure, Unsupported
from .releases import RELEASES, release_of

FILE, FOLDER = "/etc/apt/sources.list", "/etc/apt/sources.list.d"
AZURE_CLI = "https://packages.microsoft.com/repos/azure-cli"
AZURE_CLI_VERSION = "2.91.0"
AZURE_CLI_SUITES = {
    "jammy": "2.35",
    "noble": "2.39",
    "bookworm": "2.36",
    "trixie": "2.41",
}  # and the glibc that each needs
_UBUNTU = re.compile(r"https?://((azure\.|[a-z]{2}\.)?archive|security|ports)\.ubuntu\.com/ubuntu(-ports)?")


@dataclass(frozen=True)
class Source:
    """One suite of one repository."""

    url: str
    """Without a slash at its end."""
    suite: str
    architectures: tuple[str, ...]
    """Those that are asked for; all of the machine's where there are none."""


def sources(disk: Disk) -> list[Source]:
    """The sources of a machine, in apt's order. Raises Failure where a file cannot be read."""
    paths = [FILE] if disk.stat(FILE, ROOT) else []
    paths += [f"{FOLDER}/{name}" for name in disk.names(FOLDER, ROOT)]
    found: list[Source] = []
    for path in paths:
        if path.endswith(".list"):
            found += _lines(path, disk.read(path, ROOT))
        elif path.endswith(".sources"):
            found += _stanzas(path, disk.read(path, ROOT))
    return found


def _lines(path: str, text: str) -> Iterator[Source]:
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line or line.startswith("deb-src"):
            continue
        matched = re.fullmatch(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)(?:\s+\S+)*", line)
        if matched is None:
            kind = line.split()[0]
            reason = f"Type '{kind}' is not known on line {number} in source list {path}"
            if kind == "deb":
                reason = f"Malformed entry {number} in list file {path} (Suite)"
            raise Failure(f"E: {reason}\nE: The list of sources could not be read.", 100)
        options = dict(word.split("=", 1) for word in (matched[1] or "").split() if "=" in word)
        yield Source(matched[2].rstrip("/"), matched[3], tuple(filter(None, options.get("arch", "").split(","))))


def _stanzas(path: str, text: str) -> Iterator[Source]:
    """The sources of a file in the form deb822."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for number, stanza in enumerate(filter(str.strip, re.split(r"\n\s*\n", lines)), 1):
        fields = {name.lower(): value.split() for name, _, value in (x.partition(":") for x in stanza.splitlines())}
        if fields.get("enabled") == ["no"]:
            continue
        if not fields.get("uris") or not fields.get("suites"):
            what = "URI" if not fields.get("uris") else "Suite"
            raise Failure(
                f"E: Malformed entry {number} in sources file {path} ({what})\nE: The list of sources could not be read.",
                100,
            )
        for url in fields["uris"]:
            for suite in fields["suites"]:
                yield Source(url.rstrip("/"), suite, tuple(fields.get("architectures", ())))


def packages_of(source: Source, disk: Disk) -> dict[str, str] | None:
    """The packages of a source, with their versions; None where its repository has no such suite.

    Raises LookupError where nobody answers for the host.
    """
    machine, release = disk.machine, release_of(disk.machine)
    ours = not source.architectures or machine.architecture in source.architectures
    if _UBUNTU.fullmatch(source.url):
        codename = source.suite.partition("-")[0]
        if codename != release.codename and codename in {other.codename for other in RELEASES.values()}:
            raise Unsupported("apt", f"packages of {codename}: it runs {release.codename}")
        return {**release.preinstalled, **release.offered} if codename == release.codename else None
    if source.url.replace("http://", "https://") == AZURE_CLI:
        if source.suite not in AZURE_CLI_SUITES:
            return None
        return {"azure-cli": f"{AZURE_CLI_VERSION}-1~{source.suite}"} if ours else {}
    raise LookupError(urlsplit(source.url).hostname or source.url)
