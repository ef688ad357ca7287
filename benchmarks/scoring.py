"""Benchmark ``scoring``: how long the figures of a large test set take, with their intervals."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from benchmarks.family import Options, Record
from benchmarks.records import write_record
from medplug.config import Config, load_recipe
from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.scores import named_metrics, score
from medplug.plugins.registry import registry
from medplug.values import Predictions

FAMILY = NAME = "scoring"
SAMPLES, CLASSES, RESAMPLES, REPEATS = 10_000, 8, 2000, 3
TARGET = 20.0  # seconds on 2 cores


def names() -> dict[str, list[str]]:
    """The one benchmark."""
    return {FAMILY: [NAME]}


def describe(name: str, options: Options) -> str:
    """One line."""
    return (
        f"{name}: all metrics of the recipe `standard` on {SAMPLES:,} samples of {CLASSES} classes, {RESAMPLES:,} resamples "
        f"(target: below {TARGET:g} s on 2 cores); needs no data"
    )


def run(name: str, options: Options) -> None:
    """Score invented predictions a few times."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, SAMPLES)
    probabilities = softmax(rng.normal(size=(SAMPLES, CLASSES)) + 1.5 * np.eye(CLASSES)[labels], axis=1)
    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    classes = tuple(f"class {c}" for c in range(CLASSES))
    found = Predictions(tuple(map(str, range(SAMPLES))), probabilities, targets, classes, "multiclass")
    config = Config.from_layers(load_recipe("standard", registry()))
    made = config.make_all("metric", registry(), "multiclass")
    metrics = named_metrics([(name, metric) for name, metric in made if "multiclass" in metric.tasks])
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        score(found, metrics, intervals=IntervalSettings(RESAMPLES))
        seconds.append(round(time.perf_counter() - started, 2))
    figures = {"seconds": seconds, "metrics": list(metrics), "target": TARGET}
    write_record(options.out / NAME, FAMILY, NAME, None, figures)
    print(
        f"{len(metrics)} metrics, {SAMPLES:,} x {CLASSES}, {RESAMPLES:,} resamples: {min(seconds)} to {max(seconds)} s"
    )


def section(records: Sequence[Record], options: Options) -> str:
    """Markdown of the newest record."""
    lines = ["## Scoring", ""]
    if not records:
        return "\n".join([*lines, "Not run: `python -m benchmarks run scoring`.", ""])
    [record] = records
    seconds = record["seconds"]
    lines.append(
        f"{len(record['metrics'])} metrics of {SAMPLES:,} samples and {CLASSES} classes with {RESAMPLES:,} resamples: "
        f"{min(seconds):g} to {max(seconds):g} s in {len(seconds)} repeats (target: < {record['target']:g} s on 2 cores)."
    )
    return "\n".join([*lines, ""])
