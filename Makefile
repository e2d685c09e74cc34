.DEFAULT_GOAL := help
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-11s %s\n", $$1, $$2 }'

.PHONY: repro
repro: .venv/installed ## Set up .venv, run the stages that changed, show the metrics
	@python -m stages.check
	@python -m ajuste.repository.recover
	dvc repro
	@echo
	@python -m study.summary
	@echo
	@echo "Report:          reports/index.html (open it in a browser; it needs no network)"
	@echo "Metrics:         metrics/evaluate.json, metrics/train/metrics.json (dvc metrics show)"
	@echo "Plots:           dvc plots show   (writes dvc_plots/index.html)"
	@echo "Validation:      reports/validate/index.html"
	@echo "A sentence:      python -m serving.predict \"One of the best films I have seen.\""
	@echo "Another network: dvc exp run -S model=lstm"
	@echo "For these, first: source .venv/bin/activate"

.PHONY: new-data
new-data: .venv/installed ## Propose the parameters for a CSV file (CSV=FILE WRITE=1 TEXT= LABEL= TASK= ...)
	@python -m stages.new_data "$(CSV)" $(if $(WRITE),--write) \
	  $(foreach name,SEPARATOR TEXT LABEL GROUP TASK,\
	  $(if $($(name)),--$(shell echo $(name) | tr A-Z a-z) "$($(name))"))

.PHONY: resume
resume: export AJUSTE_RESUME = 1
resume: repro ## make repro, but continue an interrupted training

.PHONY: compare
compare: .venv/installed ## Show how the experiments fit (WIDE=1 TEST=1), or two on a page (A=nn B=gru)
	@$(if $(A)$(B),python -m study.side_by_side "$(A)" "$(B)",\
	  python -m study.compare $(if $(WIDE),--wide) $(if $(TEST),--test))

.PHONY: reset
reset: .venv/installed ## Bring back parameters, results and model of the last commit (FORCE=1)
	@python -m ajuste.repository.reset $(if $(FORCE),--force)

STUDY ?= studies/lecture.yaml
.PHONY: study
study: .venv/installed ## Run a list of experiments and report on it (STUDY=FILE JOBS=N TEST=1)
	@python -m stages.check
	python -m study $(STUDY) $(if $(JOBS),--jobs $(JOBS)) $(if $(TEST),--test)

SPACE ?= searches/gru.yaml
.PHONY: search
search: .venv/installed ## Search for the parameters with the lowest loss (SPACE=FILE TRIALS=N JOBS=N)
	@python -m stages.check
	python -m study.search $(SPACE) $(if $(TRIALS),--trials $(TRIALS)) $(if $(JOBS),--jobs $(JOBS))

.PHONY: estimate
estimate: .venv/installed ## Estimate a network over repeated splits (MODEL=NAME SPLITS=5 JOBS=N TEST=1)
	@python -m stages.check
	python -m study.estimate $(if $(MODEL),--model $(MODEL)) $(if $(SPLITS),--splits $(SPLITS)) \
	  $(if $(JOBS),--jobs $(JOBS)) $(if $(TEST),--test)

BASE ?= main
OUTPUT ?= reports/pull_request/report.md
.PHONY: pr-report
pr-report: .venv/installed ## Report what a change does, three seeds a side (BASE=main HEAD=REV SEEDS=N)
	@$(if $(HEAD),,python -m stages.check)
	@python -m pull_request --base "$(BASE)" --output "$(OUTPUT)" \
	  $(if $(HEAD),--head "$(HEAD)") $(if $(SEEDS),--seeds "$(SEEDS)")

PORT ?= 8000
.PHONY: serve
serve: .venv/installed-serve ## Serve the model over HTTP (MODEL=FOLDER PORT=8000)
	@python -m serving.service $(if $(MODEL),--model $(MODEL)) --port $(PORT)

.PHONY: demo
demo: .venv/installed-serve ## A page to try the networks and to run experiments, on this machine
	@python -m demo.app

