"""What the project's files promise each other: layers, the same packages everywhere, no addresses in the locks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "runbook_helpers"


def imports(path: Path) -> set[str]:
    """The modules that a file imports, the package's own written from runbook_helpers on."""
    found = set()
    base = [PROJECT.name, *path.relative_to(PROJECT).parts][1:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            prefix = base[: len(base) - node.level + 1] if node.level else []
            module = ".".join([*prefix, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def users_of(module: str) -> set[str]:
    """The files of the package that import a module."""
    return {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name == module or name.startswith(module + ".") for name in imports(path))
    }


def test_only_the_shell_knows_paramiko() -> None:
    assert users_of("paramiko") == {"shell.py"}


def test_only_connection_and_the_commands_know_the_sandbox() -> None:
    outside = {path for path in users_of("runbook_helpers.sandbox") if not path.startswith("sandbox/")}
    assert outside == {"connection.py", "fault_command.py", "runner.py", "sandbox_command.py", "sandbox_options.py"}


def test_the_sandbox_knows_neither_verbs_nor_azure() -> None:
    allowed = {"runbook_helpers.clouds", "runbook_helpers.errors", "runbook_helpers.private_files"}
    for path in (PACKAGE / "sandbox").rglob("*.py"):
        for name in imports(path):
            assert not name.startswith(("azure", "paramiko", "msal")), (path, name)
            inside = name.startswith("runbook_helpers.sandbox")
            if name.startswith("runbook_helpers.") and not inside:
                assert ".".join(name.split(".")[:2]) in allowed, (path, name)


def test_clouds_is_a_leaf() -> None:
    assert not any(name.startswith("runbook_helpers") for name in imports(PACKAGE / "clouds.py"))


def test_nobody_asks_whether_it_is_in_the_sandbox() -> None:
    for path in PACKAGE.glob("*.py"):
        if path.name not in ("connection.py", "parameters.py"):
            assert not re.search(r"\bif (not )?(azure\.)?sandbox\b", path.read_text(encoding="utf-8")), path


def normalised(requirement: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9._-]+?)\s*([<>=!~].*)?", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[1]).lower(), match[2] or ""


def declared() -> dict[str, str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    every = [*project["dependencies"], *(each for extra in extras.values() for each in extra)]
    return dict(normalised(requirement) for requirement in every)


def test_environment_yml_has_the_same_packages_and_ranges() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(each for key in ("run", "sandbox", "lab", "test") for each in extras[key])]
    content = yaml.safe_load((PROJECT / "environment.yml").read_text())
    conda = [each for each in content["dependencies"] if isinstance(each, str)]
    found = dict(normalised(each) for each in conda)
    assert found.pop("python") == project["requires-python"]
    found.pop("pip")
    assert found == dict(normalised(each) for each in wanted)


def test_locks_have_hashes_all_packages_and_no_address() -> None:
    run = (PROJECT / "requirements.lock").read_text()
    dev = (PROJECT / "requirements-dev.lock").read_text()
    for text in (run, dev):
        assert "://" not in text
        assert text.count("--hash=sha256:") > text.count("==")
    names = {line.partition("==")[0] for line in dev.splitlines() if "==" in line and not line.startswith(" ")}
    assert set(declared()) <= names
    assert "jupyterlab==" not in run
    pins = [set(re.findall(r"^[a-z][\w.-]*==[\w.]+", text, re.MULTILINE)) for text in (run, dev)]
    assert pins[0] and pins[0] <= pins[1]


def test_every_public_name_is_found_where_the_package_says() -> None:
    import runbook_helpers

    assert sorted(runbook_helpers._MODULES) == sorted(runbook_helpers.__all__)
    for name in runbook_helpers.__all__:
        assert getattr(runbook_helpers, name).__module__ == f"runbook_helpers.{runbook_helpers._MODULES[name]}"


def test_the_sandboxs_process_imports_neither_paramiko_nor_azure() -> None:
    code = (
        "import sys, runbook_helpers.sandbox.server; print([m for m in ('paramiko', 'azure.core') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
