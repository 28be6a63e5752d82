# `make search` and `make test` set up all that they need: Python 3.10 to 3.13 and make suffice.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
WORKDIR ?= runs/search
# Each process gets half of the tests in their order; the one that is done first takes some over.
ON_BOTH_CORES := -n 2 --dist worksteal

# A hundred processes of the tests load the package; without its bytecode each compiles it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: search test check nightly lint clean

search: $(INSTALLED)
	$(BIN)/rlnas search --workdir=$(WORKDIR)

test: $(INSTALLED)
	$(BIN)/pytest $(ON_BOTH_CORES) -m 'not nightly'

check: lint
	$(BIN)/pytest $(ON_BOTH_CORES) -m 'not slow and not nightly'

nightly: $(INSTALLED)
	$(BIN)/pytest $(ON_BOTH_CORES) -m nightly

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

$(INSTALLED): setup.py constraints.txt
	@echo 'Installing into $(VENV): TensorFlow and others, 3.3 GB: about two minutes, and the download'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@echo 'Compiling the cost model, once: about half a minute'
	$(BIN)/python -m rlnas.cost.compiler
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
	rm -rf rlnas/__pycache__/numba-*  # what Numba compiled, for every state of the sources
