"""The sources of a real machine's software: those that apt and pip of this host are configured with, and no others.

The sandbox lets a machine reach these hosts and the emulated ones. No address of a mirror or an index stands in the code.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urljoin, urlsplit

from ...errors import SandboxError

APT = Path("/etc/apt")
_KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/ubuntu-archive-keyring.gpg")


@dataclass(frozen=True)
class AptSource:
    """One entry of apt's sources."""

    text: str
    """As it stands there."""
    style: str
    """`list` (one line) or `sources` (a paragraph)."""
    urls: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    keyring: str | None


def codename() -> str:
    """This system's release, for instance bookworm; empty where it has no such name."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return dict(line.split("=", 1) for line in lines if "=" in line).get("VERSION_CODENAME", "").strip('"')


def apt_sources(folder: Path = APT, release: str | None = None) -> list[AptSource]:
    """The sources of the distribution itself that are reached by http; those of others (a vendor's) are left out."""
    release = codename() if release is None else release
    found: list[AptSource] = []
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        if path.suffix == ".list" and path.is_file():
            found += [source for line in path.read_text().splitlines() if (source := _of_line(line))]
        elif path.suffix == ".sources" and path.is_file():
            found += [source for text in re.split(r"\n\s*\n", path.read_text()) if (source := _of_paragraph(text))]
    return [
        source
        for source in found
        if all(re.fullmatch(rf"{re.escape(release)}([-/].*)?", suite) for suite in source.suites)
        and all(urlsplit(url).scheme in ("http", "https") for url in source.urls)
    ]


def _of_line(line: str) -> AptSource | None:
    matched = re.fullmatch(
        r"\s*deb\s+(?:\[(?P<options>[^]]*)]\s+)?(?P<url>\S+)\s+(?P<suite>\S+)\s*(?P<rest>[^#]*).*", line
    )
    if matched is None:
        return None
    options = dict(option.split("=", 1) for option in (matched["options"] or "").split() if "=" in option)
    components = tuple(matched["rest"].split())
    return AptSource(line.strip(), "list", (matched["url"],), (matched["suite"],), components, options.get("signed-by"))


def _of_paragraph(text: str) -> AptSource | None:
    fields: dict[str, str] = {}
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r"\n[ \t]+", " ", "\n".join(lines)).splitlines():
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
        return None
    signed = fields.get("signed-by", "")
    return AptSource(
        "\n".join(lines), "sources", tuple(fields.get("uris", "").split()), tuple(fields.get("suites", "").split()),
        tuple(fields.get("components", "").split()), signed if signed.startswith("/") else None,
    )  # fmt: skip


def base_source(sources: list[AptSource], release: str) -> AptSource:
    """The source that the system itself comes from. Raises SandboxError where there is none."""
    for source in sources:
        if release in source.suites and "main" in source.components:
            return source
    raise SandboxError(
        f"A real machine needs apt's source of {release or 'a Debian release'} by http: {APT} has none (--guest simulated "
        "needs nothing of the kind)."
    )


def keyring(source: AptSource) -> str:
    """The file with the keys that the base source is signed with."""
    for path in (source.keyring, *_KEYRINGS):
        if path and Path(path).exists():
            return path
    raise SandboxError(
        f"A real machine needs the keys of {without_password(source.urls[0])}: install debian-archive-keyring."
    )


@dataclass(frozen=True)
class PackageIndex:
    """The package index that pip uses."""

    url: str
    hosts: tuple[str, ...]
    """host:port of the index and of the files that it names for azure-cli."""


def package_index() -> PackageIndex | None:
    """The index that this host's pip is configured with; None where it does not answer."""
    url = os.environ.get("PIP_INDEX_URL") or _ask_pip("-m", "pip", "config", "get", "global.index-url")
    if not url:  # pip knows its own
        url = _ask_pip("-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)")
    if not url:
        return None
    page = f"{without_password(url).rstrip('/')}/azure-cli/"
    try:
        request = urllib.request.Request(page, headers=_credentials(url))
        with urllib.request.urlopen(request, timeout=30, context=ssl.create_default_context()) as answer:
            links = re.findall(r'href="([^"#]+)', answer.read().decode("utf-8", "replace"))
        urls = [page, *(urljoin(page, link) for link in links)]
        return PackageIndex(url, tuple(sorted({host_and_port(each) for each in urls})))
    except HTTPError as error:
        error.close()  # it is an answer too
        return None
    except (OSError, ValueError, HTTPException):
        return None


def _credentials(url: str) -> dict[str, str]:
    """What a URL with user:password@ stands for; urllib does not know it."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def without_password(text: str) -> str:
    """A text in which no URL has user:password@, to be shown."""
    return re.sub(r"://[^/\s]*@", "://", text)


def mode(texts: Iterable[str]) -> int:
    """What a file with these texts may have: only its owner reads a password."""
    return 0o644 if all(text == without_password(text) for text in texts) else 0o600


def _ask_pip(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd="/")
    return done.stdout.strip() if done.returncode == 0 else ""


def host_and_port(url: str) -> str:
    """`deb.example:80` of a URL."""
    parts = urlsplit(url)
    return f"{(parts.hostname or '').lower()}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
