# Works with GNU make 3.81, which macOS ships.

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/sh

# --- variables, to set on the command line -------------------------------------------------------------------------

# RUN      one word: the folder in reports/        CONFIG     the mlx-lm config
# SOURCE   the chat history                        KIND       which app wrote it
# ME       your name in it, if it is another       CONTACTS   your address book, vCard or CSV
# DATE_ORDER, ZONE  of dates that leave it open    MASK       no: keep names and numbers
# VARIANT  for `make extract`: one in place of raw_style_variable
# DATA     the folder that holds the variants      OWNER      your name, as the prompts say it
# MODEL    in place of the config's model          INFERENCE  how your app builds its prompt
# APP      your app's code, searched for special tokens typed into it
# CONFIGS  for `make sweep`: the configs to train     HOSTS    for `make train`: machines, or a number of processes
# FULL=1   `make report` trains option A too, both with three seeds, and compares every combination of faults
# ALSO     further configs for the report to train and compare: other models, methods or lengths of training
# STOCK=yes the report trains once more as stock mlx-lm does, to show what our loss is worth (FULL=1 does, too)
# SMOKE=1  100 iterations, evaluated every 10         FORCE=1  train although the audit finds errors
RUN ?= demo
CONFIG ?= ft_configs/demo_135m_lora_variable.yaml
SOURCE ?= data/demo/chat.db
KIND ?= auto
ME ?=
CONTACTS ?=
DATE_ORDER ?=
ZONE ?=
MASK ?= yes
DATA ?= $(if $(filter demo,$(RUN)),data,data/$(RUN))
MODEL ?=
OWNER ?= $(if $(filter data/demo/chat.db,$(SOURCE)),Sam)
INFERENCE ?= historical
APP ?=
CONFIGS ?= $(wildcard ft_configs/demo_135m_*_variable.yaml)
HOSTS ?=
FULL ?=
ALSO ?=
STOCK ?= $(if $(filter-out 0,$(FULL)),yes,no)

ifneq ($(RUN),$(notdir $(firstword $(RUN))))
$(error RUN="$(RUN)" cannot name a run: it becomes a folder in reports/, so write one plain word, like RUN=personal)
endif

# --- set-up: $(PYTHON) is the Python to use, and $(READY) what makes it ready --------------------------------------
# $(READY) is to stand behind a bar (target: needs | $(READY)): it has to be there, but is never newer than a result.

LOCK := requirements.lock
READY := .venv/.ready-cpu
ifneq ($(filter-out 0,$(CUDA)),)
LOCK := requirements-cuda.lock
READY := .venv/.ready-cuda
endif
PYTHON := .venv/bin/python

# A .venv whose Python has gone since (upgraded, say) is made again.
$(shell .venv/bin/python -E -c pass 2>/dev/null || rm -f .venv/.ready-*)

# An active conda environment that has everything is used instead of .venv.
ifneq ($(CONDA_PREFIX),)
CONDA_LACKS := $(shell "$$CONDA_PREFIX/bin/python" -E lib/environment.py lacks $(LOCK) 2>/dev/null || echo "its Python fails")
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

.PHONY: help report test baseline bench lab extract audit train sweep configs setup lock clean

help: ## say what there is to make
	@echo "make TARGET [VARIABLE=value ...]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s  %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Each sets up what it needs, once: .venv from $(LOCK), or an active conda environment made from"
	@echo "environment.yml. With CUDA=1 (Linux with an NVIDIA card) .venv is made from requirements-cuda.lock."

# The report is a chain of files: each notebook reads what the one before it wrote.
RESULTS := reports/$(RUN)
LIB := $(wildcard lib/ftstudy/*.py lib/ftstudy/*/*.py lib/ftstudy/*/*/*.py)
PROFILE := $(wildcard $(INFERENCE))
NOTEBOOK = $(PYTHON) -m ftstudy notebook --run "$(RUN)"

report: $(RESULTS)/index.html ## run the four notebooks and write reports/RUN/index.html (RUN=demo unless given)
	@echo "The report of this run: $(RESULTS)/index.html"

