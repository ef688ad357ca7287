"""``medplug check``: what is wrong with a data set, before anything is trained on it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medplug.cli.common import add_plugin_option, assignments, load_registry

if TYPE_CHECKING:
    from medplug.runs.checking import Checked

_STYLES = {"ok": "", "note": "", "warning": "yellow", "error": "red"}


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="look a data set through before anything is trained: broken files, copies, leaks, shortcuts",
        description="Look a data set through. Nothing is trained and nothing of the data is changed. Exit code 0 where they are "
        "clean or have warnings, 2 where they cannot be used. Every check is described in docs/data.md.",
    )
    parser.add_argument("data", metavar="DATA", help="a folder of class folders, a CSV file, or READER:ARGUMENT")
    parser.add_argument(
        "--out", metavar="FILE.json", help="also write all findings with all names (a folder: as checks.json in it)"
    )
    parser.add_argument("--recipe", metavar="NAME|FILE.toml", help="where settings come from (default: standard)")
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="any setting of reader, checks and split, such as checks.near=report (repeatable)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="short for --set checks.strict=true: warnings make the data unusable"
    )
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    from medplug.config import STANDARD, Config, load_recipe
    from medplug.config.config import from_assignments
    from medplug.files import write_json
    from medplug.progress import Reporter
    from medplug.runs.checking import check_source
    from medplug.runs.folder import CHECKS

    settings = assignments(parsed.settings)
    if parsed.strict:
        settings["checks.strict"] = "true"
    registry = load_registry(parsed)
    config = Config.from_layers(load_recipe(parsed.recipe or STANDARD, registry), from_assignments(settings))
    found = check_source(parsed.data, config, registry, Reporter())
    show(found)
    if parsed.out:
        path = Path(parsed.out)
        path = path / CHECKS if path.is_dir() else path
        write_json(path, found.to_json())
        print(f"all findings with all names: {path}")
    return found.exit_code


def show(found: Checked) -> None:
    """Print one line for each finding, the classes, and the verdict."""
    from medplug.progress import stdout_console

    console, index = stdout_console(), found.index
    print(
        f"{found.source.typed}: {len(index):,} images, {len(index.classes)} classes ({index.task}), reader {found.source.name}"
    )
    counts = index.class_counts()[:, 0].astype(int)
    print("  " + ", ".join(f"{name} {n:,}" for name, n in zip(index.classes, counts, strict=True)))
    for finding in found.lines():
        console.print(f"{finding.level:>8}  {finding.text}", markup=False, style=_STYLES[finding.level])
    console.print(found.verdict, markup=False, style="bold")
