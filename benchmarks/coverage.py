"""Benchmark ``coverage``: how often intervals of medplug hold the true value, in simulations whose truth is known.

Scores are normal: ``N(d, 1)`` for positives and ``N(0, 1)`` for negatives give an AUC of ``Phi(d / sqrt 2)``. In clustered
designs all images of a patient share its label and a part of their score, so that ``icc`` is the share of variance between
patients. Every interval goes through :func:`medplug.evaluation.scores.score` with the registered metrics.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from typing import Any

import numpy as np
from scipy.special import expit, ndtri, softmax

from benchmarks.family import Options, Record
from benchmarks.records import write_record
from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.scores import score
from medplug.plugins.registry import registry
from medplug.values import Predictions

FAMILY = NAME = "coverage"
SIMULATIONS = 2000
CHUNK = 100
RESAMPLES = 1000
PATIENTS, AREA = 60, 0.9

Simulation = Callable[[np.random.Generator], bool]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what is simulated.
        simulate: one simulation: whether the interval holds the truth.
        low, high: the band that the coverage should lie in.
    """

    name: str
    simulate: Simulation
    low: float
    high: float


def names() -> dict[str, list[str]]:
    """The one benchmark."""
    return {FAMILY: [NAME]}


def describe(name: str, options: Options) -> str:
    """One line."""
    return f"{name}: coverage of nominal 95 % intervals in {SIMULATIONS:,} simulations a row; needs no data"


