"""What decisions are worth in use: net benefit, likelihood ratios, predictive values at other prevalences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from medplug.errors import DataError, ParameterError
from medplug.evaluation.intervals import IntervalSettings, Units, units
from medplug.evaluation.scores import class_reasons
from medplug.evaluation.thresholds import called_from
from medplug.values import Predictions

PREVALENCES = (0.01, 0.1, 0.5)
_GRID = np.arange(1, 100) / 100  # threshold probabilities of the decision curves


def clinical_analysis(
    test: Predictions,
    settings: IntervalSettings,
    *,
    prevalences: Sequence[float] = PREVALENCES,
    thresholds: np.ndarray | None = None,
    split: str = "test",
) -> dict[str, Any]:
    """Decision curves, likelihood ratios and predictive values of each class against the rest.

    Args:
        test: with targets; samples with an unknown label do not count.
        settings: the confidence of the intervals; nothing is resampled.
        prevalences: between 0 and 1, at which predictive values are told.
        thresholds: ``[K]`` of the decisions ``p >= threshold``; of two classes the second is called so from there on, and
            else the first. Without them the largest probability decides, and
            0.5 in multi-label tasks.
        split: named in the reasons of undefined figures.

    Returns:
        ``{"decision_curve": {CLASS: {...} or None}, "rates": {CLASS: {...}}}``, see :func:`decision_curve` and
        :func:`rates`; a curve is None where no label of the class is known.
    """
    if test.targets is None:
        raise DataError(f"the {split} split has no labels: net benefit and predictive values need them")
    wrong = [q for q in prevalences if not 0 < q < 1]
    if wrong:
        raise ParameterError(f"prevalences must lie between 0 and 1, got {wrong[0]:g}")
    targets = np.asarray(test.targets, np.float32)
    drawn = units(len(targets), test.groups)
    limits, called = _decisions(test, thresholds)
    curves: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for c, (name, reason) in enumerate(zip(test.classes, class_reasons(targets, split), strict=True)):
        known = ~np.isnan(targets[:, c])
        truth, codes = targets[known, c] >= 0.5, drawn.codes[known]
        seen = Units(codes, len(np.unique(codes)), drawn.word)
        curves[name] = decision_curve(truth, test.probabilities[known, c], seen, settings) if known.any() else None
        cells = _Cells.count(truth, called[known, c], seen, settings.confidence)
        told[name] = {
            "threshold": None if limits is None else float(limits[c]),
            "prevalence": float(truth.mean()) if known.any() else None,
            **rates(cells, prevalences, reason),
        }
    return {"decision_curve": curves, "rates": told}


def decision_curve(
    truth: np.ndarray, probabilities: np.ndarray, drawn: Units, settings: IntervalSettings
) -> dict[str, Any]:
    """Net benefit at threshold probabilities of 0.01 to 0.99, with a pointwise interval.

    ``TP / N - FP / N * t / (1 - t)``, where a sample is called positive from ``t`` on; ``all`` is the net benefit of
    calling all positive, that of calling none is 0. It is the mean of what each sample adds, so that its standard
    error is that of a mean (of sums within groups where samples share them); the interval is symmetric, and nothing
    wide where no sample is called positive.

    Args:
        truth: ``[N]`` bool.
        probabilities: ``[N]``; the curve takes them at their word, so that it also shows poor calibration.
        drawn: units of these samples.
        settings: of the confidence.

    Returns:
        ``{"threshold", "model", "low", "high", "all", "prevalence", "method"}``; ``low`` and ``high`` hold None where
        there is one unit only.

    References: Vickers and Elkin, Medical Decision Making 26, 2006; Marsh et al., Statistics in Medicine 39, 2020.
    """
    n, prevalence = len(truth), float(truth.mean())
    odds = _GRID / (1 - _GRID)
    method = f"{100 * settings.confidence:g} % pointwise, standard error of a mean over {drawn.count} {drawn.word}"
    nothing: list[float | None] = [None] * len(_GRID)
    curve = {
        "threshold": _GRID.tolist(),
        "all": _numbers(prevalence - (1 - prevalence) * odds),
        "prevalence": prevalence,
        "method": method,
    }
    added = np.where(probabilities[:, None] >= _GRID, np.where(truth[:, None], 1.0, -odds), 0.0)  # [N, T]
    model = added.mean(0)
    if drawn.count < 2:
        reason = f"an interval needs at least two {drawn.word}, there is {drawn.count}"
        return {**curve, "model": _numbers(model), "low": nothing, "high": nothing, "interval_reason": reason}
    sums = _group_sums(added - model, drawn)
    error = np.sqrt((sums**2).sum(0) * drawn.count / (drawn.count - 1)) / n
    half = stdtrit(drawn.count - 1, (1 + settings.confidence) / 2) * error
    return {**curve, "model": _numbers(model), "low": _numbers(model - half), "high": _numbers(model + half)}


@dataclass(frozen=True)
class _Cells:
    """Decisions of one class: the share of positives and of negatives that is called positive, and what spreads them.

    Attributes:
        positives, negatives: samples.
        hits, alarms: how many of them are called positive.
        units: groups of the positives and of the negatives; as many as samples where those are independent.
        sums: ``[G, 2]``, sums within groups of (called - share) / samples, of the positives and of the negatives.
        confidence: of the intervals.
        word: what the units are called.
    """

    positives: int
    negatives: int
    hits: int
    alarms: int
    units: tuple[int, int]
    sums: np.ndarray
    confidence: float
    word: str

    @classmethod
    def count(cls, truth: np.ndarray, called: np.ndarray, drawn: Units, confidence: float) -> _Cells:
        sides = (truth, ~truth)
        residuals = np.zeros((len(truth), 2))
        for column, side in enumerate(sides):
            if side.any():
                residuals[side, column] = (called[side] - called[side].mean()) / side.sum()
        return cls(
            int(truth.sum()),
            int((~truth).sum()),
            int((truth & called).sum()),
            int((~truth & called).sum()),
            (len(np.unique(drawn.codes[truth])), len(np.unique(drawn.codes[~truth]))),
            _group_sums(residuals, drawn),
            confidence,
            drawn.word,
        )

    def ratio(self, called: bool) -> tuple[float, float, float]:
        """A likelihood ratio with its interval: of being called positive, or of not being called so.

        The ratio may be 0 or infinite, the bound on that side is then the same; NaN where it is undefined.
        """
        a, b = (self.hits, self.alarms) if called else (self.positives - self.hits, self.negatives - self.alarms)
        m, n = self.positives, self.negatives
        if not m or not n or not (a or b):
            return np.nan, np.nan, np.nan
        value = np.inf if b == 0 else (a / m) / (b / n)
        grouped = self.word == "groups"
        count = len(self.sums)
        if a == 0 or b == 0:
            # An empty cell has no logarithm, and shows no spread: half a sample more in each cell (Gart and Nam 1988),
            # a group counts as one sample, and all that may err lies on one side.
            shrink = (self.units[0] / m, self.units[1] / n) if grouped else (1.0, 1.0)
            a, m = a * shrink[0] + 0.5, m * shrink[0] + 0.5
            b, n = b * shrink[1] + 0.5, n * shrink[1] + 0.5
            error = np.sqrt(max(1 / a - 1 / m + 1 / b - 1 / n, 0.0))
            middle, tail = np.log((a / m) / (b / n)), self.confidence
        else:
            sign = 1 if called else -1
            ends = sign * (self.sums[:, 0] / (a / m) - self.sums[:, 1] / (b / n))
            correction = count / (count - 1) if grouped and count > 1 else 1.0
            error = np.sqrt((ends**2).sum() * correction)
            middle, tail = np.log(value), (1 + self.confidence) / 2
        z = stdtrit(max(count - 1, 1), tail) if grouped else ndtri(tail)
        low, high = np.exp(middle - z * error), np.exp(middle + z * error)
        if value == 0:
            return 0.0, 0.0, float(high)
        return (float(value), float(low), np.inf) if np.isinf(value) else (float(value), float(low), float(high))

    def method(self) -> str:
        spread = f", {len(self.sums)} groups (sums within groups, Student's t)" if self.word == "groups" else ""
        return f"{100 * self.confidence:g} % interval on the log scale, Simel 1991{spread}"


def rates(cells: _Cells, prevalences: Sequence[float], reason: str) -> dict[str, Any]:
    """Likelihood ratios, and what follows from them at each prevalence.

    ``LR+ = sensitivity / (1 - specificity)`` and ``LR- = (1 - sensitivity) / specificity`` with intervals on the log
    scale (Simel, Samsa and Matchar, Journal of Clinical Epidemiology 44, 1991). The odds of disease after the decision
    are the odds before times the ratio, so that the predictive values and the number needed to evaluate, ``1 / PPV``,
    have the same intervals on the logit scale (Mercaldo, Lau and Zhou, Statistics in Medicine 26, 2007).

    Returns:
        ``{"at": [{"prevalence", "ppv", "npv", "number_needed_to_evaluate"}], "lr_positive", "lr_negative"}``. Where
        a count is 0 the interval is one-sided. Undefined figures have a reason: ``reason`` where a class is absent.
    """
    positive, negative = cells.ratio(True), cells.ratio(False)
    method = cells.method()
    never = reason or "no sample is called so"
    always = reason or "every sample is called so"
    at = []
    for q in prevalences:
        before = q / (1 - q)
        ppv = [_share(before * ratio) for ratio in positive]
        npv = [_share(_inverse(before * ratio)) for ratio in (negative[0], negative[2], negative[1])]
        needed = [_inverse(p) for p in (ppv[0], ppv[2], ppv[1])]
        at.append(
            {
                "prevalence": float(q),
                "ppv": _figure(ppv, method, never),
                "npv": _figure(npv, method, always),
                "number_needed_to_evaluate": _figure(
                    needed,
                    method,
                    never if np.isnan(needed[0]) else "infinite: no sample that is called so is positive",
                ),
            }
        )
    return {
        "at": at,
        "lr_positive": _figure(
            positive, method, never if np.isnan(positive[0]) else _infinite("no negative sample is called so", positive)
        ),
        "lr_negative": _figure(
            negative, method, always if np.isnan(negative[0]) else _infinite("every negative is called so", negative)
        ),
    }


def _infinite(why: str, ratio: tuple[float, float, float]) -> str:
    return f"infinite: {why}; it lies above {ratio[1]:.3g}"


def _figure(values: Sequence[float], method: str, reason: str) -> dict[str, Any]:
    value, low, high = (float(v) for v in values)
    if not np.isfinite(value):
        return {"value": None, "reason": reason}
    figure: dict[str, Any] = {"value": value, "low": low, "high": high, "method": method}
    if not np.isfinite(low) or not np.isfinite(high):
        figure |= {"low": None, "high": None, "interval_reason": "one bound is infinite"}
    elif value in (low, high):
        figure["one_sided"] = True
    return figure


def _share(odds: float) -> float:
    return 1.0 if np.isinf(odds) else odds / (1 + odds)


def _inverse(value: float) -> float:
    return np.inf if value == 0 else 1 / value


def _decisions(test: Predictions, thresholds: np.ndarray | None) -> tuple[np.ndarray | None, np.ndarray]:
    k = len(test.classes)
    if thresholds is None and test.task == "multilabel":
        thresholds = np.full(k, 0.5)
    if thresholds is None:
        return None, test.probabilities.argmax(1)[:, None] == np.arange(k)
    limits = np.asarray(thresholds, np.float64)
    return limits, called_from(np.asarray(test.probabilities, np.float64), limits, test.task)


def _group_sums(values: np.ndarray, drawn: Units) -> np.ndarray:
    """Sums ``[G, T]`` within units; the values themselves where each sample is one."""
    if drawn.count == len(values):
        return values
    order = np.argsort(drawn.codes, kind="stable")
    starts = np.flatnonzero(np.diff(drawn.codes[order], prepend=-1))
    return np.add.reduceat(values[order], starts, axis=0) if len(order) else np.empty((0, values.shape[1]))


def _numbers(values: np.ndarray) -> list[float]:
    return np.round(values, 6).tolist()
