"""``medplug demo``: the whole pipeline on drawn images, without a download."""

from __future__ import annotations

import argparse
from typing import Any

from medplug.cli.common import add_plugin_option, load_registry, prepare_jax

RECIPE = "demo"  # a recipe with a source of its own


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="see the pipeline work on drawn images (minutes, no download)",
        description="Draw labelled ultrasound-like images, train on them, evaluate, explain, and write a report.",
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default: a fresh one under runs/)")
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    prepare_jax()
    from medplug.api import Pipeline

    Pipeline(recipe=RECIPE, plugins=load_registry(parsed)).fit(out=parsed.out)
    return 0
