"""``medplug evaluate``: figures, analyses and a report of a run, of a run on other data, or of any tool's predictions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from medplug.cli.common import add_plugin_option, assignments, load_registry, prepare_jax
from medplug.errors import UsageError

AUCMEDI = "metrics.performance.csv"
_TITLES = {
    "groups": "one prediction per group",
    "thresholds": "at the thresholds that were chosen on validation",
    "costs": "decided by the least expected cost",
}


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="figures with intervals and a report: of a run, of a run on other data, or of any tool's predictions",
        description="Evaluate a finished run again, a run on other labelled data (--data), or predictions of any tool "
        "(--predictions and --labels). The files that it writes are described in docs/files.md.",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "--data", metavar="DATA", help="labelled data to predict and evaluate: a folder of class folders, or a CSV file"
    )
    parser.add_argument(
        "--predictions", metavar="preds.csv", help="instead of RUN: 'sample' and one column of probabilities per class"
    )
    parser.add_argument(
        "--labels",
        metavar="labels.csv",
        help="of the same samples: 'sample' and 'label', or one column per class with 1, 0, or nothing for unknown; "
        "further columns are metadata, whose subgroups get figures",
    )
    parser.add_argument(
        "--groups",
        action="append",
        default=[],
        metavar="COLUMN",
        help="column of the labels whose samples belong together, such as patients (repeatable)",
    )
    parser.add_argument(
        "--task", choices=["multiclass", "multilabel"], help="of the predictions (default: as the labels look)"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for the files (default: a fresh one, under evaluations/ in RUN or under runs/)",
    )
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="any setting, such as evaluation.thresholds=sensitivity (repeatable)",
    )
    parser.add_argument(
        "--layout",
        choices=["tidy", "aucmedi"],
        default="tidy",
        help=f"aucmedi writes {AUCMEDI} as AUCMEDI lays it out, beside the tidy tables",
    )
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    if not (parsed.run or parsed.predictions) and parsed.settings and "=" not in parsed.settings[-1]:
        parsed.run = parsed.settings.pop()  # RUN behind --set KEY=VALUE …
    _check_options(parsed)
    settings = assignments(parsed.settings)
    figures, folder = _of_predictions(parsed, settings) if parsed.predictions else _of_run(parsed, settings)
    for line in shown(figures["test"]):
        print(line)
    print("written:")
    for path in written(folder):
        print(f"  {path}")
    return 0


def _check_options(parsed: argparse.Namespace) -> None:
    if (parsed.run is None) == (parsed.predictions is None):
        raise UsageError(
            "say what to evaluate: either RUN, or --predictions preds.csv --labels labels.csv"
            + ("; not both" if parsed.run else "")
        )
    if parsed.predictions and not parsed.labels:
        raise UsageError("--predictions needs --labels labels.csv, the labels of the same samples")
    if parsed.predictions and parsed.data:
        raise UsageError("--data is what a RUN predicts; it does not go with --predictions")
    foreign = {"--labels": parsed.labels, "--groups": parsed.groups, "--task": parsed.task}
    for option, value in foreign.items():
        if parsed.run and value:
            raise UsageError(f"{option} goes with --predictions; a RUN knows it from its data")
    if parsed.out and parsed.run and not parsed.data:
        raise UsageError("--out goes with --data or --predictions; the figures of a RUN are written into its folder")
    if parsed.layout == "aucmedi" and parsed.data:
        raise UsageError("--layout aucmedi is for the test part of a RUN and for --predictions, not for --data")


def _of_run(parsed: argparse.Namespace, settings: dict[str, str]) -> tuple[dict[str, Any], Path]:
    prepare_jax()
    from medplug.api import load_run
    from medplug.evaluation.aucmedi import write_aucmedi
    from medplug.progress import Reporter

    run = load_run(parsed.run, plugins=load_registry(parsed))
    figures = run.evaluate(parsed.data, out=parsed.out, settings=settings, reporter=Reporter())
    if parsed.layout == "aucmedi":
        write_aucmedi(run.evaluated_into / AUCMEDI, run.predictions())
    return figures, run.evaluated_into


def _of_predictions(parsed: argparse.Namespace, settings: dict[str, str]) -> tuple[dict[str, Any], Path]:
    from medplug.evaluation.foreign import match, read_labels, read_predictions

    predictions, labels = read_predictions(parsed.predictions), read_labels(parsed.labels)
    # Tells of errors before anything slow is loaded and any folder made.
    found = match(predictions, labels, groups=parsed.groups, task=parsed.task)[0]
    from medplug.api import evaluate_predictions
    from medplug.evaluation.aucmedi import write_aucmedi
    from medplug.progress import Reporter
    from medplug.runs.folder import claim, discard_empty

    folder = claim(parsed.out, Path(parsed.predictions).stem, False)
    try:
        figures = evaluate_predictions(
            predictions, labels, out=folder, groups=parsed.groups, task=parsed.task, title=Path(parsed.predictions).name,
            settings=settings, plugins=load_registry(parsed), reporter=Reporter(),
        )  # fmt: skip
    except BaseException:
        discard_empty(folder)
        raise
    if parsed.layout == "aucmedi":
        write_aucmedi(folder / AUCMEDI, found)
    return figures, folder


def shown(scores: dict[str, Any]) -> list[str]:
    """The figures of a test part in lines: of samples, of groups, and at thresholds of one's own."""
    from medplug.cli.figures import score_lines

    lines = score_lines(scores, "all classes alike (macro), or all samples")
    for block, title in _TITLES.items():
        if block in scores:
            lines += ["", *score_lines(scores[block], title)]
    independence = scores.get("independence")
    return [*lines, "", f"independence: {independence['level']}. {independence['text']}"] if independence else lines


def written(folder: Path) -> list[Path]:
    """What to look at in the folder of an evaluation, the page first."""
    from medplug.runs import folder as names

    wanted = (names.REPORT, names.METRICS, names.ANALYSIS, names.TABLES, names.FIGURES, names.GROUPS, AUCMEDI)
    return [folder / name for name in wanted if (folder / name).exists()]
