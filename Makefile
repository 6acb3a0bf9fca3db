# Everything a newcomer types. The first target that needs it builds .venv from the pinned versions.
PYTHON ?= python3
BIN := .venv/bin
export GTFDEER_FAST ?= 1

# One test run compiles a program once: its workers, notebooks and child processes share a folder that lives as long as they do.
CACHED = cache=$$(mktemp -d) && trap 'rm -rf "$$cache"' EXIT && trap 'exit 130' INT TERM && \
  JAX_COMPILATION_CACHE_DIR=$$cache JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
PYTEST = $(CACHED) $(BIN)/python -m pytest -n 2 --dist worksteal
NOTEBOOKS = notebooks/*.ipynb notebooks/solutions/*.ipynb

.PHONY: help demo test test-full test-solutions coverage test-long test-package test-browser test-binder test-floor test-newest \
  fast-floor fast-newest lab study bench site docs check format lock links release clean

help:                 ## show this list
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ {printf "%-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready     ## Lorenz-63 end to end: simulate, train, free-run, score; leaves out/demo/report.html
	$(BIN)/gtfdeer demo --out out/demo

test: .venv/ready     ## the whole test suite, docstring examples and notebooks included
	$(PYTEST) --nbmake --nbmake-timeout=300 --durations=10 --ignore=notebooks/solutions \
	  --ignore=gtfdeer/report.ipynb tests gtfdeer notebooks

test-full: .venv/ready ## the course and its solutions at full size
	GTFDEER_FAST=0 $(BIN)/python -m pytest -n 2 --dist worksteal --nbmake --nbmake-timeout=1800 --durations=0 notebooks

test-solutions: .venv/ready ## the solutions of the exercises
	$(PYTEST) --nbmake --nbmake-timeout=300 notebooks/solutions

coverage: .venv/ready ## the tests without the notebooks, with coverage of the package
	$(PYTEST) --cov=gtfdeer --cov-report=term-missing:skip-covered tests gtfdeer

test-long: .venv/ready ## for long: 25 kills, 2,000 random inputs of each kind, every solver on the whole grid
	XLA_FLAGS= GTFDEER_KILLS=25 GTFDEER_FUZZ_EXAMPLES=2000 GTFDEER_WHOLE_GRID=1 $(BIN)/python -m pytest -n 2 --dist worksteal \
	  tests/training tests/solvers

test-package: .venv/ready ## build the wheel, install it into a clean environment, use it there
	$(BIN)/python -m pytest -m package tests/test_packaging.py

test-browser: .venv/ready ## three panels in JupyterLab and Chromium, with their latencies
	$(BIN)/python -m pytest -m browser --junitxml=out/browser.xml tests/explorables/test_browser.py
	@grep -o '<property [^>]*' out/browser.xml

test-binder: .venv/ready ## notebooks 01 and 08 with what Binder installs: one core, 2 GB (minutes; needs a network)
	$(BIN)/python -m pytest -m binder -s tests/test_binder.py

# Both ends of the version range. Colab has the floor, on Python 3.13; Binder has Python 3.12.
FAST := tests/test_forcing.py tests/test_public_api.py tests/data tests/models/test_plrnn.py tests/solvers/test_solve.py \
  tests/training/test_reconstruction.py tests/explorables/test_panel.py tests/explorables/test_microscope.py
COURSE = $(wildcard notebooks/0[1-5]*.ipynb)
PYENV_ROOT ?= $(HOME)/.pyenv
# the first of these versions of Python that is here, on the path or from pyenv; else the one that .venv is built from
python_of = $(firstword $(foreach v,$(1),$(shell python$(v) -c 0 2>/dev/null && echo python$(v)) \
  $(wildcard $(PYENV_ROOT)/versions/$(v).*/bin/python$(v))) $(PYTHON))

test-floor: fast-floor ## the fast tests and notebooks 01 to 05 with the oldest versions that are promised
test-newest: fast-newest ## the same with the newest of everything
test-floor test-newest: test-%:
	PATH="$(CURDIR)/.venv-$*/bin:$$PATH" .venv-$*/bin/python -m pytest --nbmake --nbmake-timeout=300 $(COURSE)

fast-floor fast-newest: fast-%: .venv-%/ready
	$(CACHED) XLA_FLAGS= .venv-$*/bin/python -m pytest -n 2 --dist worksteal $(FAST)

