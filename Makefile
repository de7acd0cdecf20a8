# Sightline. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Nothing phones home.
export DO_NOT_TRACK = 1
export DVC_NO_ANALYTICS = 1
export MLFLOW_DISABLE_TELEMETRY = true
export ORT_DISABLE_TELEMETRY = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export NO_ALBUMENTATIONS_UPDATE = 1
export NO_MKDOCS_2_WARNING = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo repro report retrain schedule unschedule test test-all gpu-check bench lint audit format docs ui clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## make .venv with the locked packages

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python >= 3.11 is needed, $(PYTHON) is older: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "installing the locked packages into $(VENV)"
	@$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes --quiet --requirement requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --editable .
	@touch $@

demo: setup ## run the pipeline on the embedded data, register the models, show the table
	@sightline check
	@sightline repro
	@sightline models --next

repro: setup ## check params.yaml, then run what has changed
	@sightline check
	@dvc repro

report: setup ## pages of all evaluated models, reports/index.html
	@sightline report

retrain: setup ## run the pipeline once as a Prefect flow
	@python pipelines/retrain.py

schedule: setup ## retrain and monitor at set times: prefect.yaml, http://127.0.0.1:4200
	@sightline schedule start

unschedule: setup ## stop the schedule
	@sightline schedule stop

test: setup ## the fast tests, a process per core
	@python -m pytest --numprocesses logical --maxprocesses 8 --dist loadgroup --no-loadscope-reorder

test-all: setup ## also the slow, real and browser tests
	@python -m pytest -m "not gpu" --numprocesses logical --maxprocesses 8 --dist loadgroup --no-loadscope-reorder

gpu-check: setup ## test every kind of task on this machine's GPU, a few minutes; the table is reports/gpu-check.md
	@python -m bench.gpu

bench: setup ## every benchmark against its reference, on a quiet machine, over an hour; writes docs/performance.md
	@python -m bench

lint: setup ## ruff, mypy, import contracts
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports

audit: setup ## licences, known vulnerabilities and the list of software of all locked packages: audit/
	@mkdir -p audit
	@echo '{"dependencies": []}' > audit/vulnerabilities.json
	@uv tool run --from 'pip-audit>=2.9,<3' pip-audit --requirement requirements.lock --disable-pip --progress-spinner off \
	  --format json --output audit/vulnerabilities.json > audit/pip-audit.log 2>&1 || tail -1 audit/pip-audit.log
	@sightline packages --sbom audit/sbom.cdx.json --audit audit/vulnerabilities.json

format: setup ## format the code
	@ruff check --fix-only --quiet .
	@ruff format --quiet .

docs: setup ## the pages and the reference as a site, site/index.html
	@python -m mkdocs build --quiet
	@echo "site/index.html; with its search: python -m http.server --directory site --bind 127.0.0.1"

ui: setup ## the MLflow pages, on this machine only
	@echo "runs: http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning   models: http://127.0.0.1:5000/#/models   (ctrl-c stops it)"
	@mlflow ui --host 127.0.0.1 --port 5000 --backend-store-uri "sqlite:///$(CURDIR)/mlflow.db" --default-artifact-root "$(CURDIR)/mlartifacts"

clean: ## remove everything that can be made again; keeps .venv, DVC's cache, the registry
	@rm -rf .sightline/cache .sightline/resume .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache data/prepared data/augmented/*/ models reports release site
