PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo setup test bench bench-finder results check format lint types imports clean

# Python compiles what is imported, and only that, when it is; where it may not keep what it has compiled, every
# process would compile PyTorch again.
export PYTHONDONTWRITEBYTECODE =
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

demo: $(VENV)/.installed  ## train, compare and translate on recorded speech
	$(BIN)/horizon-st demo

setup: $(VENV)/.installed-dev  ## make .venv with pinned dependencies

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "Needs Python 3.11 to 3.13 with venv (Debian: apt install python3-venv)."; \
	  echo "Name another one with: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Installing into $(VENV) (a minute, plus the download of PyTorch) ..."
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e ".[dev]"
	@touch $@

check: lint types imports  ## everything but the tests

lint: setup
	$(BIN)/ruff check src tests scripts benchmarks examples
	$(BIN)/ruff format --check src tests scripts benchmarks examples

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

test: check  ## lint, types, import contract and all tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

bench: setup  ## all benchmarks: tables in docs/performance.md, half an hour
	$(BIN)/python benchmarks/all.py $(if $(MODEL),--decode $(MODEL) $(MANIFEST))

bench-finder: setup  ## find_horizon against other searches: tables in docs/horizon.md, an hour; goes on where it was stopped
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/finder.py --out benchmarks/results/finder.json --page docs/horizon.md

results: setup  ## redraw all studies in docs/results.md, without training
	$(BIN)/python scripts/redraw_results.py

format: setup  ## rewrite in the project's style
	$(BIN)/ruff check --fix src tests scripts benchmarks examples
	$(BIN)/ruff format src tests scripts benchmarks examples

clean:  ## remove the environment and caches, not the runs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
