"""Whether probabilities can be taken at their word, before and after calibration.

References: Niculescu-Mizil and Caruana 2005 (reliability diagrams); Naeini, Cooper and Hauskrecht 2015 (ECE); Nixon et
al. 2019 (class by class, bins of equal mass); Cox 1958 and Van Calster et al. 2019 (slope and intercept).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from medplug.evaluation.calibration_fit import CalibrationFit, fit_calibration, log_odds, sigmoid
from medplug.evaluation.fitted import cases, labels, repeated
from medplug.evaluation.intervals import Units
from medplug.evaluation.proportions import share
from medplug.values import Predictions, Task

__all__ = ["CalibrationFit", "calibration_analysis", "fit_calibration", "recalibration", "reliability_bins"]

BINS = 10
_PER_BIN = 10  # samples that a bin of a diagram should have
_TINY = float(np.finfo(np.float64).eps)
_CELLS = 4_000_000  # random numbers at once
_WORK = 40_000_000  # random numbers in all, as far as _DRAWS allows
_DRAWS = (200, 1000)
_STEPS = 100


def calibration_analysis(
    test: Predictions, fit: CalibrationFit | None, *, confidence: float = 0.95, seed: int = 0
) -> dict[str, Any]:
    """Calibration of the test part, before and after ``fit``, in the layout of ``analysis.json``.

    The figures follow the metrics of the same names: ``log_loss`` is the mean of ``-log p`` (multi-label: the mean over
    labels of each label's), ``brier`` and ``ece`` the means over the classes with known labels, with ten bins of equal
    mass. ``ece`` stands beside ``null``, the mean of what a perfectly calibrated model would show on these samples, and
    ``p``, the share of draws of labels from the probabilities whose error is at least that of the data (itself counted).
    ``top_label_ece`` is the same of the largest probability, in multi-class tasks. The slope is that of a logistic fit
    of the labels on the log odds of the predictions; the intercept is what must be added to the log odds where the slope
    stays 1 (calibration in the large).

    Args:
        test: with targets; unknown labels (NaN) do not count.
        fit: what validation decided; None where nothing was.
        confidence: of the intervals of the reliability diagrams.
        seed: of the draws.

    Returns:
        ``{"fit", "before", "after"}``; ``after`` is None where nothing was fitted.
    """
    before = _calibration(test, np.asarray(test.probabilities, np.float64), confidence, seed)
    if fit is None:
        told: dict[str, Any] = {"method": "none", "parameters": {}, "skipped": "no validation predictions are at hand."}
        return {"fit": told, "before": before, "after": None}
    after = None if fit.method == "none" else _calibration(test, fit.apply(test.probabilities), confidence, seed)
    told = {key: value for key, value in fit.to_json().items() if key not in ("task", "classes")}
    return {"fit": told, "before": before, "after": after}


class _Column(NamedTuple):
    """Predictions of one class, or of all decisions, rising.

    Attributes:
        rows: ``[n]`` which samples.
        predicted: ``[n]``.
        happened: ``[n]`` bool.
        cuts: ``[bins + 1]``, rising: where the bins that are not empty begin, and where the last one ends.
    """

    rows: np.ndarray
    predicted: np.ndarray
    happened: np.ndarray
    cuts: np.ndarray

    def error(self, happened: np.ndarray) -> np.ndarray:
        """The ECE of outcomes ``[..., n]`` at these predictions."""
        starts = self.cuts[:-1]
        gaps = np.add.reduceat(happened, starts, axis=-1, dtype=np.float64) - np.add.reduceat(self.predicted, starts)
        return np.abs(gaps).sum(-1) / len(self.rows)


def _column(predicted: np.ndarray, happened: np.ndarray, bins: int = BINS) -> _Column:
    """From ``[N]`` each, ``happened`` NaN where unknown."""
    rows = np.flatnonzero(~np.isnan(happened))
    rows = rows[np.argsort(predicted[rows], kind="stable")]
    return _Column(rows, predicted[rows], happened[rows] >= 0.5, equal_mass(predicted[rows], bins))


def equal_mass(rising: np.ndarray, bins: int) -> np.ndarray:
    """Where bins of about equally many of the rising values ``[n]`` begin and end, empty ones left out.

    A run of equal values falls whole into the bin that its middle falls into.
    """
    n = len(rising)
    ends = np.append(np.flatnonzero(np.diff(rising)) + 1, n)
    starts = np.append(0, ends[:-1])
    limits = n * np.arange(1, bins) / bins
    run = np.searchsorted(ends, limits)
    inner = np.where((starts[run] + ends[run]) / 2 < limits, ends[run], starts[run])
    return np.unique(np.concatenate([[0], inner, [n]]))


def reliability_bins(
    predicted: np.ndarray, happened: np.ndarray, codes: np.ndarray | None = None, *, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """The bins of a reliability diagram, of equal mass: ten, or fewer where they would have less than ten samples each.

    Args:
        predicted: ``[n]`` probabilities.
        happened: ``[n]``, 1 or True where it came true, NaN where unknown.
        codes: ``[n]``, the group of each sample, where samples share groups.
        confidence: of the Wilson intervals.

    Returns:
        ``{"low", "high", "n", "predicted", "observed", "observed_low", "observed_high"}`` each: the bin's borders, its
        number of samples, their mean prediction and the share of them that came true.
    """
    happened = np.asarray(happened, np.float64)
    known = int((~np.isnan(happened)).sum())
    if known == 0:
        return []
    column = _column(np.asarray(predicted, np.float64), happened, int(np.clip(known // _PER_BIN, 1, BINS)))
    p, cuts = column.predicted, column.cuts
    borders = np.concatenate([[p[0]], (p[cuts[1:-1] - 1] + p[cuts[1:-1]]) / 2, [p[-1]]])
    found = []
    for i, (start, end) in enumerate(pairwise(cuts.tolist())):
        groups = None if codes is None else np.asarray(codes)[column.rows[start:end]]
        observed = share(column.happened[start:end], groups, confidence)
        found.append(
            {
                "low": float(borders[i]),
                "high": float(borders[i + 1]),
                "n": end - start,
                "predicted": float(p[start:end].mean()),
                "observed": observed["value"],
                "observed_low": observed["low"],
                "observed_high": observed["high"],
            }
        )
    return found


def _calibration(test: Predictions, p: np.ndarray, confidence: float, seed: int) -> dict[str, Any]:
    known, drawn = cases(test)
    p, y = p[known], labels(test)[known]
    codes = drawn.codes if repeated(drawn) else None
    rng = np.random.default_rng(seed)
    columns = [_column(p[:, c], y[:, c]) for c in range(len(test.classes))]
    found: dict[str, Any] = {
        "n": len(p),
        "log_loss": _log_loss(p, y, test.task),
        "brier": _mean([_squared(p[:, c], y[:, c]) for c in range(len(test.classes))]),
        "ece": _ece(columns, _labels_drawn(p, y, test.task, rng), drawn, p.size),
        "top_label": None,
    }
    if test.task == "multiclass":
        right = (p.argmax(1) == y.argmax(1)).astype(np.float64)
        top = _column(p.max(1, initial=0), right)
        found["top_label_ece"] = _ece([top], _events_drawn(p.max(1, initial=0), rng), drawn, len(p))
        found["top_label"] = reliability_bins(p.max(1, initial=0), right, codes, confidence=confidence)
    found["per_class"] = {
        name: {
            **recalibration(p[:, c], y[:, c]),
            "bins": reliability_bins(p[:, c], y[:, c], codes, confidence=confidence),
        }
        for c, name in enumerate(test.classes)
    }
    return found


def _log_loss(p: np.ndarray, y: np.ndarray, task: Task) -> dict[str, Any]:
    clipped = np.clip(p, _TINY, 1 - _TINY)
    if task == "multiclass":
        return _mean([-np.log(clipped[np.arange(len(p)), y.argmax(1)])])
    losses = np.where(np.isnan(y), np.nan, -np.log(np.where(y >= 0.5, clipped, 1 - clipped)))
    return _mean(list(losses.T))


def _squared(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(y), np.nan, (p - (y >= 0.5)) ** 2)


def _mean(columns: list[np.ndarray]) -> dict[str, Any]:
    """The mean over columns of the mean of what is known of each."""
    means = [column[~np.isnan(column)].mean() for column in columns if not np.isnan(column).all()]
    return {"value": float(np.mean(means))} if means else {"value": None, "reason": "no sample has a known label"}


def _ece(columns: list[_Column], draw: Any, drawn: Units, cells: int) -> dict[str, Any]:
    """The mean ECE of the columns, beside that of outcomes that ``draw(R)`` draws, one ``[R, N]`` for each column."""
    there = [c for c, column in enumerate(columns) if len(column.rows)]
    if not there:
        return {"value": None, "reason": "no sample has a known label", "null": None, "p": None}
    value = float(np.mean([columns[c].error(columns[c].happened) for c in there]))
    draws = int(np.clip(_WORK // cells, *_DRAWS))
    at_once = max(1, _CELLS // cells)
    null = np.empty(0)
    while len(null) < draws:
        outcomes = draw(min(at_once, draws - len(null)))
        errors = [columns[c].error(outcomes(c)[:, columns[c].rows]) for c in there]
        null = np.append(null, np.mean(errors, axis=0))
    p = (1 + int((null >= value - 1e-12).sum())) / (1 + draws)
    found = {"value": value, "null": float(null.mean()), "p": p, "draws": draws, "bins": BINS}
    if repeated(drawn):
        found["note"] = "Null value and p take samples of one group for independent: with groups both are too small."
    return found


def _labels_drawn(p: np.ndarray, y: np.ndarray, task: Task, rng: np.random.Generator) -> Any:
    """Labels as if the probabilities were right: ``draw(R)(c)`` is ``[R, N]`` of class ``c``."""
    if task == "multilabel":
        return lambda many: lambda c: rng.random((many, len(p)), np.float32) < p[:, c]
    below = np.cumsum(p, axis=1)[:, :-1]

    def draw(many: int) -> Any:
        chosen = (rng.random((many, len(p), 1)) >= below).sum(-1)  # the class in whose share the number falls
        return lambda c: chosen == c

    return draw


def _events_drawn(p: np.ndarray, rng: np.random.Generator) -> Any:
    return lambda many: lambda c: rng.random((many, len(p)), np.float32) < p


def recalibration(predicted: np.ndarray, happened: np.ndarray) -> dict[str, Mapping[str, Any]]:
    """``{"slope": figure, "intercept": figure}`` of probabilities ``[n]`` and outcomes ``[n]`` (NaN: unknown).

    The slope is ``b`` of ``log odds = a + b logit p``, by Newton's method: 1 is right, below 1 the probabilities are too
    extreme. The intercept is ``a`` of ``log odds = a + logit p``: 0 is right, below 0 they are too high. Probabilities
    are clipped to [1e-7, 1 - 1e-7].
    """
    known = ~np.isnan(np.asarray(happened, np.float64))
    y, x = np.asarray(happened, np.float64)[known] >= 0.5, log_odds(np.asarray(predicted, np.float64)[known])
    if y.all() or not y.any():
        what = (
            "no sample has a known label"
            if not len(y)
            else f"all known labels are {'positive' if y.all() else 'negative'}"
        )
        return {key: {"value": None, "reason": what} for key in ("slope", "intercept")}
    intercept = {"value": _intercept(x, y)}
    if x.min() == x.max():
        return {"slope": {"value": None, "reason": "all predictions are alike"}, "intercept": intercept}
    if x[y].min() >= x[~y].max() or x[y].max() <= x[~y].min():
        reason = "a cut through the predictions separates the labels: no finite slope fits best"
        return {"slope": {"value": None, "reason": reason}, "intercept": intercept}
    return {"slope": {"value": _slope(x, y)}, "intercept": intercept}


def _intercept(x: np.ndarray, y: np.ndarray) -> float:
    """The root of ``sum(sigmoid(a + x)) = sum(y)``: Newton's method inside a bracket that always holds the root."""
    centre = float(np.log(y.mean() / (1 - y.mean())))
    low, high = centre - float(x.max()), centre - float(x.min())
    a = float(np.clip(0.0, low, high))
    for _ in range(_STEPS):
        p = sigmoid(a + x)
        score, information = float((y - p).sum()), float((p * (1 - p)).sum())
        low, high = (a, high) if score > 0 else (low, a)
        step = a + score / information if information > 0 else np.nan
        step = step if low <= step <= high else (low + high) / 2
        if abs(step - a) < 1e-12 * max(1, abs(a)):
            return step
        a = step
    return a


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Of data that overlap. Steps that lower the likelihood are halved, as far ones can overshoot."""
    design = np.stack([np.ones_like(x), (x - x.mean()) / x.std()], axis=1)
    theta = np.array([np.log(y.mean() / (1 - y.mean())), 0.0])

    def likelihood(at: np.ndarray) -> float:
        fitted = design @ at
        return float((y * fitted - np.logaddexp(0, fitted)).sum())

    reached = likelihood(theta)
    for _ in range(_STEPS):
        p = sigmoid(design @ theta)
        hessian = design.T @ (design * (p * (1 - p))[:, None])
        step = np.linalg.solve(hessian, design.T @ (y - p))
        while likelihood(theta + step) < reached - 1e-12 * abs(reached) and np.abs(step).max() > _TINY:
            step = step / 2
        theta, reached = theta + step, likelihood(theta + step)
        if np.abs(step).max() < 1e-11 * max(1, np.abs(theta).max()):
            break
    return float(theta[1] / x.std())
