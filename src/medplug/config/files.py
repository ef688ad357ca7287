"""Recipes and ``config.toml``: reading and writing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from medplug.config.config import KIND_OF
from medplug.config.text import NONE
from medplug.errors import UsageError
from medplug.plugins.kinds import kind_name
from medplug.plugins.records import canonical
from medplug.plugins.registry import Registry


def load_recipe(reference: str, registry: Registry) -> dict[str, Any]:
    """A recipe by name, or a TOML file by path, as a nested dict."""
    path = Path(reference)
    if path.suffix == ".toml" or "/" in reference:
        if not path.is_file():
            raise UsageError(f"--recipe {reference}: there is no such file")
        return parse_recipe(path.read_text("utf-8"), str(path))
    tree = parse_recipe(registry.recipe_text(reference), f"recipe {reference!r}")
    return _qualified(tree, registry.find("recipe", reference).distribution, registry)


def _qualified(tree: dict[str, Any], distribution: str, registry: Registry) -> dict[str, Any]:
    """A shipped recipe means the components of its own distribution, whatever else offers the same names."""
    own = {
        (r.kind, name) for r in registry.components() if r.distribution == distribution for name in (r.name, *r.aliases)
    }

    def name(kind: str, word: Any) -> Any:
        return f"{distribution}:{word}" if isinstance(word, str) and (kind, canonical(word)) in own else word

    def use(kind: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {task: use(kind, inner) for task, inner in value.items()}
        return [name(kind, word) for word in value] if isinstance(value, list) else name(kind, value)

    found = dict(tree)
    for section, values in tree.items():
        kind = KIND_OF.get(section, kind_name(section))
        if kind and isinstance(values, dict) and "use" in values:
            found[section] = {**values, "use": use(kind, values["use"])}
    return found


def parse_recipe(text: str, where: str) -> dict[str, Any]:
    """TOML text to a nested dict, with an error that names the file and the line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: not valid TOML: {error}") from None


def to_toml(tree: dict[str, Any]) -> str:
    """TOML text; None, which TOML does not have, is written as ``"none"``."""
    return tomli_w.dumps(_plain(tree))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return NONE if value is None else value
