# Each target sets up what it needs and does nothing where that is done already.
PYTHON ?= python3
STUDY ?= quickstart
OUT ?= results/$(basename $(notdir $(STUDY)))
ADVISED ?= pydoc wordllama --max-p95-ms 1 --budget 2m
BACKEND ?=
GATE ?=
TESTS ?=
LOCK ?=
MINUTES ?= 60
BENCH := .venv/bin/python -m bench
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint .constraints.txt
# The lock is whole, so pip looks for nothing else, and checks the hash of every file.
LOCKED := .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
PYTEST := .venv/bin/python -m pytest
# Two tests at a time. What needs no extra, no ../shared and no patience is the fast suite.
FAST := --numprocesses 2 --dist loadgroup -m 'not slow and not extra'
REST := --numprocesses 2 --dist loadgroup -m 'slow or extra'
PAGES := $(shell find README.md .github bench results/figures -name '*.md')

.PHONY: help install install-all bench check test test-all coverage figures regress \
	adaptor faults lint audit lock format docs clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.core ## install the light core into .venv (no torch, no compiler; LOCK=1: by hash)

install-all: .venv/.all ## install all that the tests use into .venv (torch, mteb, every backend)

bench: .venv/.core ## measure a study (STUDY=quickstart), draw it, write its page, say what to use
	$(BENCH) run $(STUDY) --out $(OUT)
	$(if $(filter quickstart,$(STUDY)),$(BENCH) advise $(ADVISED) --out $(OUT) > $(OUT)/advice.txt)
	$(BENCH) figures $(OUT)
	$(BENCH) report $(OUT)
	@$(if $(filter quickstart,$(STUDY)),cat $(OUT)/advice.txt,$(BENCH) recommend $(OUT))

check: .venv/.core ## check that a backend keeps the rules (BACKEND=faiss-flat)
	$(BENCH) check $(BACKEND)

test: .venv/.test ## run the fast tests on the light core, two at a time (TESTS="-k study" for some)
	$(PYTEST) $(FAST) $(TESTS)

test-all: test .venv/.all ## run the fast tests, then the rest: slow ones, torch, databases, ../shared
	$(PYTEST) $(REST) $(TESTS)

coverage: .venv/.test ## run the fast tests, show the lines they miss, fail below the floor
	$(PYTEST) $(FAST) --cov --cov-report=term-missing:skip-covered $(TESTS)

figures: .venv/.core ## redraw the figures of results/README.md, measuring what is not measured yet
	$(BENCH) run quickstart --quiet
	$(BENCH) figures results/quickstart --out results/figures
	$(BENCH) run design-space --quiet
	$(BENCH) figures results/design-space --out results/figures/design-space
	.venv/bin/python -m bench.docs

regress: .venv/.core ## measure this change against its base in turns, fail if it lost anything (GATE=--quick)
	$(BENCH) regress $(GATE)

adaptor: .venv/.all ## train anew the adaptor that ships for wordllama (two minutes)
	$(BENCH) train pydoc wordllama --out bench/reducers/shipped/wordllama

faults: .venv/.all ## hit runs with every kind of fault, damage every input, print the counts (MINUTES=60)
	.venv/bin/python -m tests.faults --minutes $(MINUTES)
	.venv/bin/python -m tests.fuzz --cases 100000

lint: .venv/.lint ## check style, types, spelling, configuration files and the generated parts of the pages
	.venv/bin/ruff check bench tests
	.venv/bin/ruff format --check bench tests
	.venv/bin/mypy
	.venv/bin/bandit --quiet --recursive bench --configfile pyproject.toml
	.venv/bin/typos
	.venv/bin/validate-pyproject pyproject.toml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml
	.venv/bin/hadolint .github/Containerfile
	.venv/bin/pre-commit validate-manifest .pre-commit-hooks.yaml
	.venv/bin/cog --check $(PAGES)

audit: .venv/.core ## ask which pinned versions have a known weakness (needs the network)
	$(PIP) pip-audit
	.venv/bin/pip-audit --requirement .constraints.txt --no-deps --disable-pip

lock: .venv/.core ## write .lock.txt anew from pyproject.toml and .constraints.txt (needs the network)
	$(PIP) uv
	printf 'pip\nsetuptools\n' | .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --group test --group lint \
		--constraint .constraints.txt --output-file .lock.txt pyproject.toml -

format: .venv/.lint ## format the code and mend what ruff can mend
	.venv/bin/ruff check --fix bench tests
	.venv/bin/ruff format bench tests

docs: .venv/.lint ## write the generated parts of the pages, the gallery and the JSON schema of studies
	.venv/bin/python -m bench.docs
	.venv/bin/cog -r $(PAGES)

clean: ## remove .venv and the caches of the tools
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .coverage* build *.egg-info

.venv/.core: pyproject.toml .constraints.txt .lock.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(if $(LOCK),$(LOCKED) --requirement .lock.txt,$(PIP) pip)
	$(PIP) $(if $(LOCK),--no-deps --no-build-isolation) --editable .
	@$(PIP) --editable '.[annoy]' > .venv/annoy.log 2>&1 || \
		echo "annoy cannot be built without a C++ compiler: its rows will be 'skipped' (.venv/annoy.log)"
	touch $@

.venv/.test: .venv/.core
	$(PIP) --group test
	touch $@

.venv/.lint: .venv/.core
	$(PIP) --group lint
	touch $@

.venv/.all: .venv/.core
	$(PIP) --editable '.[mteb,train,backends,databases,ray]' --group test-all
	touch $@
