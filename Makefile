.DEFAULT_GOAL := help
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

.PHONY: repro
repro: .venv/installed ## Set up, run what the last run does not cover, show the metrics
	@python -m stages.check
	@python -m ajuste.repository.recover
	dvc repro
	@echo
	@python -m ajuste.evaluation.summary
	@echo
	@echo "Metrics:         metrics/evaluate.json, metrics/train/metrics.json (dvc metrics show)"
	@echo "Plots:           dvc plots show   (writes dvc_plots/index.html)"
	@echo "Validation:      reports/validate/index.html"
	@echo "A sentence:      python -m serving.predict \"One of the best films I have seen.\""
	@echo "Another network: dvc exp run -S model=lstm"
	@echo "For these, first: source .venv/bin/activate"

.PHONY: resume
resume: export AJUSTE_RESUME = 1
resume: repro ## The same, but go on with a training that was cut off

SCORES := (train|validation|generalization_gap)\.|parameters|(accuracy|loss)$$|fit\.verdict
SETTINGS := seed|task|models?($$|\.)|(data|split|tokenize|embed)\.
.PHONY: compare
compare: .venv/installed ## Show how the experiments fit, side by side
	@dvc exp show --only-changed --no-pager --sort-by fit.verdict \
	  --drop '(?!Experiment|$(SCORES)|$(SETTINGS))'

STUDY ?= studies/lecture.yaml
.PHONY: study
study: .venv/installed ## Run a list of experiments in parallel, report it (STUDY=FILE JOBS=N)
	@python -m stages.check
	python -m study $(STUDY) $(if $(JOBS),--jobs $(JOBS))

BASE ?= main
OUTPUT ?= reports/pull_request/report.md
.PHONY: pr-report
pr-report: .venv/installed ## Say what a change does to the metrics (BASE=main HEAD=REV SEEDS=N)
	@$(if $(HEAD),,python -m stages.check)
	@python -m pull_request --base "$(BASE)" --output "$(OUTPUT)" \
	  $(if $(HEAD),--head "$(HEAD)") $(if $(SEEDS),--seeds "$(SEEDS)")

.PHONY: verify
verify: .venv/installed ## Run the last commit anew, compare with what is committed
	@python -m reliability.verify

.PHONY: test
test: .venv/installed ## Set up, lint, run the tests: half an hour on two cores
	ruff check .
	ruff format --check .
	pytest

.PHONY: test-fast
test-fast: .venv/installed ## Those that need no TensorFlow: a good minute
	pytest -m "not slow"

.PHONY: test-long
test-long: .venv/installed ## The tests that take many minutes: every network twice
	pytest -m long

.PHONY: format
format: .venv/installed ## Lay the code out and mend what can be mended
	ruff check --fix .
	ruff format .

.PHONY: lock
lock: .venv/installed ## Write requirements.lock anew from requirements.txt
	uv pip compile requirements.txt --output-file requirements.lock --quiet --upgrade \
	  --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	  --custom-compile-command "make lock"

.PHONY: audit
audit: .venv/installed ## Look for known vulnerabilities in what is locked (asks PyPI)
	@uvx --quiet pip-audit@2.10.1 --strict --require-hashes --disable-pip --progress-spinner off \
	  --requirement requirements.lock 2> .venv/audit || { \
	  said=$$(tail -n 1 .venv/audit); \
	  case "$$said" in Found*) ;; *) said="not done, PyPI does not tell of all: $$said" ;; esac; \
	  echo "audit: $$said" >&2; exit 1; }
	@tail -n 1 .venv/audit

.PHONY: clean
clean: ## Remove the environment; data and cache stay
	rm -rf .venv

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "make: $(PYTHON) is not 3.11 to 3.13; name one that is: make PYTHON=python3.12 ..." >&2; \
	    exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@touch $@
