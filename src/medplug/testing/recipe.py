"""Checks of recipes: a valid configuration of components that exist. The case's object is the recipe's record."""

from __future__ import annotations

from typing import Any

from medplug.config import Config, load_recipe
from medplug.plugins.registry import Registry, registry
from medplug.testing.checks import Case, Check, CheckError, check, require


def _registry(case: Case) -> Registry:
    """Where the names of a recipe are looked up: the fixture ``registry``, or all that is installed."""
    return case.fixtures.get("registry") or registry()


def _tree(case: Case) -> dict[str, Any]:
    own = Registry()
    own.add(case.obj, case.obj.distribution or "unregistered")
    if own.problems:
        raise CheckError("; ".join(map(str, own.problems)))
    return load_recipe(case.obj.name, own)


@check('write TOML, and name it by target="package:file.toml", inside the package')
def is_toml(case: Case) -> None:
    """The file is in its package and holds TOML."""
    require(_tree(case), "the recipe is empty")


@check("`medplug run --help-config` lists the sections and their keys")
def sets_known_keys(case: Case) -> None:
    """Sections and settings exist and their values are possible."""
    Config.from_layers(_tree(case))


@check("name components by `use` that are installed where the recipe is, and parameters that they have")
def names_components(case: Case) -> None:
    """The components that it names exist and have the parameters that it sets."""
    config = Config.from_layers(_tree(case))
    require(any(choice.use for choice in config.choices.values()), "no section names a component ([loss] use = ...)")
    config.check_components(_registry(case))


CHECKS: tuple[Check, ...] = (is_toml, sets_known_keys, names_components)
