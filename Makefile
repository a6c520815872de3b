# Two commands on a fresh Debian with python3-venv and make: `make run` and `make test`. Each sets up what it needs.

VENV = .venv
PYTHON = $(VENV)/bin/python
PIP = $(PYTHON) -m pip install --quiet --disable-pip-version-check
TRIAL = -m twisted.trial --temp-directory=build/trial
# What `make test` and `make coverage` run; for one room: make test TESTS=tests.core.
# Modules in tests/interop are not named test_*, so trial passes them by: they have a target of their own.
TESTS = tests
BENCH = short

.DEFAULT_GOAL = help
.PHONY: help run test test-long coverage lint docs interop demo-lan bench install-check lowest clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

$(PYTHON):
	python3 -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(PYTHON)
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-%: setup.cfg pyproject.toml | $(PYTHON)
	$(PIP) --editable '.[$*]'
	@touch $@

run: $(VENV)/.installed ## two servers that federate, and a conversation between them
	$(PYTHON) -m xmppfed.demo

test: $(VENV)/.installed-test | build ## the tests
	$(PYTHON) $(TRIAL) $(TESTS)

test-long: $(VENV)/.installed-test | build ## the tests, with ten thousand examples per property
	XMPPFED_HYPOTHESIS=long $(PYTHON) $(TRIAL) $(TESTS)

coverage: $(VENV)/.installed-test | build ## the tests, and which branches they reach: all of the core, 95 % elsewhere
	$(PYTHON) -m coverage run $(TRIAL) $(TESTS)
	$(PYTHON) -m coverage report --include='xmppfed/core/*' --fail-under=100
	$(PYTHON) -m coverage report --omit='xmppfed/core/*' --fail-under=95

lint: $(VENV)/.installed-dev ## style, types, and who may import whom
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

docs: $(VENV)/.installed-docs ## the documentation, in docs/_build/html
	$(PYTHON) -m sphinx -W --keep-going -q -b html docs docs/_build/html

interop: $(VENV)/.installed-test | build ## real clients, servers and proxies against ours
	bash scripts/install_peers.sh
	$(PYTHON) -m tests.interop

demo-lan: $(VENV)/.installed-test | build ## libpurple and Converse.js on one local network; what is seen is in build/demo-lan.png
	bash scripts/install_peers.sh lan
	$(PYTHON) -m tests.interop.demo_lan build/demo-lan.png

bench: $(VENV)/.installed-test | build ## costs beside those of a peer; BENCH=long for more
	$(PYTHON) -m benchmarks.run --$(BENCH)

install-check: | build ## a wheel and an editable install, each in a new environment, each started by twistd
	bash scripts/install_check.sh

lowest: | build ## the tests with the oldest dependencies that setup.cfg allows
	bash scripts/lowest.sh $(TESTS)

build:
	@mkdir -p build

clean: ## remove what was built; the environment stays
	rm -rf build dist docs/_build _trial_temp* .coverage .mypy_cache .ruff_cache .import_linter_cache .hypothesis
