"""Options that several commands share."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from medplug.errors import UsageError

if TYPE_CHECKING:
    from medplug.plugins.registry import Registry


def add_plugin_option(parser: argparse.ArgumentParser) -> None:
    """``--plugin FILE.py``, repeatable."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE.py",
        help="load components from one Python file of yours (repeatable)",
    )


def load_registry(parsed: argparse.Namespace, warn: bool = True) -> Registry:
    """The registry of installed plugins and of the files named by ``--plugin``; ``warn`` tells of broken plugins."""
    from medplug.plugins.localfile import add_file
    from medplug.plugins.registry import registry

    found = registry()
    for path in parsed.plugin:
        add_file(found, path)
    if warn:
        for problem in found.problems:
            if problem.stage not in ("blocked", "clash"):
                print(f"warning: {problem}", file=sys.stderr)
    return found


def assignments(pairs: list[str]) -> dict[str, str]:
    """``["loss.gamma=3"]`` to ``{"loss.gamma": "3"}``."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {pair}: write KEY=VALUE, as in --set training.epochs=5")
        found[key.strip()] = value.strip()
    return found


def prepare_jax() -> None:
    """Compile once per machine: keep XLA's programs in medplug's cache folder, unless the user has said where."""
    import os

    from medplug.files import cache_folder

    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    import jax

    jax.config.update("jax_compilation_cache_dir", str(cache_folder("xla")))
