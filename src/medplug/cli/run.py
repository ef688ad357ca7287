"""``medplug run``: data to report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from medplug.cli.common import add_plugin_option, assignments, load_registry, prepare_jax
from medplug.errors import UsageError


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "run",
        help="train, evaluate and explain a classifier on a folder of images",
        description="Train, evaluate and explain a classifier. Everything lands in one folder; start with its report.html.",
    )
    parser.add_argument(
        "data", nargs="?", metavar="DATA", help="a folder of class folders, a CSV file, or READER:ARGUMENT"
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default: a fresh one under runs/)")
    parser.add_argument("--recipe", metavar="NAME|FILE.toml", help="where to start from (default: standard)")
    parser.add_argument("--architecture", metavar="NAME", help="short for --set architecture.use=NAME")
    parser.add_argument(
        "--size", type=int, metavar="N", help="short for --set data.size=N: edge of the input in pixels"
    )
    parser.add_argument(
        "--budget", type=float, metavar="MINUTES", help="wall time until training ends; epochs are planned to fit"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of everything random, the split included unless it has its own"
    )
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="any setting; see --help-config (repeatable)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="short for --set checks.strict=true: end at the first warning about the data",
    )
    parser.add_argument(
        "--split",
        metavar="FILE",
        help="who trains, chooses and tests: a table with columns sample and split, such as a run's split.csv",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument(
        "--help-config", action="store_true", help="list every setting with its value in the recipe, and leave"
    )
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    if parsed.data is None and parsed.settings and "=" not in parsed.settings[-1]:
        parsed.data = parsed.settings.pop()  # DATA behind --set KEY=VALUE …
    settings = assignments(parsed.settings)
    if parsed.strict:
        settings["checks.strict"] = "true"
    if parsed.split:
        settings["split.file"] = str(Path(parsed.split).absolute())  # --resume may be called from elsewhere
    if parsed.help_config:
        from medplug.cli.help_config import print_settings

        return print_settings(parsed, settings)
    prepare_jax()
    from medplug.runs.resume import stored_recipe

    recipe = stored_recipe(parsed.out, parsed, settings, load_registry(parsed)) if parsed.resume else None
    return fit(parsed, settings, recipe or parsed.recipe)


def fit(parsed: argparse.Namespace, settings: dict[str, str], recipe: str | None) -> int:
    """Compose the pipeline that the options describe, and fit it."""
    from medplug.api import STANDARD, Pipeline

    pipeline = Pipeline(
        recipe=recipe or STANDARD,
        architecture=parsed.architecture,
        settings=settings,
        seed=parsed.seed,
        size=parsed.size,
        budget=parsed.budget,
        plugins=load_registry(parsed),
    )
    if parsed.data is None and not pipeline.config().source:
        raise UsageError("DATA is missing: medplug run DATA, where DATA is a folder of class folders or a CSV file")
    pipeline.fit(parsed.data, out=parsed.out, resume=parsed.resume)
    return 0
