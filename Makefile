# `make run` and `make test` are all a newcomer needs; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.9
LOCK = $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url

# The demo is run where nothing else is asked for. One's own photos: make run CATALOG=/path/to/photos or CATALOG=s3://bucket/prefix
CATALOG ?=
DEMO := var/demo
DEMO_PRODUCTS ?= 60
# two processes of tests; each loads models, so more of them cost memory
PYTEST_ARGS ?= -n 2 --dist worksteal

ifneq ($(CATALOG),)
run: export ATELIER_CATALOG__URI := $(CATALOG)
else ifeq ($(origin ATELIER_CATALOG__URI)$(origin ATELIER_WAREHOUSE__URI)$(origin ATELIER_CONFIG)$(wildcard atelier.toml),undefinedundefinedundefined)
run: export ATELIER_CATALOG__URI := $(DEMO)/catalog
run: export ATELIER_WAREHOUSE__URI := $(DEMO)/warehouse
run: $(DEMO)/catalog/feed.parquet
endif

AIRFLOW_ENV := AIRFLOW_HOME=$(CURDIR)/var/airflow AIRFLOW__CORE__DAGS_FOLDER=$(CURDIR)/dags \
	AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING PYTHONWARNINGS=ignore

.PHONY: help run test endurance check audit format lock install clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/.ready ## install, run the nightly job on CATALOG (default: a demo catalog), say where the results are
	@$(AIRFLOW_ENV) $(BIN)/airflow db migrate >/dev/null 2>&1 || { echo "airflow db migrate failed; try: rm -rf var/airflow" >&2; exit 1; }
	@$(AIRFLOW_ENV) $(BIN)/airflow pools import dags/pools.json >/dev/null
	$(AIRFLOW_ENV) $(BIN)/airflow dags test catalog_enrichment
	@$(BIN)/atelier --log-level WARNING status --sample-search >/dev/null

test: .venv/.ready-dev ## install what the tests need and run them
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest $(PYTEST_ARGS)  # the processes share the cores

endurance: .venv/.ready-dev ## the tests that `make test` leaves out: a live Airflow, a store that fails (10 minutes)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -m endurance tests/integration tests/faults

check: .venv/.ready-dev ## lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select AIR dags
	$(BIN)/mypy

audit: .venv/.ready-dev ## look the locked packages up among known vulnerabilities (asks pypi.org)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements.txt

format: .venv/.ready-dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: .venv/.ready ## install into .venv

lock: .venv/.ready ## pin requirements*.in into requirements*.txt
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt
	sed s/^faiss-cpu/faiss-gpu/ requirements.in | $(LOCK) - -o requirements-gpu.txt

clean: ## remove what `make run` made (not the environment)
	rm -rf $(DEMO) var/airflow

$(DEMO)/catalog/feed.parquet: | .venv/.ready
	@$(BIN)/atelier demo-catalog $(DEMO)/catalog --products $(DEMO_PRODUCTS) --seed 7 --dirty >/dev/null

.venv/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Atelier needs Python 3.11 or newer; name one: make PYTHON=python3.12 ")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

.venv/.ready-dev: .venv/.ready requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.txt
	@touch $@

include models/starter/starter.mk
