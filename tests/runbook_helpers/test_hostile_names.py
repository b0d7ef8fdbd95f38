"""Names are values too: a parameter's name that is code, what YAML can do besides names and values, and where a result goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbook_helpers.errors import ParameterError
from runbook_helpers.parameters import check_parameters, read_parameters

from ..test_notebooks import papermill
from .test_cli import runbook

CODE = [
    "vm_name\nimport os\nvm_name",
    "vm_name = print('run') #",
    "vm_name: str = 'x'\nvm_name",
    "vm_name = vm_name; import os #",
    "import os #",
    "vm_name = image",
    "!ls #",
    "x = [print(1)] #",
    "def vm_name(): pass #",
    "vm_name = '''",
]


def cell(name: str) -> dict[str, object]:
    """A namespace in which papermill's cell has run, as papermill writes it."""
    return {"In": ["", f'# Parameters\nsandbox = True\n{name} = "x"\n']}


@pytest.mark.parametrize("name", CODE)
def test_code_in_the_injected_cell_is_found(name: str) -> None:
    with pytest.raises(ParameterError, match="has code in it"):
        check_parameters(cell(name))


def test_values_in_the_injected_cell_are_none() -> None:
    values = "tags = {\"a\": \"b\", 'c': [1, -2.5, None, True]}\nvm_size = float('nan')\nimage = float('-inf')\n"
    check_parameters({"In": ["# Parameters\n" + values]})
    check_parameters({"In": ["# Parameters\nvm_name = 'x'", "# Parameters of mine\nimport os"]})


def test_papermill_stops_before_the_first_call(fresh: Path, tmp_path: Path) -> None:
    name = f"vm_name\nopen({str(tmp_path / 'has run')!r}, 'w')\nvm_name"
    done = papermill("01_registry.ipynb", tmp_path / "o.ipynb", "-y", json.dumps({name: "x"}))
    assert done.returncode == 1 and "has code in it (line 2, 3), which has run" in done.stderr
    assert (tmp_path / "has run").exists()  # as SECURITY.md says
    assert not fresh.exists()


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", [*CODE, "vm_name\n", "\x1b]0;x\x07", "vm_name=x"])
def test_a_run_refuses_such_names(name: str, fresh: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(json.dumps({name: "x"}))
    for arguments in (["-f", file], ["-p", name, "x"])[: 2 if name in CODE[:2] else 1]:
        done = runbook("run", "--only", "00", "--output", tmp_path / "o", *arguments)
        assert done.returncode == 2 and "is not a parameter" in done.stderr and "\x1b" not in done.stderr
    assert not fresh.exists() and not (tmp_path / "o").exists()


@pytest.mark.sample(6)
@pytest.mark.parametrize(
    "text",
    [
        "<<: {vm_name: x}",
        "tags: {<<: {a: b}}",
        "? !!merge x\n: {vm_name: y}",
        "a: &a {b: c}\ntags: *a",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "vm_name: x\nvm_name: y",
        "tags: {a: b, a: c}",
        "1: x",
        "? [a]\n: x",
        "? {a: b}\n: x",
        "~: x",
        "true: x",
        "vm_name: !!python/object/apply:os.getcwd []",
        "vm_name: !!binary YQ==",
        "vm_name: !own x",
        "!!omap [a: b]",
        "--- {vm_name: x}\n--- {vm_name: y}",
        "tags: " + "[" * 5000,
    ],
)
def test_what_yaml_can_do_besides(text: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    done = runbook("run", "-f", file, "--only", "00", "--output", tmp_path / "o")
    assert done.returncode == 2 and done.stderr.startswith("Error: ") and "Traceback" not in done.stderr
    with pytest.raises(ParameterError):
        from runbook_helpers.parameters import problems

        found = problems(read_parameters(file))
        if found:
            raise ParameterError(found)


@pytest.mark.sample(1)
@pytest.mark.parametrize("place", ["/proc/nowhere/r.json", "file/r.json", "r.json", "link.json"])
def test_a_result_that_cannot_be_written_is_refused_before_the_first_call(
    place: str, fresh: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "r.json").write_text('{"mine": 1}')
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere.json")
    done = papermill("01_registry.ipynb", tmp_path / "o.ipynb", "-p", "result_path", str(tmp_path / place))
    assert (
        done.returncode == 1
        and f"result_path {tmp_path / place} " in done.stderr
        and "name another file" in done.stderr
    )
    assert not fresh.exists() and not (tmp_path / "nowhere.json").exists()
    assert (tmp_path / "r.json").read_text() == '{"mine": 1}'


def test_looking_leaves_no_folder_behind(tmp_path: Path) -> None:
    check_parameters({"result_path": str(tmp_path / "a" / "b" / "r.json")})
    assert not list(tmp_path.iterdir())
