# Two commands do everything from a bare checkout: make run, make test.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Scenes and tests are what runs in parallel; linear algebra on threads of its own only slows them.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
# A notice about another program, which is no warning about these pages.
export NO_MKDOCS_2_WARNING ?= 1
AOI ?= aoi/sergeyevka.yaml

.PHONY: run test check docs bench scoreboard clean

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "needs $(PYTHON): install it, or say make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: $(STAMP)
	$(BIN)/changedetect run $(AOI)

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py
	$(BIN)/python -m mkdocs build --quiet --strict

# The same pages to read: build/site/index.html opens from disk.
docs: $(STAMP)
	$(BIN)/python -m mkdocs build --strict

bench: $(STAMP)
	$(BIN)/python scripts/bench.py

# Hours of simulated check scenes; stopped, it goes on where it was. make scoreboard BOARD="--quick --seeds dev": minutes.
scoreboard: $(STAMP)
	$(BIN)/python scripts/scoreboard.py $(BOARD)

clean:
	rm -rf $(VENV) outputs .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
