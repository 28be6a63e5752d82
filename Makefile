# `make search` and `make test` set up all that they need: Python 3.10 to 3.13 and make suffice.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
WORKDIR ?= runs/mnist5k

.PHONY: search test check clean

search: $(INSTALLED)
	$(BIN)/python experiments/search.py --workdir=$(WORKDIR)

test: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist loadfile

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile -m 'not slow'

$(INSTALLED): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
	rm -rf rlnas/__pycache__/numba-*  # what Numba compiled, for every state of the sources
