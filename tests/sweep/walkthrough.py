"""The walkthrough of the notebooks, one verb call a step, with the notebooks' own arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runbook_helpers import (
    Azure,
    acr_login,
    assign_identity,
    assign_role,
    az_login,
    connect,
    create_identity,
    create_registry,
    create_resource_group,
    create_vm,
    delete_resource_group,
    docker_pull,
    import_image,
    install_azure_cli,
    install_docker,
    public_ip_address,
    remove_identity,
    remove_role,
    show_image,
    show_journey,
    show_registry,
    ssh,
    try_pull,
)
from runbook_helpers.timeouts import Timeouts

CLOUD = "AzureChinaCloud"
IMAGE = "aci-helloworld:v1"
SOURCE_IMAGE = "mcr.microsoft.com/azuredocs/aci-helloworld:latest"
Known = dict[str, Any]


@dataclass(frozen=True)
class Names:
    """What the operator has chosen: the parameters that two runs may differ in."""

    resource_group: str = "sweepGroup"
    registry: str = "sweepRegistry"
    vm: str = "sweepVM"
    identity: str = "sweepIdentity"

    def connect(self, timeouts: Timeouts) -> Azure:
        return connect(
            CLOUD,
            subscription_id="00000000-0000-0000-0000-000000000000",
            resource_group=self.resource_group,
            location="chinanorth3",
            sandbox=True,
            timeouts=timeouts,
        )


Run = Callable[[Azure, Names, Known], Known]


@dataclass(frozen=True)
class Step:
    """One verb call of a notebook. `run` is given what the cells before it have kept, and returns what it adds."""

    notebook: str
    title: str
    run: Run

    @property
    def name(self) -> str:
        return f"{self.notebook} {self.title}"


def _registry(azure: Azure, names: Names, known: Known) -> Known:
    registry = create_registry(azure, names.registry)
    return {"registry": registry.id, "login_server": registry.login_server}


def _import(azure: Azure, names: Names, known: Known) -> Known:
    import_image(azure, names.registry, IMAGE, SOURCE_IMAGE)
    return {}


def _vm(azure: Azure, names: Names, known: Known) -> Known:
    return {"vm": create_vm(azure, names.vm, size="Standard_D2s_v5", ssh_source="192.0.2.200").id}


def _hostname(azure: Azure, names: Names, known: Known) -> Known:
    with ssh(azure, names.vm) as shell:
        return {"hostname": shell.run("hostname").stdout}


def _images(azure: Azure, names: Names, known: Known) -> Known:
    with ssh(azure, names.vm) as shell:
        form = "{{.Repository}}:{{.Tag}}"
        shown = shell.run("docker", "image", "ls", "--format", form, "mcr.microsoft.com/hello-world")
        return {"images": shown.stdout}


def _docker(azure: Azure, names: Names, known: Known) -> Known:
    return {"hello": install_docker(azure, names.vm).stdout}


def _identity(azure: Azure, names: Names, known: Known) -> Known:
    identity = create_identity(azure, names.identity)
    return {"identity": identity.id, "principal": identity.principal_id}


def _assign(azure: Azure, names: Names, known: Known) -> Known:
    vm = assign_identity(azure, names.vm, known.get("identity"))
    return {"attached": sorted(vm.identity.user_assigned_identities or {})}


def _own_identity(azure: Azure, names: Names, known: Known) -> Known:
    return {"principal": assign_identity(azure, names.vm).identity.principal_id, "identity": None}


def _role(azure: Azure, names: Names, known: Known) -> Known:
    grant = assign_role(azure, "AcrPull", assignee=known["principal"], scope=known["registry"])
    return {"grant": grant.scope}


def _login(azure: Azure, names: Names, known: Known) -> Known:
    return {"login": az_login(azure, names.vm, known["identity"]).command}


def _acr_login(azure: Azure, names: Names, known: Known) -> Known:
    return {"signed_in": acr_login(azure, names.vm, names.registry).stdout}


def _pull(azure: Azure, names: Names, known: Known) -> Known:
    return {"digest": docker_pull(azure, names.vm, f"{known['login_server']}/{IMAGE}")}


def _show_image(azure: Azure, names: Names, known: Known) -> Known:
    return {"shown_digest": show_image(azure, names.registry, IMAGE).digest}


def _journey(azure: Azure, names: Names, known: Known) -> Known:
    return {"journey": show_journey(azure, names.vm, names.registry, known["identity"]).title}


def _remove_role(azure: Azure, names: Names, known: Known) -> Known:
    # How many were there is not kept: a second run finds none.
    remove_role(azure, "AcrPull", assignee=known["principal"], scope=known["registry"])
    return {}


def _try_pull(azure: Azure, names: Names, known: Known) -> Known:
    attempt = try_pull(azure, names.vm, names.registry, IMAGE, known["identity"])
    return {"attempt": attempt.digest or "refused"}


def _wrong_identity(azure: Azure, names: Names, known: Known) -> Known:
    identity = create_identity(azure, f"{names.identity}-without-role")
    return {"wrong": identity.id, "wrong_principal": identity.principal_id}


def _assign_wrong(azure: Azure, names: Names, known: Known) -> Known:
    assign_identity(azure, names.vm, known["wrong"])
    return {}


def _reader(azure: Azure, names: Names, known: Known) -> Known:
    assign_role(azure, "Reader", assignee=known["wrong_principal"], scope=known["vm"])
    return {}


def _try_wrong(azure: Azure, names: Names, known: Known) -> Known:
    attempt = try_pull(azure, names.vm, names.registry, IMAGE, known["wrong"])
    return {"attempt": attempt.digest or "refused"}


def _remove_wrong(azure: Azure, names: Names, known: Known) -> Known:
    remove_identity(azure, names.vm, known["wrong"])
    return {}


def _delete(azure: Azure, names: Names, known: Known) -> Known:
    delete_resource_group(azure)
    return {}


def _azure_cli(azure: Azure, names: Names, known: Known) -> Known:
    return {"azure_cli": install_azure_cli(azure, names.vm)}


_PREREQUISITES: list[tuple[str, Run]] = [
    ("create_registry", _registry), ("import_image", _import), ("create_vm", _vm),
    ("install_docker", _docker), ("install_azure_cli", _azure_cli),
]  # fmt: skip
_EXERCISES: list[tuple[str, Run]] = [
    *_PREREQUISITES, ("create_identity", _identity), ("assign_identity", _assign), ("assign_role", _role),
    ("remove_role", _remove_role), ("try_pull without role", _try_pull), ("assign_role again", _role),
    ("try_pull", _try_pull), ("create_identity wrong", _wrong_identity), ("assign_identity wrong", _assign_wrong),
    ("assign_role wrong", _reader), ("try_pull wrong", _try_wrong), ("remove_identity wrong", _remove_wrong),
    ("try_pull after", _try_pull), ("assign_identity own", _own_identity), ("remove_role own", _remove_role),
    ("try_pull own without role", _try_pull), ("assign_role own", _role), ("try_pull own", _try_pull),
]  # fmt: skip
_PULL: list[tuple[str, Run]] = [
    ("assign_role", _role), ("az_login", _login), ("acr_login", _acr_login), ("docker_pull", _pull),
    ("show_image", _show_image), ("show_journey", _journey),
]  # fmt: skip


def steps(exercises: bool = True, clean_up: bool = True) -> list[Step]:
    """The steps of all notebooks, in order."""
    notebooks: dict[str, list[tuple[str, Run]]] = {
        "00": [("create_resource_group", lambda azure, names, known: {"group": create_resource_group(azure).id})],
        "01": [
            ("create_registry", _registry), ("import_image", _import), ("show_image", _show_image),
            ("show_registry", lambda azure, names, known: {"shown": show_registry(azure, names.registry).id}),
        ],
        "02": [
            ("create_vm", _vm),
            ("public_ip_address", lambda azure, names, known: {"address": public_ip_address(azure, names.vm)}),
            ("ssh hostname", _hostname),
        ],
        "03": [
            ("create_vm", _vm), ("install_docker", _docker), ("install_azure_cli", _azure_cli), ("docker image ls", _images)
        ],
        "04": [*_PREREQUISITES, ("create_identity", _identity), ("assign_identity", _assign), *_PULL],
        "05": [*_PREREQUISITES, ("assign_identity", _own_identity), *_PULL],
        "07": _EXERCISES if exercises else [],
        "06": [("delete_resource_group", _delete)] if clean_up else [],
    }  # fmt: skip
    return [Step(notebook, title, run) for notebook, parts in notebooks.items() for title, run in parts]
