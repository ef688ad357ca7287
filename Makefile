# Two commands matter: `make demo` shows what medplug does, `make test` shows that it works.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PLUGINS = $(sort $(dir $(wildcard plugins/*/pyproject.toml)))
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
	$(BIN)/python -m pytest

test-slow: dev
	$(BIN)/python -m pytest -m slow

# The core's own tests, in an environment without any plugin.
test-core:
	test -x $(VENV)-core/bin/python || $(PYTHON) -m venv $(VENV)-core
	$(VENV)-core/bin/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e . hypothesis pytest pytest-randomly pytest-timeout scikit-image
	$(VENV)-core/bin/python -m pytest tests

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) $(VENV)-core .pytest_cache .ruff_cache
