# Everything a newcomer types. The first target that needs it builds .venv from the pinned versions.
PYTHON ?= python3
BIN := .venv/bin
export GTFDEER_FAST ?= 1

.PHONY: help demo test test-full test-solutions coverage fuzz fuzz-readers test-long soak grid test-package \
  test-binder test-floor test-newest fast-floor fast-newest lab study bench docs check format lock clean

help:                 ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s ':'

demo: .venv/ready     ## Lorenz-63 end to end: simulate, train, free-run, score; leaves out/demo/report.html
	$(BIN)/gtfdeer demo --out out/demo

test: .venv/ready     ## the whole test suite, docstring examples and notebooks included
	$(BIN)/python -m pytest -n 2 --dist worksteal --nbmake --nbmake-timeout=300 --durations=10 --ignore=notebooks/solutions \
	  tests gtfdeer notebooks

test-full: .venv/ready ## the course and its solutions at full size
	GTFDEER_FAST=0 $(BIN)/python -m pytest -n 2 --dist worksteal --nbmake --nbmake-timeout=1800 --durations=0 notebooks

test-solutions: .venv/ready ## the solutions of the exercises
	$(BIN)/python -m pytest -n 2 --dist worksteal --nbmake --nbmake-timeout=300 notebooks/solutions

coverage: .venv/ready ## the same, with coverage of the package
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov=gtfdeer --cov-report=term-missing:skip-covered tests gtfdeer

fuzz: .venv/ready     ## the property tests for long, with 1,000 random problems for every solver and length
	GTFDEER_FUZZ_EXAMPLES=1000 $(BIN)/python -m pytest -n 2 --dist worksteal tests/solvers/test_property.py tests/test_scan.py

grid: .venv/ready     ## every solver against the plain loop on the whole grid of maps, lengths, dtypes, jit and vmap
	GTFDEER_WHOLE_GRID=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests/solvers/test_exactness.py

test-long: .venv/ready ## what may go wrong, for long: 25 kills, 2,000 hostile inputs of each kind, the memory of the whole grid
	GTFDEER_KILLS=25 GTFDEER_FUZZ_EXAMPLES=2000 GTFDEER_WHOLE_GRID=1 $(BIN)/python -m pytest tests/training

FUZZ_SECONDS ?= 1800
fuzz-readers: .venv/ready ## atheris on all that reads files, for half an hour (FUZZ_SECONDS); a finding stays as out/fuzz/crash-*
	$(BIN)/python -m pip install --quiet atheris
	@for target in text arrays models checkpoints; do mkdir -p out/fuzz/$$target; $(BIN)/python tests/training/fuzz_readers.py \
	  $$target -max_total_time=$$(($(FUZZ_SECONDS) / 4)) -max_len=4096 -rss_limit_mb=4096 -print_final_stats=1 \
	  -artifact_prefix=out/fuzz/ out/fuzz/$$target || exit 1; done

SOAK_SECONDS ?= 3600
soak: .venv/ready     ## an hour of training with checkpoints and a panel: memory, programs and speed, into out/soak.json
	@mkdir -p out
	$(BIN)/python tests/training/soak.py $(SOAK_SECONDS) out/soak.json

test-package: .venv/ready ## build the wheel, install it into a clean environment, use it there
	$(BIN)/python -m pytest -m package tests/test_packaging.py

test-binder: .venv/ready ## what Binder would build, and notebooks 01 and 08 there: one core, 2 GB (minutes; needs a network)
	$(BIN)/python -m pytest -m binder -s tests/test_binder.py

# Both ends of the version range. Colab has the floor, on Python 3.13; Binder has Python 3.12.
FAST := tests/test_forcing.py tests/training/test_reconstruction.py tests/test_public_api.py tests/solvers/test_solve.py \
  tests/data tests/models/test_plrnn.py tests/explorables \
  --ignore=tests/explorables/test_browser.py --ignore=tests/explorables/test_random.py
COURSE = $(wildcard notebooks/0[1-5]*.ipynb)
PYENV_ROOT ?= $(HOME)/.pyenv
# the first of these versions of Python that is here, on the path or from pyenv; else the one that .venv is built from
python_of = $(firstword $(foreach v,$(1),$(shell python$(v) -c 0 2>/dev/null && echo python$(v)) \
  $(wildcard $(PYENV_ROOT)/versions/$(v).*/bin/python$(v))) $(PYTHON))
say_python = @$(1) -c 'import sys; v = sys.version_info; print("Python %d.%d.%d" % v[:3], "" if v >= (3, 12) else \
  "(neither 3.12 nor 3.13 is here: what is asked for is newer)")'

test-floor: fast-floor ## the fast tests and notebooks 01 to 05 with the oldest versions that are promised
	PATH="$(CURDIR)/.venv-floor/bin:$$PATH" .venv-floor/bin/python -m pytest --nbmake --nbmake-timeout=300 $(COURSE)

test-newest: fast-newest ## the same with the newest of everything
	PATH="$(CURDIR)/.venv-newest/bin:$$PATH" .venv-newest/bin/python -m pytest --nbmake --nbmake-timeout=300 $(COURSE)

fast-floor fast-newest: fast-%: .venv-%/ready
	.venv-$*/bin/python -m pytest -n 2 --dist worksteal $(FAST)

.venv-floor/ready: requirements-floor.txt pyproject.toml
	$(call say_python,$(call python_of,3.13 3.12))
	$(call python_of,3.13 3.12) -m venv .venv-floor
	.venv-floor/bin/python -m pip install --quiet --requirement requirements-floor.txt
	.venv-floor/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

.venv-newest/ready: pyproject.toml
	$(call say_python,$(call python_of,3.12 3.13))
	$(call python_of,3.12 3.13) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --editable '.[lab]' \
	  hypothesis nbmake pandas pytest pytest-xdist pyyaml scipy
	@touch $@

lab: .venv/ready      ## JupyterLab on the notebooks, on this machine only
	$(BIN)/jupyter lab notebooks

study: .venv/ready    ## re-run a finding: make study NAME=chaos (ARGUMENTS=--full: all of it), into out/studies
	$(BIN)/python -m studies $(NAME) $(ARGUMENTS)

bench: .venv/ready    ## speed and memory of every solver and model on this device, into out/bench (BENCH=--full: all of it)
	$(BIN)/python -m studies bench $(BENCH) --out out/bench/solvers.json
	$(BIN)/python -m studies bench --models --out out/bench/models.json

docs: .venv/ready     ## the manual, into site/; a warning is an error
	$(BIN)/mkdocs build --strict

check: .venv/ready    ## lint, types, notebooks without outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/nbstripout --verify notebooks/*.ipynb notebooks/solutions/*.ipynb

format: .venv/ready   ## put the code into its canonical form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout notebooks/*.ipynb notebooks/solutions/*.ipynb

lock: .venv/ready     ## pin the newest versions that fit pyproject.toml, for Python 3.11 and newer
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
	  --no-annotate --no-emit-index-url --custom-compile-command "make lock" --output-file requirements.txt
	$(BIN)/uv pip compile requirements-floor.in --universal --python-version 3.12 --upgrade \
	  --no-annotate --no-emit-index-url --custom-compile-command "make lock" --output-file requirements-floor.txt

clean:                ## remove what these targets made
	rm -rf .venv .venv-* out build dist site *.egg-info .pytest_cache .ruff_cache .hypothesis

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gtfdeer needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1); type: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@
