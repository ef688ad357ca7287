"""``medplug split``: who would train, choose and test, in all folds, without training anything."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from medplug.cli.common import add_plugin_option, assignments, load_registry

if TYPE_CHECKING:
    from medplug.runs.splitting import Splits


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "split",
        help="divide a data set into training, validation and test part, or into folds, and keep the result as tables",
        description="Divide a data set as a run would, show every part, and with --out keep one table a split, which medplug run "
        "--split takes. The ways to split are described in docs/data.md.",
    )
    parser.add_argument("data", metavar="DATA", help="a folder of class folders, a CSV file, or READER:ARGUMENT")
    parser.add_argument("--out", metavar="DIR", help="folder for the tables (default: they are only shown)")
    parser.add_argument(
        "--folds", type=int, metavar="N", help="short for --set split.folds=N: every sample is tested once"
    )
    parser.add_argument("--repeats", type=int, metavar="N", help="short for --set split.repeats=N: draw all N times")
    parser.add_argument(
        "--inner-folds", type=int, metavar="N", help="short for --set split.inner_folds=N: nested folds"
    )
    parser.add_argument(
        "--leave-out",
        metavar="COLUMN",
        help="short for --set split.leave_out=COLUMN: test one site or group after the other",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of the draw (default: that of the recipe)")
    parser.add_argument("--recipe", metavar="NAME|FILE.toml", help="where settings come from (default: standard)")
    parser.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="KEY=VALUE", dest="settings",
        help="any setting of reader, checks and split, such as split.given=pool (repeatable)",
    )  # fmt: skip
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    from pathlib import Path

    from medplug.api import STANDARD, split
    from medplug.progress import Reporter
    from medplug.runs.folder import claim

    settings = assignments(parsed.settings)
    for name in ("folds", "repeats", "inner_folds", "leave_out"):
        value = getattr(parsed, name)
        if value is not None:
            settings[f"split.{name}"] = str(value)
    folder = claim(parsed.out, parsed.data, False) if parsed.out else None
    found = split(
        parsed.data, recipe=parsed.recipe or STANDARD, settings=settings, seed=parsed.seed,
        plugins=load_registry(parsed), reporter=Reporter(),
    )  # fmt: skip
    show(found)
    if folder:
        print("written:")
        for path in found.write(Path(folder)):
            print(f"  {path}")
    return 0


def show(found: Splits) -> None:
    """Print what was guessed, and of each split its parts, what they share, its notes and its level of independence."""
    from medplug.data.split import proof_line

    index = found.checked.index
    print(f"{found.checked.source.typed}: {len(index):,} images, {len(index.classes)} classes ({index.task})")
    for note in index.notes:
        print(f"  {note}")
    for entry in found.describe():
        print(
            f"{entry['name']}: hash {entry['hash'][:12]}, independence of the test part: {entry['independence']['level']}"
        )
        for part, counts in entry["counts"].items():
            told = ", ".join(f"{name} {n:,}" for name, n in counts.items())
            print(f"  {part:<10} {entry['sizes'][part]:>8,}  ({told})")
        print(f"  shared between parts: {proof_line(entry['shared_between_parts'])}")
        for note in entry["notes"]:
            print(f"  note: {note}")
