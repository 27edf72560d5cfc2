# Works with GNU make 3.81, which macOS ships.

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/sh

# --- variables, set on the command line; `make help` prints this list -----------------------------------------------

#   RUN          name of the folder in reports/ (demo); broken: the demo's chats in a fine-tune that fails
#   SOURCE       your chat history; KIND: the app that wrote it (detected). Without it, your own rows are used
#   OWNER        your name, as the prompts say it; ME: your name in SOURCE, if different
#   CONTACTS     your address book, vCard or CSV
#   REGION       country of phone numbers without a country code, like DE (that of most others)
#   DATE_ORDER   order of ambiguous dates, like dmy, or how a message begins, like '%d.%m.%y, %H:%M -'
#   ZONE         the time zone of dates without one, like Europe/Berlin
#   MASK=no      keep names, numbers, addresses and links
#   DATA         folder for the training data (data, or data/RUN; without SOURCE, the config's); VARIANT: the one
#                `make extract` writes
#   CONFIG       the mlx-lm config to train or audit; CONFIGS: those for `make sweep`
#   MODEL        base model, instead of the config's
#   INFERENCE    how your app builds its prompt: a profile, Modelfile, GGUF, recording, or a name (demos: historical)
#   ADAPTER      your adapter, to be measured instead of training one; FUSED: the fused model; LOG: training's output
#   APP          your app's code, searched for special tokens typed into it
#   ITERS        iterations, instead of the config's; SMOKE=1: 100 iterations, evaluated every 10
#   REPLIES      how many held-out replies to compare on (80); SHOTS: how many examples the base model is shown (4)
#   FORCE=1      train even if the audit finds errors
#   FULL=1       report: train option A too, both with three seeds, and combine all faults
#   ALSO         report: more configs to train and compare
#   SHARE=1      report: also write share.html, the report without anybody's words
#   PROVE=1      report: train it as it was, as fixed, and with each fault left in, and say what each cost; BUDGET: the
#                time for that, like 10m
#   STOCK=yes    report: also train as stock mlx-lm does, to measure the difference
#   HOSTS        train: on these machines, or in this many processes
#   TAKE         blind: the file that the page saved your choices to
#   CUDA=1       Linux with an NVIDIA card
NAMES := RUN SOURCE KIND OWNER ME CONTACTS DATE_ORDER ZONE REGION MASK DATA VARIANT CONFIG CONFIGS MODEL INFERENCE ADAPTER FUSED \
    LOG APP ITERS SMOKE FORCE FULL ALSO STOCK HOSTS TAKE CUDA LAB MUTANTS UPGRADE SHARE PROVE BUDGET REPLIES SHOTS SLOW

