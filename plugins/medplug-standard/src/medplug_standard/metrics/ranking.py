"""What figures of a ranking are made of: one sort per class, then sums of weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from medplug_standard.metrics.decisions import ratio


class Ranked(NamedTuple):
    """The samples of one class and the others, in the order of their scores.

    Attributes:
        positives: ``[m]``, rows of the samples of the class, rising by score.
        negatives: ``[n]``, rows of the others, rising by score.
        below: ``[m]``, how many negatives score lower than each positive.
        upto: ``[m]``, how many negatives score lower than each positive, or the same.
        first: ``[m]``, how many positives score lower than each positive.
    """

    positives: np.ndarray
    negatives: np.ndarray
    below: np.ndarray
    upto: np.ndarray
    first: np.ndarray


def ranked(positive: np.ndarray, negative: np.ndarray, scores: np.ndarray) -> Ranked:
    """Sort the rows where ``positive`` ``[N]`` bool and those where ``negative`` holds by ``scores`` ``[N]``."""
    sides = (np.flatnonzero(side) for side in (positive, negative))
    positives, negatives = (rows[scores[rows].argsort(kind="stable")] for rows in sides)
    ours, theirs = scores[positives], scores[negatives]
    below, upto = (theirs.searchsorted(ours, side) for side in ("left", "right"))
    return Ranked(positives, negatives, below, upto, ours.searchsorted(ours, "left"))


def pooled(targets: np.ndarray, probabilities: np.ndarray) -> Ranked:
    """All scores of all classes in one ranking, ``[N, K]`` each; rows are those of the samples."""
    k = targets.shape[1]
    found = ranked(targets.ravel() >= 0.5, targets.ravel() < 0.5, probabilities.ravel())
    return found._replace(positives=found.positives // k, negatives=found.negatives // k)


def cumulated(weight: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, … weights along the last axis, which gets one entry more."""
    sums = np.zeros((*weight.shape[:-1], weight.shape[-1] + 1))
    np.cumsum(weight, axis=-1, out=sums[..., 1:])
    return sums


def area(found: Ranked, weight: np.ndarray) -> np.ndarray:
    """The weighted share of pairs in which the positive scores higher; ties count half.

    ``weight`` is ``[N]`` or ``[R, N]``, the result a number or ``[R]``, NaN without a positive or without a negative.
    It is the Mann-Whitney statistic (Hanley and McNeil 1982).
    """
    positive = weight.take(found.positives, axis=-1)
    negative = cumulated(weight.take(found.negatives, axis=-1))
    won = (positive * (negative.take(found.below, axis=-1) + negative.take(found.upto, axis=-1))).sum(-1) / 2
    return np.minimum(ratio(won, positive.sum(-1) * negative[..., -1]), 1)  # rounding can pass 1


def area_influence(found: Ranked, n: int) -> np.ndarray:
    """``[N]``, zero for samples outside; the sum of squares is the variance of DeLong, DeLong and Clarke-Pearson 1988.

    The structural components come from ranks (Sun and Xu 2014) and are scaled for the m - 1 and n - 1 of that
    variance. NaN where one of the two sides has fewer than two samples.
    """
    m, others = len(found.positives), len(found.negatives)
    rows = np.zeros(n)
    if min(m, others) < 2:
        rows[found.positives] = rows[found.negatives] = np.nan
        return rows
    of_positives = (found.below + found.upto) / (2 * others)
    # A negative loses to the positives that have more negatives below them than it has, half of it where they tie.
    ends = np.bincount(np.concatenate([found.below, found.upto]), minlength=others + 1) / 2
    of_negatives = ends[::-1].cumsum()[-2::-1] / m
    auc = of_positives.mean()
    rows[found.positives] = (of_positives - auc) / np.sqrt(m * (m - 1))
    rows[found.negatives] = (of_negatives - auc) / np.sqrt(others * (others - 1))
    return rows


def precision_area(found: Ranked, weight: np.ndarray) -> np.ndarray:
    """The weighted mean over the positives of the precision among all that score at least as high.

    This is average precision. ``weight`` is ``[N]`` or ``[R, N]``, the result a number or ``[R]``, NaN without a
    positive or without a negative: then every answer is perfect.
    """
    positive = weight.take(found.positives, axis=-1)
    negative = weight.take(found.negatives, axis=-1)
    hits, alarms = _at_or_above(positive, found.first), _at_or_above(negative, found.below)
    reached = hits + alarms
    precision = hits / np.where(reached > 0, reached, 1)
    mean = np.minimum(ratio((positive * precision).sum(-1), positive.sum(-1)), 1)  # rounding can pass 1
    return np.where(negative.sum(-1) > 0, mean, np.nan)


def precision_influence(found: Ranked, scores: np.ndarray) -> np.ndarray:
    """``[N]``, zero for samples outside: the derivative of average precision by the weight of each sample."""
    m, rows = len(found.positives), np.zeros(len(scores))
    if m == 0 or len(found.negatives) == 0:
        rows[found.negatives] = rows[found.positives] = np.nan
        return rows
    hits, alarms = (m - found.first).astype(np.float64), len(found.negatives) - found.below
    precision = hits / (hits + alarms)
    # More weight on a sample moves the precision at each positive that scores no higher than the sample does.
    gain, loss = (cumulated(part / (hits + alarms) ** 2) for part in (alarms, hits))
    ours = scores[found.positives]
    upto_ours, upto_theirs = (ours.searchsorted(x, "right") for x in (ours, scores[found.negatives]))
    rows[found.positives] = (precision - precision.mean() + gain[upto_ours]) / m
    rows[found.negatives] = -loss[upto_theirs] / m
    return rows


def _at_or_above(weight: np.ndarray, skipped: np.ndarray) -> np.ndarray:
    """The sum of weights, rising by score, without the first 0, 1, … that are skipped."""
    sums = cumulated(weight)
    return sums[..., -1:] - sums.take(skipped, axis=-1)


class Curve(NamedTuple):
    """The ROC curve of one class from (0, 0) to (1, 1), one point per distinct score.

    Attributes:
        alarms: ``[..., G + 1]``, the false positive rate; NaN without negatives.
        hits: ``[..., G + 1]``, the true positive rate; NaN without positives.
        group: ``[N]``, at the end of which of the G steps a sample is passed; -1 for samples outside.
    """

    alarms: np.ndarray
    hits: np.ndarray
    group: np.ndarray


def curve(positive: np.ndarray, negative: np.ndarray, scores: np.ndarray, weight: np.ndarray) -> Curve:
    """The ROC curve of rows ``positive`` against rows ``negative``, ``[N]`` bool; ``weight`` ``[N]`` or ``[R, N]``."""
    rows = np.flatnonzero(positive | negative)
    rows = rows[scores[rows].argsort(kind="stable")[::-1]]
    falls = np.diff(scores[rows]) < 0
    ends = np.append(np.flatnonzero(falls) + 1, len(rows)) if len(rows) else np.zeros(0, int)
    group = np.full(len(scores), -1)
    group[rows] = np.append(0, falls.cumsum())[: len(rows)]
    ordered = weight.take(rows, axis=-1)
    sums = (cumulated(ordered * side[rows]).take(np.append(0, ends), axis=-1) for side in (negative, positive))
    alarms, hits = (ratio(found, found[..., -1:]) for found in sums)
    return Curve(alarms, hits, group)
