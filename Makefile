# Everything that needs an environment makes it first, once: again only after pyproject.toml or constraints/ changed.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The interpreter of .venv; without it the first of 3.11, 3.13, 3.12, 3.10 that is found.
PYTHON ?=
export PYTHON

PINS := pyproject.toml scripts/environment scripts/find-python $(wildcard constraints/py*.txt)
OTHER_PYTHONS := 3.10 3.12 3.13
OTHER_PYTHONS_TESTS := tests/runtime tests/review tests/proving_ground tests/ros_bridge
NOT_ONCE := -m "not once"
PYTEST_ARGS ?=
# How many tests run at once; a file's stay in one process. `make test WORKERS=0`: one by one, in this process. Three on
# two cores: most tests wait now and then, for a process or for the disk.
WORKERS ?= $(shell expr $$(nproc) \* 3 / 2)
SPREAD := --numprocesses=$(WORKERS) --dist=loadfile
# export/ extends torch's own types, so without torch (another Python than 3.11) mypy is given the rest.
TYPED_WITHOUT_TORCH := --follow-imports=silent sightline.py runtime review proving_ground ros_bridge $(OTHER_PYTHONS_TESTS)

.PHONY: help demo test check check-jetson test-pythons bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.base  ## set up, drive the proving ground, record, replay, show the incident
	.venv/bin/sightline demo

test: .venv/.dev  ## set up, run the tests
	.venv/bin/python -m pytest $(SPREAD) $(PYTEST_ARGS)

check: .venv/.dev  ## formatting, lint, types, and whether the docs are true
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/hadolint Dockerfile.jetson
	.venv/bin/mypy $(shell .venv/bin/python -c 'import importlib.util as i, sys; sys.exit(not i.find_spec("torch"))' || echo $(TYPED_WITHOUT_TORCH))
	.venv/bin/python -m pytest tests/docs tests/test_architecture.py

test-pythons:  ## the runtime's tests under every other supported Python that is found
	@tried=""; missing=""; \
	for version in $(OTHER_PYTHONS); do \
	  if python=$$(scripts/find-python $$version 2>/dev/null); then \
	    $(MAKE) --no-print-directory PYTHON="$$python" .venvs/$$version/.test || exit 1; \
	    .venvs/$$version/bin/python -m pytest -p no:cacheprovider $(SPREAD) $(NOT_ONCE) $(OTHER_PYTHONS_TESTS) $(PYTEST_ARGS) || exit 1; \
	    tried="$$tried $$version"; \
	  else missing="$$missing $$version"; fi; \
	done; \
	echo "test-pythons: passed under$${tried:- none}; not found:$${missing:- none}"

check-jetson: .venv/.dev  ## whether the Jetson's locks hold, and the image's pip steps work (asks the package index)
	.venv/bin/python scripts/check-jetson
	.venv/bin/python scripts/replay-image

bench: .venv/.dev  ## every figure in the docs, measured on this machine
	.venv/bin/python -m benchmarks

clean:  ## remove environments, builds and caches; drives stay
	rm -rf .venv .venvs .cache build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.base: $(PINS)
	@scripts/environment .venv base
	@touch $@

.venv/.dev: $(PINS)
	@scripts/environment .venv dev
	@touch .venv/.base $@

.venvs/%/.test: $(PINS)
	@scripts/environment .venvs/$* test
	@touch $@
