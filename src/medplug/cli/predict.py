"""``medplug predict``: probabilities of new images."""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from pathlib import Path
from typing import Any

from medplug.cli.common import add_plugin_option, load_registry, prepare_jax
from medplug.errors import UsageError


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict", help="probabilities of new images", description="Predict new images with a finished run."
    )
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGES",
        help="image files, folders that are searched for them, lists of paths (list.txt or @list, one a line), tables and "
        "files of many images that a reader understands, or READER:ARGUMENT",
    )
    parser.add_argument("--out", metavar="preds.csv", help="write here instead of to the screen")
    parser.add_argument(
        "--groups",
        metavar="groups.csv",
        help="'sample' and 'group': the images of a group (patient) also become one prediction, in preds.groups.csv",
    )
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    prepare_jax()
    from medplug.api import load_run
    from medplug.evaluation.sheets import read_groups
    from medplug.evaluation.tables import write_predictions
    from medplug.progress import Reporter

    if parsed.groups and not parsed.out:
        raise UsageError("--groups needs --out preds.csv: the predictions of the groups go into a file beside it")
    run = load_run(parsed.run, plugins=load_registry(parsed))
    groups = read_groups(parsed.groups) if parsed.groups else None
    predictions = run.predict(parsed.images, groups=groups, reporter=Reporter())
    for skipped in run.skipped:
        print(f"warning: {skipped.name} is left out: {skipped.reason}", file=sys.stderr)
    unlike = sum(cell == "yes" for cell in predictions.columns.get("medplug:unlike_training", ()))
    if unlike:
        print(
            f"warning: {unlike} of {len(predictions.samples)} images are unlike the training images "
            "(column medplug:unlike_training): what is predicted for them means little",
            file=sys.stderr,
        )
    if parsed.out:
        write_predictions(parsed.out, predictions)
        print(f"{len(predictions.samples)} predictions in {parsed.out}", file=sys.stderr)
        if groups is not None:
            path = Path(parsed.out).with_suffix(".groups.csv")
            together = run.by_group(predictions)
            write_predictions(path, together)
            print(f"{len(together.samples)} predictions of groups in {path}", file=sys.stderr)
        return 0
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["sample", *predictions.classes, *predictions.columns])
    further = zip(*predictions.columns.values(), strict=True) if predictions.columns else itertools.repeat(())
    for sample, row, cells in zip(predictions.samples, predictions.probabilities, further, strict=False):
        writer.writerow([sample, *(f"{p:.6f}" for p in row), *cells])
    return 0
