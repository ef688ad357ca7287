"""The area under the ROC curve."""

from __future__ import annotations

import numpy as np

from medplug.plugins import component
from medplug_standard.metrics.decisions import weights


def weighted_auc(positive: np.ndarray, negative: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """AUC of each row: the weighted share of pairs in which the positive scores higher; ties count half.

    Args:
        positive: weights ``[K, N]`` of the samples as positives, 0 for the others.
        negative: weights ``[K, N]`` of the samples as negatives, 0 for the others.
        scores: ``[K, N]``.

    Returns:
        ``[K]`` float64, NaN without a positive or without a negative. It is the Mann-Whitney statistic
        (Hanley and McNeil 1982), in O(N log N), all rows at once, since a bootstrap asks for it a thousand times.
    """
    rows, columns = scores.shape
    pairs = positive.sum(1) * negative.sum(1)
    if columns == 0:
        return np.full(rows, np.nan)
    order = scores.argsort(axis=1)
    order += columns * np.arange(rows)[:, None]  # positions in the flattened arrays
    ordered = scores.ravel()[order]
    starts = np.ones((rows, columns), bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=starts[:, 1:])
    first = np.flatnonzero(starts)  # of each run of equal scores, row after row
    tied_positive = np.add.reduceat(positive.ravel()[order].ravel(), first)
    tied_negative = np.add.reduceat(negative.ravel()[order].ravel(), first)
    before = np.cumsum(tied_negative) - tied_negative  # negatives in all rows so far: each row's start is taken off
    row_first = np.searchsorted(first, columns * np.arange(rows))
    runs = np.diff(np.append(row_first, len(first)))
    below = before - np.repeat(before[row_first], runs)
    wins = np.add.reduceat(tied_positive * (below + tied_negative / 2), row_first)
    defined = pairs > 0
    return np.where(defined, np.clip(wins / np.where(defined, pairs, 1), 0, 1), np.nan)


@component
class RocAuc:
    """Area under the ROC curve of each class against the rest.

    The probability that a sample of the class scores higher than another one; 0.5 is chance. Thresholds play no part.
    """

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "the class has no samples, or all samples belong to it"
    reading = "ranks {one} above {other} in {value} of pairs"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]`` from ``targets`` ``[N, K]`` and ``probabilities`` ``[N, K]``."""
        weight, labels = weights(targets, sample_weight), targets.T
        return weighted_auc((labels >= 0.5) * weight, (labels < 0.5) * weight, np.ascontiguousarray(probabilities.T))