.venv-floor/ready: requirements-floor.txt pyproject.toml
	$(call python_of,3.13 3.12) -m venv .venv-floor
	.venv-floor/bin/python -m pip install --quiet --requirement requirements-floor.txt
	.venv-floor/bin/python -m pip install --quiet --no-deps --editable .
	.venv-floor/bin/python --version
	@touch $@

.venv-newest/ready: pyproject.toml
	$(call python_of,3.12 3.13) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --editable '.[lab]' hypothesis nbmake pytest pytest-xdist scipy
	.venv-newest/bin/python --version
	@touch $@

lab: .venv/ready      ## JupyterLab on the notebooks, on this machine only
	$(BIN)/jupyter lab notebooks

study: .venv/ready    ## make a finding again: make study NAME=chaos (ARGUMENTS=--full: all of it), into out/studies
	$(BIN)/python -m studies $(NAME) $(ARGUMENTS)

bench: .venv/ready     ## speed and memory of every solver on this device, into out/bench (ARGUMENTS=--full: of every model, too)
	$(BIN)/python -m studies bench $(ARGUMENTS) --out out/bench

site: .venv/ready     ## the course as static pages, into out/course, for class rooms without Binder (half an hour)
	GTFDEER_FAST=0 $(BIN)/python notebooks/export.py

docs: .venv/ready     ## the manual, into site/; a warning is an error
	$(BIN)/mkdocs build --strict

check: .venv/ready    ## lint, types, notebooks without outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/nbstripout --verify $(NOTEBOOKS)

format: .venv/ready   ## put the code into its canonical form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout $(NOTEBOOKS)

LOCK = $(BIN)/uv pip compile --universal --upgrade --no-annotate --no-emit-index-url --custom-compile-command "make lock"
lock: .venv/ready     ## pin the newest versions that fit pyproject.toml, for Python 3.11 and newer
	$(BIN)/python -m pip install --quiet uv
	$(LOCK) pyproject.toml --extra dev --python-version 3.11 --output-file requirements.txt
	$(LOCK) requirements-floor.in --python-version 3.12 --output-file requirements-floor.txt

# The repository's address and the version stand in pyproject.toml; these two targets write them wherever a reader meets them.
REF ?= main
ADDRESS = $(shell sed -n 's/^Repository = "\(.*\)"/\1/p' pyproject.toml)
SLUG = $(ADDRESS:https://github.com/%=%)
# a pip address ends where its quote does; of Colab, Binder and pages on GitHub, owner, name and branch are replaced
links:                ## let badges, install cells and addresses lead to the repository in pyproject.toml (REF=main)
	sed -i -E -e "s#git\+https://[^\"'@ \\\\]+(@[^\"' \\\\]+)?#git+$(ADDRESS)@$(REF)#g" \
	  -e "s#(colab\.research\.google\.com/github)/[^/]+/[^/]+/blob/[^/]+#\1/$(SLUG)/blob/$(REF)#g" \
	  -e "s#(github\.com/)[^/]+/[^/]+/blob/[^/]+(/notebooks/|/studies/)#\1$(SLUG)/blob/$(REF)\2#g" \
	  -e "s#(raw\.githubusercontent\.com)/[^/]+/[^/]+/[^/]+#\1/$(SLUG)/$(REF)#g" \
	  -e "s#(mybinder\.org/v2/gh)/[^/]+/[^/]+/[^/?]+#\1/$(SLUG)/$(REF)#g" \
	  -e "s#(git clone|repo_url:|repository-code:) https://[^ ]+#\1 $(ADDRESS)#" \
	  -e "s#^(Documentation|Changelog)( = \"[^\"]*/blob)/[^/]+/#\1\2/$(REF)/#" \
	  pyproject.toml README.md CITATION.cff mkdocs.yml docs/*.md $(NOTEBOOKS)

release: .venv/ready  ## make release VERSION=0.2.0: write the version everywhere, commit and tag it
	@test -n "$(VERSION)" || { echo "which version? type: make release VERSION=0.2.0"; exit 1; }
	sed -i 's/^version = .*/version = "$(VERSION)"/' pyproject.toml
	sed -i 's/^version: .*/version: $(VERSION)/' CITATION.cff
	$(MAKE) links REF=v$(VERSION)
	git commit --all --message "Release $(VERSION)"
	git tag "v$(VERSION)"

clean:                ## remove what these targets made
	rm -rf .venv .venv-* out build dist site *.egg-info .pytest_cache .ruff_cache .hypothesis

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gtfdeer needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1); type: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@
