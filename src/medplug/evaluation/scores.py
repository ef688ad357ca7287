"""Metrics of a split, per class and macro, with intervals: the inner part of ``metrics.json``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medplug.contracts.metric import Metric
from medplug.errors import ContractError, DataError, UsageError
from medplug.evaluation.intervals import IntervalSettings, Units, bootstrap_weights, percentile_interval, units
from medplug.values import Predictions


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
        intervals: None leaves the intervals out (during training).
        thresholds: ``[K]`` float64, handed to every metric; None is 0.5 in multi-label tasks and argmax else.
        split: named in the reasons of undefined figures.

    Returns:
        ``{"n": N, "macro": {NAME: figure}, "per_class": {CLASS: {"n": positives, NAME: figure}}}``. A figure is
        ``{"value", "low", "high", "method"}``, or ``{"value": None, "reason"}`` where it is undefined. A macro is the
        mean over the classes with a defined value; ``excluded`` lists the others, and ``incomplete_resamples``
        counts the bootstrap samples in which further classes had none. Metrics with a single value stand under
        ``macro`` only. ``undefined_resamples`` and ``interval_reason``: see :func:`percentile_interval`.

    Raises:
        DataError: no samples, or no targets.
        UsageError: a metric is not for the task, or is called ``n``.
        ContractError: a metric returned something else than a float or ``[K]``.
    """
    targets = _check(predictions, metrics, split)
    n, k = targets.shape
    if thresholds is None and predictions.task == "multilabel":
        thresholds = np.full(k, 0.5)
    probabilities = np.asarray(predictions.probabilities, np.float64)
    values = {name: _call(name, metric, targets, probabilities, None, thresholds) for name, metric in metrics.items()}
    drawn = units(n, predictions.groups)
    resampled: dict[str, np.ndarray] = {}
    if intervals is not None:
        resampled = _resample(metrics, values, targets, probabilities, thresholds, drawn, intervals)

    reasons = class_reasons(targets, split)
    per_class: dict[str, dict[str, Any]] = {
        name: {"n": int(positives)} for name, positives in zip(predictions.classes, _positives(targets), strict=True)
    }
    macro: dict[str, Any] = {}
    for name, value in values.items():
        samples = resampled.get(name)
        undefined = metrics[name].undefined
        if value.ndim == 0:
            macro[name] = _figure(float(value), undefined, samples, drawn, intervals)
            continue
        for c in range(k):
            column = None if samples is None else samples[:, c]
            figure = _figure(float(value[c]), reasons[c] or undefined, column, drawn, intervals)
            per_class[predictions.classes[c]][name] = figure
        macro[name] = _macro(value, samples, predictions.classes, drawn, intervals)
    return {"n": n, "macro": macro, "per_class": per_class}


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
    if "n" in metrics:
        raise UsageError("a metric cannot be called 'n': the number of samples stands under that name")
    for name, metric in metrics.items():
        if predictions.task not in metric.tasks:
            raise UsageError(
                f"metric {name!r} is for {' and '.join(metric.tasks)} tasks, this one is {predictions.task}"
            )
    return np.asarray(predictions.targets, np.float32)


def _call(
    name: str,
    metric: Metric,
    targets: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray | None,
    thresholds: np.ndarray | None,
) -> np.ndarray:
    """The metric's value as a float64 array of shape () or [K]; infinite counts as undefined."""
    try:
        value = np.asarray(metric(targets, probabilities, weights, thresholds), np.float64)
    except Exception as error:
        error.add_note(f"while computing metric {name!r}")
        raise
    k = targets.shape[1]
    if value.shape not in ((), (k,)):
        raise ContractError(f"metric {name!r} must return a float or [{k}] values, got shape {list(value.shape)}")
    return np.where(np.isfinite(value), value, np.nan)


def _resample(
    metrics: Mapping[str, Metric],
    values: Mapping[str, np.ndarray],
    targets: np.ndarray,
    probabilities: np.ndarray,
    thresholds: np.ndarray | None,
    drawn: Units,
    settings: IntervalSettings,
) -> dict[str, np.ndarray]:
    """Values ``[R]`` or ``[R, K]`` of each metric in the same resamples; R is 0 where there is one unit only.

    Weights are made one vector at a time: all at once would be gigabytes for large test sets.
    """
    if drawn.count < 2:
        return {name: np.empty((0, *value.shape)) for name, value in values.items()}
    resampled = {name: np.empty((settings.resamples, *value.shape)) for name, value in values.items()}
    for r, weights in enumerate(bootstrap_weights(drawn, settings)):
        for name, metric in metrics.items():
            resampled[name][r] = _call(name, metric, targets, probabilities, weights, thresholds)
    return resampled


def _figure(
    value: float, reason: str, resampled: np.ndarray | None, drawn: Units, settings: IntervalSettings | None
) -> dict[str, Any]:
    if np.isnan(value):
        return {"value": None, "reason": reason}
    if settings is None or resampled is None:
        return {"value": value}
    return {"value": value, **percentile_interval(resampled, drawn, settings)}


def _macro(
    value: np.ndarray,
    resampled: np.ndarray | None,
    classes: tuple[str, ...],
    drawn: Units,
    settings: IntervalSettings | None,
) -> dict[str, Any]:
    """The mean over the defined classes; each resample follows the same rule."""
    defined = ~np.isnan(value)
    excluded = [name for name, there in zip(classes, defined.tolist(), strict=True) if not there]
    if not defined.any():
        return {"value": None, "reason": "undefined for every class", "excluded": excluded}
    samples, incomplete = None, 0
    if resampled is not None:
        columns = resampled[:, defined]
        missing = np.isnan(columns)
        incomplete = int((missing.any(1) & ~missing.all(1)).sum())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a resample without any defined class stays NaN
            samples = np.nanmean(columns, axis=1)
    figure = _figure(float(value[defined].mean()), "", samples, drawn, settings)
    note = {"incomplete_resamples": incomplete} if incomplete else {}
    return {**figure, **note, "excluded": excluded}
