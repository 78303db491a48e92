# The only commands a person needs; each first makes sure that .venv is as requirements.lock says.
# Needs GNU make, sh and one Python 3.11 or newer (PYTHON=… names it).
SHELL := /bin/sh
.DEFAULT_GOAL := demo
.PHONY: demo install test test-all spark ui bench lock fmt lint

# uv installs no byte code: where Python may not keep any, every command would compile Dagster and all else again.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The first of these that is new enough and can make a virtual environment.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11 python
PROBE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c '$(PROBE)' >/dev/null 2>&1 && { echo $$p; break; }; done)
PIP = $(BIN)/python -m pip install -qq --disable-pip-version-check
UV = $(BIN)/uv pip install --quiet --python $(BIN)/python
DEMO := data/demo
PORT := 3000
DAGSTER = DAGSTER_HOME="$(CURDIR)/data/dagster" REDISU_CONFIG="$(CURDIR)/$(DEMO)/redisu.toml" \
  DAGSTER_DISABLE_TELEMETRY=yes PATH="$(CURDIR)/$(BIN):$$PATH"
# Two workers on two cores; a worker that runs dry takes tests from the other.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

demo: install
	$(BIN)/redisu demo

install: $(STAMP)

# uv installs in seconds what takes pip a minute; where uv cannot be had or cannot install, pip does the same.
# The project itself comes last, editable and without dependencies: the lock has already decided on them.
$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: found no Python 3.11 or newer that has venv; install one, or call make PYTHON=/path/to/python3" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c '$(PROBE)' || { echo "make: the Python in $(VENV) is too old; remove that folder and run make again" >&2; exit 2; }
	@$(BIN)/uv --version >/dev/null 2>&1 || $(PIP) uv 2>/dev/null || echo "make: no uv here, going on with pip (slower)"
	@echo "installing what requirements.lock names"
	@{ $(BIN)/uv --version >/dev/null 2>&1 && $(UV) --require-hashes -r requirements.lock && $(UV) --no-deps --editable . ; } \
	  || { $(PIP) --require-hashes -r requirements.lock && $(PIP) --no-deps --editable . ; }
	@touch $@

test: install
	$(PYTEST) -m "not long"

test-all: install spark
	$(PYTEST)

# Spark is an extra of half a gigabyte: only the tests that compare it with Polars need it here (and Java).
spark: $(VENV)/.spark

$(VENV)/.spark: requirements-spark.lock $(STAMP)
	@echo "installing what requirements-spark.lock names"
	@$(UV) --require-hashes -r requirements-spark.lock || $(PIP) --require-hashes -r requirements-spark.lock
	@touch $@

# Dagster's UI on what `make demo` left behind. Telemetry is off in deploy/dagster.yaml.
ui: install
	@test -f $(DEMO)/redisu.toml || { echo "make: there is no demo to look at yet; run make demo first" >&2; exit 2; }
	@mkdir -p data/dagster
	@cp deploy/dagster.yaml data/dagster/dagster.yaml
	@echo "telling Dagster what the demo has synced, and running every check"
	@$(DAGSTER) $(BIN)/python -m redisu_pipeline.assets.record
	$(DAGSTER) $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p $(PORT)

bench: install
	$(BIN)/python -m bench

# No index, no path and no comment goes into the lock: it must be right on every machine.
lock: $(VENV)/bin/uv
	$(BIN)/uv pip compile pyproject.toml --group dev --extra postgres --universal --python-version 3.11 \
	  --generate-hashes --no-strip-extras --no-annotate --no-header -o requirements.lock
	echo "pyspark$$(sed -n 's/^spark = \["pyspark\(.*\)"\]/\1/p' pyproject.toml)" | $(BIN)/uv pip compile - --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header -o requirements-spark.lock

$(VENV)/bin/uv:
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) uv

fmt: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
