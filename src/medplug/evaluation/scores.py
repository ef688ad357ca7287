"""Metrics of a split, per class and averaged, with intervals: the inner part of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medplug.contracts.metric import Metric
from medplug.errors import DataError, UsageError
from medplug.evaluation.intervals import IntervalSettings, units
from medplug.evaluation.uncertainty import Evidence, gather
from medplug.values import Predictions

FEW = 10  # a class with fewer positive samples is marked: its figures say little


def score(
    predictions: Predictions,
    metrics: Mapping[str, Metric],
    *,
    intervals: IntervalSettings | None = None,
    thresholds: np.ndarray | None = None,
    split: str = "test",
) -> dict[str, Any]:
    """All metrics of a split.

    Args:
        predictions: with targets.
        metrics: by the name that they get in the result.
        intervals: None leaves out the intervals and all that takes as long (during training).
        thresholds: ``[K]`` float64, handed to every metric; None is 0.5 in multi-label tasks and argmax else.
        split: named in the reasons of undefined figures.

    Returns:
        ``{"n": N, "unit", "units", "macro": {NAME: figure}, "weighted": …, "micro": …, "per_class": {CLASS:
        {"n": positives, NAME: figure}}, "warnings": [sentence]}``. A figure is ``{"value", "low", "high", "method"}``,
        or ``{"value": None, "reason"}`` where it is undefined; ``interval_reason`` says why ``low`` and ``high`` are
        None. A macro is the mean over the classes with a defined value, ``excluded`` lists the others; ``weighted`` is
        their mean by the classes' shares of the positive samples, which are held fixed. Metrics with a single value
        stand under ``macro`` only. ``few`` marks a class with fewer than ten positive samples. ``companion`` holds what
        a metric wants to be read beside its figure; averaged figures have the mean of it, but for ``p``.

    Raises:
        DataError: no samples, or no targets.
        UsageError: a metric is not for the task, or is called ``n`` or ``few``.
        ContractError: a metric returned something else than a float or ``[K]``.
    """
    targets = _check(predictions, metrics, split)
    n, k = targets.shape
    if thresholds is None and predictions.task == "multilabel":
        thresholds = np.full(k, 0.5)
    probabilities = np.asarray(predictions.probabilities, np.float64)
    drawn = units(n, predictions.groups)
    found = gather(metrics, targets, probabilities, thresholds, drawn, intervals)
    reasons, positives = class_reasons(targets, split), _positives(targets)
    per_class: dict[str, dict[str, Any]] = {
        name: {"n": int(m), **({"few": True} if m < FEW else {})}
        for name, m in zip(predictions.classes, positives, strict=True)
    }
    macro: dict[str, Any] = {}
    weighted: dict[str, Any] = {}
    micro: dict[str, Any] = {}
    for name, one in found.items():
        undefined = one.metric.undefined
        if one.value.ndim == 0:
            macro[name] = one.figure(None, undefined)
            continue
        for c, label in enumerate(predictions.classes):
            per_class[label][name] = one.figure(c, reasons[c] or undefined)
        if not getattr(one.metric, "average", True):
            continue
        excluded = [c for c, v in zip(predictions.classes, one.value, strict=True) if np.isnan(v)]
        macro[name] = {**one.mean(np.ones(k)), "excluded": excluded}
        weighted[name] = one.mean(positives.astype(np.float64))
        if one.micro is not None:
            micro[name] = one.micro_figure()
    return {
        "n": n,
        "unit": drawn.word,
        "units": drawn.count,
        "macro": macro,
        "weighted": weighted,
        "micro": micro,
        "per_class": per_class,
        "warnings": _inverted(found, predictions.classes),
    }


def _inverted(found: Mapping[str, Evidence], classes: Sequence[str]) -> list[str]:
    """A question for each figure that is worse than chance could explain."""
    warnings = []
    for name, one in found.items():
        limit = getattr(one.metric, "inverted_below", None)
        if limit is None:
            continue
        values = (
            [(f" of {c}", v) for c, v in zip(classes, one.value, strict=True)] if one.value.ndim else [("", one.value)]
        )
        warnings += [
            f"{name}{where} is {float(v):.2f}, worse than chance: are its labels or scores inverted?"
            for where, v in values
            if v < limit
        ]
    return warnings


def named_metrics(made: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Metrics by the name they have in ``metrics.json``: their own, or ``distribution:name`` where two share it."""
    short = [reference.rpartition(":")[2] for reference, _ in made]
    return {s if short.count(s) == 1 else ref: metric for s, (ref, metric) in zip(short, made, strict=True)}


def class_reasons(targets: np.ndarray, split: str) -> list[str]:
    """Why a figure of each class may be undefined, from its labels ``[N, K]`` alone; empty where they tell nothing."""
    known = ~np.isnan(targets)
    positives = _positives(targets)
    reasons = []
    for c in range(targets.shape[1]):
        total = int(known[:, c].sum())
        if total == 0:
            reasons.append(f"no known labels in the {split} split")
        elif positives[c] == 0:
            reasons.append(f"no positive samples in the {split} split")
        elif positives[c] == total:
            reasons.append(f"no negative samples in the {split} split")
        else:
            reasons.append("")
    return reasons


def _positives(targets: np.ndarray) -> np.ndarray:
    return (targets >= 0.5).sum(0)  # NaN compares as False


def _check(predictions: Predictions, metrics: Mapping[str, Metric], split: str) -> np.ndarray:
    if predictions.targets is None:
        raise DataError(f"the {split} split has no labels: metrics need them")
    if len(predictions.samples) == 0:
        raise DataError(f"the {split} split is empty: there is nothing to evaluate")
    taken = {"n", "few"} & set(metrics)
    if taken:
        raise UsageError(f"a metric cannot be called {min(taken)!r}: something else stands under that name")
    for name, metric in metrics.items():
        if predictions.task not in metric.tasks:
            raise UsageError(
                f"metric {name!r} is for {' and '.join(metric.tasks)} tasks, this one is {predictions.task}"
            )
    return np.asarray(predictions.targets, np.float32)
