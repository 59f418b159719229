# make demo   the main job on a made-up chest, or on your own: make demo CT=path
# make test   lint, types and tests
# make test-all   these, and the tests that take long: trainings, kills, broken inputs, the site, the wheel
# make docs   the documentation as a site that works offline: site/index.html
# make sbom   wheel, sdist and the list of their parts (CycloneDX) in dist/
# All start from Python and the package index: they make .venv and install what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-output
MARK := $(VENV)/.installed
DEV_MARK := $(VENV)/.installed-dev

.PHONY: demo test test-slow test-all lint walls format types bench pages docs wheel sbom clean
.DEFAULT_GOAL := help

help:
	@sed -n '1,6p' Makefile | sed 's/^# //'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(MARK): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(DEV_MARK): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train,docs]'
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

pages: $(DEV_MARK)
	$(BIN)/python docs/generate_measures.py

docs: pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	$(BIN)/python docs/check_site.py site
	@echo "Open site/index.html"

wheel: $(DEV_MARK)
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# The parts of an install without extras, in an environment of their own, so that no tool of developers is among them.
sbom: wheel
	rm -rf build/sbom-venv && $(PYTHON) -m venv build/sbom-venv
	build/sbom-venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl
	build/sbom-venv/bin/python -m pip uninstall --quiet --yes pip setuptools
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON \
		-o dist/hilum.cdx.json build/sbom-venv/bin/python

clean:
	rm -rf $(VENV) $(OUT) build dist site .pytest_cache .ruff_cache .mypy_cache .hypothesis