# Exports are named after chats, and chats by other people. So what is set from outside stays plain text: make expands
# it nowhere, and recipes take it from their environment, as "$$NAME". The Makefile's own variables can't be set from
# outside.
OUTSIDE := $(foreach name,$(NAMES) CONDA_PREFIX $(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
OUTSIDE += $(foreach name,$(NAMES) CONDA_PREFIX,$(if $(filter environment,$(origin $(name))),$(name)))
$(foreach name,$(filter-out MAKE%,$(OUTSIDE)),$(eval override $(name) := $$(value $(name))))

RUN ?= demo
override letters := a b c d e f g h i j k l m n o p q r s t u v w x y z
override letters += A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
override odd := $(RUN)
$(foreach one,$(letters) 0 1 2 3 4 5 6 7 8 9 . _ -,$(eval override odd := $$(subst $(one),,$$(odd))))
ifneq ($(odd)$(filter .% _% -%,$(RUN))$(if $(RUN),,empty),)
$(error RUN becomes a folder in reports/: write one word of letters, digits, dots, - and _ that begins with a letter or \
    a digit, like RUN=personal)
endif

override DEMO := data/demo/chat.db
override DEMOS := demo broken
SOURCE ?= $(if $(filter $(DEMOS),$(RUN)),$(DEMO))
ifeq ($(SOURCE),$(DEMO))
OWNER ?= Sam
INFERENCE ?= historical
# The same chats, so the same rows as the demo's.
ifeq ($(RUN),broken)
CONFIG ?= ft_configs/broken_135m_lora_variable.yaml
PROVE ?= 1
BUDGET ?= 6m
REPLIES ?= 50
SHOTS ?= 0
DATA ?= data
endif
endif
CONFIG ?= $(if $(SOURCE),ft_configs/demo_135m_lora_variable.yaml)
KIND ?= auto
MASK ?= yes
DATA ?= $(if $(SOURCE),$(if $(filter demo,$(RUN)),data,data/$(RUN)),$(wildcard data/$(RUN)))
CONFIGS ?= $(wildcard ft_configs/demo_135m_*_variable.yaml)
STOCK ?= $(if $(filter-out 0,$(FULL)),yes)
export $(NAMES)

# --- setup: $(PYTHON) is the Python to use, $(READY) a copy of the lock that it was set up from ----------------------

override LOCK := requirements.lock
override READY := .venv/.ready-cpu
ifneq ($(filter-out 0,$(CUDA)),)
override LOCK := requirements-cuda.lock
override READY := .venv/.ready-cuda
endif
override PYTHON := .venv/bin/python

# Set up again if the Python has disappeared, as after an upgrade, or was set up from another lock.
ifeq ($(shell .venv/bin/python -E -c pass 2>/dev/null && cmp -s $(LOCK) $(READY) && echo current),)
.PHONY: $(READY)
endif

# Use an active conda environment instead of .venv if it has every package.
ifneq ($(CONDA_PREFIX),)
export CONDA_LACKS := $(shell "$$CONDA_PREFIX/bin/python" -E lib/environment.py lacks $(LOCK) 2>/dev/null || echo "its Python fails")
ifeq ($(CONDA_LACKS),)
override PYTHON := "$$CONDA_PREFIX/bin/python"
override READY := conda-ready
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
	@echo "Using .venv, not the active conda environment: $$CONDA_LACKS."
else
	@:
endif

.venv/.ready-cpu .venv/.ready-cuda: | conda-note
	@sh lib/setup.sh $(LOCK)
	@cp $(LOCK) $@

# --- targets -------------------------------------------------------------------------------------------------------

.PHONY: help report extract audit train sweep lab blind configs verify setup clean test baseline bench mutation lock

# A target's line says what it does: after ## for users, after #: for developers.
help: ## show this
	@echo "make TARGET [VARIABLE=value ...]"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Variables (default)"
	@sed -n 's/^#   \([A-Z ] *[^ ]\)/  \1/p' Makefile
	@echo
	@echo "For developers"
	@awk -F ':.*#: ' '/^[a-z]+:.*#: / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Every target first sets up .venv from $(LOCK), once. An active conda environment made from environment.yml"
	@echo "is used instead. The README has examples. If a command fails or finds errors, make itself ends with 2;"
	@echo "ftstudy audit ends with 1 for found errors, and with 2 if it could not run: .venv/bin/ftstudy audit --help"

override STUDY := $(PYTHON) -P -m ftstudy

# $(call flag,FORCE,--force): the option, unless FORCE is empty, 0 or no. $(call given,DATA,--data): the option with the
# value, if it was set from outside.
override flag = $(if $(filter-out 0 no No NO,$($1)),$2)
override given = $(if $(filter override,$(origin $1)),$2="$$$1")

# `make -n` runs what begins with +, and says which stages would run, and why.
override DRY := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
report: | $(READY) demo-data ## run the study and write reports/RUN/index.html; without variables, on the demo
	+@$(if $(DRY),test ! -d .venv ||) $(STUDY) study --run="$$RUN" --source="$$SOURCE" --kind="$$KIND" --owner="$$OWNER" \
	    --me="$$ME" --contacts="$$CONTACTS" --date-order="$$DATE_ORDER" --time-zone="$$ZONE" --region="$$REGION" --config="$$CONFIG" \
	    --data="$$DATA" --model="$$MODEL" --inference="$$INFERENCE" --app="$$APP" --adapter="$$ADAPTER" \
	    --fused="$$FUSED" --log="$$LOG" --also="$$ALSO" $(if $(ITERS),--iterations="$$ITERS") $(if $(REPLIES),--replies="$$REPLIES") \
	    $(if $(SHOTS),--shots="$$SHOTS") \
	    $(call flag,FORCE,--force) $(call flag,SMOKE,--smoke) $(call flag,FULL,--full) $(call flag,STOCK,--stock) $(call flag,SHARE,--share) \
	    $(call flag,PROVE,--prove) --budget="$$BUDGET" \
	    $(UNMASKED) $(if $(DRY),--dry-run)

override UNMASKED = $(if $(filter no No NO,$(MASK)),--no-mask)

.PHONY: demo-data
demo-data: | $(READY)
ifeq ($(SOURCE),$(DEMO))
	@$(STUDY) demo
endif

# What drives a browser is 165 MB, so only the slow tests install it, and only next to a browser.
.PHONY: browser
browser: | $(READY)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || exit 0; . lib/uv.sh; \
	"$$uv" pip install --quiet --python $(PYTHON) --require-hashes --no-build --no-deps -r requirements-browser.lock || \
	    stop "Could not install what tests the page in Chromium (see above). Connect to the network, then start again."

# Slow: whole studies, trainings until something is learned, a real browser. CI runs them too.
override SLOWLY := $(filter-out 0,$(SLOW))
test: | $(READY) $(if $(SLOWLY),browser) #: run the fast tests (SLOW=1: all), and compare the notebooks with their stored outputs
	$(PYTHON) -m pytest tests -n auto --dist loadfile --no-loadscope-reorder $(if $(SLOWLY),,-m "not slow")
	$(PYTHON) -m pytest notebooks --nbval --nbval-cell-timeout=120

baseline: | $(READY) #: store the notebooks' outputs on the sample, for `make test`, and docs/checks.md
	$(STUDY) baseline
	$(STUDY) checks --markdown > docs/checks.md

bench: | $(READY) #: measure seconds, memory, ratios to other tools, and how many injected faults the audit finds
	$(PYTHON) bench/extraction.py
	$(PYTHON) bench/audit.py
	$(PYTHON) bench/peers.py
	$(PYTHON) bench/training.py
	$(PYTHON) bench/comparison.py
	$(PYTHON) bench/intervals.py
	$(PYTHON) bench/diagnosis.py
	$(PYTHON) bench/kills.py

lab: | $(READY) ## explore in JupyterLab, on copies of the notebooks in reports/RUN/lab/
	@set -f; $(STUDY) lab --run="$$RUN" -- $$LAB

extract: | $(READY) demo-data ## chat history to training data: SOURCE=chat.db OWNER="My Name"
	@$(STUDY) extract --source="$$SOURCE" --kind="$$KIND" --owner="$$OWNER" --out="$$DATA" $(UNMASKED) \
	    $(if $(ME),--me="$$ME") $(if $(CONTACTS),--contacts="$$CONTACTS") $(if $(DATE_ORDER),--date-order="$$DATE_ORDER") \
	    $(if $(ZONE),--time-zone="$$ZONE") $(if $(REGION),--region="$$REGION") $(if $(VARIANT),--variant="$$VARIANT")

audit: | $(READY) ## check a run before training: CONFIG=my_config.yaml INFERENCE=my_app.yaml
	@$(STUDY) audit --config="$$CONFIG" $(if $(MODEL),--model="$$MODEL") $(if $(APP),--app="$$APP") \
	    $(if $(FUSED),--fused="$$FUSED") $(call given,DATA,--data) $(call given,INFERENCE,--inference) $(call given,OWNER,--owner)

override TRAINING = --run="$$RUN" $(if $(DATA),--data="$$DATA") $(if $(MODEL),--model="$$MODEL") $(call flag,SMOKE,--smoke) \
    $(call flag,FORCE,--force)

train: | $(READY) ## train one config, or resume it: CONFIG=my_config.yaml
	@$(STUDY) train --config="$$CONFIG" $(TRAINING) $(if $(HOSTS),--hosts="$$HOSTS")

sweep: | $(READY) ## train several configs into one table: CONFIGS="a.yaml b.yaml"
	@set -f; $(STUDY) sweep $(TRAINING) -- $$CONFIGS

configs: | $(READY) ## write ft_configs/generated/: every model, method and variant; for your data: DATA=data/anna
	@$(STUDY) configs $(call given,DATA,--data)

blind: | $(READY) ## take the blind test in the terminal: which of two replies would you have sent? RUN=name
	@$(STUDY) blind $(if $(TAKE),--take="$$TAKE") -- "$$RUN"

verify: | $(READY) ## run a finished run again, elsewhere, and compare the results byte by byte: RUN=name
	@$(STUDY) verify --run="$$RUN"

setup: | $(READY) ## only set up the environment

# The tester expects the code in src/, so it works in .mutation/, on links, and changes only its own copy there.
# Its environment adds the tester to the packages of this one.
override SITE = -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
mutation: | $(READY) #: change the code at random and list the changes no test notices: MUTANTS="ftstudy.extract.*"
	@rm -rf .mutation/mutants && mkdir -p .mutation/data .mutation/mutants/src
	@ln -sfn ../lib .mutation/src && ln -sfn ../../data/sample .mutation/data/sample
	@ln -sfn ../tests ../ft_configs ../notebooks ../pyproject.toml .mutation/
	@test -x .mutation/venv/bin/mutmut || { $(PYTHON) -m venv .mutation/venv && \
	    $(PYTHON) $(SITE) > "$$(.mutation/venv/bin/python $(SITE))/study.pth" && \
	    .mutation/venv/bin/python -m pip install --quiet mutmut==3.8.1; }
	@set -f; cd .mutation && export PYTHONPATH="$$PWD/mutants/src" && venv/bin/mutmut run $$MUTANTS && venv/bin/mutmut results

# Pins stay where they still fit; `make lock UPGRADE=1` takes the newest versions.
# The second lock starts from the first, so that both pin the same versions.
override COMPILE = "$$uv" pip compile --quiet --universal --python-version "$$(cat .python-version)" --generate-hashes \
    --no-header --no-annotate
lock: #: pin the packages of pyproject.toml again (UPGRADE=1: newest versions)
	@set -e; . lib/uv.sh; \
	$(COMPILE) pyproject.toml --extra study --extra cpu --extra test $(if $(UPGRADE),--upgrade) -o requirements.lock; \
	cp requirements.lock .cuda.lock; \
	$(COMPILE) pyproject.toml --extra study --extra cuda --extra test -o .cuda.lock; \
	mv .cuda.lock requirements-cuda.lock; \
	echo uv | $(COMPILE) - $(if $(UPGRADE),--upgrade) -o requirements-uv.lock; \
	printf '%s\n' playwright axe-playwright-python | \
	    $(COMPILE) - -c requirements.lock $(if $(UPGRADE),--upgrade) -o requirements-browser.lock

clean: ## remove the environment (.venv, .venv-uv, .mutation); data/ and reports/ stay
	rm -rf .venv .venv-uv .mutation
