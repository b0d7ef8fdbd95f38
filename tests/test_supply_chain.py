"""What is installed: pinned with hashes, in the ranges that we declare, and no version that is known to be vulnerable."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).parents[1]
LOCKS = [PROJECT / "requirements.lock", PROJECT / "requirements-dev.lock"]
KNOWN = tomllib.loads((PROJECT / "tests" / "known-vulnerabilities.toml").read_text(encoding="utf-8"))["vulnerability"]


def blocks(lock: Path) -> list[str]:
    """The requirements of a lock file, each with its hashes in one line."""
    joined = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def locked(lock: Path) -> list[tuple[str, Version]]:
    found = [re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", block) for block in blocks(lock)]
    return [(canonicalize_name(match[1]), Version(match[2])) for match in found if match]


def vulnerable(package: str, version: Version) -> list[str]:
    """What is known against a version of a package."""
    return [
        f"{package} {version}: {', '.join(entry['ids'])}, fixed in {entry['before']}"
        for entry in KNOWN
        if canonicalize_name(entry["package"]) == package
        and Version(entry.get("since", "0")) <= version < Version(entry["before"])
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_file_has_a_hash_and_comes_from_an_index(lock: Path) -> None:
    for block in blocks(lock):
        assert re.match(r"[A-Za-z0-9._-]+==\S+ ", block), block  # neither an address nor a folder
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block)) >= 1, block
    assert len(locked(lock)) == len(blocks(lock)) > 50


def declared() -> list[Requirement]:
    """What we need to be built, to run, and for each extra."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [each for extra in project["project"]["optional-dependencies"].values() for each in extra]
    texts = [*project["build-system"]["requires"], *project["project"]["dependencies"], *extras]
    return [Requirement(text) for text in texts]


def test_locked_versions_are_in_the_ranges_that_we_declare() -> None:
    versions = dict(locked(LOCKS[1]))
    for requirement in declared():
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), (str(requirement), version)


def test_the_lowest_versions_that_we_declare_are_not_known_to_be_vulnerable() -> None:
    lowest = [
        (canonicalize_name(requirement.name), Version(each.version))
        for requirement in declared()
        for each in requirement.specifier
        if each.operator == ">="
    ]
    stubs = {requirement.name for requirement in declared() if requirement.name.startswith("types-")}
    assert {package for package, _ in lowest} == {canonicalize_name(each.name) for each in declared()} - {
        canonicalize_name(name) for name in stubs
    }
    assert [problem for package, version in lowest for problem in vulnerable(package, version)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locked_versions_are_not_known_to_be_vulnerable(lock: Path) -> None:
    assert [problem for package, version in locked(lock) for problem in vulnerable(package, version)] == []


def test_installed_versions_are_not_known_to_be_vulnerable() -> None:
    installed = [
        (canonicalize_name(each.name), Version(each.version)) for each in metadata.distributions() if each.name
    ]
    assert [problem for package, version in installed for problem in vulnerable(package, version)] == []


def test_the_list_is_sound_and_finds_what_it_is_for() -> None:
    packages = {package for package, _ in locked(LOCKS[1])}
    for entry in KNOWN:
        assert canonicalize_name(entry["package"]) in packages, entry  # else nobody looks at it
        assert entry["ids"] and all(re.fullmatch(r"CVE-\d{4}-\d{4,}|GHSA(-\w{4}){3}", each) for each in entry["ids"])
        assert Version(entry.get("since", "0")) < Version(entry["before"]) and entry["what"]
    assert "CVE-2023-48795" in vulnerable("paramiko", Version("3.3.1"))[1]
    assert vulnerable("h11", Version("0.14.0")) and not vulnerable("h11", Version("0.16.0"))
    assert not any("CVE-2025-62727" in each for each in vulnerable("starlette", Version("0.38.0")))


def test_notebooks_install_nothing_and_call_no_shell() -> None:
    pattern = re.compile(r"^\s*[!%]|\bpip3?\s+install\b|get_ipython\(|\bos\.system\b|\bsubprocess\b", re.MULTILINE)
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                assert not pattern.search("".join(cell["source"])), (path.name, cell["source"])


def test_actions_are_pinned_by_the_hash_of_a_commit() -> None:
    """A tag can be moved to another commit. Of one action no hash could be confirmed: the example says its tag."""
    files = [*(PROJECT / ".github" / "workflows").glob("*.yml"), PROJECT / "examples" / "github-actions.yml"]
    used = {name for file in files for name in re.findall(r"uses: (\S+@.*)", file.read_text(encoding="utf-8"))}
    loose = {name for name in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", name)}
    assert used and loose <= {"mikepenz/action-junit-report@v6"}
