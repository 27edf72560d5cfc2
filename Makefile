# Works with GNU make 3.81, which macOS ships.

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/sh

# --- variables, to set on the command line -------------------------------------------------------------------------

RUN ?= demo
CONFIG ?=
SOURCE ?=
DATA ?=
MODEL ?=
OWNER ?=
INFERENCE ?=

# --- set-up: $(PYTHON) is the Python to use, and $(READY) what makes it ready --------------------------------------
# $(READY) is to stand behind a bar (target: needs | $(READY)): it has to be there, but is never newer than a result.

LOCK := requirements.lock
READY := .venv/.ready-cpu
ifneq ($(filter-out 0,$(CUDA)),)
LOCK := requirements-cuda.lock
READY := .venv/.ready-cuda
endif
PYTHON := .venv/bin/python

# An active conda environment that has everything is used instead of .venv.
ifneq ($(CONDA_PREFIX),)
CONDA_LACKS := $(shell "$$CONDA_PREFIX/bin/python" lib/environment.py lacks $(LOCK) 2>/dev/null || echo "its Python fails")
ifeq ($(CONDA_LACKS),)
PYTHON := "$(CONDA_PREFIX)/bin/python"
READY := conda-ready
endif
endif

# Neither may turn away the Python chosen here.
unexport PYTHONHOME PYTHONPATH

.PHONY: conda-ready conda-note
conda-ready:
	@echo "Using the active conda environment: $$CONDA_PREFIX"
	@$(PYTHON) lib/environment.py link

conda-note:
ifneq ($(CONDA_LACKS),)
	@echo "The active conda environment is not used ($(CONDA_LACKS)); .venv is."
else
	@:
endif

.venv/.ready-cpu .venv/.ready-cuda: $(LOCK) | conda-note
	@sh lib/setup.sh $(LOCK)
	@touch $@

# --- targets -------------------------------------------------------------------------------------------------------

.PHONY: help report test lab extract audit train setup lock clean

help: ## say what there is to make
	@echo "make TARGET [VARIABLE=value ...]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s  %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Each sets up what it needs, once: .venv from $(LOCK), or an active conda environment made from"
	@echo "environment.yml. With CUDA=1 (Linux with an NVIDIA card) .venv is made from requirements-cuda.lock."

# >>> for the lead: the recipes of report, test, lab, extract, audit and train

report: | $(READY) ## run the four notebooks and write reports/RUN/index.html (RUN=demo unless given)
	@echo "stub: report $(RUN)"

test: | $(READY) ## run the tests, and the notebooks against their stored outputs
	$(PYTHON) -m pytest tests
	$(PYTHON) -m pytest --nbval --nbval-cell-timeout=120 notebooks

lab: | $(READY) ## open the notebooks in JupyterLab
	$(PYTHON) -m jupyterlab notebooks

extract: | $(READY) ## turn a chat history into training data: SOURCE=chat.db OWNER="My Name"
	$(PYTHON) -m ftstudy extract --source "$(SOURCE)" --owner "$(OWNER)" --out data

audit: | $(READY) ## say whether a run would be wasted, before it: CONFIG=ft_configs/some.yaml
	$(PYTHON) -m ftstudy audit --config "$(CONFIG)" $(if $(DATA),--data "$(DATA)") $(if $(MODEL),--model "$(MODEL)") \
	    $(if $(INFERENCE),--inference "$(INFERENCE)")

train: | $(READY) ## train one config: CONFIG=ft_configs/some.yaml
	$(PYTHON) -m ftstudy train --config "$(CONFIG)"

# <<<

setup: | $(READY) ## only set up what the others need

# A lock keeps its pins where they still fit; `make lock UPGRADE=1` takes the newest of everything.
# The second lock starts from the first, so that both pin the same versions.
COMPILE = "$$uv" pip compile --quiet --universal --python-version "$$(cat .python-version)" --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links
lock: ## pin again what pyproject.toml asks for (UPGRADE=1: to the newest versions)
	set -e; . lib/uv.sh; \
	$(COMPILE) pyproject.toml --extra cpu --extra test $(if $(UPGRADE),--upgrade) -o requirements.lock; \
	cp requirements.lock requirements-cuda.lock; \
	$(COMPILE) pyproject.toml --extra cuda --extra test -o requirements-cuda.lock; \
	echo uv | $(COMPILE) - $(if $(UPGRADE),--upgrade) -o requirements-uv.lock

clean: ## remove what set-up made (.venv, .venv-uv); data/ and reports/ stay
	rm -rf .venv .venv-uv
