"""``medplug explain RUN --faithfulness``: how far the maps of a run can be believed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from medplug.cli.common import assignments, load_registry, prepare_jax
from medplug.errors import UsageError

_DRAWING = {
    "images": "IMAGES", "classes": "--class", "stage": "--stage", "sheets": "--sheets", "per_class": "--per-class", "out": "--out",
}  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the measurement, which is made in the place of drawing."""
    group = parser.add_argument_group("measuring, in the place of drawing")
    group.add_argument(
        "--faithfulness",
        action="store_true",
        help="measure how far the maps of the test images can be believed, for each of --methods, and write it into the report",
    )
    group.add_argument(
        "--images", type=int, metavar="N", dest="count", help="test images that are measured (default: the recipe's)"
    )
    group.add_argument(
        "--masks",
        metavar="DIR",
        help="folder of masks with the names of the samples (default: those that the reader knows)",
    )


def measures(parsed: argparse.Namespace) -> bool:
    """Whether to measure; options that do not go together are refused."""
    if not parsed.faithfulness:
        for option, value in (("--images", parsed.count), ("--masks", parsed.masks)):
            if value is not None:
                raise UsageError(f"{option} goes with --faithfulness")
        return False
    for name, option in _DRAWING.items():
        if getattr(parsed, name, None):
            raise UsageError(
                f"--faithfulness measures test images of the run and draws none, so {option} has no effect with it"
            )
    return True


def action(parsed: argparse.Namespace) -> int:
    """Measure, and print what was found."""
    if parsed.run is None:
        raise UsageError(
            "RUN is missing: medplug explain RUN --faithfulness, where RUN is the folder of a finished run"
        )
    prepare_jax()
    from medplug.api import load_run
    from medplug.progress import Reporter
    from medplug.runs.faithfulness.measuring import measure_faithfulness
    from medplug.runs.folder import EXPLANATIONS, FAITHFULNESS, REPORT

    run = load_run(parsed.run, plugins=load_registry(parsed))
    methods = [name for names in parsed.method for name in names.split(",")]
    try:
        found = measure_faithfulness(
            run,
            methods=methods or None,
            images=parsed.count,
            masks=parsed.masks,
            settings=assignments(parsed.settings),
            reporter=Reporter(),
        )
    except KeyboardInterrupt:
        print("medplug: stopped; methods that were measured are kept, and the same command goes on", file=sys.stderr)
        return 1
    for line in told(found):
        print(line)
    print(f"{run.folder / EXPLANATIONS / FAITHFULNESS}, and a section in {run.folder / REPORT}")
    return 0


def told(found: Mapping[str, Any]) -> list[str]:
    """The ranking as a table, the verdict, the alarms, and the probes."""
    from medplug.explain.measures import MEASURES

    measure = found["ranked_by"]
    lines = []
    if measure:
        good = MEASURES[measure].good
        rows = [
            ["", MEASURES[measure].words, "interval", "less random", "interval", "less centre", "interval", "pointing"]
        ]
        for place, name in enumerate(found["ranking"], 1):
            one = found["methods"][name]
            figures = (
                one["figures"][measure],
                one["beside_random"].get(measure, {}),
                one["beside_centre"].get(measure, {}),
            )
            cells = [cell for figure in figures for cell in _cells(figure)]
            rows.append([f"{place}. {name}", *cells, _percent(one["figures"].get("pointing"))])
        for name, one in found["baselines"].items():
            rows.append(
                [f"   {name}", *_cells(one["figures"][measure]), *[""] * 4, _percent(one["figures"].get("pointing"))]
            )
        if not any(row[-1] for row in rows[1:]):  # nothing was marked
            rows = [row[:-1] for row in rows]
        lines += [*_aligned(rows), f"({good} is good)"]
    lines.append(found["verdict"])
    lines += [f"alarm: {alarm['method']}: {alarm['text']}" for alarm in found["alarms"]]
    probes = found.get("probes")
    if probes:
        for metric in probes["hidden_parts"]["metrics"]:
            figures = probes["hidden_parts"]["figures"]
            shown = (
                ("whole images", "plain"),
                ("centre hidden", "centre_hidden"),
                ("border alone", "border_only"),
                ("nothing", "hidden"),
            )
            parts = [f"{words} {_value(figures[key].get(metric))}" for words, key in shown]
            lines.append(f"{metric}: {', '.join(parts)}")
        lines += [f"alarm: {alarm['text']}" for alarm in probes["alarms"]]
    return [line for line in lines if line]


def _cells(figure: Mapping[str, Any]) -> list[str]:
    low, high = figure.get("low"), figure.get("high")
    return [_value(figure), "" if low is None or high is None else f"{low:.3f} to {high:.3f}"]


def _value(figure: Mapping[str, Any] | None) -> str:
    return "–" if not figure or figure.get("value") is None else f"{figure['value']:.3f}"


def _percent(figure: Mapping[str, Any] | None) -> str:
    return "" if not figure or figure.get("value") is None else f"{100 * figure['value']:.0f} %"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
