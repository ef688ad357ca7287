"""``medplug``: the parser, the exit codes, and how errors are told.

Exit codes: 0 done, 1 failed, 2 wrong use or unusable data. Nothing slow is imported here.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from medplug.cli import (
    cache,
    check,
    compare,
    demo,
    doctor,
    evaluate,
    explain,
    lr_find,
    plugins,
    predict,
    report,
    run,
    split,
)
from medplug.errors import MedplugError
from medplug.version import __version__

_COMMANDS = (run, check, split, lr_find, predict, evaluate, compare, explain, report, demo, doctor, cache, plugins)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="medplug",
        description="Labelled medical images to a trained, evaluated and explained classifier. Research software, not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"medplug {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.register(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parsed = build_parser().parse_args(arguments)
    _let_names_through()
    try:
        return parsed.action(parsed)
    except MedplugError as error:
        if os.environ.get("MEDPLUG_TRACEBACK") == "1":
            raise
        print(f"medplug: error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a full disk, a folder without permission
        if os.environ.get("MEDPLUG_TRACEBACK") == "1" or error.filename is None:
            raise
        print(f"medplug: error: {os.fsdecode(error.filename)}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "medplug: stopped; a run goes on from its last epoch with the same command and --out DIR --resume",
            file=sys.stderr,
        )
        return 1


def _let_names_through() -> None:
    """File names that are not UTF-8 pass through standard output as the bytes that they are."""
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


if __name__ == "__main__":
    sys.exit(main())
