"""`runbook coverage`: every command of the document is bound to a cell, and a binding that is lost is reported."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook_helpers.document import COMMANDS, cover, folded
from runbook_helpers.run.inputs import NOTEBOOKS, PROJECT

from .test_cli import runbook

PROGRAMS = "az|ssh|sudo|docker|echo|apt|curl"


def document() -> str:
    """The document's text, which is kept beside a checkout and is no part of it."""
    found = sorted((PROJECT.parent / "shared" / "document").glob("*.txt"))
    if not found:
        pytest.skip("the document is not beside this checkout (no ../shared/document)")
    return found[0].read_text(encoding="utf-8")


def typed(text: str) -> list[str]:
    """The commands of the document's text: lines that begin with a program, and those with an option in a sentence."""
    alone = re.compile(rf"(?:# )?(?:\w+=\$\()?(?:{PROGRAMS}) ")
    commands = [line for line in folded(text) if alone.match(line)]
    rest = "\n".join(line for line in text.splitlines() if not alone.match(line))
    return commands + [" ".join(each.split()) for each in re.findall(rf"\b(?:{PROGRAMS}) [ -~]*-[ -~]+", rest)]


def copied(folder: Path, name: str, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """The notebooks in another folder, with the cells of one of them changed."""
    shutil.copytree(NOTEBOOKS, folder)
    path = folder / name
    notebook = json.loads(path.read_text(encoding="utf-8"))
    change(notebook["cells"])
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return folder


def test_every_documented_command_has_a_cell() -> None:
    missing = [f"{line.command.text} ({line.command.section})" for line in cover(NOTEBOOKS) if line.cell is None]
    assert not missing


def test_the_cells_are_those_that_do_it() -> None:
    found = {(line.command.section[:9], line.command.text): (line.notebook, line.cell) for line in cover(NOTEBOOKS)}
    login, pull = (
        "az acr login --name myContainerRegistry",
        "docker pull mycontainerregistry.azurecr.cn/aci-helloworld:v1",
    )
    assert found["Example 1", login] == ("04_user_assigned_identity.ipynb", "04-acr")
    assert found["Example 2", login] == ("05_system_assigned_identity.ipynb", "05-acr")
    assert found["Example 1", pull] == ("04_user_assigned_identity.ipynb", "04-pull")
    assert found["Install D", "sudo apt update"] == ("03_docker_and_azure_cli.ipynb", "03-docker")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("02_virtual_machine.ipynb", "az vm create --resource-group myResourceGroup"),
        ("04_user_assigned_identity.ipynb", "az acr login --name myContainerRegistry"),
        ("05_system_assigned_identity.ipynb", "az acr login --name myContainerRegistry"),
        ("04_user_assigned_identity.ipynb", "az cloud set -n AzureChinaCloud"),
    ],
)
def test_a_block_that_is_taken_out_is_missed(name: str, command: str, tmp_path: Path) -> None:
    def take_out(cells: list[dict[str, Any]]) -> None:
        for cell in cells:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown" and any(each.startswith(command) for each in folded(text)):
                cell["source"] = re.sub(r"```.*?```", "", text, flags=re.DOTALL)

    before = {line for line in cover(NOTEBOOKS) if line.cell is None}
    done = runbook("coverage", "--notebooks", copied(tmp_path / "notebooks", name, take_out))
    assert done.returncode == 1
    printed = [line for line in done.stderr.splitlines() if line.startswith(f"No cell does `{command}")]
    assert len(printed) == 1 and len(done.stderr.splitlines()) > len(before)
    example = {"04": "Example 1", "05": "Example 2"}.get(name[:2], "")
    assert example in printed[0]


def test_a_cell_that_calls_no_verb_does_not_count(tmp_path: Path) -> None:
    def do_nothing(cells: list[dict[str, Any]]) -> None:
        (cell,) = [cell for cell in cells if cell["id"] == "01-create"]
        cell["source"] = "print('registry')"

    folder = copied(tmp_path / "notebooks", "01_registry.ipynb", do_nothing)
    lost = [line for line in cover(folder) if line.cell is None and line.command.text.startswith("az acr create")]
    assert len(lost) == 1


def test_only_the_deed_counts(tmp_path: Path) -> None:
    """A cell that shows the connection, which a verb gave too, does nothing of the document."""
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    for path in (tmp_path / "notebooks").glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code" and not cell["id"].endswith(("-parameters", "-connect")):
                cell["source"] = "azure"
        path.write_text(json.dumps(notebook), encoding="utf-8")
    assert not [line.command.text for line in cover(tmp_path / "notebooks") if line.cell]


@pytest.mark.parametrize(
    ("cell_id", "deed", "other"),
    [("05-acr", "acr_login", "az_login"), ("05-principal", "vm.identity.principal_id", "vm.id")],
)
def test_another_deed_does_not_count(cell_id: str, deed: str, other: str, tmp_path: Path) -> None:
    def swap(cells: list[dict[str, Any]]) -> None:
        (cell,) = [cell for cell in cells if cell["id"] == cell_id]
        cell["source"] = "".join(cell["source"]).replace(deed, other)

    folder = copied(tmp_path / "notebooks", "05_system_assigned_identity.ipynb", swap)
    (lost,) = [line.command for line in cover(folder) if line.cell is None]
    assert lost.by == deed and lost.section.startswith("Example 2")


def test_json_says_the_same() -> None:
    done = runbook("coverage", "--json")
    lines = json.loads(done.stdout)
    assert lines == [line.as_json() for line in cover(NOTEBOOKS)]
    assert [line["text"] for line in lines] == [command.text for command in COMMANDS]
    assert done.returncode == (1 if any(line["cell"] is None for line in lines) else 0)


def test_a_deviation_is_one_sentence() -> None:
    for command in COMMANDS:
        if command.deviation:
            assert command.deviation.endswith(".") and ". " not in command.deviation, command.text


def test_commands_are_folded() -> None:
    assert folded("az vm create \\\n    --name myVM   # a remark\n\nsudo apt update") == [
        "az vm create --name myVM",
        "sudo apt update",
    ]
    assert folded("# az cloud set -n AzureCloud //back\ncurl -sL https://aka.ms/x | sudo bash") == [
        "# az cloud set -n AzureCloud",
        "curl -sL https://aka.ms/x | sudo bash",
    ]


def test_the_list_has_every_command_of_the_document_in_its_order() -> None:
    commands = typed(document())
    assert len(commands) == 27 and "az --version" in commands
    in_order = [command.text for command in COMMANDS if not command.implied]
    assert sorted(commands) == sorted(in_order)
    rest = [command for command in commands if command != "az --version"]  # which stands in a sentence
    assert rest == in_order[1:]


def test_no_sentence_of_the_document_is_in_the_project() -> None:
    sentences = {each.strip() for each in re.findall(r"[^。\n]+(?=。)", document())}
    long = {each for each in sentences if len(re.findall(r"[一-鿿]", each)) >= 10}
    assert len(long) > 20
    for path in [*NOTEBOOKS.glob("*.ipynb"), *PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        assert not [each for each in long if each in text], path.name
