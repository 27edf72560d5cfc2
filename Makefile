# Works with GNU make 3.81, which macOS ships.

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/sh

# --- variables, set on the command line; `make help` prints this list -----------------------------------------------

#   RUN          name of the folder in reports/ (demo)
#   SOURCE       your chat history; KIND: the app that wrote it (detected). Without it, your own rows are used
#   OWNER        your name, as the prompts say it; ME: your name in SOURCE, if different
#   CONTACTS     your address book, vCard or CSV
#   DATE_ORDER   order of ambiguous dates, like dmy; ZONE: their time zone, like Europe/Berlin
#   MASK=no      keep names, numbers, addresses and links
#   DATA         folder for the training data (data, or data/RUN; without SOURCE, the config's); VARIANT: the one
#                `make extract` writes
#   CONFIG       the mlx-lm config to train or audit; CONFIGS: those for `make sweep`
#   MODEL        base model, instead of the config's
#   INFERENCE    how your app builds its prompt: a profile, Modelfile, GGUF, recording, or a name (the demo: historical)
#   ADAPTER      your adapter, to be measured instead of training one; FUSED: the fused model; LOG: training's output
#   APP          your app's code, searched for special tokens typed into it
#   ITERS        iterations, instead of the config's; SMOKE=1: 100 iterations, evaluated every 10
#   FORCE=1      train even if the audit finds errors
#   FULL=1       report: train option A too, both with three seeds, and combine all faults
#   ALSO         report: more configs to train and compare
#   STOCK=yes    report: also train as stock mlx-lm does, to measure the difference
#   HOSTS        train: on these machines, or in this many processes
#   CUDA=1       Linux with an NVIDIA card
RUN ?= demo
SOURCE ?= $(if $(filter demo,$(RUN)),data/demo/chat.db)
CONFIG ?= $(if $(SOURCE),ft_configs/demo_135m_lora_variable.yaml)
KIND ?= auto
ME ?=
CONTACTS ?=
DATE_ORDER ?=
ZONE ?=
MASK ?= yes
DATA ?= $(if $(SOURCE),$(if $(filter demo,$(RUN)),data,data/$(RUN)),$(wildcard data/$(RUN)))
MODEL ?=
OWNER ?= $(if $(filter data/demo/chat.db,$(SOURCE)),Sam)
INFERENCE ?= $(if $(filter data/demo/chat.db,$(SOURCE)),historical)
ADAPTER ?=
FUSED ?=
LOG ?=
APP ?=
CONFIGS ?= $(wildcard ft_configs/demo_135m_*_variable.yaml)
HOSTS ?=
FULL ?=
ALSO ?=
STOCK ?= $(if $(filter-out 0,$(FULL)),yes,no)

ifneq ($(RUN),$(notdir $(firstword $(RUN))))
$(error RUN="$(RUN)" cannot name a run: it becomes a folder in reports/, so write one plain word, like RUN=personal)
endif

# --- setup: $(PYTHON) is the Python to use, $(READY) the file that says it is ready ---------------------------------
# List $(READY) after a bar (target: needs | $(READY)): it must exist, but does not make results out of date.

LOCK := requirements.lock
READY := .venv/.ready-cpu
ifneq ($(filter-out 0,$(CUDA)),)
LOCK := requirements-cuda.lock
READY := .venv/.ready-cuda
endif
PYTHON := .venv/bin/python

# Rebuild a .venv whose Python has disappeared, as after an upgrade.
$(shell .venv/bin/python -E -c pass 2>/dev/null || rm -f .venv/.ready-*)

# Use an active conda environment instead of .venv if it has every package.
ifneq ($(CONDA_PREFIX),)
CONDA_LACKS := $(shell "$$CONDA_PREFIX/bin/python" -E lib/environment.py lacks $(LOCK) 2>/dev/null || echo "its Python fails")
ifeq ($(CONDA_LACKS),)
PYTHON := "$(CONDA_PREFIX)/bin/python"
READY := conda-ready
endif
endif

# Either would redirect the Python chosen here.
unexport PYTHONHOME PYTHONPATH

.PHONY: conda-ready conda-note
conda-ready:
	@echo "Using the active conda environment: $$CONDA_PREFIX"
	@$(PYTHON) lib/environment.py link

conda-note:
ifneq ($(CONDA_LACKS),)
	@echo "Using .venv, not the active conda environment: $(CONDA_LACKS)."
else
	@:
