# Three commands do everything: `make demo`, `make test` and `make docs`; `make bench` measures anew. Each builds the environment in .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO := runs/demo
# Tests at a time: one more than the two cores of CI, as some wait for processes and for browsers.
WORKERS ?= 3

# Tests start hundreds of interpreters: what the first one compiles is kept, whatever the environment says.
test fast: export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check fast docs bench clean

demo: $(VENV)/installed
	rm -rf $(DEMO)
	@echo "1. Pictures: handwritten digits"
	$(BIN)/wassergan train digits --budget 40s --seed 0 --out $(DEMO)/digits
	$(BIN)/wassergan sample $(DEMO)/digits --count 100 --out $(DEMO)/digits.png
	$(BIN)/wassergan evaluate $(DEMO)/digits
	@echo
	@echo "2. A table: customers of an invented year"
	$(BIN)/python benchmarks/demo_people.py $(DEMO)
	$(BIN)/wassergan train $(DEMO)/people-2024.csv --budget 20s --seed 0 --out $(DEMO)/people
	$(BIN)/wassergan sample $(DEMO)/people --count 6 --out -
	$(BIN)/wassergan evaluate $(DEMO)/people
	@echo
	@echo "3. A distance, with its certified interval: these customers and those of the next year, whose incomes rose"
	$(BIN)/wassergan distance $(DEMO)/people-2024.csv $(DEMO)/people-2025.csv --method interval --budget 10s
	@echo
	@echo "Look at the digits:  $(DEMO)/digits.png"
	@echo "Open the reports:    $(DEMO)/digits/report.html  $(DEMO)/people/report.html"
	@echo "Which column moved:  wassergan distance $(DEMO)/people-2024.csv $(DEMO)/people-2025.csv --by-column"

test: $(VENV)/installed-dev $(VENV)/browser
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

fast: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

check: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The site, with warnings as errors: notebooks and the gallery are executed, then every link, anchor and name is checked.
# One thread unless told otherwise: small networks gain nothing by more, and threads that wait for each other on a busy
# machine burn many times the work (the critics of the gallery: 77 seconds of processor against seven minutes and no end).
docs: export OMP_NUM_THREADS ?= 1
docs: $(VENV)/installed-docs
	$(BIN)/python -m doctest docs/_ext/*.py
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site
	$(BIN)/python docs/check_site.py build/site
	@echo
	@echo "Open the pages:  build/site/index.html"

# Every table of docs/results anew: more than a day on two cores. What is finished is not begun again, so it can be
# interrupted. ONLY=speed,w1 makes some, AGAIN=1 finished ones too; PEERS is the Python of other generators of tables.
bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/bench.py --only "$(ONLY)" --peers "$(PEERS)" $(if $(AGAIN),--again)

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
