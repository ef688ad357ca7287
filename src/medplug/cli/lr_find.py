"""``medplug lr-find``: which learning rates suit a network and a data set, in a few minutes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from medplug.cli.common import add_plugin_option, assignments, load_registry, prepare_jax

if TYPE_CHECKING:
    from collections.abc import Mapping

    from medplug.train.rate_finder import RateSweep

_PHASES = {"head": ("frozen",), "full": ("full",), "both": ("frozen", "full")}


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "lr-find",
        help="suggest learning rates: train a little while the rate grows, and see where the loss falls fastest",
        description="The learning-rate range test: about a hundred steps while the rate grows from 1e-7 to 10, on the training part "
        "of the split and on copies of the network. Nothing is kept but what --out asks for. docs/plan.md says how to read it.",
    )
    parser.add_argument("data", metavar="DATA", help="a folder of class folders, a CSV file, or READER:ARGUMENT")
    parser.add_argument(
        "--out", metavar="DIR", help="folder for lr_find.json and the figure (default: they are not kept)"
    )
    parser.add_argument(
        "--phase", choices=tuple(_PHASES), default="both", help="the head on frozen features, all layers, or both"
    )
    parser.add_argument("--steps", type=int, metavar="N", default=100, help="from the lowest rate to the highest")
    parser.add_argument("--recipe", metavar="NAME|FILE.toml", help="where to start from (default: standard)")
    parser.add_argument("--architecture", metavar="NAME", help="short for --set architecture.use=NAME")
    parser.add_argument(
        "--size", type=int, metavar="N", help="short for --set data.size=N: edge of the input in pixels"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of everything random")
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="KEY=VALUE", dest="settings",
        help="any setting of a run, such as training.batch_size=16 (repeatable)",
    )  # fmt: skip
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    prepare_jax()
    from medplug.api import STANDARD, Pipeline
    from medplug.rates import find_learning_rates

    pipeline = Pipeline(
        recipe=parsed.recipe or STANDARD, architecture=parsed.architecture, settings=assignments(parsed.settings),
        seed=parsed.seed, size=parsed.size, plugins=load_registry(parsed),
    )  # fmt: skip
    found = find_learning_rates(
        parsed.data, pipeline=pipeline, phases=_PHASES[parsed.phase], steps=parsed.steps, out=parsed.out
    )
    show(found)
    if parsed.out:
        print(f"curves: {parsed.out}")
    return 0


def show(found: Mapping[str, RateSweep]) -> None:
    """Print one line a phase, and the options that take the suggestions."""
    from medplug.rates import SETTING_OF

    options = []
    for phase, sweep in found.items():
        end = "did not break" if sweep.broke is None else f"broke at {sweep.broke:.1e}"
        if sweep.suggestion is None:
            print(f"phase {phase}: no suggestion: {sweep.reason}")
            continue
        print(
            f"phase {phase}: {sweep.suggestion:.1e} is where the loss falls fastest; it is lowest at {sweep.lowest:.1e} and {end}"
        )
        options.append(f"{SETTING_OF[phase]}={float(f'{sweep.suggestion:.1e}'):g}")
    if options:
        print(f"use {'it' if len(options) == 1 else 'them'}: medplug run DATA --set {' '.join(options)}")
