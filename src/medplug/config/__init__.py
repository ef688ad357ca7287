"""The configuration of a run: recipes, layers on top of them, and the resolved result."""

from __future__ import annotations

from medplug.config.config import Choice, Config
from medplug.config.files import load_recipe, to_toml

STANDARD = "standard"
"""The name of the default recipe; a plugin ships it."""

__all__ = ["STANDARD", "Choice", "Config", "load_recipe", "to_toml"]
