# `make demo` and `make test` need nothing but Python 3.11 or later: they do all the set-up, and skip what is done.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CATALOGUES := $(wildcard orchestrator/locale/*/LC_MESSAGES/*.po)

# The first Python that is recent enough; empty when there is none.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test lint bench catalogue clean test-tools

help: ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(STAMP) ## make this machine ready: Python packages, Docker engine, images
	@$(BIN)/e5b setup

demo: setup ## run a whole wave of twenty candidates in front of you
	@$(BIN)/python -m simulation.demo

test: setup test-tools lint ## run every check and every test
	@$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 25 $(ARGS)

lint: $(STAMP) ## run the checks that need no engine
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup ## measure this machine, side by side with a technician's script (about an hour; nothing else may run)
	@$(BIN)/python -c 'import matplotlib' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@$(BIN)/python -m compileall -q orchestrator
	@$(BIN)/python -m bench $(ARGS)

catalogue: $(STAMP) ## bring the French messages up to date with the code; what is new is to be translated
	@$(BIN)/pybabel -q extract --add-location=file --no-wrap -o $(VENV)/e5b.pot orchestrator simulation
	@$(BIN)/pybabel -q update -D e5b -i $(VENV)/e5b.pot -d orchestrator/locale --width=92 \
		--no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date

clean: ## remove the virtual environment and what tools left here (nothing in the Docker engine)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find orchestrator simulation tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	find orchestrator/locale -name '*.mo' -delete

test-tools: $(STAMP)
	@PLAYWRIGHT=$(BIN)/playwright .ci/test-tools

$(STAMP): pyproject.toml setup.py $(CATALOGUES) | $(BIN)/python
	@echo "Installing the Python packages in $(VENV)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python -m compileall -q orchestrator
	@touch $@

$(BIN)/python:
	@PYTHON="$(PYTHON)" .ci/virtual-environment $(VENV)
