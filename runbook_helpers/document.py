"""The document's commands, and the cell of a notebook that does each: it is found there, never written down."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

# A shell's block in a Markdown cell; and what is said behind a command, which is not part of it.
_BLOCK = re.compile(r"^```(?:azurecli|bash|console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_REMARK = re.compile(r"\s+(?:#|//)\s?.*$")
_RESULT = "show_result"  # the cell with a notebook's result does nothing, whatever the prose above it shows


@dataclass(frozen=True)
class Command:
    """A command that the document has its reader type, on the own machine or on the VM."""

    section: str
    text: str
    by: str
    """The mark of a cell that does it: a call of this verb, or this attribute of what a verb returned."""
    deviation: str | None = None
    """The reason why the runbook does something else, in one sentence; None where it does just this."""
    implied: bool = False
    """The document says the step in words, or links to it."""


@dataclass(frozen=True)
class Line:
    """A documented command and the code cell that does it."""

    number: int
    command: Command
    notebook: str | None = None
    cell: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"number": self.number, **asdict(self.command), "notebook": self.notebook, "cell": self.cell}


_VM = "Create a Docker-enabled VM"
_DOCKER = "Install Docker on the VM"
_CLI = "Install the Azure CLI"
_FIRST = "Example 1: a user-assigned identity"
_SECOND = "Example 2: the system-assigned identity"

_CONNECTION = "Each verb that works on the VM connects by itself and leaves its connection to the next one, so none has to be held."
_ROLE = "The principal id is given with its type, since the directory asked by `--assignee` may not know it yet."
_BACK = "It stays a remark, as in the document: the parameter `cloud` says the cloud, and nothing has to be set back."
_WAIT = "A new role assignment can take ten minutes to work, so it is tried again until it does; no terminal prompts."
_NO_SUDO = "The user is in the group docker, since az and docker must be run by the same user: neither needs sudo."

COMMANDS = (
    Command(
        "Before you begin",
        "az --version",
        "install_azure_cli",
        "The runbook calls Azure through its SDKs and your machine needs no Azure CLI: the version looked at is the VM's.",
    ),
    Command(
        "Choose a resource group",
        "az group create --name myResourceGroup --location chinanorth3",
        "create_resource_group",
        "The document takes an existing group; a missing one is made, with a tag that lets notebook 06 delete it.",
        implied=True,
    ),
    Command(
        "Create a container registry",
        "az acr create --resource-group myResourceGroup --name mycontainerregistry --sku Basic",
        "create_registry",
        "`az acr create` takes a lower-case name only, and the document's name has capitals.",
        implied=True,
    ),
    Command(
        "Create a container registry",
        "az acr import --name myContainerRegistry --source mcr.microsoft.com/azuredocs/aci-helloworld:latest "
        "--image aci-helloworld:v1",
        "import_image",
        "The document pushes the image with Docker; the registry can fetch it by itself, and your machine needs no Docker.",
        implied=True,
    ),
    Command(
        _VM,
        "az vm create --resource-group myResourceGroup --name myDockerVM --image Ubuntu2204 --admin-username azureuser "
        "--generate-ssh-keys",
        "create_vm",
        "SSH is admitted from `ssh_source` only, the key is the runbook's own, and the VM's host key is known beforehand.",
    ),
    Command(
        _VM,
        "ssh azureuser@publicIpAddress",
        "ssh",
        "The address is found by the VM's name, and only the host key that the VM was given is accepted.",
    ),
    Command(_DOCKER, "sudo apt update", "install_docker"),
    Command(_DOCKER, "sudo apt install docker.io -y", "install_docker"),
    Command(
        _DOCKER,
        "sudo docker run -it mcr.microsoft.com/hello-world",
        "install_docker",
        "`-it` needs a terminal, and a command over SSH has none.",
    ),
    Command(_CLI, "curl -sL https://aka.ms/InstallAzureCLIDeb | sudo bash", "install_azure_cli", implied=True),
    Command(_CLI, "exit", "ssh", _CONNECTION, implied=True),
    Command(_FIRST, "az identity create --resource-group myResourceGroup --name myACRId", "create_identity"),
    Command(
        _FIRST,
        "userID=$(az identity show --resource-group myResourceGroup --name myACRId --query id --output tsv)",
        "identity.id",
    ),
    Command(
        _FIRST,
        "spID=$(az identity show --resource-group myResourceGroup --name myACRId --query principalId --output tsv)",
        "identity.principal_id",
    ),
    Command(_FIRST, "echo $userID", "identity.id"),
    Command(
        _FIRST,
        "az vm identity assign --resource-group myResourceGroup --name myDockerVM --identities $userID",
        "assign_identity",
    ),
    Command(
        _FIRST,
        "resourceID=$(az acr show --resource-group myResourceGroup --name myContainerRegistry --query id --output tsv)",
        "registry.id",
    ),
    Command(
        _FIRST, "az role assignment create --assignee $spID --scope $resourceID --role acrpull", "assign_role", _ROLE
    ),
    Command(_FIRST, "ssh azureuser@publicIpAddress", "az_login", _CONNECTION, implied=True),
    Command(_FIRST, "az cloud set -n AzureChinaCloud", "az_login"),
    Command(
        _FIRST,
        "az login --identity --username <userID>",
        "az_login",
        "`--username` is an error since Azure CLI 2.73: the flag follows the version that is installed on the VM.",
    ),
    Command(_FIRST, "# az cloud set -n AzureCloud", "az_login", _BACK),
    Command(_FIRST, "az acr login --name myContainerRegistry", "acr_login", _WAIT),
    Command(_FIRST, "docker pull mycontainerregistry.azurecr.cn/aci-helloworld:v1", "docker_pull", _NO_SUDO),
    Command(_SECOND, "az vm identity assign --resource-group myResourceGroup --name myDockerVM", "assign_identity"),
    Command(
        _SECOND,
        "spID=$(az vm show --resource-group myResourceGroup --name myDockerVM --query identity.principalId --out tsv)",
        "vm.identity.principal_id",
    ),
    Command(
        _SECOND,
        "resourceID=$(az acr show --resource-group myResourceGroup --name myContainerRegistry --query id --output tsv)",
        "registry.id",
    ),
    Command(
        _SECOND, "az role assignment create --assignee $spID --scope $resourceID --role acrpull", "assign_role", _ROLE
    ),
    Command(_SECOND, "ssh azureuser@publicIpAddress", "az_login", _CONNECTION, implied=True),
    Command(_SECOND, "az cloud set -n AzureChinaCloud", "az_login"),
    Command(
        _SECOND,
        "az login --identity",
        "az_login",
        "The VM has both identities by now, and the earlier sign-in is forgotten first, so that this one is proved.",
    ),
    Command(_SECOND, "# az cloud set -n AzureCloud", "az_login", _BACK),
    Command(_SECOND, "az acr login --name myContainerRegistry", "acr_login", _WAIT),
    Command(_SECOND, "docker pull mycontainerregistry.azurecr.cn/aci-helloworld:v1", "docker_pull", _NO_SUDO),
)
"""The document's commands in its order. The sections are ours: each is what one notebook does of it."""


