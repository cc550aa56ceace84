# Each target sets up what it needs and does nothing where that is done already.
PYTHON ?= python3
STUDY ?= quickstart
OUT ?= results/$(basename $(notdir $(STUDY)))
TESTS ?=
BENCH := .venv/bin/python -m bench
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint .constraints.txt

.PHONY: help install install-all bench test figures regress baseline adaptor lint clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s "$$(printf '\t')" | sed 's/^/make /'

install: .venv/.core ## install the light core into .venv (no torch)

install-all: .venv/.all ## install everything that the tests use into .venv (torch, mteb, every backend, linters)

bench: .venv/.core ## measure a study (STUDY=quickstart), print its table, draw its figures, write its page, recommend
	$(BENCH) run $(STUDY) --out $(OUT)
	$(BENCH) figures $(OUT)
	$(BENCH) report $(OUT)
	$(BENCH) recommend $(OUT)

test: .venv/.all ## run the tests (TESTS="-m 'not slow'" for the fast ones)
	.venv/bin/python -m pytest $(TESTS)

figures: .venv/.core ## measure the quick start and the design space where that is not done, and redraw the README's figures
	$(BENCH) run quickstart --quiet
	$(BENCH) figures results/quickstart --out results/figures
	$(BENCH) run design-space --quiet
	$(BENCH) figures results/design-space --out results/figures/design-space

regress: .venv/.core ## measure the regression study afresh and compare it with results/baseline; exit 1 on a regression
	rm -rf results/regress
	$(BENCH) run regress --out results/regress
	$(BENCH) compare results/baseline results/regress

baseline: .venv/.core ## measure results/baseline afresh, to be committed after a change that is meant
	rm -rf results/baseline
	$(BENCH) run regress --out results/baseline

adaptor: .venv/.all ## train the adaptor that ships for wordllama anew, on the training modules of pydoc (two minutes)
	$(BENCH) train pydoc wordllama --out bench/reducers/shipped/wordllama

lint: .venv/.all ## ruff and mypy
	.venv/bin/ruff check bench tests
	.venv/bin/ruff format --check bench tests
	.venv/bin/mypy

clean: ## remove .venv and the caches of the linters
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache *.egg-info

.venv/.core: pyproject.toml .constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/.all: .venv/.core
	$(PIP) --editable '.[mteb,train,backends,databases,dev]'
	touch $@
