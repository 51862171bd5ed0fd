# make serve | make test | make check: the front door. Everything lives in .venv and instance/.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Of a server: any of boosting, tensorflow, s3, grpc, otel, ray, dask.
EXTRAS ?=

# Packages are compiled when they are first imported: most of what they hold never is. Where the
# environment forbids to keep that, every start would compile anew.
export PYTHONDONTWRITEBYTECODE :=

# Processes that test at once: more than two cores, for tests wait for servers half of their time.
TESTERS ?= 3

.PHONY: serve test coverage check bench bench-smoke owasp format lock clean

serve: $(VENV)/.runtime $(EXTRAS:%=$(VENV)/.extra-%)  ## serve https://localhost:8443; the first call prepares instance/
	@$(BIN)/python manage.py init --demo --if-absent
	@exec $(BIN)/python manage.py serve

test: $(VENV)/.development  ## every test, the drills included
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder

coverage: $(VENV)/.development  ## every test, and which branches of the product they miss
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term

check: $(VENV)/.development  ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

# Options of the comparison: --only LOAD,... --peers NAME,... --rounds N --seconds S --quick
ARGS   ?=

bench: $(VENV)/.development  ## Sallyport against other servers, in environments of their own
	@$(BIN)/python -m benchmarks.comparison $(ARGS)

bench-smoke: $(VENV)/.development  ## a minute of it, with nothing to install: ratios only
	@$(BIN)/python -m benchmarks.comparison.smoke

owasp: $(VENV)/.development  ## the rules for the API's description by their own tool; needs npm
	cd tests/owasp && npm ci --ignore-scripts --no-audit --no-fund
	cd tests/owasp && PYTHONPATH=../.. ../../$(BIN)/python -m tests.owasp.documents build
	cd tests/owasp/build && npx --no-install spectral lint *.json -r ../ruleset.yaml --fail-severity=hint

format: $(VENV)/.development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Everything is resolved once and together; each lock is a part of that one resolution.
ALL    := $(wildcard requirements*.in)
LOCK   := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

lock: $(VENV)/.development  ## resolve requirements*.in anew
	$(LOCK) $(ALL) -o requirements-dev.lock
	for part in $(filter-out requirements-dev,$(ALL:%.in=%)); do \
	    $(LOCK) -c requirements-dev.lock $$part.in -o $$part.lock || exit 1; done

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock | $(BIN)/python
	$(PIP) install --no-compile --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.extra-%: requirements-%.lock $(VENV)/.runtime
	$(PIP) install --no-compile --require-hashes -r $<
	@touch $@

$(VENV)/.development: requirements-dev.lock $(VENV)/.runtime
	$(PIP) install --no-compile --require-hashes -r requirements-dev.lock
	@touch $@

clean:
	rm -rf $(VENV) tests/owasp/node_modules tests/owasp/build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
