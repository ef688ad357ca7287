"""ROC and precision-recall curves with bands, operating points, and counts of decisions, for the report."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from medplug.errors import DataError, UsageError
from medplug.evaluation.intervals import IntervalSettings, Units, units
from medplug.evaluation.proportions import many_shares, wilson
from medplug.values import Predictions

POINTS = 201  # of a curve or a table, at most
_RESAMPLES = 200  # enough for a standard error, which then errs by 5 %
_BINS = 512  # of the resampled curves: none holds more than 1/256 of the positives or of the negatives
_CELLS = 2_000_000  # weights that are worked on at a time


@dataclass(frozen=True)
class _Counted:
    """One class against the rest, the highest score first.

    Attributes:
        order: ``[N]`` rows of the samples with a known label, by falling score.
        truth: ``[N]`` bool, in that order.
        ends: ``[D]`` the last position of each distinct score.
        thresholds: ``[D]`` the distinct scores, falling.
        tp, fp: ``[D]`` int64, positives and negatives with at least that score.
    """

    order: np.ndarray
    truth: np.ndarray
    ends: np.ndarray
    thresholds: np.ndarray
    tp: np.ndarray
    fp: np.ndarray

    @property
    def positives(self) -> int:
        return int(self.truth.sum())

    @property
    def negatives(self) -> int:
        return len(self.truth) - self.positives


def curves_analysis(test: Predictions, settings: IntervalSettings) -> dict[str, Any]:
    """ROC and precision-recall curves of each class against the rest, with pointwise bands.

    Args:
        test: with targets; samples with an unknown label do not count.
        settings: of the bands. At most 200 resamples are drawn, since only a standard error comes from them.

    Returns:
        ``{"roc": {CLASS: {"fpr", "tpr", "low", "high", "method"}}, "precision_recall": {CLASS: {"recall",
        "precision", "low", "high", "prevalence", "method"}}}``, lists of at most 201 numbers; the class is None where
        it has no positive or no negative sample. ``low`` and ``high`` bound the sensitivity at that false positive
        rate, or the precision at that recall. They hold None, with ``interval_reason`` beside them, where all samples
        are of one unit. A precision-recall curve has one point for each recall that is reached, the one with the
        highest precision: their steps enclose the average precision.

    The bands are Wilson intervals with the effective number of samples that a bootstrap over units finds (the
    approach of Korn and Graubard, Survey Methodology 24, 1998). It holds the variation of the threshold that belongs
    to a false positive rate or a recall, and the likeness of samples of a group; unlike percentiles it does not shrink
    to nothing where all positives are found.
    """
    targets = _targets(test)
    drawn = units(len(targets), test.groups)
    counted = [_count(targets[:, c], test.probabilities[:, c]) for c in range(len(test.classes))]
    shown = {c: _Shown(found) for c, found in enumerate(counted) if found.positives and found.negatives}
    if drawn.count > 1:
        for weights in _resampled_weights(drawn, settings):
            for one in shown.values():
                one.add(weights)
    roc: dict[str, Any] = dict.fromkeys(test.classes)
    precision_recall: dict[str, Any] = dict.fromkeys(test.classes)
    for c, one in shown.items():
        roc[test.classes[c]] = one.roc(drawn, settings)
        precision_recall[test.classes[c]] = one.precision_recall(drawn, settings)
    return {"roc": roc, "precision_recall": precision_recall}


def operating_table(
    predictions: Predictions, thresholds: np.ndarray | None = None, confidence: float = 0.95
) -> dict[str, Any]:
    """Counts of each class against the rest at thresholds that fall from above the highest score to 0.

    Args:
        predictions: with targets.
        thresholds: ``[K]`` that stand in the table besides 0.5, in any case.
        confidence: of the intervals.

    Returns:
        ``{CLASS: {"threshold", "true_positives", "false_positives", "positives", "negatives", "intervals", "method"}}``:
        lists of at most 201 numbers, counts of samples with a known label and ``p >= threshold``. Where there are more
        distinct scores, those are taken between which neither a rate nor the threshold changes much. ``intervals`` are
        ``{RATE: {"low", "high"}}`` of sensitivity, specificity, ppv and npv, None where no sample counts: Wilson's, of each
        threshold by itself, with the effective number of samples where these share groups.
    """
    targets = _targets(predictions)
    drawn = units(len(targets), predictions.groups)
    table = {}
    for c, name in enumerate(predictions.classes):
        found = _count(targets[:, c], predictions.probabilities[:, c])
        m, n = found.positives, found.negatives
        highest = float(found.thresholds[0]) if len(found.thresholds) else 0.0
        asked = [0.5, 0.0, highest + max((1 - highest) / 2, 1e-6)]
        if thresholds is not None:
            asked.append(float(thresholds[c]))
        way = found.tp / max(m, 1) + found.fp / max(n, 1) - found.thresholds  # all three grow along the table
        limits = np.unique([*found.thresholds[_spread(way, POINTS - len(asked))], *asked])[::-1]
        reached = np.searchsorted(-found.thresholds, -limits, side="right")  # distinct scores >= the limit
        table[name] = {
            "threshold": limits.tolist(),
            "true_positives": np.append(0, found.tp)[reached].tolist(),
            "false_positives": np.append(0, found.fp)[reached].tolist(),
            "positives": m,
            "negatives": n,
            "intervals": _rates(found, limits, drawn, confidence),
            "method": _operating_method(drawn, confidence),
        }
    return table


def _rates(found: _Counted, limits: np.ndarray, drawn: Units, confidence: float) -> dict[str, Any]:
    """Bounds of four shares at each of the falling limits ``[T]``."""
    most = len(limits)
    scores = np.repeat(found.thresholds, np.diff(found.ends, prepend=-1))
    called = np.searchsorted(-limits, -scores, side="left")  # the first limit that a sample reaches
    codes, truth, left = drawn.codes[found.order], found.truth, most - called
    always, never = np.zeros(len(called), np.int64), np.full(len(called), most)
    # What is not called counts from the other end of the limits on: column t stands for the limit before the last t ones.
    sides = {
        "sensitivity": (np.where(truth, called, never), np.where(truth, always, never), False),
        "specificity": (np.where(truth, never, left), np.where(truth, never, always), True),
        "ppv": (np.where(truth, called, never), called, False),
        "npv": (np.where(truth, never, left), left, True),
    }
    bounds = {}
    for rate, (hits, trials, backwards) in sides.items():
        ends = many_shares(hits, trials, codes, most, confidence)
        low, high = (end[::-1] if backwards else end for end in ends)
        bounds[rate] = {"low": _or_none(low), "high": _or_none(high)}
    return bounds


def _operating_method(drawn: Units, confidence: float) -> str:
    method = f"{100 * confidence:g} % Wilson interval, of each threshold by itself"
    return f"{method}, effective n of samples in groups, Student's t" if drawn.word == "groups" else method


def _or_none(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else round(v, 6) for v in values.tolist()]


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """Counts ``[K, K]`` int64 of a multi-class task: rows are the true classes, columns the largest probability.

    Samples with an unknown label do not count.
    """
    if predictions.task != "multiclass":
        raise UsageError("a confusion matrix is for multi-class tasks; see label_decisions for multi-label ones")
    targets = _targets(predictions)
    k = len(predictions.classes)
    known = ~np.isnan(targets).any(1)
    cells = k * targets[known].argmax(1) + predictions.probabilities[known].argmax(1)
    return np.bincount(cells, minlength=k * k).reshape(k, k).astype(np.int64)


def label_decisions(predictions: Predictions, thresholds: np.ndarray | None = None) -> np.ndarray:
    """Counts ``[K, 4]`` int64 per label: true positives, false positives, false negatives, true negatives.

    A label is present from its threshold on (``[K]``, by default 0.5); samples with an unknown label do not count.
    """
    targets = _targets(predictions)
    limits = np.full(len(predictions.classes), 0.5) if thresholds is None else np.asarray(thresholds, np.float64)
    present = predictions.probabilities >= limits
    truth, known = targets >= 0.5, ~np.isnan(targets)
    cells = (truth & present, ~truth & present, truth & ~present, ~truth & ~present)
    return np.stack([(cell & known).sum(0) for cell in cells], axis=1).astype(np.int64)


class _Shown:
    """The points of one class that are shown, and the sums over resamples that give their standard errors."""

    def __init__(self, counted: _Counted) -> None:
        self._counted = counted
        m, n = counted.positives, counted.negatives
        self._fpr, self._tpr = np.append(0, counted.fp / n), np.append(0, counted.tp / m)
        keep = _outline(self._fpr, self._tpr)
        self.fpr, self.tpr = self._fpr[keep], self._tpr[keep]
        rises = np.flatnonzero(np.diff(counted.tp, prepend=0))  # the first threshold at which a recall is reached
        recall, precision = counted.tp[rises] / m, counted.tp[rises] / (counted.tp + counted.fp)[rises]
        keep = _outline(recall, precision)
        self.recall, self.precision = recall[keep], precision[keep]
        self.called = (counted.tp + counted.fp)[rises[keep]]
        ends = counted.ends[_spread(counted.tp / m + counted.fp / n, _BINS)]
        self._starts = np.append(0, ends[:-1] + 1)
        self._sums = [np.zeros((3, len(points))) for points in (self.fpr, self.recall)]

    def add(self, weights: np.ndarray) -> None:
        """Count the resamples ``[R, N]``, given as weights of all samples of the part."""
        ordered = weights[:, self._counted.order]
        everything = np.cumsum(np.add.reduceat(ordered, self._starts, axis=1), axis=1)
        ordered *= self._counted.truth
        hits = np.cumsum(np.add.reduceat(ordered, self._starts, axis=1), axis=1)
        for tp, called in zip(hits, everything, strict=True):
            m, n = tp[-1], called[-1] - tp[-1]
            if not m or not n:
                continue
            fpr = np.append(0, called - tp) / n
            self._note(0, np.interp(self.fpr, fpr, np.append(0, tp) / m))
            at = np.searchsorted(tp, self.recall * m - 1e-9)
            with np.errstate(invalid="ignore"):
                self._note(1, tp[at] / called[at])

    def _note(self, which: int, values: np.ndarray) -> None:
        defined = ~np.isnan(values)
        values = np.where(defined, values, 0)
        self._sums[which] += np.stack([defined, values, values**2])

    def _variance(self, which: int) -> np.ndarray:
        count, total, squares = self._sums[which]
        count = np.maximum(count, 2)
        return np.maximum(squares - total**2 / count, 0) / (count - 1)

    def roc(self, drawn: Units, settings: IntervalSettings) -> dict[str, Any]:
        # The same rule as in the resamples: the highest sensitivity where several share a false positive rate.
        at = np.interp(self.fpr, self._fpr, self._tpr)
        trials = np.full(len(at), self._counted.positives)
        low, high = self._band(at, trials, self._variance(0), drawn, settings)
        low[self.fpr == 1] = 1  # where all are called positive all positives are found, by definition
        return {"fpr": _numbers(self.fpr), "tpr": _numbers(self.tpr), **_bounds(low, high, drawn, settings)}

    def precision_recall(self, drawn: Units, settings: IntervalSettings) -> dict[str, Any]:
        low, high = self._band(self.precision, self.called, self._variance(1), drawn, settings)
        return {
            "recall": _numbers(self.recall),
            "precision": _numbers(self.precision),
            **_bounds(low, high, drawn, settings),
            "prevalence": self._counted.positives / len(self._counted.truth),
        }

    def _band(
        self, share: np.ndarray, trials: np.ndarray, variance: np.ndarray, drawn: Units, settings: IntervalSettings
    ) -> tuple[np.ndarray, np.ndarray]:
        spread = share * (1 - share)
        likely = np.isclose(spread, 0)
        # Without spread the likeness within groups does not show; a group then counts as one sample.
        own = len(np.unique(drawn.codes[self._counted.order[self._counted.truth]]))
        worst = trials / np.minimum(trials, own) if drawn.word == "groups" else np.ones(len(trials))
        effect = np.where(likely, worst, variance * trials / np.where(likely, 1, spread))
        clusters = drawn.count if drawn.word == "groups" else None
        low, high = wilson(
            share * trials, trials, settings.confidence, design_effect=np.maximum(effect, 1), clusters=clusters
        )
        return np.asarray(low, np.float64), np.asarray(high, np.float64)


def _count(targets: np.ndarray, scores: np.ndarray) -> _Counted:
    known = np.flatnonzero(~np.isnan(targets))
    order = known[np.argsort(-scores[known], kind="stable")]
    truth, ordered = targets[order] >= 0.5, np.asarray(scores[order], np.float64)
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(order) else np.empty(0, np.int64)
    tp = np.cumsum(truth)[ends]
    return _Counted(order, truth, ends, ordered[ends], tp, ends + 1 - tp)


def _resampled_weights(drawn: Units, settings: IntervalSettings) -> Iterator[np.ndarray]:
    """Weights ``[R, N]`` float64 of a few resamples at a time."""
    generator = np.random.default_rng(settings.seed)
    left, most = min(settings.resamples, _RESAMPLES), max(1, _CELLS // max(len(drawn.codes), 1))
    while left:
        rows = min(left, most)
        draws = generator.integers(0, drawn.count, (rows, drawn.count)) + drawn.count * np.arange(rows)[:, None]
        counts = np.bincount(draws.ravel(), minlength=rows * drawn.count).reshape(rows, drawn.count)
        yield counts.astype(np.float64)[:, drawn.codes]
        left -= rows


def _spread(way: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` positions of a growing ``way``, evenly spread along it, the last one included."""
    if len(way) <= most:
        return np.arange(len(way))
    marks = np.linspace(way[0], way[-1], most)
    return np.unique(np.minimum(np.searchsorted(way, marks), len(way) - 1))


