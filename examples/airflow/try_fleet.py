"""What `make fleet` runs: the fleet's DAG with a real Airflow, in the sandbox, and nothing stays but the results.

Airflow gets an environment of its own in the user's cache folder; its database is a file in a temporary folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
import platformdirs
from filelock import FileLock

from azure_sandbox import process

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
POOL = ("azure_writes", "16", "notebooks that write to Azure")


@click.command()
@click.option("--fleet", type=click.Path(path_type=Path), default=PROJECT / "parameters" / "fleet.example.yaml")
@click.option(
    "--output", type=click.Path(path_type=Path), default=None, help="Folder.  [default: runs/fleet-<UTC time>]"
)
@click.option(
    "--sandbox", type=click.Path(path_type=Path), default=None, help="The sandbox's folder.  [default: a new one]"
)
def main(fleet: Path, output: Path | None, sandbox: Path | None) -> None:
    """Run a fleet's file in the sandbox with Airflow; exit status 0 when every pull is as the file says."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    output = (output or PROJECT / "runs" / f"fleet-{datetime.now(UTC):%Y%m%dT%H%M%SZ}").absolute()
    output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        raise click.UsageError(
            f"The folder {output} has files already: use another folder, which is made where it is missing."
        )
    programs = airflow_environment()
    with tempfile.TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True) as temporary:
        folder = sandbox or Path(temporary) / "sandbox"
        try:
            status = run_dag(programs, fleet, output, Path(temporary), folder)
        finally:
            process.stop(folder)
    sys.exit(report(status, output))


def airflow_environment() -> Path:
    """The programs of an environment with Airflow and what this project needs; made where it is missing."""
    arguments = ["-r", str(HERE / "requirements.txt"), ".[run,sandbox]"]
    wanted = [
        sys.version,
        *(path.read_text(encoding="utf-8") for path in (HERE / "requirements.txt", PROJECT / "pyproject.toml")),
    ]
    digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:10]
    folder = platformdirs.user_cache_path("azure-acr-runbook") / "fleet" / f"airflow-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    programs = folder / "bin"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            click.echo(f"Installing Airflow into {folder}: some minutes, 0.9 GB, once")
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            install = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*install, *arguments], check=True, cwd=PROJECT)
            (folder / "complete").touch()
    return programs


def run_dag(programs: Path, fleet: Path, output: Path, temporary: Path, sandbox: Path) -> int:
    """Let Airflow run the DAG once; its exit status."""
    started = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {
        "PATH": os.pathsep.join([str(programs), environment.get("PATH", "")]),
        "PYTHONPATH": str(PROJECT),  # this checkout, also where another one made the environment
        "RUNBOOK_SANDBOX": str(sandbox),
        "AIRFLOW_HOME": str(temporary / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    airflow = str(programs / "airflow")
    conf = json.dumps({"fleet": str(fleet.absolute()), "output": str(output)})
    dag = str(HERE / "fleet_dag.py")
    commands = [
        [airflow, "db", "migrate"],
        [airflow, "pools", "set", *POOL],
        [airflow, "dags", "test", "fleet", "--dagfile-path", dag, "--conf", conf],
    ]
    click.echo(f"Airflow's log: {output / 'airflow.log'}")
    with (output / "airflow.log").open("ab") as log:
        for command in commands:
            click.echo(f"[{time.monotonic() - started:4.0f} s] {' '.join(command[1:4])}")
            status = _run(command, environment, log, output, started)
            if status:
                break
    click.echo(f"[{time.monotonic() - started:4.0f} s] done")
    return status


def _run(command: list[str], environment: dict[str, str], log: BinaryIO, output: Path, started: float) -> int:
    """Run a command to its end, and say a line for each result that a notebook writes meanwhile."""
    child = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    said = set(output.glob("*/*.json"))
    try:
        while True:
            ended = child.poll() is not None
            for path in sorted(set(output.glob("*/*.json")) - said, key=lambda path: path.stat().st_mtime):
                said.add(path)
                click.echo(f"[{time.monotonic() - started:4.0f} s]   {path.stem}")
            if ended:
                return child.returncode
            time.sleep(0.2)
    finally:
        # Airflow's own children go with it; a notebook's kernel ends by itself when who started it is gone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def report(status: int, output: Path) -> int:
    """Show what the fleet's run left; the exit status for it."""
    found = sorted(output.glob("*/pull-matrix.json"))
    if not found:
        last = (output / "airflow.log").read_text(encoding="utf-8", errors="replace").splitlines()[-30:]
        click.echo("\n".join([*last, "There is no matrix: Airflow did not get that far."]), err=True)
        return status or 1
    click.echo("\n" + found[-1].with_suffix(".txt").read_text(encoding="utf-8"))
    click.echo(f"Picture: {found[-1].with_suffix('.svg')}\nJSON:    {found[-1]}")
    if status:
        click.echo(f"Airflow's run failed: see {output / 'airflow.log'}", err=True)
    return status or (0 if json.loads(found[-1].read_text(encoding="utf-8"))["ok"] else 1)


if __name__ == "__main__":
    main()
