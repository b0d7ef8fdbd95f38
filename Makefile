# make run    the whole walkthrough in the sandbox, headlessly
# make test   every check and test
# make lab    JupyterLab on the notebooks
# make conformance  the vendors' own clients against the sandbox: azure-cli, skopeo, podman, the SDKs (large installs)
# make browser  the notebooks in real JupyterLab in headless Chromium; screenshots in build/screenshots
# make regression  all cases of all tests: the notebooks in every order, zone and language, the pipelines to copy (half an hour)
# make sweep  every request and command of the walkthrough with every fault, two hundred pairs of faults, and kill -9 at every point (an hour); tables in build/sweep
# make fleet  ten VMs in the sandbox with Apache Airflow, and who can pull what (installs Airflow in your cache folder)
# make soak   two hundred walkthroughs in one sandbox, twenty at once: nothing fails, nothing grows (a quarter of an hour)
# make fuzz   the parsers and requests of the sandbox with many more random examples, and led by coverage (a quarter of an hour)
# make audit  is a locked version known to be vulnerable? by our own list, and where there is a network by pip-audit
# make test-coverage  make test's tests again, and which lines of the two packages they reach: build/coverage/html
# make docs   write docs/sandbox/operations.md anew, from the routes and what the clients used
# make check  linters and types only; make lint mends what can be mended
#
# Each makes .venv first, from the lock files, with nothing but Python 3.11 to 3.14 and pip.

PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
export PYTHONUTF8 := 1

.PHONY: run test lab conformance browser regression sweep fleet soak fuzz audit test-coverage docs check lint lock clean

run: $(VENV)/run.stamp
	$(BIN)/runbook run

lab: $(VENV)/dev.stamp
	$(BIN)/runbook lab

test: $(VENV)/dev.stamp check
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 5

conformance: $(VENV)/dev.stamp
	RUNBOOK_CONFORMANCE=1 $(BIN)/python -m pytest tests/conformance tests/azure_sandbox/test_recordings.py tests/azure_sandbox/test_distribution.py -rs --durations 10

browser: $(VENV)/dev.stamp
	RUNBOOK_BROWSER=1 $(BIN)/python -m pytest tests/browser -rs --durations 10

regression: $(VENV)/dev.stamp
	RUNBOOK_REGRESSION=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 20

sweep: $(VENV)/dev.stamp
	RUNBOOK_SWEEP=1 RUNBOOK_SWEEP_TABLE=build/sweep $(BIN)/python -m pytest tests/sweep --durations 5

fleet: $(VENV)/run.stamp
	$(BIN)/python examples/airflow/try_fleet.py

soak: $(VENV)/dev.stamp
	RUNBOOK_SOAK=200 $(BIN)/python -m pytest tests/soak -rs

fuzz: $(VENV)/dev.stamp
	RUNBOOK_FUZZ=$${RUNBOOK_FUZZ:-20} $(BIN)/python -m pytest -n 2 --dist load tests/azure_sandbox/test_fuzz_parsers.py tests/azure_sandbox/test_fuzz_requests.py --durations 5
	$(BIN)/python -m venv build/fuzz
	if build/fuzz/bin/python -m pip --disable-pip-version-check --quiet install atheris; then \
		PYTHONPATH="$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')" \
			build/fuzz/bin/python -m tests.azure_sandbox.coverage_fuzz $${RUNBOOK_FUZZ_SECONDS:-20}; \
	else echo "atheris cannot be had here: only hypothesis has tried"; fi

# pip-audit stands in an environment of its own: it is no part of what it looks at.
audit: $(VENV)/dev.stamp
	$(BIN)/python -m pytest tests/test_supply_chain.py
	$(PYTHON) -m venv build/audit
	if build/audit/bin/python -m pip --disable-pip-version-check --quiet install pip-audit; then \
		build/audit/bin/pip-audit --require-hashes --disable-pip -r requirements-dev.lock >build/audit/found || { cat build/audit/found; exit 1; }; \
		echo "pip-audit: $$(grep -c 'could not be audited' build/audit/found) packages are unknown to the index that answers here: only our own list has looked at those"; \
	else echo "pip-audit cannot be had here: only our own list was looked at"; fi

test-coverage: $(VENV)/dev.stamp
	rm -rf build/coverage
	$(BIN)/python -m coverage run -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage html --quiet
	$(BIN)/python -m coverage report --format markdown --sort cover >build/coverage/coverage.md
	$(BIN)/python -m coverage report --format total

docs: $(VENV)/dev.stamp
	$(BIN)/python -m tests.azure_sandbox.page

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/run.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.14 is needed (set PYTHON=...): this is " + sys.version.split()[0] if not (3, 11) <= sys.version_info < (3, 15) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.lock
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# Needs uv; writes no index or download address into the locks.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--quiet --extra run --extra sandbox requirements-build.in pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--quiet --all-extras requirements-build.in pyproject.toml -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) runs
