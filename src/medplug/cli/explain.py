"""``medplug explain``: maps of where the score of a class is sensitive."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from medplug.cli import faithfulness
from medplug.cli.common import add_plugin_option, assignments, load_registry, prepare_jax
from medplug.errors import UsageError

if TYPE_CHECKING:
    from medplug.runs.explaining.asked import Explanations

_SHEET_IMAGES = "12"  # test images per class where contact sheets are asked for and no number


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "explain",
        help="draw where in an image the score of a class is sensitive",
        description="Draw maps over images with a finished run; without IMAGES over a sample of its test split. Maps that are "
        "in the folder already are not made again, so that the same command goes on where it was stopped.",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="folder of a finished run")
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGES",
        help="image files, folders, lists of paths and whatever else `medplug predict` takes",
    )
    parser.add_argument(
        "--method",
        "--methods",
        dest="method",
        action="append",
        default=[],
        metavar="NAME[,NAME…]",
        help="explainers, each into a folder of its own (default: the run's own; `medplug plugins list --kind explainer`)",
    )
    parser.add_argument(
        "--class",
        action="append",
        default=[],
        metavar="NAME|all",
        dest="classes",
        help="the class to explain (repeatable), or all of them (default: the most probable one; of labels all from 50 %% on)",
    )
    parser.add_argument(
        "--stage",
        metavar="NAME",
        help="short for --set explainer.stage=NAME: features of the network that are looked at; earlier ones are finer",
    )
    parser.add_argument(
        "--sheets", action="store_true", help="also draw contact sheets, in sheets/: one or more a class"
    )
    parser.add_argument(
        "--per-class",
        type=int,
        metavar="N",
        help=f"short for --set rendering.images=N: test images per class (with --sheets by default {_SHEET_IMAGES})",
    )
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="parameters of the explainer, as in explainer.occlusion.size=24, and how maps are drawn, as in "
        "rendering.style=contour (repeatable)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for the pictures; several methods get a folder each in it (default: explanations/METHOD in the run)",
    )
    faithfulness.add_options(parser)
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    if faithfulness.measures(parsed):
        return faithfulness.action(parsed)
    settings = _settings(parsed)
    if parsed.run is None:
        raise UsageError("RUN is missing: medplug explain RUN [IMAGES …], where RUN is the folder of a finished run")
    if parsed.per_class is not None and parsed.images:
        raise UsageError("--per-class chooses test images; with IMAGES it has nothing to choose")
    prepare_jax()
    from medplug.api import load_run
    from medplug.progress import Reporter

    run = load_run(parsed.run, plugins=load_registry(parsed))
    try:
        made = run.explain_into(
            parsed.images or None,
            [name for names in parsed.method for name in names.split(",")] or None,
            parsed.out,
            Reporter(),
            classes=_classes(parsed.classes),
            settings=settings,
            sheets=parsed.sheets,
        )
    except KeyboardInterrupt:
        print(
            f"medplug: stopped; finished maps are in {run.explained_into}, and the same command makes the others",
            file=sys.stderr,
        )
        return 1
    for skipped in run.skipped:
        print(f"warning: {skipped.name} is left out: {skipped.reason}", file=sys.stderr)
    for line in shown(made):
        print(line)
    return 0


def shown(made: Explanations) -> list[str]:
    """The prediction of each image, what is odd about its maps, and where everything lies."""
    from medplug.runs.explaining.captions import nothing

    lines: dict[str, list[str]] = {}
    for entries in made.entries:
        for entry in entries:
            predicted = ", ".join(f"{name} {100 * p:.1f} %" for name, p in entry["predicted"].items()) or "no label"
            own = lines.setdefault(entry["sample"], [f"{entry['sample']}: {predicted}"])
            if not entry["positive_evidence"]:
                own.append(f"  {entry['method']}: {nothing(entry)} ({100 * entry['probability']:.1f} %)")
    total = sum(map(len, made.entries))
    there = f", {total - made.made} of them from before" if made.made < total else ""
    where = ", ".join(map(str, made.folders))
    sheets = [f"  {path}" for path in made.sheets]
    told = [line for own in lines.values() for line in own]
    return [*told, f"{total} maps in {where}{there}", *(["contact sheets:", *sheets] if sheets else [])]


def _settings(parsed: argparse.Namespace) -> dict[str, str]:
    """The settings, those of short options among them; RUN and IMAGES that stand behind ``--set`` go to their place."""
    pairs = list(parsed.settings)
    behind: list[str] = []
    while pairs and "=" not in pairs[-1]:
        behind.insert(0, pairs.pop())
    if behind and parsed.run is None:
        parsed.run = behind.pop(0)
    parsed.images += behind
    settings = assignments(pairs)
    if parsed.stage is not None:
        settings["explainer.stage"] = parsed.stage
    if parsed.per_class is not None:
        settings["rendering.images"] = str(parsed.per_class)
    elif parsed.sheets and not parsed.images:
        settings.setdefault("rendering.images", _SHEET_IMAGES)
    return settings


def _classes(asked: list[str]) -> str | list[str] | None:
    return asked[0] if len(asked) == 1 else asked or None