def folded(text: str) -> list[str]:
    """The commands of a shell's lines: continued lines joined, white space made single, remarks behind them left out."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [" ".join(_REMARK.sub("", line).split()) for line in lines if line.strip()]


def cover(notebooks: Path, commands: Sequence[Command] = COMMANDS) -> list[Line]:
    """Each command with the cell that does it, or none.

    A section is done in one notebook, the one that shows most of its commands: the two examples share half of theirs.

    Args:
        notebooks: the folder of the notebooks.
    """
    shown = {path.name: _shown(path) for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb"))}
    found: list[Line] = []
    for _, group in groupby(commands, key=lambda command: command.section):
        section = list(group)
        best = max(shown, key=lambda name: sum(each.text in shown[name] for each in section), default="")
        for command in section:
            below = shown.get(best, {}).get(command.text, [])
            cell = next((cell for cell, source in below if _does(source, command.by)), None)
            found.append(Line(len(found) + 1, command, best if cell else None, cell))
    return found


def _shown(path: Path) -> dict[str, list[tuple[str, str]]]:
    """The commands in the prose of a notebook, each with the id and the source of the code cells right below it."""
    found: dict[str, list[tuple[str, str]]] = {}
    waiting: list[str] = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            waiting += [command for block in _BLOCK.findall(source) for command in folded(block)]
        elif cell["cell_type"] == "code":
            for command in waiting if not source.startswith(_RESULT) else []:
                found.setdefault(command, []).append((cell["id"], source))
            waiting = []
    return found


def _does(source: str, by: str) -> bool:
    """Whether a cell calls the verb, or reads the attribute."""
    nodes = list(ast.walk(ast.parse(source)))
    called = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    read = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    return by in called | read


def table(lines: Sequence[Line]) -> Iterator[str]:
    """The lines as text, a section after the other."""
    width = max((len(_place(line)) for line in lines), default=0)
    for section, group in groupby(lines, key=lambda line: line.command.section):
        yield section
        for line in group:
            implied = "  (implied)" if line.command.implied else ""
            yield f"{line.number:4}  {_place(line):{width}}  {line.command.text}{implied}"
            if line.command.deviation:
                yield f"{'':{width + 8}}deviates: {line.command.deviation}"
    done = sum(line.cell is not None for line in lines)
    deviating = sum(line.command.deviation is not None for line in lines)
    yield f"{len(lines)} documented commands: {done} have a cell, {len(lines) - done} have none; {deviating} deviate."


def _place(line: Line) -> str:
    return f"{Path(line.notebook).stem} {line.cell}" if line.notebook else "NO CELL"
