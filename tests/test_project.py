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
PACKAGES = ("runbook_helpers", "azure_sandbox")
MODULES = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in (PROJECT / package).rglob("*.py")
}
"""Both packages' modules, by their dotted names."""


def imports(module: str) -> set[str]:
    """The modules that a module imports, written whole."""
    path, found = MODULES[module], set()
    package = module.split(".") if path.stem == "__init__" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            prefix = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*prefix, *([node.module] if node.module else [])])
            whole = {f"{base}.{alias.name}" for alias in node.names}
            found |= {name for name in whole if name in MODULES} or {base}
            found |= {base} if any(name not in MODULES for name in whole) else set()
    return found


def users_of(module: str, package: str) -> set[str]:
    """The modules of a package that import a module, or something in it."""
    return {
        user.removeprefix(f"{package}.")
        for user in MODULES
        if user.startswith(package) and any(f"{name}.".startswith(f"{module}.") for name in imports(user))
    }


def test_only_the_ssh_room_knows_paramiko() -> None:
    assert users_of("paramiko", "runbook_helpers") == {"ssh.client", "ssh.kept", "ssh.transport"}


def test_only_connection_and_the_commands_know_the_sandbox() -> None:
    known = users_of("azure_sandbox", "runbook_helpers")
    assert {name for name in known if not name.startswith("commands.")} == {"connection"}


def test_the_sandbox_knows_neither_the_runbook_nor_the_sdks() -> None:
    for module in MODULES:
        if module.startswith("azure_sandbox"):
            strange = [name for name in imports(module) if re.match(r"(azure\.|paramiko|msal|runbook_helpers)", name)]
            assert strange == [], module


def test_the_sandbox_runs_where_there_is_no_runbook() -> None:
    code = (
        "import sys; sys.modules['runbook_helpers'] = None; import azure_sandbox, azure_sandbox.server; "
        "print([m for m in ('paramiko', 'azure.core') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_both_packages_know_the_same_clouds() -> None:
    from azure_sandbox import clouds as emulated
    from runbook_helpers import clouds

    assert clouds.CLOUDS.keys() == emulated.CLOUDS.keys()
    for name, cloud in clouds.CLOUDS.items():
        assert vars(cloud) == {member: getattr(emulated.CLOUDS[name], member) for member in vars(cloud)}


def test_no_module_imports_itself_by_way_of_others() -> None:
    arrows = {module: {name for name in imports(module) if name in MODULES} - {module} for module in MODULES}
    while leaves := {module for module, onto in arrows.items() if not onto}:
        arrows = {module: onto - leaves for module, onto in arrows.items() if module not in leaves}
    assert arrows == {}


def test_every_room_says_what_it_is_for() -> None:
    for module, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), module


def test_nobody_asks_whether_it_is_in_the_sandbox() -> None:
    for module, path in MODULES.items():
        if module.startswith("runbook_helpers") and not module.endswith((".connection", ".parameters")):
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


def test_every_public_name_is_in_alphabetical_order_and_there() -> None:
    import runbook_helpers

    assert sorted(runbook_helpers.__all__) == runbook_helpers.__all__
    assert all(hasattr(runbook_helpers, name) for name in runbook_helpers.__all__)
