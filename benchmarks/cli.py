"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import coverage, experiments, running, scoring, startup, table
from benchmarks.comparing import choose, compare
from benchmarks.data import batches, costs
from benchmarks.explaining import speed
from benchmarks.family import BenchmarkError, Family, MissingDataError, Options
from benchmarks.records import ROOT, keep, read_records
from medplug.errors import MedplugError
from medplug.files import write_text

FAMILIES: dict[str, Family] = {
    running.FAMILY: Family(experiments.names, experiments.describe, running.run, table.experiments_section),
    startup.FAMILY: Family(startup.names, startup.describe, startup.run, startup.section),
    scoring.FAMILY: Family(scoring.names, scoring.describe, scoring.run, scoring.section),
    batches.FAMILY: Family(batches.names, batches.describe, batches.run, batches.section),
    costs.FAMILY: Family(costs.names, costs.describe, costs.run, costs.section),
    speed.FAMILY: Family(speed.names, speed.describe, speed.run, speed.section),
    coverage.FAMILY: Family(coverage.names, coverage.describe, coverage.run, coverage.section),
    compare.FAMILY: Family(compare.names, compare.describe, compare.run, compare.section),
    choose.FAMILY: Family(choose.names, choose.describe, choose.run, choose.section),
}
"""All families by the word that stands in their records; a new one is a module and a row here."""


def build_parser() -> argparse.ArgumentParser:
    """``list``, ``run`` and ``table``; the others are short for ``run`` of a benchmark, some with options of their own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Benchmarks of medplug.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="all benchmarks, and whether their data are here")
    runner = commands.add_parser("run", help="run benchmarks; what is finished is not repeated")
    runner.add_argument("names", nargs="+", metavar="NAME", help="a benchmark, or a group: paper, small, all")
    runner.add_argument("--seeds", metavar="N,N", type=_seeds, help="instead of the benchmark's own")
    runner.add_argument("--budget", metavar="MIN", type=float, help="minutes a run, instead of the benchmark's own")
    runner.add_argument("--size", metavar="N", type=int, help="pixels, instead of the benchmark's own")
    tabler = commands.add_parser("table", help="print the results, and write RESULTS.md")
    tabler.add_argument(
        "--results",
        metavar="FILE.md",
        type=Path,
        default=ROOT / "RESULTS.md",
        help="where to; the records are kept beside it (default: benchmarks/RESULTS.md)",
    )
    covering = commands.add_parser("coverage", help="short for `run coverage`: how often intervals hold the truth")
    covering.set_defaults(names=["coverage"])
    explaining = commands.add_parser(
        "explain", help="short for `run explain`: the speed of maps, beside other libraries"
    )
    explaining.set_defaults(names=["explain"])
    comparing = commands.add_parser(
        "compare", help="the standard recipe beside its rivals, on the test parts; options choose which rows are made"
    )
    comparing.set_defaults(names=["compare"])
    comparing.add_argument("--rivals", metavar="NAME,NAME", type=_words, help="of standard, paper, features, torch")
    choosing = commands.add_parser("choose", help="variants of settings beside each other, without the test parts")
    choosing.set_defaults(names=["choose"])
    choosing.add_argument(
        "variants", nargs="?", metavar="FILE.toml", type=Path, help="default: benchmarks/comparing/variants.toml"
    )
    for command in (comparing, choosing):
        command.add_argument("--minutes", metavar="MIN", type=float, dest="budget", help="of each training")
        command.add_argument("--size", metavar="N", type=int, help="pixels")
        command.add_argument("--sets", metavar="NAME,NAME", type=_words, help="such as ultrasound,ct")
        command.add_argument("--seeds", metavar="N,N", type=_seeds)
        command.add_argument("--again", action="store_true", help="repeat these rows also where they are finished")
    for command in (listing, runner, tabler, covering, explaining, comparing, choosing):
        default = os.environ.get("MEDPLUG_DATA") or None
        command.add_argument(
            "--data",
            metavar="DIR",
            type=Path,
            default=default and Path(default),
            help="data sets (default: $MEDPLUG_DATA)",
        )
        command.add_argument(
            "--out", metavar="DIR", type=Path, default=ROOT / "work", help="runs (default: benchmarks/work)"
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 wrong use or data that are not here."""
    parsed = build_parser().parse_args(arguments)
    try:
        return {"list": _list, "table": _write_table}.get(parsed.command, _run)(parsed)
    except (BenchmarkError, MedplugError) as error:
        print(f"benchmarks: error: {error}", file=sys.stderr)
        return 1


def chosen(words: Sequence[str]) -> list[tuple[Family, str, bool]]:
    """(family, benchmark, whether it was named itself) for names and groups, each benchmark once.

    Raises:
        BenchmarkError: a word is neither.
    """
    found: dict[str, tuple[Family, str, bool]] = {}
    for word in words:
        before = len(found)
        known = False
        for family in FAMILIES.values():
            for group, members in family.names().items():
                for name in members:
                    if word in (name, group, "all"):
                        known = True
                        found.setdefault(name, (family, name, word == name))
        if not known and len(found) == before:
            raise BenchmarkError(f"there is no benchmark {word!r}; see `python -m benchmarks list`")
    return list(found.values())


def _list(parsed: argparse.Namespace) -> int:
    for family in FAMILIES.values():
        for group, members in family.names().items():
            print(f"{group}\n{'-' * len(group)}")
            print("\n".join(family.describe(name, _options(parsed)) for name in members), end="\n\n")
    return 0


def _run(parsed: argparse.Namespace) -> int:
    code = 0
    for family, name, named in chosen(parsed.names):
        try:
            family.run(name, _options(parsed))
        except MissingDataError as error:
            print(error)
            code = 2 if named else code
        except BenchmarkError as error:
            print(f"benchmarks: error: {error}", file=sys.stderr)
            code = 1
    return code


def _write_table(parsed: argparse.Namespace) -> int:
    records = keep(parsed.results.with_suffix(".json"), read_records(parsed.out))
    parts = [table.HEAD]
    for word, family in FAMILIES.items():
        parts.append(family.section([r for r in records if r["family"] == word], _options(parsed)))
    text = "\n".join([*parts, table.machines_section(records)])
    write_text(parsed.results, text)
    print(text)
    return 0


def _options(parsed: argparse.Namespace) -> Options:
    given = vars(parsed)
    known = ("seeds", "budget", "size", "sets", "rivals", "again", "variants")
    return Options(parsed.data, parsed.out.resolve(), **{key: given[key] for key in known if key in given})


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))
