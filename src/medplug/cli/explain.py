"""``medplug explain``: maps of where the score of a class is sensitive."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from medplug.cli.common import add_plugin_option, load_registry, prepare_jax


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "explain",
        help="draw where in an image the score of a class is sensitive",
        description="Draw maps over images with a finished run; without IMAGES over a sample of its test split.",
    )
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "images", nargs="*", metavar="IMAGES", help="image files, or folders that are searched for them"
    )
    parser.add_argument("--method", metavar="NAME", help="an explainer (default: the run's own)")
    parser.add_argument(
        "--out", metavar="DIR", help="folder for the pictures (default: explanations/METHOD in the run)"
    )
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    prepare_jax()
    from medplug.api import load_run
    from medplug.progress import Reporter

    run = load_run(parsed.run, plugins=load_registry(parsed))
    drawn = run.explain(parsed.images or None, parsed.method, parsed.out, Reporter())
    for skipped in run.skipped:
        print(f"warning: {skipped.name} is left out: {skipped.reason}", file=sys.stderr)
    for one in drawn:
        note = "" if one.evidence else "  (no positive evidence anywhere: the map adds no colour)"
        print(f"{one.sample}: {one.explained} {100 * one.probability:.1f} %{note}")
    print(f"{len(drawn)} maps in {run.explained_into}")
    return 0
