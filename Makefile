# What a person types in a fresh clone: `make demo` or `make test`. Both set up .venv first, once.

# What `make demo` runs.
DEMO = tuition search --scenario micro --trials 6 --workers 2 --test-seeds 3

# The first Python >= 3.11 found; requirements.lock was made with 3.11. Choose another by `make setup PYTHON=...`.
PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)

BIN := .venv/bin
# Written last, so its existence means that the whole of .venv was installed.
STAMP := .venv/.set-up-complete

# Errors only on the terminal.
PIP_INSTALL := $(BIN)/python -m pip install -qq --progress-bar off --disable-pip-version-check --log .venv/set-up.log

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-vllm lint style gpu-check benches clean-results

help:
	@echo "make demo           set up .venv, run a small search on the micro scenario and print its leaderboard"
	@echo "make test           set up .venv, lint, check types, run the tests"
	@echo "make test-fast      run the tests that take moments: what one runs between edits"
	@echo "make test-vllm      set up .venv-vllm with vLLM for a CPU, run the tests of it (they are skipped in make test)"
	@echo "make lint           set up .venv, lint and check types"
	@echo "make gpu-check      set up .venv, check every stage on this machine's GPU (skips without one)"
	@echo "make setup          set up .venv from requirements.lock (Python >= 3.11; PYTHON=... chooses one)"
	@echo "make benches        set up .venv, pack the recorded tables with their data sheet into dist/"
	@echo "make clean-results  remove results/: studies, stored blocks, logs"

setup: $(STAMP)

# A .venv without the stamp is half made: it is emptied. One with the stamp is brought up to date; the stamp goes
# first, so that an interrupted update is not believed either.
$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 found as python3.11 or python3:" \
		"install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: $(PYTHON) is Python %d.%d, and Tuition \
	needs >= 3.11: name another, make setup PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	@echo "Setting up .venv, once; this takes minutes (details: .venv/set-up.log)"
	@if test -f $@; then rm $@; else $(PYTHON) -m venv --clear .venv; fi
	@$(PIP_INSTALL) -r requirements.lock
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	$(BIN)/$(DEMO)

lint: style
	$(BIN)/mypy

style: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# mypy is one of the tests.
test: style
	$(BIN)/pytest -n 2 --dist loadgroup

# Without what is marked slow. Who is listed at the end should be too, or do with less.
test-fast: setup
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow" --durations 10 --durations-min 4

# vLLM has its own versions of what .venv pins. Its file lists all of it, so nothing is resolved; left out is what only a
# GPU needs. The plugin keeps linear weights, which vLLM on a CPU would drop.
VLLM := tests/runners/vllm
VLLM_STAMP := .venv-vllm/.set-up-complete

$(VLLM_STAMP): $(VLLM)/requirements.lock $(wildcard $(VLLM)/plugin/*) pyproject.toml
	@echo "Setting up .venv-vllm, once; this takes minutes (details: .venv-vllm/set-up.log)"
	@$(PYTHON) -m venv --clear .venv-vllm
	@.venv-vllm/bin/python -m pip install -qq --progress-bar off --disable-pip-version-check --log .venv-vllm/set-up.log \
		--no-deps -r $(VLLM)/requirements.lock
	@.venv-vllm/bin/python -m pip install -qq --progress-bar off --disable-pip-version-check --log .venv-vllm/set-up.log \
		--no-deps --no-build-isolation $(VLLM)/plugin
	@.venv-vllm/bin/python -m pip install -qq --progress-bar off --disable-pip-version-check --log .venv-vllm/set-up.log \
		--no-deps --no-build-isolation --editable .
	@touch $@

test-vllm: $(VLLM_STAMP)
	.venv-vllm/bin/python -m pytest $(VLLM)

# `python -m tests.experiments.gpu.check --out FILE` also writes the table, as Markdown.
gpu-check: setup
	$(BIN)/python -m tests.experiments.gpu.check

# One archive, the same bytes from the same files: what a release attaches.
benches: setup
	$(BIN)/python -m tuition.benchmarks.tables.release dist

clean-results:
	rm -rf results
