# make demo   the main job on a made-up chest, or on your own: make demo CT=path
# make test   lint, types and tests
# make test-all   these, and the tests that take long: trainings, kills, broken inputs
# All start from Python and the package index: they make .venv and install what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-output
MARK := $(VENV)/.installed
DEV_MARK := $(VENV)/.installed-dev

.PHONY: demo test test-slow test-all lint walls format types bench docs clean
.DEFAULT_GOAL := help

help:
	@sed -n '1,4p' Makefile | sed 's/^# //'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(MARK): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(DEV_MARK): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train]'
	@touch $(MARK) $@

demo: $(MARK)
ifdef CT
	$(BIN)/hilum segment "$(CT)" -o "$(OUT)"
else
	$(BIN)/hilum demo -o "$(OUT)"
endif

test: lint types walls
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow'
	$(BIN)/python -m pytest -q --doctest-modules src/hilum

test-slow: $(DEV_MARK)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

test-all: test test-slow

lint: $(DEV_MARK)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEV_MARK)
	$(BIN)/mypy

walls: $(DEV_MARK)
	$(BIN)/lint-imports

format: $(DEV_MARK)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV_MARK)
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/accuracy.py

docs: $(DEV_MARK)
	$(BIN)/python docs/generate_measures.py

clean:
	rm -rf $(VENV) $(OUT) build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
