"""``medplug compare``: runs, or predictions of any tool, beside each other on the same test samples."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medplug.cli.common import add_plugin_option, assignments, load_registry
from medplug.errors import UsageError

if TYPE_CHECKING:
    from medplug.plugins.registry import Registry
    from medplug.values import Predictions


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "compare",
        help="runs beside each other on the same test images, with paired intervals and tests",
        description="Compare finished runs on the same test images; with --labels files of predictions too. The files that it "
        "writes are described in docs/files.md.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="folders of finished runs; with --labels also files of predictions"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for the files (default: a fresh one under runs/)")
    parser.add_argument("--labels", metavar="labels.csv", help="labels of files of predictions, as in evaluate")
    parser.add_argument(
        "--groups",
        action="append",
        default=[],
        metavar="COLUMN",
        help="column of the labels whose samples belong together (repeatable)",
    )
    parser.add_argument("--task", choices=["multiclass", "multilabel"], help="of files of predictions")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="any setting, such as evaluation.resamples=2000 (repeatable)",
    )  # fmt: skip
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    if len(parsed.runs) < 2:
        raise UsageError("a comparison needs at least two runs: medplug compare RUN RUN")
    if not parsed.labels:
        files = [run for run in parsed.runs if Path(run).is_file()]
        if files:
            raise UsageError(f"{files[0]} is a file: predictions need --labels labels.csv; a run is a folder")
        if parsed.groups or parsed.task:
            raise UsageError("--groups and --task go with --labels; runs know them from their data")
    settings = assignments(parsed.settings)
    from medplug.api import compare_runs
    from medplug.cli.figures import comparison_lines
    from medplug.runs.folder import claim, discard_empty

    registry = load_registry(parsed)
    runs: Any = _by_name(parsed, registry) if parsed.labels else parsed.runs
    folder = claim(parsed.out, "comparison", False)
    try:
        found = compare_runs(runs, out=folder, settings=settings, plugins=registry)
    except BaseException:
        discard_empty(folder)
        raise
    for line in comparison_lines(found):
        print(line)
    print("written:")
    for path in sorted(folder.iterdir()):
        print(f"  {path}")
    return 0


def _by_name(parsed: argparse.Namespace, registry: Registry) -> dict[str, Predictions]:
    """Predictions of files and of runs, by file or folder name, or by whole path where names repeat."""
    from medplug.api import load_run
    from medplug.evaluation.foreign import match, read_labels, read_predictions

    if all(Path(run).is_dir() for run in parsed.runs):
        raise UsageError("--labels goes with files of predictions; runs know their labels")
    labels = read_labels(parsed.labels)
    short = [Path(run).stem if Path(run).is_file() else Path(run).name for run in parsed.runs]
    found = {}
    for run, name in zip(parsed.runs, short, strict=True):
        name = run if short.count(name) > 1 else name
        if name in found:
            raise UsageError(f"{run} is named twice")
        if Path(run).is_dir():
            found[name] = load_run(run, plugins=registry).predictions()
        else:
            found[name] = match(read_predictions(run), labels, groups=parsed.groups, task=parsed.task)[0]
    return found
