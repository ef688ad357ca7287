"""``medplug report``: the page of a run, written again from the files in its folder."""

from __future__ import annotations

import argparse
from typing import Any

from medplug.cli.common import add_plugin_option, load_registry, prepare_jax


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="write the report of a run again",
        description="Write report.html and the figures again from the files of a finished run. Nothing is computed anew; "
        "that is what evaluate does.",
    )
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    add_plugin_option(parser)
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command."""
    prepare_jax()
    from medplug.api import load_run

    print(load_run(parsed.run, plugins=load_registry(parsed)).write_report())
    return 0