.PHONY: export
export: .venv/installed ## Write a SavedModel that takes raw texts, for TensorFlow Serving (MODEL=FOLDER)
	@python -m serving.export $(if $(MODEL),--model $(MODEL))

.PHONY: verify
verify: .venv/installed ## Run the last commit again in a clone and compare all outputs
	@python -m reliability.verify

.PHONY: bench
bench: .venv/installed ## Compare with other libraries; writes benchmarks/README.md (minutes)
	@$(UV) pip install --quiet --no-deps --target .venv/peers --requirement benchmarks/requirements.txt
	@PYTHONPATH=.venv/peers python -m benchmarks.peers

WORKERS ?= auto
PARALLEL = --numprocesses $(WORKERS) --dist loadfile # whole files: each has fixtures of its own
.PHONY: test
test: .venv/installed-dev ## Set up, lint, run the tests: half an hour on two cores (WORKERS=N)
	ruff check .
	ruff format --check .
	pytest $(PARALLEL)

.PHONY: test-fast
test-fast: .venv/installed-dev ## Only the tests without TensorFlow: a minute
	pytest $(PARALLEL) -m "not slow and not long"

.PHONY: test-long
test-long: .venv/installed-dev ## The tests that take many minutes, or test DVC itself
	pytest -m long

.PHONY: test-search
test-search: .venv/installed-dev ## Search for new examples that break a property (weekly in CI)
	pytest $(PARALLEL) -m "not slow and not long" --hypothesis-profile search

.PHONY: format
format: .venv/installed-dev ## Format the code and fix what can be fixed
	ruff check --fix .
	ruff format .

UV := .venv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-annotate --no-emit-index-url --custom-compile-command "make lock"
.PHONY: lock
lock: .venv/installed ## Write the requirements*.lock files from the requirements*.txt files
	$(COMPILE) --upgrade requirements.txt --output-file requirements.lock
	$(COMPILE) --upgrade requirements-serve.txt --constraint requirements.lock \
	  --output-file requirements-serve.lock
	$(COMPILE) --upgrade requirements-dev.txt --constraint requirements.lock \
	  --constraint requirements-serve.lock --output-file requirements-dev.lock
	grep '^uv==' requirements-dev.txt | $(COMPILE) - --output-file requirements-uv.lock

.PHONY: plots-page
plots-page: .venv/installed-dev ## Write the page template of `dvc plots show` again, after `make lock`
	python -m ajuste.report.plots_page

.PHONY: audit
audit: .venv/installed ## Look for known vulnerabilities in the locked packages (asks PyPI)
	@.venv/bin/uvx --quiet pip-audit@2.10.1 --strict --require-hashes --disable-pip \
	  --progress-spinner off --requirement requirements-dev.lock 2> .venv/audit || { \
	  last=$$(tail -n 1 .venv/audit); \
	  case "$$last" in Found*) ;; *) last="incomplete, because PyPI did not answer for every package; run it again later: $$last" ;; \
	  esac; \
	  echo "audit: $$last" >&2; exit 1; }
	@tail -n 1 .venv/audit

.PHONY: clean
clean: ## Remove the environment; data and cache stay
	rm -rf .venv

.venv/installed-serve: requirements-serve.lock .venv/installed
	@$(INSTALL) requirements-serve.lock
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	@$(INSTALL) requirements-dev.lock
	@touch $@

# The locks name every package, so nothing is resolved (--no-deps). TensorFlow's C++ headers, 290 MB,
# are only needed to compile custom operations.
INSTALL = $(UV) pip install --quiet --no-deps --require-hashes --requirement
.venv/installed: requirements.lock requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "make: $(PYTHON) is not Python 3.11, 3.12 or 3.13; give another one: make repro PYTHON=python3.12" >&2; \
	    exit 1; }
	$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --require-hashes --requirement requirements-uv.lock
	$(INSTALL) requirements.lock
	@rm -rf .venv/lib/python*/site-packages/tensorflow/include
	@touch $@
