# Three commands do everything: `make demo`, `make test` and `make docs`. Each builds the environment in .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO := runs/demo
# Tests at a time: one more than the two cores of CI, as some wait for processes and for browsers.
WORKERS ?= 3

# Tests start hundreds of interpreters: what the first one compiles is kept, whatever the environment says.
test fast: export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check fast docs clean

demo: $(VENV)/installed
	rm -rf $(DEMO)
	$(BIN)/wassergan train digits --budget 60s --seed 0 --out $(DEMO)
	$(BIN)/wassergan sample $(DEMO) --count 100 --out $(DEMO)/samples.png
	$(BIN)/wassergan evaluate $(DEMO)
	@echo
	@echo "Look at the digits:  $(DEMO)/samples.png"
	@echo "Open the report:     $(DEMO)/report.html"

test: $(VENV)/installed-dev $(VENV)/browser
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

fast: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

check: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The site, with warnings as errors: notebooks and the gallery are executed, then every link, anchor and name is checked.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site
	$(BIN)/python docs/check_site.py build/site
	@echo
	@echo "Open the pages:  build/site/index.html"

clean:
	rm -rf $(VENV) $(DEMO) build/site docs/api docs/gallery docs/_examples .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable ".[dev]"
# Without what it depends on: its network needs torch alone, and torchvision comes for one build of torch only.
	$(PIP) --no-deps torch-fidelity
	@touch $@ $(VENV)/installed

$(VENV)/installed-docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable ".[docs]"
	@touch $@ $(VENV)/installed

# The tests open pages in a real browser. Where there is none and no way to install one, they are skipped with a word.
$(VENV)/browser: | $(VENV)/bin/python
	command -v chromium google-chrome || { export DEBIAN_FRONTEND=noninteractive; SUDO="$$(command -v sudo >/dev/null && echo sudo -E)"; \
	  for try in 1 2 3; do \
	    $$SUDO apt-get -qq update && $$SUDO apt-get -qq install --no-install-recommends chromium >/dev/null && break; \
	    sleep 10; \
	  done; command -v chromium; } \
	  || echo "No Chromium could be installed: the tests of the page will be skipped."
	@touch $@