endif

.venv/.ready-cpu .venv/.ready-cuda: $(LOCK) | conda-note
	@sh lib/setup.sh $(LOCK)
	@touch $@

# --- targets -------------------------------------------------------------------------------------------------------

.PHONY: help report extract audit train sweep lab configs setup clean test baseline bench mutation lock

# A target's line says what it does: after ## for users, after #: for developers.
help: ## show this
	@echo "make TARGET [VARIABLE=value ...]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Variables (default)"
	@sed -n 's/^#   \([A-Z]\)/  \1/p' Makefile
	@echo
	@echo "For developers"
	@awk -F ':.*#: ' '/^[a-z]+:.*#: / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Every target first sets up .venv from $(LOCK), once. An active conda environment made from environment.yml"
	@echo "is used instead. The README has examples."

# The report is a chain of files: each notebook reads what the previous one wrote.
RESULTS := reports/$(RUN)
LIB := $(wildcard lib/ftstudy/*.py lib/ftstudy/*/*.py lib/ftstudy/*/*/*.py)
PROFILE := $(wildcard $(INFERENCE))
NOTEBOOK = $(PYTHON) -m ftstudy notebook --run "$(RUN)"

report: $(RESULTS)/index.html ## run the study and write reports/RUN/index.html; without variables, on the demo
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
	    -p mask $(if $(filter no No NO,$(MASK)),false,true) \
	    -p config "$(if $(SOURCE),,$(CONFIG))" -p $(if $(SOURCE),out,data) "$(DATA)"

# The notebooks' defaults suit the tiny sample, these a real model. Your own run has its own adapter folder, and
# does not stage the original report's history.
ADAPTED = $(or $(ADAPTER),$(if $(filter demo,$(RUN)),,data/adapters/$(RUN)/$(basename $(notdir $(CONFIG)))))
AUDIT = -p app "$(APP)" -p fused "$(FUSED)" -p adapter "$(ADAPTED)" -p stage_history $(if $(filter data/demo/chat.db,$(SOURCE)),true,false)
TRAIN = -p adapter "$(ADAPTED)" -p existing $(if $(ADAPTER),true,false) -p log "$(LOG)" -p iterations $(or $(ITERS),0) -p evaluate_every 0 -p force $(if $(FORCE),true,false) \
    -p stock $(if $(filter yes Yes YES,$(STOCK)),true,false)
COMPARE = -p config "$(CONFIG)" -p fused "$(FUSED)" -p owner "$(OWNER)" -p inference "$(INFERENCE)" -p replies 40 -p shots 4 -p longest 48 \
    -p samples 6 -p every $(if $(filter-out 0,$(FULL)),true,false) -p also '[$(subst $(space),$(comma),$(strip $(ALSO)))]'
REPEATS = data/adapters/$(RUN)/repeats
comma := ,
space := $(subst ,, )

VARIABLES = $(SOURCE) $(KIND) $(ME) $(CONTACTS) $(DATE_ORDER) $(ZONE) $(MASK) $(OWNER) $(DATA) $(CONFIG) $(MODEL) $(INFERENCE) $(APP) $(ITERS) $(STOCK) $(FULL) $(ALSO) $(ADAPTER) $(FUSED) $(LOG)

# Changes with the variables, so that the same RUN with another SOURCE runs again.
$(RESULTS)/variables: always
	@mkdir -p $(RESULTS)
	@echo "$(VARIABLES)" | cmp -s - $@ || echo "$(VARIABLES)" > $@

.PHONY: always demo-data
always:
demo-data: | $(READY)
ifeq ($(SOURCE),data/demo/chat.db)
	@$(PYTHON) -m ftstudy demo
endif

test: | $(READY) #: run the tests, and compare the notebooks with their stored outputs
	$(PYTHON) -m pytest tests notebooks --nbval --nbval-cell-timeout=120

baseline: | $(READY) #: store the notebooks' outputs on the sample, for `make test`, and docs/checks.md
	$(PYTHON) -m ftstudy baseline
	$(PYTHON) -m ftstudy checks --markdown > docs/checks.md

bench: | $(READY) #: measure seconds, memory, ratios to other tools, and how many injected faults the audit finds
	$(PYTHON) bench/extraction.py
	$(PYTHON) bench/audit.py
	$(PYTHON) bench/training.py
	$(PYTHON) bench/comparison.py

