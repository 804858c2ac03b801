# Every command of this project; `make` lists them. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A checkout stays as it was cloned: no __pycache__ beside the code.
export PYTHONDONTWRITEBYTECODE ?= 1

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

# -- set-up: one stamp for what the service runs on, one for what its developers add ----------
$(VENV)/run.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; name it with PYTHON=python3.12 make ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@echo "Installing what the service runs on..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	@echo "Installing what tests and checks need..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements-dev.txt
	@touch $@

$(VENV)/bench.stamp: requirements-bench.txt $(VENV)/dev.stamp
	@echo "Installing what the benchmark's peers need..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements-bench.txt
	@touch $@

# -- run --------------------------------------------------------------------------------------
.PHONY: run
run: $(VENV)/run.stamp ## serve on PORT (8000): embedded, or on DATABASE_URL and REDIS_URL
	@exec $(BIN)/python -m polls_project.serve

.PHONY: stack
stack: $(VENV)/dev.stamp ## the same on PostgreSQL and Redis with two web processes
	@exec $(BIN)/python -m devtools.stack

.PHONY: dev
dev: $(VENV)/run.stamp ## the development server (Daphne), with DEBUG on and reloading
	@DJANGO_SETTINGS_MODULE=polls_project.settings.dev $(BIN)/python manage.py migrate -v0
	@DJANGO_SETTINGS_MODULE=polls_project.settings.dev exec $(BIN)/python manage.py runserver

.PHONY: demo
demo: $(VENV)/dev.stamp ## Burlington 2009: 8,980 voters and 200 dashboards on the stack
	@exec $(BIN)/python -m benchmarks.burlington $(ARGS)

.PHONY: bench
bench: $(VENV)/bench.stamp ## votes and results beside other ways to do it (ARGS="--only votes")
	@exec $(BIN)/python -m benchmarks.bench $(ARGS)

.PHONY: bench-live
bench-live: $(VENV)/bench.stamp ## live counts beside other ways to send them (ARGS="--only fanout")
	@exec $(BIN)/python -m benchmarks.live $(ARGS)

.PHONY: flame
flame: $(VENV)/bench.stamp ## a flame graph of the loaded server, benchmarks/express.svg
	@exec $(BIN)/python -m benchmarks.flame

.PHONY: soak
soak: $(VENV)/dev.stamp ## a million votes, kills, a hung database, races, doubles, leaks (ARGS="--only live")
	@exec $(BIN)/python -m benchmarks.soak $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/dev.stamp ## a million bad inputs, on both stacks (ARGS="--seed 1 --only votes")
	@exec $(BIN)/python -m fuzz $(ARGS)

# -- check ------------------------------------------------------------------------------------
# Most of a test is waiting for a server: four at a time take two cores a third as long.
# Each has databases and ports of its own; tests of one file stay together, and share its servers.
SIDE_BY_SIDE := -n 4 --dist loadfile
# tests/conftest.py puts first what takes longest, not the files that have the most tests.
LONGEST_FIRST := --no-loadscope-reorder

.PHONY: test
test: test-servers test-embedded ## the suite, on PostgreSQL and Redis, then embedded

.PHONY: test-servers
test-servers: $(VENV)/dev.stamp ## the suite on PostgreSQL and Redis (ARGS="-k name" for a part)
	@STACK=servers $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(LONGEST_FIRST) $(ARGS)

.PHONY: test-embedded
test-embedded: $(VENV)/dev.stamp ## the suite on the embedded default
	@STACK=embedded $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(LONGEST_FIRST) $(ARGS)

.PHONY: test-browser
test-browser: $(VENV)/dev.stamp ## the pages in Chromium, which it installs where that is allowed
	@$(BIN)/python -m devtools.chromium
	@$(BIN)/python -m pytest -p pytest_playwright.pytest_playwright $(SIDE_BY_SIDE) \
	  tests/browser $(ARGS)

.PHONY: test-protocol
test-protocol: $(VENV)/dev.stamp ## AsyncAPI's own parser reads the protocol that a server publishes
	@$(BIN)/python -m devtools.asyncapi

.PHONY: lint
lint: $(VENV)/dev.stamp ## ruff, import-linter, bandit, known vulnerabilities, the deployment files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	@DOMAIN=localhost $(BIN)/caddy adapt --validate --config deploy/Caddyfile >/dev/null
	@SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') \
	  DJANGO_SETTINGS_MODULE=polls_project.settings.prod \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING >/dev/null
	@$(BIN)/bandit --quiet --configfile pyproject.toml --severity-level high --recursive .
	@$(BIN)/python -m devtools.audit

.PHONY: types
types: $(VENV)/dev.stamp ## mypy --strict
	@$(BIN)/mypy .

.PHONY: format
format: $(VENV)/dev.stamp ## let ruff lay the code out
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: docs
docs: $(VENV)/run.stamp ## write docs/errors.md from the catalogue
	@$(BIN)/python manage.py errors_doc > docs/errors.md

.PHONY: messages
messages: $(VENV)/dev.stamp ## gather the texts of the pages for translators, and compile theirs
	@$(BIN)/python -m devtools.messages

.PHONY: screenshots
screenshots: $(VENV)/dev.stamp ## draw each page, phone and desktop, light and dark, into docs/images
	@$(BIN)/python -m devtools.chromium
	@$(BIN)/python -m devtools.screenshots

# -- upkeep -----------------------------------------------------------------------------------
.PHONY: requirements
requirements: ## pin requirements*.txt anew from the .in files
	@test -x $(VENV)/uv/bin/uv || { $(PYTHON) -m venv $(VENV)/uv && \
	  $(VENV)/uv/bin/pip install --quiet --disable-pip-version-check uv; }
	@for name in requirements requirements-dev requirements-bench; do \
	  $(VENV)/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	    --generate-hashes --no-header $$name.in -o $$name.txt; done

.PHONY: clean
clean: ## remove the virtual environment and caches; data stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
