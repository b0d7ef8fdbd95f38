"""Airflow runs the notebooks for a fleet: M registries, then N VMs, and says which VM can pull from which registry.

The fleet is a file like parameters/fleet.example.yaml. Trigger with {"fleet": "/path/of/fleet.yaml"}. The notebooks are
used as they are; each is idempotent, so a task may be retried or cleared at will. `make fleet` tries all of it here.

Once, for the limits below: airflow pools set azure_writes 16 "notebooks that write to Azure"
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.papermill.operators.papermill import PapermillOperator
from airflow.sdk import Param, dag, task

from runbook_helpers import assign_role, create_identity, role_to_pull, show_registry
from runbook_helpers.fleet import Fleet, read_fleet
from runbook_helpers.fleet.pull_matrix import pull_matrix, try_pulls
from runbook_helpers.fleet.svg import as_svg

PROJECT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = PROJECT / "notebooks"
if not NOTEBOOKS.is_dir():
    raise FileNotFoundError(
        f"{NOTEBOOKS} is not there: link to this file's folder in the checkout instead of copying it."
    )

# The pool's 16 slots. Notebook 04 makes 6 writes for a VM (security group, address, network, interface, VM, identity; the
# role is there already) and takes 5 minutes or more on real Azure: 16 x 6 writes in 5 minutes are 1152 an hour. The lowest
# limit that Azure has documented is 1200 writes an hour; today's is 10 a second after a bucket of 200, and 16 x 6 writes at
# once are below that too.
POOL = "azure_writes"


def _fleet(params: dict[str, Any]) -> Fleet:
    return read_fleet(Path(params["fleet"]))


def _folder(params: dict[str, Any], run_id: str) -> Path:
    """Where a run keeps its notebooks and results: a folder that all workers see."""
    folder = Path(params["output"]).absolute() / run_id.replace(":", "").replace("+", "_")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dag(
    schedule=None,
    max_active_runs=1,
    params={
        "fleet": Param(str(PROJECT / "parameters" / "fleet.example.yaml"), type="string", title="File of the fleet"),
        "output": Param(str(PROJECT / "runs"), type="string", title="Folder for notebooks, matrix and picture"),
    },
    default_args={"retries": 2, "retry_delay": timedelta(seconds=20), "retry_exponential_backoff": True},
    doc_md=__doc__,
)
def fleet() -> None:
    # What to do, from the file. One that is wrong stays wrong: all that is wrong is listed, and nothing has been called.
    @task(retries=0)
    def registries(params: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
        return _fleet(params).registry_runs(_folder(params, run_id))

    @task(retries=0)
    def identities(params: dict[str, Any]) -> list[str]:
        return list(_fleet(params).identities)

    @task(retries=0)
    def vms(params: dict[str, Any], run_id: str) -> list[dict[str, Any]]:
        return _fleet(params).vm_runs(_folder(params, run_id))

    @task(retries=0)
    def vm_names(params: dict[str, Any]) -> list[str]:
        return list(_fleet(params).vms)

    # One identity for many VMs: these writes do not grow with their number, and its roles work before they start.
    @task(pool=POOL, map_index_template="{{ task.op_kwargs['name'] }}")
    def grant(name: str, params: dict[str, Any]) -> None:
        azure = _fleet(params).connect()
        identity = create_identity(azure, name)
        for registry_name in _fleet(params).identities[name]:
            registry = show_registry(azure, registry_name)
            assign_role(azure, role_to_pull(registry), assignee=str(identity.principal_id), scope=str(registry.id))

    # Every registry is tried from every VM that there is, also from one whose notebook failed late.
    @task(map_index_template="{{ task.op_kwargs['name'] }}", trigger_rule="all_done_min_one_success")
    def pull(name: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        return try_pulls(_fleet(params).connect(), _fleet(params), name)

    @task(retries=0, trigger_rule="all_done")
    def summary(pulls: Any, params: dict[str, Any], run_id: str) -> str:
        folder = _folder(params, run_id)
        tried = [each for of_one_vm in pulls or [] for each in of_one_vm or []]
        matrix = pull_matrix(_fleet(params), tried, _fleet(params).vm_results(folder))
        (folder / "pull-matrix.svg").write_text(as_svg(matrix), encoding="utf-8")
        (folder / "pull-matrix.txt").write_text(matrix.as_text() + "\n", encoding="utf-8")
        path = folder / "pull-matrix.json"
        path.write_text(json.dumps(matrix.as_json(), indent=1) + "\n", encoding="utf-8")
        print(matrix.as_text())  # noqa: T201 # a task's log is where it prints
        if not matrix.ok:
            raise RuntimeError(f"Not as the fleet's file says: {matrix.sentence()} See {path}")
        return str(path)

    registry = PapermillOperator.partial(
        task_id="registry",
        input_nb=str(NOTEBOOKS / "01_registry.ipynb"),
        pool=POOL,
        map_index_template="{{ task.parameters['registry_name'] }}",
    ).expand_kwargs(registries())
    granted = grant.expand(name=identities())
    vm = PapermillOperator.partial(
        task_id="vm",
        input_nb=str(NOTEBOOKS / "04_user_assigned_identity.ipynb"),
        pool=POOL,
        map_index_template="{{ task.parameters['vm_name'] }}",
    ).expand_kwargs(vms())
    pulled = pull.expand(name=vm_names())
    registry >> granted >> vm >> pulled
    summary(pulled)


fleet()
