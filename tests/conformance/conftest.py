"""What the conformance tests share: the vendors' clients in environments of their own, and terminals in a sandbox.

They are run by `make conformance` and skipped elsewhere: azure-cli alone is about 730 MB.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
import pytest

from azure_sandbox import process

from ..conftest import clean_environment
from . import proved

PROJECT = Path(__file__).parents[2]
HERE = Path(__file__).parent
RUNBOOK = str(Path(sys.executable).with_name("runbook"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("RUNBOOK_CONFORMANCE") == "1":
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="large installs: run `make conformance`"))


def cache() -> Path:
    """Where installed clients are kept between runs."""
    chosen = os.environ.get("RUNBOOK_CONFORMANCE_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("azure-acr-runbook") / "conformance"


def python_environment(name: str, *arguments: str) -> Path:
    """A virtual environment with what `pip install` was given; its folder of programs. Skips where pip fails."""
    digest = hashlib.sha256(" ".join([sys.version, *arguments]).encode()).hexdigest()[:10]
    folder = cache() / f"{name}-{digest}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *arguments]
        done = subprocess.run(install, capture_output=True, text=True, cwd=PROJECT)
        if done.returncode:
            pytest.skip(f"{name} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        (folder / "complete").touch()
    return folder / "bin"


def system_program(name: str) -> str:
    """A program of the operating system, installed with apt where that is possible. Skips where it is not to be had."""
    if shutil.which(name) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", name], capture_output=True)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed, and apt with root is needed to install it")
    return found


@dataclass
class Terminal:
    """A shell with a home of its own, in which the sandbox is Azure."""

    home: Path
    programs: list[Path]
    variables: dict[str, str]
    prefix: list[str] = field(default_factory=list)
    """What runs the shell somewhere else: in a network namespace."""

    def run(self, command: str, *, ok: bool = True, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run a command line as it stands in the document; no terminal is attached to it."""
        self.home.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.pathsep.join([*map(str, self.programs), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"]),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "AZURE_CONFIG_DIR": str(self.home / ".azure"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_NO_COLOR": "true",
            "XDG_RUNTIME_DIR": str(self.home),
            **self.variables,
        }
        done = subprocess.run(
            [*self.prefix, "bash", "-c", command],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip
        if ok:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def value(self, command: str) -> str:
        return self.run(command).stdout.strip()


def sandbox_variables(folder: Path, *arguments: str) -> dict[str, str]:
    """What `runbook sandbox env` exports."""
    command = [RUNBOOK, "sandbox", "env", "--folder", str(folder), *arguments]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment()).stdout
    lines = [shlex.split(line) for line in text.splitlines()]
    return dict(words[1].split("=", 1) for words in lines if words[0] == "export")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a sandbox for the tests of one module."""
    folder = tmp_path_factory.mktemp("conformance") / "sandbox"
    process.start(folder)
    yield folder
    proved.remember(folder)
    process.reset(folder)


@pytest.fixture(scope="module")
def terminal(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Terminal]:
    """Makes terminals in the module's sandbox: the operator's, or with `vm` that VM's."""

    def make(*programs: Path, vm: str | None = None) -> Terminal:
        variables = sandbox_variables(folder, *(["--vm", vm] if vm else []))
        return Terminal(tmp_path_factory.mktemp("home"), list(programs), variables)

    return make