def run(name: str, options: Options) -> None:
    """Simulate every row in as many processes as there are cores, and print the table."""
    found = []
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for number, row in enumerate(rows()):
            parts = pool.map(partial(_chunk, number), range(SIMULATIONS // CHUNK))
            coverage = sum(parts) / SIMULATIONS
            found.append({"row": row.name, "coverage": coverage, "low": row.low, "high": row.high})
            mark = "" if row.low <= coverage <= row.high else "  outside the band"
            print(f"{row.name}: {coverage:.4f} (wanted {row.low:g} to {row.high:g}){mark}", flush=True)
    write_record(options.out / NAME, FAMILY, NAME, None, {"simulations": SIMULATIONS, "rows": found})


def section(records: Sequence[Record], options: Options) -> str:
    """Markdown of the newest record."""
    lines = ["## Coverage of intervals", ""]
    if not records:
        return "\n".join([*lines, "Not run: `python -m benchmarks coverage`.", ""])
    [record] = records
    error = 100 * (0.05 * 0.95 / record["simulations"]) ** 0.5
    lines += [
        f"Share of {record['simulations']:,} simulations in which a nominal 95 % interval holds the true value (± {error:.1f} points).",
        "",
        "| simulated | coverage | wanted |",
        "|---|---|---|",
    ]
    lines += [f"| {r['row']} | {r['coverage']:.3f} | {r['low']:g} to {r['high']:g} |" for r in record["rows"]]
    return "\n".join([*lines, ""])


def rows() -> list[Row]:
    """All lines of the table, in their order."""
    found = [
        Row(f"AUC {area:g}, {m} positives, {n} negatives", partial(_area, area, m, n), 0.93, 0.97)
        for area in (0.85, 0.95)
        for m, n in ((10, 50), (40, 115))
    ]
    found.append(Row("sensitivity, 30 positives, averaged over 0.5 to 0.99", _sensitivity, 0.93, 0.97))
    found.append(Row("macro F1, 200 samples, 3 classes", partial(_three_classes_hold, "f1", 200, 1, 0.0), 0.93, 0.97))
    found += [
        Row(
            f"AUC {AREA:g}, {PATIENTS} patients with {size} images, ICC {icc:g}",
            partial(_clustered, size, icc),
            0.92,
            1.0,
        )
        for size, icc in ((10, 0.5), (10, 0.8), (2, 0.5))
    ]
    found += [
        Row(
            f"{words}, {PATIENTS} patients with 5 images, ICC 0.5",
            partial(_three_classes_hold, metric, PATIENTS, 5, 0.5),
            0.92,
            1.0,
        )
        for metric, words in (("sensitivity", "sensitivity of 1 of 3 classes"), ("f1", "macro F1 of 3 classes"))
    ]
    return found


def _chunk(row: int, number: int) -> int:
    generator = np.random.default_rng([row, number])
    return sum(rows()[row].simulate(generator) for _ in range(CHUNK))


def _area(area: float, m: int, n: int, rng: np.random.Generator) -> bool:
    truth = np.repeat([1, 0], [m, n])
    scores = rng.normal(size=m + n) + truth * ndtri(area) * np.sqrt(2)
    return _holds(_binary(scores, truth), "roc_auc", area)


def _clustered(size: int, icc: float, rng: np.random.Generator) -> bool:
    truth = np.repeat(np.arange(PATIENTS) % 2, size)
    shared = np.repeat(rng.normal(0, np.sqrt(icc), PATIENTS), size)
    scores = truth * ndtri(AREA) * np.sqrt(2) + shared + rng.normal(0, np.sqrt(1 - icc), len(truth))
    patients = np.repeat(np.arange(PATIENTS), size).astype(str)
    return _holds(_binary(scores, truth, patients), "roc_auc", AREA)


def _sensitivity(rng: np.random.Generator) -> bool:
    share = rng.uniform(0.5, 0.99)
    truth = np.repeat([1, 0], 30)
    scores = np.where(rng.random(60) < np.where(truth == 1, share, 0.5), 1.0, -1.0)
    return _holds(_binary(scores, truth), "sensitivity", share)


def _three_classes_hold(metric: str, patients: int, size: int, icc: float, rng: np.random.Generator) -> bool:
    """The macro F1, or the sensitivity of the second class."""
    return _holds(_three_classes(rng, patients, size, icc), metric, _true(metric), macro=metric == "f1")


def _three_classes(rng: np.random.Generator, patients: int, size: int = 1, icc: float = 0.0) -> Predictions:
    """Three classes of a quarter, a quarter and a half of the patients."""
    labels = np.repeat(rng.choice(3, patients, p=[0.25, 0.25, 0.5]), size)
    shared = np.repeat(rng.normal(0, np.sqrt(icc), (patients, 3)), size, axis=0)
    logits = shared + rng.normal(0, np.sqrt(1 - icc), (len(labels), 3)) + 1.5 * np.eye(3)[labels]
    groups = np.repeat(np.arange(patients), size).astype(str) if size > 1 else None
    samples = tuple(map(str, range(len(labels))))
    targets = np.eye(3, dtype=np.float32)[labels]
    return Predictions(samples, softmax(logits, axis=1), targets, ("a", "b", "c"), "multiclass", groups)


@cache
def _true(metric: str) -> float:
    """The figure of a million samples: groups change how samples hang together, not what a single one is like."""
    found = score(_three_classes(np.random.default_rng(0), 1_000_000), {metric: registry().make("metric", metric)})
    figure = found["macro"][metric] if metric == "f1" else found["per_class"]["b"][metric]
    return figure["value"]


def _binary(scores: np.ndarray, truth: np.ndarray, groups: np.ndarray | None = None) -> Predictions:
    p = expit(scores)
    targets = np.eye(2, dtype=np.float32)[truth]
    samples = tuple(map(str, range(len(truth))))
    return Predictions(samples, np.stack([1 - p, p], 1), targets, ("no", "yes"), "multiclass", groups)


def _holds(predictions: Predictions, metric: str, truth: float, macro: bool = False) -> bool:
    settings = IntervalSettings(RESAMPLES)
    found: dict[str, Any] = score(predictions, {metric: registry().make("metric", metric)}, intervals=settings)
    figure = found["macro"][metric] if macro else found["per_class"][predictions.classes[1]][metric]
    return figure.get("low") is not None and figure["low"] <= truth <= figure["high"]