lab: | $(READY) ## explore in JupyterLab
	$(PYTHON) -m jupyterlab --notebook-dir notebooks $(LAB)

extract: | $(READY) demo-data ## chat history to training data: SOURCE=chat.db OWNER="My Name"
	@$(PYTHON) -m ftstudy extract --source "$(SOURCE)" --kind "$(KIND)" --owner "$(OWNER)" --out "$(DATA)" \
	    $(if $(ME),--me "$(ME)") $(if $(CONTACTS),--contacts "$(CONTACTS)") $(if $(DATE_ORDER),--date-order "$(DATE_ORDER)") \
	    $(if $(ZONE),--time-zone "$(ZONE)") $(if $(filter no No NO,$(MASK)),--no-mask) $(if $(VARIANT),--variant "$(VARIANT)")

audit: | $(READY) ## check a run before training: CONFIG=my_config.yaml INFERENCE=my_app.yaml
	@$(PYTHON) -m ftstudy audit --config "$(CONFIG)" $(if $(MODEL),--model "$(MODEL)") \
	    $(if $(filter-out file,$(origin DATA)),--data "$(DATA)") $(if $(filter-out file,$(origin INFERENCE)),--inference "$(INFERENCE)") \
	    $(if $(filter-out file,$(origin OWNER)),--owner "$(OWNER)") $(if $(APP),--app "$(APP)") $(if $(FUSED),--fused "$(FUSED)")

TRAINING = --run "$(RUN)" $(if $(DATA),--data "$(DATA)") $(if $(MODEL),--model "$(MODEL)") $(if $(SMOKE),--smoke) $(if $(FORCE),--force)

train: | $(READY) ## train one config, or resume it: CONFIG=my_config.yaml
	@$(PYTHON) -m ftstudy train --config "$(CONFIG)" $(TRAINING) $(if $(HOSTS),--hosts "$(HOSTS)")

sweep: | $(READY) ## train several configs into one table: CONFIGS="a.yaml b.yaml"
	@$(PYTHON) -m ftstudy sweep $(CONFIGS) $(TRAINING)

configs: | $(READY) ## write ft_configs/generated/: every model, method and variant; for your data: DATA=data/anna
	@$(PYTHON) -m ftstudy configs $(if $(filter-out file,$(origin DATA)),--data "$(DATA)")

setup: | $(READY) ## only set up the environment

# The tester expects the code in src/, so it works in .mutation/, on links, and changes only its own copy there.
# Its environment adds the tester to the packages of this one.
SITE = -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
mutation: | $(READY) #: change the code at random and list the changes no test notices: MUTANTS="ftstudy.extract.*"
	@rm -rf .mutation/mutants && mkdir -p .mutation/data .mutation/mutants/src
	@ln -sfn ../lib .mutation/src && ln -sfn ../../data/sample .mutation/data/sample
	@ln -sfn ../tests ../ft_configs ../notebooks ../pyproject.toml .mutation/
	@test -x .mutation/venv/bin/mutmut || { $(PYTHON) -m venv .mutation/venv && \
	    $(PYTHON) $(SITE) > "$$(.mutation/venv/bin/python $(SITE))/study.pth" && \
	    .mutation/venv/bin/python -m pip install --quiet mutmut==3.8.1; }
	@cd .mutation && export PYTHONPATH="$$PWD/mutants/src" && venv/bin/mutmut run $(MUTANTS) && venv/bin/mutmut results

# Pins stay where they still fit; `make lock UPGRADE=1` takes the newest versions.
# The second lock starts from the first, so that both pin the same versions.
COMPILE = "$$uv" pip compile --quiet --universal --python-version "$$(cat .python-version)" --generate-hashes \
    --no-header --no-annotate
lock: #: pin the packages of pyproject.toml again (UPGRADE=1: newest versions)
	@set -e; . lib/uv.sh; \
	$(COMPILE) pyproject.toml --extra study --extra cpu --extra test $(if $(UPGRADE),--upgrade) -o requirements.lock; \
	cp requirements.lock .cuda.lock; \
	$(COMPILE) pyproject.toml --extra study --extra cuda --extra test -o .cuda.lock; \
	mv .cuda.lock requirements-cuda.lock; \
	echo uv | $(COMPILE) - $(if $(UPGRADE),--upgrade) -o requirements-uv.lock

clean: ## remove the environment (.venv, .venv-uv, .mutation); data/ and reports/ stay
	rm -rf .venv .venv-uv .mutation
