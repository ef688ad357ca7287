"""Benchmark ``coverage``: how often intervals of medplug hold the true value, in simulations whose truth is known.

Scores are normal: ``N(d, 1)`` for positives and ``N(0, 1)`` for negatives give an AUC of ``Phi(d / sqrt 2)``. In clustered
designs all images of a patient share its label and a part of their score, so that ``icc`` is the share of variance between
patients. Intervals of metrics go through :func:`medplug.evaluation.scores.score` with the registered metrics; the others through
the functions that make them for the report.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from typing import Any

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri, softmax

from benchmarks.family import Options, Record
from benchmarks.records import write_record
from medplug.evaluation.clinical import decision_curve
from medplug.evaluation.comparison import compare
from medplug.evaluation.costing import cost_analysis
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.intervals import IntervalSettings, units
from medplug.evaluation.scores import score
from medplug.evaluation.subgroups import subgroup_scores
from medplug.plugins.registry import registry
from medplug.values import Predictions

FAMILY = NAME = "coverage"
SIMULATIONS = 2000
CHUNK = 100
RESAMPLES = 1000
FEW = 50  # where the interval is none of a bootstrap
PATIENTS, AREA, ICC = 60, 0.9, 0.5
GAP_SIZE = 80
STRENGTHS = (1.5, 1.2)  # by how much the logit of the right class is higher; of the two runs that are compared
ILL, SHIFT = 0.3, 1.5  # share of the ill, and by how much their scores are higher, for net benefit
COSTS = np.array([[0.0, 10.0, 5.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])

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
    return [*found, *_further_rows()]


def _further_rows() -> list[Row]:
    """Intervals of what is no metric: gaps of subgroups, differences of two runs, net benefit, costs."""
    found = [
        Row(f"gap of the AUC, {GAP_SIZE} samples in each of the subgroups ({words})", partial(_gap, areas), 0.93, 0.99)
        for words, areas in (
            ("0.9 and 0.8", (0.9, 0.8)),
            ("two of 0.85", (0.85,) * 2),
            ("five of 0.85", (0.85,) * 5),
            ("0.75 to 0.9", (0.9, 0.85, 0.8, 0.75)),
        )
    ]
    for size, wanted in ((1, (0.93, 0.97)), (5, (0.92, 1.0))):
        where = "200 samples" if size == 1 else f"{PATIENTS} patients with {size} images, ICC {ICC:g}"
        found.append(Row(f"difference of two macro F1, {where}", partial(_difference, size), *wanted))
        found += [
            Row(f"net benefit at {limit:g}, {where}", partial(_net_benefit, limit, size), *wanted)
            for limit in (0.1, 0.3, 0.6)
        ]
        found += [
            Row(f"{words}, {where}", partial(_cost, key, size), *wanted)
            for key, words in (("least_cost", "cost per sample"), ("difference", "difference in cost of two rules"))
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


def _gap(areas: tuple[float, ...], rng: np.random.Generator) -> bool:
    """The difference between the subgroups that turn out best and worst, which are not known beforehand."""
    truth = np.tile(np.repeat([1, 0], GAP_SIZE // 2), len(areas))
    names = np.repeat([f"part {i}" for i in range(len(areas))], GAP_SIZE)
    scores = rng.normal(size=len(truth)) + truth * np.repeat(ndtri(areas) * np.sqrt(2), GAP_SIZE)
    metrics = {"roc_auc": registry().make("metric", "roc_auc")}
    found = subgroup_scores(_binary(scores, truth), {"part": names}, metrics, IntervalSettings(FEW))
    gap = found["part"]["gap"]["roc_auc"]
    best, worst = (areas[int(gap[end].split()[1])] for end in ("best", "worst"))
    return _within(gap, best - worst)


def _two_runs(rng: np.random.Generator, patients: int, size: int) -> dict[str, Predictions]:
    """Two runs on the same samples, the second one weaker; half of what misleads one misleads the other."""
    icc = ICC if size > 1 else 0.0
    one, stranger = (_three_classes(rng, patients, size, icc) for _ in range(2))
    noise = sum(np.log(p.probabilities) - STRENGTHS[0] * np.asarray(p.targets) for p in (one, stranger))
    logits = STRENGTHS[1] * np.asarray(one.targets) + np.sqrt(0.5) * noise
    return {"one": one, "other": replace(one, probabilities=softmax(logits, axis=1))}


def _difference(size: int, rng: np.random.Generator) -> bool:
    runs = _two_runs(rng, 200 if size == 1 else PATIENTS, size)
    metrics = {"f1": registry().make("metric", "f1")}
    [pair] = compare(runs, metrics, IntervalSettings(RESAMPLES))["pairs"]
    return _within(pair["difference"], _true_difference())


@cache
def _true_difference() -> float:
    runs = _two_runs(np.random.default_rng(0), 300_000, 1)
    metrics = {"f1": registry().make("metric", "f1")}
    one, other = (score(run, metrics)["macro"]["f1"]["value"] for run in runs.values())
    return one - other


def _net_benefit(limit: float, size: int, rng: np.random.Generator) -> bool:
    """Of a calibrated model: ``p`` is the probability of being ill."""
    patients = 200 if size == 1 else PATIENTS
    icc = ICC if size > 1 else 0.0
    truth = np.repeat(rng.random(patients) < ILL, size)
    scores = truth * SHIFT + np.repeat(rng.normal(0, np.sqrt(icc), patients), size)
    p = expit(SHIFT * (scores + rng.normal(0, np.sqrt(1 - icc), len(truth)) - SHIFT / 2) + logit(ILL))
    drawn = units(len(truth), np.repeat(np.arange(patients), size).astype(str) if size > 1 else None)
    curve = decision_curve(truth, p, drawn, IntervalSettings(RESAMPLES))
    at = int(np.abs(np.array(curve["threshold"]) - limit).argmin())
    return bool(curve["low"][at] <= true_net_benefit(limit) <= curve["high"][at])


def true_net_benefit(limit: float) -> float:
    """What the simulated model is worth at a threshold probability."""
    cut = (logit(limit) - logit(ILL)) / SHIFT + SHIFT / 2  # of the scores
    return float(ILL * ndtr(SHIFT - cut) - (1 - ILL) * ndtr(-cut) * limit / (1 - limit))


def _cost(key: str, size: int, rng: np.random.Generator) -> bool:
    """What decisions with the least expected cost cost, or how much less than those for the most probable class."""
    test = _three_classes(rng, 200 if size == 1 else PATIENTS, size, ICC if size > 1 else 0.0)
    rules = DecisionRules(test.task, test.classes, costs=COSTS)
    return _within(cost_analysis(test, rules, IntervalSettings(RESAMPLES))["test"][key], _true_cost(key))


@cache
def _true_cost(key: str) -> float:
    test = _three_classes(np.random.default_rng(0), 300_000)
    truth, p = np.asarray(test.targets).argmax(1), test.probabilities
    least, usual = (COSTS[truth, decided].mean() for decided in ((p @ COSTS).argmin(1), p.argmax(1)))
    return float(least if key == "least_cost" else least - usual)


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
    return _within(found["macro"][metric] if macro else found["per_class"][predictions.classes[1]][metric], truth)


def _within(figure: dict[str, Any], truth: float) -> bool:
    return figure.get("low") is not None and figure["low"] <= truth <= figure["high"]
