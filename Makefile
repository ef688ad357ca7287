# Two commands matter: `make demo` shows what medplug does, `make test` shows that it works.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PLUGINS = $(sort $(dir $(wildcard plugins/*/pyproject.toml)))
# Processes that share the tests: most of them keep one core busy.
WORKERS ?= 2
PYTEST = -m pytest -n $(WORKERS) --dist loadfile
CONSTRAINTS = requirements/constraints.txt
PROJECTS = pyproject.toml $(addsuffix pyproject.toml,$(PLUGINS))
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)

.PHONY: install dev demo test test-slow test-core lint clean

install: $(VENV)/.installed
$(VENV)/.installed: $(PROJECTS) $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e . $(addprefix -e ,$(PLUGINS))
	touch $@

dev: $(VENV)/.dev
$(VENV)/.dev: $(VENV)/.installed requirements/dev.txt
	$(PIP) -r requirements/dev.txt
	touch $@

demo: install
	$(BIN)/medplug demo

test: dev
	$(BIN)/python $(PYTEST)

test-slow: dev
	$(BIN)/python $(PYTEST) -m slow

# The core's own tests, in an environment without any plugin.
test-core:
	test -x $(VENV)-core/bin/python || $(PYTHON) -m venv $(VENV)-core
	$(VENV)-core/bin/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e . hypothesis pytest pytest-randomly pytest-timeout pytest-xdist scikit-image
	$(VENV)-core/bin/python $(PYTEST) tests

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) $(VENV)-core .pytest_cache .ruff_cache
