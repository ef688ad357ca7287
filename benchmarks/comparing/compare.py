"""Benchmark ``compare``: the standard recipe beside its rivals, at the same minutes, size, splits and weights.

Settings are chosen before, by ``choose``: this is where the test parts are looked at. Rows are made one after the other,
and what is finished is not repeated, so that the table can grow over several sittings.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparing import tables
from benchmarks.comparing.neighbours import Neighbours
from benchmarks.comparing.plan import PLANS, RIVALS, STANDARD, Row, experiment_of, rows, together
from benchmarks.family import BenchmarkError, Options, Record
from benchmarks.records import RESULT, merge, read_records, write_record
from medplug.files import read_json, write_json

FAMILY = NAME = "compare"
section = tables.comparison


def names() -> dict[str, list[str]]:
    """The one benchmark."""
    return {FAMILY: [NAME]}


def describe(name: str, options: Options) -> str:
    """How many rows there are, and how many of them are finished."""
    known = _known(options)
    lines = [f"{name}: {STANDARD} beside {', '.join(word for word in RIVALS if word != STANDARD)}; options make slices"]
    for plan in PLANS:
        wanted = [row for row in rows(options_of_all(options)) if (row.minutes, row.size) == (plan.minutes, plan.size)]
        done = sum((row.benchmark, row.seed) in known for row in wanted)
        lines.append(f"    {plan.minutes:g} minutes at {plan.size} px: {done} of {len(wanted)} rows are finished")
    return "\n".join(lines)


def options_of_all(options: Options) -> Options:
    """Options that leave every planned row."""
    return Options(options.data, options.out, results=options.results)


def run(name: str, options: Options) -> None:
    """Make the rows that are missing, then the differences to the standard recipe on the same images.

    Raises:
        MissingDataError: the data are not there.
        BenchmarkError: nothing is left to do, or a row failed.
    """
    known = _known(options)
    wanted = rows(options)
    for group in together(wanted):
        for row in pending(group, known, options):
            print(f"{_words(row)}: {RIVALS[row.rival]} …", flush=True)
            _measure(row, options)
        _set_differences(group, options)
        for row in group:
            print(f"{_words(row)}: {row.rival} {_figures(_record(row, options, known))}", flush=True)


def pending(group: Sequence[Row], known: Mapping[tuple[str, int], Record], options: Options) -> list[Row]:
    """The rows of one set, seed and budget that are to be made.

    A rival is measured against the predictions of the standard recipe: where these are no longer on this machine,
    that row is made again, first.
    """
    left = [row for row in group if options.again or (row.benchmark, row.seed) not in known]
    standard = group[0].of(STANDARD)
    rivals = any(row.rival != STANDARD for row in left)
    if rivals and standard not in left and not _predicted(standard, options):
        left.insert(0, standard)
    return left


def _predicted(row: Row, options: Options) -> bool:
    return (row.place(options.out) / RESULT).exists() and (row.place(options.out) / "predictions.csv").exists()


def _measure(row: Row, options: Options) -> None:
    from benchmarks.comparing.layout import lay_out
    from benchmarks.comparing.rivals import Job, as_on_a_new_machine, run_rival

    experiment = experiment_of(row.set)
    source = experiment.find(options.data)
    truth = lay_out(experiment, source, row.seed, home_of(row.set, row.seed, options.out))
    place = row.place(options.out)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    job = Job(row, experiment, source, truth, place, options.out / "peers")
    with as_on_a_new_machine():
        job.prepared()  # decoded images wait in the cache for medplug, as they are handed to PyTorch
        others, started = Neighbours(), time.perf_counter()
        told = run_rival(job)
        seconds = round(time.perf_counter() - started, 1)
    head = {"rival": row.rival, "set": row.set, "minutes": row.minutes, "size": row.size, "seconds": seconds}
    around = {"others": others.share(), "split_hash": truth.split_hash}
    write_record(place, FAMILY, row.benchmark, row.seed, {**head, **around, **figures(place, truth), **told})


def home_of(name: str, seed: int, out: Path) -> Path:
    """Where the split of a set lies."""
    return out / "compare-splits" / f"{name}-seed-{seed}"


def figures(place: Path, truth: Any) -> dict[str, Any]:
    """The macro AUC on both parts, and the number of images in each part.

    Raises:
        BenchmarkError: there is none.
    """
    from benchmarks.floors import macro_auc
    from medplug.runs.folder import PREDICTIONS

    found = {}
    for part, file in PREDICTIONS.items():
        value = macro_auc(truth.answers(part)[0], truth.probabilities(place / file, part))
        found[f"{part}_auc"] = None if value != value else value  # noqa: PLR0124 - NaN: no class has a pair
    if found["test_auc"] is None:
        raise BenchmarkError(f"{place}: the test part has no class with positive and negative images")
    return {**found, "images": {part: len(truth.rows(part)) for part in ("train", "validation", "test")}}


def _set_differences(group: Sequence[Row], options: Options) -> None:
    """Write the difference to the standard recipe into the records of the rivals that are here."""
    from benchmarks.comparing.layout import lay_out
    from benchmarks.comparing.pairing import auc_difference
    from medplug.runs.folder import PREDICTIONS

    standard = group[0].of(STANDARD)
    if not _predicted(standard, options):
        return
    experiment = experiment_of(standard.set)
    home = home_of(standard.set, standard.seed, options.out)
    truth = lay_out(experiment, experiment.find(options.data), standard.seed, home)
    first = read_json(standard.place(options.out) / RESULT)
    for row in group:
        if row == standard or not _predicted(row, options):
            continue
        record = read_json(row.place(options.out) / RESULT)
        if record["split_hash"] != first["split_hash"]:
            raise BenchmarkError(f"{_words(row)}: {row.rival} and {STANDARD} have other splits; run both with --again")
        against = {"test_auc": first["test_auc"], "commit": first["machine"]["commit"]}
        if record.get("difference", {}).get("standard") == against:
            continue
        ours, theirs = (
            truth.probabilities(r.place(options.out) / PREDICTIONS["test"], "test") for r in (standard, row)
        )
        targets, groups = truth.answers("test")
        record["difference"] = {**auc_difference(targets, ours, theirs, groups), "standard": against}
        write_json(row.place(options.out) / RESULT, record)


# ---------------------------------------------------------------- what is known


def _known(options: Options) -> dict[tuple[str, int], Record]:
    """The finished rows by benchmark and seed: those of this machine, and those that are kept with the code."""
    stored = read_json(options.results) if options.results.exists() else []
    found = merge(stored, read_records(options.out))
    return {(r["benchmark"], r["seed"]): r for r in found if r["family"] == FAMILY}


def _record(row: Row, options: Options, known: Mapping[tuple[str, int], Record]) -> Record:
    path = row.place(options.out) / RESULT
    return read_json(path) if path.exists() else known[row.benchmark, row.seed]


def _words(row: Row) -> str:
    return f"{row.set}, seed {row.seed}, {row.minutes:g} min, {row.size} px"


def _figures(record: Record) -> str:
    difference = record.get("difference")
    words = "" if difference is None else f", {STANDARD} is {difference['value']:+.3f}"
    return f"{record['test_auc']:.3f}{words}"
