# plaint: everything a developer or a newcomer runs. `make help` lists it.
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
WORKERS ?= 3
export PLAINT_DATA ?= $(abspath ../shared/data)

.DEFAULT_GOAL := help
# A Python that lacks ensurepip (Debian's without python3-venv) fails with half of .venv made: the next try makes it anew.
.DELETE_ON_ERROR:
.PHONY: help install run test test-train test-long lint bench bench-delivery bench-model chaos soak train clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 18

install: $(VENV)/.runtime ## create .venv with what plaint needs to run

run: $(VENV)/.runtime ## sample posts in, tickets out; ends with Ctrl-C, or by itself with ONCE=1 or without a terminal
	@if [ -n "$(ONCE)" ] || ! [ -t 1 ]; then set -- --exit-when-done; fi; exec $(BIN)/plaint up --samples "$$@" $(ARGS)

test: $(VENV)/.dev ## all tests (under 10 minutes on 2 cores); TESTS=path for a part
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(or $(TESTS),tests) $(ARGS)

test-train: $(VENV)/.dev $(VENV)/.train ## the tests that need torch: training, corrections, evaluation beside baselines, Hugging Face models
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder tests/models tests/plaint/test_train.py tests/plaint/test_train_anew.py tests/plaint/test_evaluate.py $(ARGS)

test-long: $(VENV)/.dev ## the tests that mostly wait: restarts, kills and outages at length; CI runs them if time is left
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m long tests $(ARGS)

lint: $(VENV)/.dev ## ruff, mypy --strict, import contracts, schemas and docs up to date
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m schemas.export --check
	@$(BIN)/python -m plaint.docs --check

bench: $(VENV)/.dev ## the whole way against the bare engine on the same posts
	@$(BIN)/python -m tests.bench.whole_way $(ARGS)

bench-delivery: $(VENV)/.dev ## one deliver worker on a real Kafka: signed deliveries a second, and what each costs
	@$(BIN)/python -m tests.bench.delivery $(ARGS)

bench-model: $(VENV)/.dev $(VENV)/.train ## the engine against transformers.pipeline and plain ONNX Runtime, on the posts in PLAINT_DATA (needs torch)
	@$(BIN)/python -m tests.bench.model $(ARGS)

chaos: $(VENV)/.dev ## long kill tests and outages on a real Kafka; ARGS=kills, outages, lives, isolation or embedded for a part
	@$(BIN)/python -m tests.chaos $(ARGS)

soak: $(VENV)/.dev ## 100,000 posts: memory of each worker over time
	@$(BIN)/python -m tests.bench.soak $(ARGS)

train: $(VENV)/.train $(VENV)/.teacher ## train teacher and model from the posts in PLAINT_DATA (hours; goes on where it was broken off); CLEAR=1 without sources of unclear terms
	@$(BIN)/plaint train $(if $(CLEAR),--clear) --base mpnet --run plaint-run/teacher --out plaint-run/teacher-weights
	@$(BIN)/plaint train $(if $(CLEAR),--clear) --teacher plaint-run/teacher --run plaint-run/student $(ARGS)

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "plaint needs Python 3.11 or newer; set PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python pyproject.toml
	@echo "installing what plaint needs into $(VENV) (about 350 MB, no torch) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(VENV)/.train: $(VENV)/.runtime
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train]'
	@touch $@

$(VENV)/.teacher: $(VENV)/.train
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,teacher]'
	@touch $@
