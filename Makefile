# make run   sets up all that the master needs, and starts it on 127.0.0.1:1234
# make test  sets up all that the tests need, and runs what a pull request needs
# make test-all  the same, then the benchmarks' own tests, random input to the C code under its
#             sanitizers, all without native code, the mutations, and the long random runs
# make mutations  tries those that are about files that changed since the branch left main;
#             make mutations REV=... since it left another, ALL=1 all, NAMES='...' the named ones
# make test-zcore ZCORE=DIR  three real zCores on distnet; DIR has zcore.bin and riscv64.img
# make test-long  the long random runs of the switch and the gateway, some minutes
# make test-versions  some tests on all versions of Python and the oldest Twisted (nox)
# make lint  ruff and mypy, and the documents
# make docs  the documents as a site in build/docs; a link that leads nowhere fails it
# make changelog  puts newsfragments/ into CHANGELOG.md
# make bench  measures switch, master and gateway beside others; tables and plots are in build/bench.
#             make bench BENCH=--quick does little of each; BENCH='--beside ../old --only ours' compares
#             with another checkout; BENCH=--help says what else there is
# make figures  puts what make bench has measured into the documents

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: run test test-all mutations test-versions packages native test-long test-zcore zcore-is-given lint docs changelog format bench figures clean

run: $(VENV)/installed
	$(BIN)/twistd -n distnet --port 1234

test: native
	$(BIN)/python -m tests.suites

test-all: native
	$(BIN)/python -m tests.suites --all

mutations: native
	$(BIN)/python -m tests.mutations $(if $(ALL),--all) $(if $(REV),--since $(REV)) $(NAMES)

test-versions: $(VENV)/installed-for-tests
	$(PIP) install nox
	$(BIN)/nox

packages: $(BIN)/python
	$(BIN)/python -m tests.packages

# Once more: there may have been no compiler when distnet was installed.
native: packages $(VENV)/installed-for-tests
	$(BIN)/python setup.py --quiet build_ext --inplace

test-long: $(VENV)/installed-for-tests
	$(BIN)/python -m tests.long

# First of all, before anything is set up.
zcore-is-given:
	@test -n '$(ZCORE)' || { echo 'say where a zCore is: make test-zcore ZCORE=DIR'; \
		echo 'DIR has zcore.bin and riscv64.img or riscv64.img.gz: see docs/zcore.md'; exit 2; }
	@test -f '$(ZCORE)/zcore.bin' || { echo 'there is no $(ZCORE)/zcore.bin: see docs/zcore.md'; exit 2; }

test-zcore: zcore-is-given native
	DISTNET_ZCORE='$(abspath $(ZCORE))' $(BIN)/python -m pytest -v tests/zcore

lint: docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed-for-tests
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet docs build/docs

# For a release: towncrier build --version, which takes the fragments away, and this once more.
changelog: $(VENV)/installed-for-tests
	@mkdir -p build
	$(BIN)/towncrier build --draft --date 'not released' > build/changelog.md \
		--version "$$($(BIN)/python -c 'import distnet; print(distnet.__version__)')"
	sed -i -e '/^<!-- not released/,/^<!-- towncrier/{//!d}' \
		-e '/^<!-- not released/r build/changelog.md' CHANGELOG.md

bench: native
	$(BIN)/python -m bench $(BENCH)

figures: $(VENV)/installed-for-tests
	$(BIN)/python -m bench.summary build/bench/*.json --plots docs \
		--into docs/speed.md README.md README.zh-CN.md

format: $(VENV)/installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'distnet needs Python 3.11 or later: make PYTHON=...'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo 'no virtual environment: on Debian, apt-get install python3-venv'; exit 1; }

NATIVE := $(wildcard distnet/_native/*.[ch])

$(VENV)/installed: $(BIN)/python setup.py $(NATIVE)
	$(PIP) install --editable .
	@touch $@

$(VENV)/installed-for-tests: $(BIN)/python setup.py $(NATIVE)
	$(PIP) install --editable '.[test,lint,docs]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build *.egg-info _trial_temp*
