"""``python -m tests.azure_sandbox.coverage_fuzz SECONDS``: the tests of the parsers, led on by what new code an input reaches.

`make fuzz` runs it, where atheris can be had. Each test has a process and so many seconds of its own.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType


def _targets(module: ModuleType) -> Iterator[str]:
    """The tests that get all their arguments from hypothesis, and none from a fixture."""
    for name, test in vars(module).items():
        if hasattr(test, "hypothesis") and not inspect.signature(test).parameters:
            yield name


def _fuzz(name: str, seconds: int) -> None:
    import atheris  # type: ignore[import-untyped]

    with atheris.instrument_imports(include=["runbook_helpers"]):
        from . import test_fuzz_parsers
    options = [
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-artifact_prefix=build/fuzz/",
    ]
    atheris.Setup([sys.argv[0], *options], getattr(test_fuzz_parsers, name).hypothesis.fuzz_one_input)
    atheris.Fuzz()


def main() -> None:
    seconds = int(sys.argv[1])
    if len(sys.argv) > 2:
        _fuzz(sys.argv[2], seconds)
        return
    from . import test_fuzz_parsers

    failed, names = [], list(_targets(test_fuzz_parsers))
    assert names
    for name in names:
        done = subprocess.run([sys.executable, "-m", __spec__.name, str(seconds), name], capture_output=True, text=True)
        tried = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        print(f"{name}: {tried[1] if tried else 0} inputs", flush=True)
        if done.returncode or not tried:
            failed.append(name)
            print(done.stderr[-3000:])
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
