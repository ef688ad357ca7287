"""Benchmarks of what data cost: the start of a run on known images, waiting, memory, many images, the checks."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.data.images import make_images, make_small_images
from benchmarks.family import BenchmarkError, MissingDataError, Options, Record
from benchmarks.records import write_record

FAMILY = "costs"
FILES = 25_000  # of a large data set: that of ISIC 2019
TINY, EDGE = 32, 224  # pixels
START, WAIT, MEMORY, GROWTH, PAIRS, CHECK = 2.0, 0.02, 2.0, 1.15, 10.0, 6.0  # s, share, GiB, ratio, s, min
FEW, MANY, ROUNDS = 500, 2000, 3
CHECKED, CHECKED_EDGE = 400, 512
STEPS, BATCH = 6, 16
_MARGIN = 1.5  # of the disk space that the store of large images needs
WORDS = {
    "start": f"a cached run of {FILES:,} files: from the end of its imports to the first batch on the device",
    "training": f"DenseNet121 at {EDGE} px on {FILES:,} images: waiting for input, and memory beyond one repeated batch",
    "growth": f"what an image costs among {MANY:,}, beside one among {FEW}",
    "checking": f"the checks of {FILES:,} JPEG files of {CHECKED_EDGE} px",
}


def names() -> dict[str, list[str]]:
    """All of them, in the group ``data`` beside the batches."""
    return {"data": list(WORDS)}


def describe(name: str, options: Options) -> str:
    """One line."""
    return f"{name}: {WORDS[name]}; invents its images"


def run(name: str, options: Options) -> None:
    """Measure one of them in processes of their own.

    Raises:
        BenchmarkError: a process fails.
        MissingDataError: the disk is too small.
    """
    home = options.out / name
    home.mkdir(parents=True, exist_ok=True)
    figures = _RUNS[name](home)
    write_record(home, FAMILY, name, None, figures)
    for what, found, target in _ROWS[name](figures):
        print(f"  {what}: {found}{f' (target {target})' if target else ''}", flush=True)


def _start(home: Path) -> Record:
    print(f"inventing {FILES:,} tiny files (once)", flush=True)
    folder = make_small_images(home / "images", TINY, FILES)
    cache = home / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    try:
        cold = _worker("start", folder, cache=cache)
        print(f"  nothing cached: {cold['all']['wall']:.1f} s", flush=True)
        warm = [_worker("start", folder, cache=cache) for _ in range(ROUNDS)]
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    return {"cold": cold, "warm": warm}


def _training(home: Path) -> Record:
    needed = int(_MARGIN * FILES * EDGE * EDGE * 3)
    if shutil.disk_usage(home).free < needed:
        raise MissingDataError(f"training: {needed / 2**30:.0f} GiB of free disk space are needed below {home}")
    print("compiling DenseNet121, which takes minutes", flush=True)
    _worker("train", "repeated", FILES, 1, BATCH, work=home)  # what compiling leaves in memory is no matter of the data
    print(f"a store of {FILES:,} images is made, and removed at the end", flush=True)
    data = _worker("train", "data", FILES, STEPS, BATCH, work=home)
    print(f"  {data['seconds'] / STEPS:.1f} s a step of {BATCH} images", flush=True)
    repeated = _worker("train", "repeated", FILES, STEPS, BATCH, work=home)
    shutil.rmtree(home / "xla", ignore_errors=True)
    return {"data": data, "repeated": repeated}


def _growth(home: Path) -> Record:
    folders = {count: make_images(home / f"{count}", 256, 256, count) for count in (FEW, MANY)}
    found: dict[str, dict[str, list[float]]] = {mode: {} for mode in ("first", "plain")}
    for mode, epochs in (("first", 1), ("plain", 4)):
        for _ in range(ROUNDS):
            for count, folder in folders.items():
                speeds = _worker("", folder, mode, EDGE, 32, epochs)["images_per_second"]
                found[mode].setdefault(str(count), []).extend(speeds[1:] or speeds)
        print(f"  {mode}: {found[mode]}", flush=True)
    return {"images_per_second": found}


def _checking(home: Path) -> Record:
    print(f"inventing {CHECKED} files (once)", flush=True)
    folder = make_images(home / "images", CHECKED_EDGE, CHECKED_EDGE, CHECKED)
    return {"rounds": [_worker("check", folder, FILES) for _ in range(ROUNDS)]}


def _worker(name: str, *arguments: Any, cache: Path | None = None, work: Path | None = None) -> Any:
    """What a worker prints last, from JSON."""
    module = f"benchmarks.data.{name}_worker" if name else "benchmarks.data.worker"
    more = {"MEDPLUG_CACHE": cache, "MEDPLUG_BENCHMARK_WORK": work}
    environment = {**os.environ, **{key: str(value) for key, value in more.items() if value is not None}}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise BenchmarkError(f"{module} failed: {done.stderr[-800:]}")
    return json.loads(done.stdout.splitlines()[-1])


# ---------------------------------------------------------------- the table


def section(records: Sequence[Record], options: Options) -> str:
    """Markdown of the newest records."""
    found = {record["benchmark"]: record for record in records}
    lines = ["## What data cost", "", "| what | found | target |", "|---|---|---|"]
    for name, words in WORDS.items():
        if name in found:
            lines += [f"| {' | '.join(cells)} |" for cells in _ROWS[name](found[name])]
        else:
            lines.append(f"| {words} | not run: `python -m benchmarks run {name}` | |")
    return "\n".join([*lines, ""])


Rows = list[tuple[str, str, str]]


def _start_rows(record: Record) -> Rows:
    warm = [one["all"]["wall"] for one in record["warm"]]
    parts = {
        name: statistics.median(one["parts"][name]["cpu"] for one in record["warm"]) for name in record["cold"]["parts"]
    }
    cold = record["cold"]["all"]
    told = ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items())
    return [
        (WORDS["start"], f"{statistics.median(warm):.2f} s ({min(warm):.2f} to {max(warm):.2f})", f"< {START:g} s"),
        ("of these in each part, CPU seconds", told, ""),
        ("the same where nothing is cached", f"{cold['wall']:.1f} s, CPU {cold['cpu']:.1f} s", ""),
    ]


def _training_rows(record: Record) -> Rows:
    data, repeated = record["data"], record["repeated"]
    beyond = (data["peak_mib"] - repeated["peak_mib"]) / 1024
    share = data["waiting"] / data["seconds"]
    return [
        (f"DenseNet121 at {EDGE} px: waiting for input, share of the step", f"{share:.2%}", f"< {WAIT:.0%}"),
        (
            f"{FILES:,} images at {EDGE} px: anonymous memory beyond the same steps on one repeated batch",
            f"{beyond:.2f} GiB", f"< {MEMORY:g} GiB",
        ),
    ]  # fmt: skip


def _growth_rows(record: Record) -> Rows:
    rows = []
    for mode, words in (("first", "nothing cached"), ("plain", "cached")):
        few, many = (statistics.median(record["images_per_second"][mode][str(n)]) for n in (FEW, MANY))
        what = f"time an image among {MANY:,} takes, over that among {FEW}, {words}"
        rows.append((what, f"{few / many:.2f} ({few:.0f} and {many:.0f} images/s)", f"< {GROWTH:g}"))
    return rows


def _checking_rows(record: Record) -> Rows:
    rounds = record["rounds"]
    reading = statistics.median(one["reading"] / one["files"] for one in rounds)
    checks, pairs = (statistics.median(one[name] for one in rounds) for name in ("checks", "pairs"))
    minutes = (reading * FILES + checks) / 60
    each = f"{minutes:.1f} min ({1000 * reading:.1f} ms a file, from {rounds[0]['files']} files; then {checks:.1f} s)"
    return [
        (WORDS["checking"], each, f"< {CHECK:g} min on 2 cores"),
        (f"of these, comparing all pairs of {FILES:,} thumbnails", f"{pairs:.1f} s", f"< {PAIRS:g} s"),
    ]


_RUNS: dict[str, Callable[[Path], Record]] = {
    "start": _start, "training": _training, "growth": _growth, "checking": _checking,
}  # fmt: skip
_ROWS: dict[str, Callable[[Record], Rows]] = {
    "start": _start_rows, "training": _training_rows, "growth": _growth_rows, "checking": _checking_rows,
}  # fmt: skip
