# `make search` and `make test` set up all that they need: Python 3.10 to 3.13 and make suffice.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
WORKDIR ?= runs/search

.PHONY: search test check lint clean

search: $(INSTALLED)
	$(BIN)/rlnas search --workdir=$(WORKDIR)

test: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist loadfile

check: lint
	$(BIN)/pytest -n 2 --dist loadfile -m 'not slow'

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

$(INSTALLED): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
	rm -rf rlnas/__pycache__/numba-*  # what Numba compiled, for every state of the sources
