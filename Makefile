# Nothing is installed outside this folder: every target that needs Python first fills $(VENV) from the lock files,
# and later runs find it ready. The outcome depends on this checkout alone, not on an active virtual environment or
# on Airflow settings of the shell.

PYTHON ?= python3
VENV ?= .venv
# More options for pytest, for example: make test PYTEST_ARGS="-k drift -x"
PYTEST_ARGS ?=
# Many tests wait for processes, so two more workers than there are processors keep these busy
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2)))
# More options for the fault sweep; see tests/faults/README.md
FAULTS_ARGS ?=
# More options for the simulations; see benchmarks/calibration.py and benchmarks/coverage_of_intervals.py
CALIBRATION_ARGS ?=
COVERAGE_ARGS ?=
# Which benchmarks, and how large; see benchmarks/run.py
BENCH_ARGS ?=

RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed

$(foreach name,$(filter AIRFLOW_% _AIRFLOW_%,$(.VARIABLES)),$(eval unexport $(name)))
unexport PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE PYTHONWARNINGS PYTHONOPTIMIZE PYTEST_ADDOPTS MYPYPATH
# uv trusts the machine's certificates, as pip does, not only its own.
UV_SYSTEM_CERTS ?= true
export UV_SYSTEM_CERTS
unexport VIRTUAL_ENV CONDA_PREFIX UV_PROJECT_ENVIRONMENT UV_PYTHON UV_SYSTEM_PYTHON UV_BREAK_SYSTEM_PACKAGES

.DEFAULT_GOAL := help
.PHONY: help kernels demo test parity faults lint up down clean bench calibration coverage lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: kernels ## Monitor the flights of New York on real data in a real Airflow, from nothing to an alert
	@$(RUN) dags_examples/demo/run.py

test: kernels ## Run every test; PYTEST_ARGS passes options on
	@$(RUN) -m pytest --numprocesses $(WORKERS) --dist worksteal $(PYTEST_ARGS)

parity: kernels ## Hold drift metrics to Evidently, NannyML and whylogs, each in an environment of its own (a gigabyte)
	@PYTHONPATH=tests:benchmarks $(RUN) -m pytest --numprocesses 0 -q -o python_files='parity_*.py' tests/parity

faults: kernels ## Inject 1200 faults, which takes an hour with those in a whole Airflow; FAULTS_ARGS="--seed 7 --only interval" repeats or selects
	@$(RUN) -m pytest --sweep --numprocesses 0 -q tests/system/test_exactly_once.py tests/faults
	@PYTHONPATH=tests $(RUN) -m faults.sweep $(FAULTS_ARGS)

lint: kernels ## Check style, formatting, types and C
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@if command -v $${CC:-cc} >/dev/null; then $(RUN) hatch_build.py --check; \
		else echo "There is no C compiler, so the kernels were not checked"; fi

up: kernels ## Start Airflow with the demo's DAGs in the background
	@$(RUN) dags_examples/demo/instance.py up

down: $(STAMP) ## Stop it
	@$(RUN) dags_examples/demo/instance.py down

clean: ## Stop Airflow; remove its files, builds and caches (not .venv)
	@if [ -d .airflow ] && [ -e $(STAMP) ]; then $(RUN) dags_examples/demo/instance.py down; fi
	@rm -rf .airflow build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -path './.venv*' -prune -o -path ./.git -prune -o -type d -name __pycache__ -exec rm -rf {} +

bench: kernels ## Run the benchmarks, which takes half an hour; BENCH_ARGS="--small", "--missing", "--only scan job" or "--update"
	@$(RUN) benchmarks/run.py $(BENCH_ARGS)

calibration: kernels ## Simulate how often the default verdict is wrong; CALIBRATION_ARGS="--batches 20 --only sizes" for less
	@$(RUN) benchmarks/calibration.py $(CALIBRATION_ARGS)

coverage: kernels ## Simulate how often the intervals of performance hold the true value; COVERAGE_ARGS="--samples 100" for less
	@$(RUN) benchmarks/coverage_of_intervals.py $(COVERAGE_ARGS)

# --no-config and the unset variables: hashes come from PyPI whatever mirrors this machine is set up for.
COMPILE = env -u UV_INDEX -u UV_DEFAULT_INDEX -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS -u UV_CONSTRAINT \
	-u UV_OVERRIDE $(VENV)/bin/uv pip compile --no-config --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" $(LOCK_ARGS)

lock: $(STAMP) ## Pin the dependencies again; LOCK_ARGS=--upgrade takes newer versions
	@$(COMPILE) --group pyproject.toml:bootstrap --output-file requirements-bootstrap.lock
	@$(COMPILE) --extra adbc --extra postgres --extra demo --group test --group lint pyproject.toml --output-file requirements.lock

# The stamp is younger than what it was made from, so an unchanged checkout costs one comparison. pip installs the few
# packages of the bootstrap lock; uv then installs the rest in a quarter of pip's time, and where uv cannot (a mirror
# that only pip is set up for), pip does. Builds use the locked build backends instead of fetching their own.
CHECK_VERSION := import sys; v = sys.version_info; \
	sys.exit(not (3, 11) <= v[:2] <= (3, 13) and f"$(PYTHON) is Python {v[0]}.{v[1]}, but this project needs 3.11, 3.12 or 3.13: name one, as in make test PYTHON=python3.11")
HASHED := --quiet --require-hashes --no-build-isolation
PIP := $(RUN) -m pip --disable-pip-version-check install

$(STAMP): pyproject.toml requirements.lock requirements-bootstrap.lock hatch_build.py
	@rm -f $(STAMP)
	@if ! $(RUN) -c '$(CHECK_VERSION)' 2>/dev/null; then \
		command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11, 3.12 or 3.13, or name it, as in make test PYTHON=python3.11" >&2; exit 1; }; \
		$(PYTHON) -c '$(CHECK_VERSION)' || exit 1; \
		echo "Making $(VENV) with $$($(PYTHON) --version)"; \
		$(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	fi
	@echo "Installing what requirements.lock names"
	@$(PIP) $(HASHED) --requirement requirements-bootstrap.lock
	@$(VENV)/bin/uv pip install --python $(RUN) $(HASHED) --compile-bytecode --requirement requirements.lock || \
		{ echo "uv could not install; trying pip, which takes longer"; $(PIP) $(HASHED) --use-pep517 --requirement requirements.lock; }
	@$(PIP) --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

# What the installation compiled; again after a change of its sources, and where the library was deleted or damaged.
kernels: $(STAMP)
	@$(RUN) hatch_build.py --missing || echo "So NumPy will count in place of the compiled kernels, at half the speed"
