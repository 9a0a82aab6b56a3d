# make run   sets up all that the master needs, and starts it on 127.0.0.1:1234
# make test  sets up all that the tests need, and runs all of them
# make lint  ruff and mypy

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: run test lint format clean

run: $(VENV)/installed
	$(BIN)/twistd -n distnet --port 1234

test: $(VENV)/installed-for-tests
	$(BIN)/python -m tests.packages
	$(BIN)/python -m tests.suites

lint: $(VENV)/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'distnet needs Python 3.11 or later: make PYTHON=...'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'no virtual environment: on Debian, apt-get install python3-venv'; exit 1; }

$(VENV)/installed: $(BIN)/python setup.py
	$(PIP) install --editable .
	@touch $@

$(VENV)/installed-for-tests: $(BIN)/python setup.py
	$(PIP) install --editable '.[test,lint]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build *.egg-info _trial_temp*