$(RESULTS)/index.html: $(RESULTS)/04_compare.ipynb $(wildcard lib/ftstudy/report/templates/* $(RESULTS)/preferences.json) | $(READY)
	@$(PYTHON) -m ftstudy report --run "$(RUN)"

$(RESULTS)/04_compare.ipynb: notebooks/04_compare.ipynb $(RESULTS)/02_format_audit.ipynb $(RESULTS)/03_train.ipynb $(PROFILE) | $(READY)
ifneq ($(filter-out 0,$(FULL)),)
	@$(PYTHON) -m ftstudy repeats --config "$(CONFIG)" --adapters "$(REPEATS)" --iterations $(or $(ITERS),0) $(TRAINING)
endif
ifneq ($(ALSO),)
	@$(PYTHON) -m ftstudy sweep $(ALSO) $(TRAINING)
endif
	@$(PYTHON) -m ftstudy compare --run "$(RUN)" $(COMPARE)
	@$(NOTEBOOK) 04_compare $(COMPARE)

$(RESULTS)/03_train.ipynb: notebooks/03_train.ipynb $(RESULTS)/01_extract.ipynb $(wildcard $(CONFIG)) | $(READY)
	@$(NOTEBOOK) 03_train -p config "$(CONFIG)" -p data "$(DATA)" -p model "$(MODEL)" $(TRAIN)

$(RESULTS)/02_format_audit.ipynb: notebooks/02_format_audit.ipynb $(RESULTS)/01_extract.ipynb $(wildcard $(CONFIG)) \
    $(PROFILE) | $(READY)
	@$(NOTEBOOK) 02_format_audit -p config "$(CONFIG)" -p data "$(DATA)" -p model "$(MODEL)" -p owner "$(OWNER)" -p inference "$(INFERENCE)" $(AUDIT)

$(RESULTS)/01_extract.ipynb: notebooks/01_extract.ipynb $(RESULTS)/variables $(LIB) | $(READY) demo-data
	@$(PYTHON) -m ftstudy check --config "$(CONFIG)" --source "$(SOURCE)" --owner "$(OWNER)" --inference "$(INFERENCE)" \
	    --model "$(MODEL)" --iterations "$(ITERS)"
	@$(NOTEBOOK) 01_extract -p source "$(SOURCE)" -p kind "$(KIND)" -p owner "$(OWNER)" -p me "$(ME)" \
	    -p contacts "$(CONTACTS)" -p date_order "$(DATE_ORDER)" -p time_zone "$(ZONE)" \
	    -p mask $(if $(filter no No NO,$(MASK)),false,true) -p out "$(DATA)"

# The notebooks' defaults are for the tiny sample; these are for a real model. A run of your own keeps its adapter
# apart from the demo's, and does not stage the original report's history.
ADAPTER = $(if $(filter demo,$(RUN)),,data/adapters/$(RUN)/$(basename $(notdir $(CONFIG))))
AUDIT = -p app "$(APP)" -p adapter "$(ADAPTER)" -p stage_history $(if $(filter data/demo/chat.db,$(SOURCE)),true,false)
TRAIN = -p adapter "$(ADAPTER)" -p iterations $(or $(ITERS),0) -p evaluate_every 0 -p force $(if $(FORCE),true,false) \
    -p stock $(if $(filter yes Yes YES,$(STOCK)),true,false)
COMPARE = -p config "$(CONFIG)" -p owner "$(OWNER)" -p inference "$(INFERENCE)" -p replies 40 -p shots 4 -p longest 48 \
    -p samples 6 -p every $(if $(filter-out 0,$(FULL)),true,false) -p also '[$(subst $(space),$(comma),$(strip $(ALSO)))]'
REPEATS = data/adapters/$(RUN)/repeats
comma := ,
space := $(subst ,, )

VARIABLES = $(SOURCE) $(KIND) $(ME) $(CONTACTS) $(DATE_ORDER) $(ZONE) $(MASK) $(OWNER) $(DATA) $(CONFIG) $(MODEL) $(INFERENCE) $(APP) $(ITERS) $(STOCK) $(FULL) $(ALSO)

# Changes when a variable does, so that the same RUN with another SOURCE is not taken for done.
$(RESULTS)/variables: always
	@mkdir -p $(RESULTS)
	@echo "$(VARIABLES)" | cmp -s - $@ || echo "$(VARIABLES)" > $@

.PHONY: always demo-data
always:
demo-data: | $(READY)
ifeq ($(SOURCE),data/demo/chat.db)
	@$(PYTHON) -m ftstudy.demo.build
endif

test: | $(READY) ## run the tests, and the notebooks against their stored outputs
	$(PYTHON) -m pytest tests notebooks --nbval --nbval-cell-timeout=120

baseline: | $(READY) ## run the notebooks on the sample and store their outputs, for `make test` to compare
	$(PYTHON) -m ftstudy baseline
	$(PYTHON) -m ftstudy checks --markdown > docs/checks.md

bench: | $(READY) ## measure extraction, audit, training and comparison: seconds, memory, ratios to others, injected faults found
	$(PYTHON) bench/extraction.py
	$(PYTHON) bench/audit.py
	$(PYTHON) bench/training.py
	$(PYTHON) bench/comparison.py

lab: | $(READY) ## open the notebooks in JupyterLab
	$(PYTHON) -m jupyterlab --notebook-dir notebooks $(LAB)

extract: | $(READY) demo-data ## turn a chat history into training data: SOURCE=chat.db OWNER="My Name"
	@$(PYTHON) -m ftstudy extract --source "$(SOURCE)" --kind "$(KIND)" --owner "$(OWNER)" --out "$(DATA)" \
	    $(if $(ME),--me "$(ME)") $(if $(CONTACTS),--contacts "$(CONTACTS)") $(if $(DATE_ORDER),--date-order "$(DATE_ORDER)") \
	    $(if $(ZONE),--time-zone "$(ZONE)") $(if $(filter no No NO,$(MASK)),--no-mask) $(if $(VARIANT),--variant "$(VARIANT)")

audit: | $(READY) ## say whether a run would be wasted, before it: CONFIG=ft_configs/some.yaml
	@$(PYTHON) -m ftstudy audit --config "$(CONFIG)" $(if $(MODEL),--model "$(MODEL)") \
	    $(if $(filter-out file,$(origin DATA)),--data "$(DATA)") $(if $(filter-out file,$(origin INFERENCE)),--inference "$(INFERENCE)") \
	    $(if $(filter-out file,$(origin OWNER)),--owner "$(OWNER)") $(if $(APP),--app "$(APP)")

TRAINING = --run "$(RUN)" --data "$(DATA)" $(if $(MODEL),--model "$(MODEL)") $(if $(SMOKE),--smoke) $(if $(FORCE),--force)

train: | $(READY) ## train one config, or go on with it: CONFIG=ft_configs/some.yaml (SMOKE=1: a quick look)
	@$(PYTHON) -m ftstudy train --config "$(CONFIG)" $(TRAINING) $(if $(HOSTS),--hosts "$(HOSTS)")

sweep: | $(READY) ## train several configs one after another, to one table: CONFIGS="ft_configs/a.yaml ft_configs/b.yaml"
	@$(PYTHON) -m ftstudy sweep $(CONFIGS) $(TRAINING)

configs: | $(READY) ## write ft_configs/ again from its matrix, or configs for your own data: DATA=data/personal
	@$(PYTHON) -m ftstudy.original_report.config_matrix $(if $(filter-out file,$(origin DATA)),"$(DATA)")

setup: | $(READY) ## only set up what the others need

# A lock keeps its pins where they still fit; `make lock UPGRADE=1` takes the newest of everything.
# The second lock starts from the first, so that both pin the same versions.
COMPILE = "$$uv" pip compile --quiet --universal --python-version "$$(cat .python-version)" --generate-hashes \
    --no-header --no-annotate
lock: ## pin again what pyproject.toml asks for (UPGRADE=1: to the newest versions)
	@set -e; . lib/uv.sh; \
	$(COMPILE) pyproject.toml --extra cpu --extra test $(if $(UPGRADE),--upgrade) -o requirements.lock; \
	cp requirements.lock .cuda.lock; \
	$(COMPILE) pyproject.toml --extra cuda --extra test -o .cuda.lock; \
	mv .cuda.lock requirements-cuda.lock; \
	echo uv | $(COMPILE) - $(if $(UPGRADE),--upgrade) -o requirements-uv.lock

clean: ## remove what set-up made (.venv, .venv-uv); data/ and reports/ stay
	rm -rf .venv .venv-uv
