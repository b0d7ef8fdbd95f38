"""A fleet: many VMs, the registries that they pull from, the identities that they share. Read from its parameter file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from ..connection import Azure, connect_with
from ..errors import ParameterError
from ..parameters import problems, read_parameters, secret_problem
from ..run.result import read_result
from ..secrets import shown, shown_name

COMMON = (
    "cloud", "sandbox", "subscription_id", "resource_group", "location", "image", "source_image", "vm_size", "ssh_source",
)  # fmt: skip
OPTIONAL: dict[str, Any] = {
    "tags": {},
    "registry_resource_group": "",
    "registry_subscription_id": "",
    "vm_resource_group": "",
    "identity_resource_group": "",
}
"""Parameters of all its notebooks too, and what they are where the file leaves them out."""
MOST_VMS = 1000  # Airflow maps a task over at most 1024 values


@dataclass(frozen=True)
class Fleet:
    """A fleet, as its file describes it."""

    common: dict[str, Any]
    """The parameters that all its notebooks get."""
    registries: list[str]
    identities: dict[str, list[str]]
    """The registries that each user-assigned identity may pull from."""
    vms: dict[str, str]
    """The identity of each VM."""

    def connect(self) -> Azure:
        """A connection to the fleet's cloud and resource group."""
        return connect_with(self.common)

    def may_pull(self, vm_name: str, registry_name: str) -> bool:
        """Whether the file gives a VM's identity a role on a registry. Whether it works, only the registry knows."""
        return registry_name in self.identities[self.vms[vm_name]]

    def registry_runs(self, folder: Path) -> list[dict[str, Any]]:
        """Notebook 01 for each registry, as papermill and Airflow's operator want it: {"output_nb", "parameters"}."""
        return [self._run(folder, name, registry_name=name) for name in self.registries]

    def vm_runs(self, folder: Path) -> list[dict[str, Any]]:
        """Notebook 04 for each VM: it pulls from the first registry that its identity may pull from."""
        return [
            self._run(folder, vm, registry_name=self.identities[identity][0], vm_name=vm, identity_name=identity)
            for vm, identity in self.vms.items()
        ]

    def vm_results(self, folder: Path) -> dict[str, dict[str, Any]]:
        """The result of each VM's notebook, as its output in `folder` has it; none of one that did not come to it.

        The result's file may be left from an earlier attempt. The output is not: each attempt begins by emptying it.
        """
        found = {vm: _read_result(_output_path(folder, vm)) for vm in self.vms}
        return {vm: result for vm, result in found.items() if result}

    def _run(self, folder: Path, name: str, **own: str) -> dict[str, Any]:
        own["result_path"] = str(folder / f"{name}.json")
        return {"output_nb": str(_output_path(folder, name)), "parameters": {**self.common, **own}}


def _output_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.ipynb"


def _read_result(path: Path) -> dict[str, Any] | None:
    return read_result(nbformat.read(path, as_version=4)) if path.exists() else None  # type: ignore[no-untyped-call]


def read_fleet(path: Path) -> Fleet:
    """The fleet that a YAML file describes.

    Raises:
        ParameterError: the file cannot be read, or everything that is wrong with it, at once.
    """
    content = read_parameters(path)
    common = OPTIONAL | {name: value for name, value in content.items() if name in (*COMMON, *OPTIONAL)}
    found = [f"{name} is missing." for name in (*COMMON, "registries", "identities", "vms") if name not in content]
    unknown = set(content) - {*COMMON, *OPTIONAL, "registries", "identities", "vms"}
    found += [
        secret_problem(name, value, known=False) or f"{shown_name(name)} is not a parameter of a fleet."
        for name, value in content.items()
        if name in unknown
    ]
    found += problems(common)
    # What is missing is in the list; what refers to it is not judged.
    registries = _registries(content["registries"], found) if "registries" in content else []
    identities = _identities(content["identities"], registries, found) if "identities" in content else {}
    vms = _vms(content["vms"], list(identities), found) if "vms" in content else {}
    if found:
        raise ParameterError(found)
    return Fleet(common, registries, identities, vms)


def _registries(value: object, found: list[str]) -> list[str]:
    if not isinstance(value, list):
        found.append("registries must be a list of names.")
        return []
    names = _named("registry_name", value, found)
    _check_twice("registry", names, found)
    return names


def _identities(value: object, registries: list[str], found: list[str]) -> dict[str, list[str]]:
    if not isinstance(value, Mapping):
        found.append("identities must have lines of the form `name: [registry, …]`.")
        return {}
    for name, allowed in value.items():
        _named("identity_name", [name], found)
        if not isinstance(allowed, list) or not allowed:
            # Notebook 04 grants its identity a role on the registry that it pulls from, so there is no identity without.
            found.append(f"The identity {shown_name(name)} must have a list of at least one registry.")
            continue
        found += [f"The identity {shown_name(name)} names {shown(each)}, which is not in registries." for each in allowed
                  if registries and each not in registries]  # fmt: skip
    _check_twice("identity", list(value), found)
    return dict(value)


def _vms(value: object, identities: list[str], found: list[str]) -> dict[str, str]:
    if not isinstance(value, Mapping) or not value:
        found.append("vms must have lines of the form `name: identity` or `name01..10: identity`.")
        return {}
    pairs = []
    for text, identity in value.items():
        if identities and identity not in identities:
            found.append(f"The VM {shown_name(text)} has the identity {shown(identity)}, which is not in identities.")
        names = _counted(text)
        if not 0 < len(names) <= MOST_VMS:
            found.append(f"vms must count upwards and name at most {MOST_VMS}: {shown(text)} does not.")
            continue
        pairs += [(name, identity) for name in _named("vm_name", names, found)]
    if len(pairs) > MOST_VMS:
        found.append(f"vms must name at most {MOST_VMS}; they name {len(pairs)}.")
    _check_twice("VM", [name for name, _ in pairs], found)
    return dict(pairs)


def _counted(text: object) -> list[object]:
    """The names that a name with `first..last` in it stands for: vm08..10 is vm08, vm09 and vm10."""
    match = re.fullmatch(r"(.*?)([0-9]{1,9})\.\.([0-9]{1,9})", text) if isinstance(text, str) else None
    if not match:
        return [text]
    stem, first, last = match[1], match[2], match[3]
    numbers = range(int(first), int(last) + 1)
    return [f"{stem}{number:0{len(first)}}" for number in numbers[: MOST_VMS + 1]]


def _named(rule: str, values: Sequence[object], found: list[str]) -> list[str]:
    """Those of the values that follow the rule for names of this kind."""
    broken = {index: wrong for index, value in enumerate(values) if (wrong := problems({rule: value}))}
    found += [problem for wrong in broken.values() for problem in wrong]
    return [str(value) for index, value in enumerate(values) if index not in broken]


def _check_twice(what: str, names: list[str], found: list[str]) -> None:
    # Azure takes names in any case, so two that differ in case alone are the same.
    seen: set[str] = set()
    for name in names:
        if str(name).lower() in seen:
            found.append(f"The {what} {shown_name(name)} is there twice.")
        seen.add(str(name).lower())