def _outline(x: np.ndarray, y: np.ndarray, most: int = POINTS) -> np.ndarray:
    """Positions of at most ``most`` points that keep the shape of a line: those farthest from the chords first.

    A quarter of them are spread evenly along ``x``, where a band may bend although the line is straight.

    Reference: Douglas and Peucker, Cartographica 10, 1973.
    """

    def farthest(first: int, last: int) -> tuple[float, int, int, int]:
        inside = slice(first + 1, last)
        dx, dy = x[last] - x[first], y[last] - y[first]
        away = np.abs(dx * (y[inside] - y[first]) - dy * (x[inside] - x[first])) / max(float(np.hypot(dx, dy)), 1e-12)
        at = int(away.argmax())
        return -float(away[at]), first, last, first + 1 + at

    kept = {0, len(x) - 1, *_spread(x, most // 4).tolist()} if len(x) > 1 else {0}
    waiting = [farthest(a, b) for a, b in pairwise(sorted(kept)) if b - a > 1]
    heapq.heapify(waiting)
    while waiting and len(kept) < most:
        away, first, last, at = heapq.heappop(waiting)
        if away > -1e-9:  # all others lie on the line
            break
        kept.add(at)
        for ends in ((first, at), (at, last)):
            if ends[1] - ends[0] > 1:
                heapq.heappush(waiting, farthest(*ends))
    return np.array(sorted(kept))


def _bounds(low: np.ndarray, high: np.ndarray, drawn: Units, settings: IntervalSettings) -> dict[str, Any]:
    resamples = min(settings.resamples, _RESAMPLES)
    method = (
        f"{100 * settings.confidence:g} % pointwise, Wilson with the effective number of samples of a bootstrap over "
        f"{drawn.count} {drawn.word}, {resamples} resamples"
    )
    if drawn.count < 2:
        nothing = [None] * len(low)
        reason = f"a band needs at least two {drawn.word}, there is {drawn.count}"
        return {"low": nothing, "high": list(nothing), "method": method, "interval_reason": reason}
    return {"low": _numbers(low), "high": _numbers(high), "method": method}


def _numbers(values: np.ndarray) -> list[float]:
    return np.round(values, 6).tolist()


def _targets(predictions: Predictions) -> np.ndarray:
    if predictions.targets is None:
        raise DataError("these predictions have no labels: curves and counts need them")
    return np.asarray(predictions.targets, np.float32)
