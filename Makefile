# Everything a newcomer types. The first target that needs it builds .venv from the pinned versions.
PYTHON ?= python3
BIN := .venv/bin
export GTFDEER_FAST ?= 1

.PHONY: help demo test test-fast lab bench check format lock clean

help:                 ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s ':'

demo: .venv/ready     ## Lorenz-63 end to end: simulate, train, free-run, score; leaves out/demo/report.html
	$(BIN)/gtfdeer demo --out out/demo

test: .venv/ready     ## the whole test suite, docstring examples and notebooks included
	$(BIN)/python -m pytest -n 2 --dist worksteal --nbmake --nbmake-timeout=300 --durations=10 tests gtfdeer notebooks

coverage: .venv/ready ## the same, with coverage of the package
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov=gtfdeer --cov-report=term-missing:skip-covered tests gtfdeer

lab: .venv/ready      ## JupyterLab on the notebooks, on this machine only
	$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --notebook-dir=notebooks

bench: .venv/ready    ## speed and memory of every solver on this device
	$(BIN)/gtfdeer bench

check: .venv/ready    ## lint, types, notebooks without outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/nbstripout --verify notebooks/*.ipynb

format: .venv/ready   ## put the code into its canonical form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout notebooks/*.ipynb

lock: .venv/ready     ## pin the newest versions that fit pyproject.toml, for Python 3.11 and newer
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
	  --no-annotate --no-emit-index-url --custom-compile-command "make lock" --output-file requirements.txt

clean:                ## remove what these targets made
	rm -rf .venv out build dist *.egg-info .pytest_cache .ruff_cache .hypothesis

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gtfdeer needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1); type: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@
