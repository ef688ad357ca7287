"""``medplug predict``: probabilities of new images."""

from __future__ import annotations

import argparse
import csv
import sys
from typing import Any

from medplug.cli.common import add_plugin_option, load_registry, prepare_jax


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict", help="probabilities of new images", description="Predict new images with a finished run."
    )
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "images", nargs="+", metavar="IMAGES", help="image files, or folders that are searched for them"
    )
    parser.add_argument("--out", metavar="preds.csv", help="write here instead of to the screen")
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    prepare_jax()
    from medplug.api import load_run
    from medplug.evaluation.tables import write_predictions
    from medplug.progress import Reporter

    run = load_run(parsed.run, plugins=load_registry(parsed))
    predictions = run.predict(parsed.images, reporter=Reporter())
    for skipped in run.skipped:
        print(f"warning: {skipped.name} is left out: {skipped.reason}", file=sys.stderr)
    if parsed.out:
        write_predictions(parsed.out, predictions)
        print(f"{len(predictions.samples)} predictions in {parsed.out}", file=sys.stderr)
        return 0
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["sample", *predictions.classes])
    for sample, row in zip(predictions.samples, predictions.probabilities, strict=True):
        writer.writerow([sample, *(f"{p:.6f}" for p in row)])
    return 0
