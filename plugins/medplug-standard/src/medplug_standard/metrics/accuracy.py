"""Shares of right decisions."""

from __future__ import annotations

import numpy as np

from medplug.plugins import component
from medplug_standard.metrics.bases import CountMetric, ShareMetric
from medplug_standard.metrics.decisions import Counts, counts, decide, is_multiclass, nan_mean, plain, ratio


@component
class Accuracy(ShareMetric):
    """The share of samples that are wholly right: the right class, or all labels right (exact match).

    Samples with an unknown label are left out.
    """

    undefined = "no sample has all its labels known"
    reading = "is wholly right about {value} of the images"

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N]`` of 0 and 1."""
        if is_multiclass(targets, probabilities, thresholds):
            right = probabilities.argmax(1) == targets.argmax(1)
        else:
            right = (decide(targets, probabilities, thresholds) == (targets >= 0.5)).all(1)
        return np.where(np.isnan(targets).any(1), np.nan, right)


@component
class AccuracyOvr(ShareMetric):
    """One-vs-rest accuracy of each class, ``(TP + TN) / N``: the "accuracy" of Mayer et al. and of AUCMEDI.

    The mean over classes is far above the share of right decisions (0.93 beside 0.71 in their skin task), since
    a wrong decision counts as right for all classes but two. It is here for comparison with published figures.
    """

    undefined = "the label is known for no sample"

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N, K]`` of 0 and 1."""
        right = decide(targets, probabilities, thresholds) == (targets >= 0.5)
        return np.where(np.isnan(targets), np.nan, right)


@component
class BalancedAccuracy(CountMetric):
    """Accuracy in which each class counts alike, whatever its size.

    Multi-class: the mean sensitivity of the classes that occur, a float. Multi-label, and wherever ``thresholds`` are
    given: the mean of sensitivity and specificity, for each label.
    """

    undefined = "there are no samples (multi-class), or the label has no positives or no negatives (multi-label)"

    def figure(self, found: Counts) -> np.ndarray:
        """The mean of sensitivity and specificity."""
        return (_sensitivity(found) + ratio(found.tn, found.tn + found.fp)) / 2

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """A float in multi-class tasks, ``[K]`` in multi-label tasks and wherever ``thresholds`` are given."""
        if not is_multiclass(targets, probabilities, thresholds):
            return super().__call__(targets, probabilities, sample_weight, thresholds)
        return plain(nan_mean(_sensitivity(counts(targets, probabilities, sample_weight, None))))

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N]`` in multi-class tasks, else ``[N, K]``."""
        if not is_multiclass(targets, probabilities, thresholds):
            return super().influence(targets, probabilities, thresholds)
        rows = _Recall().influence(targets, probabilities)
        present = (targets >= 0.5).any(0)
        return rows[:, present].sum(1) / max(present.sum(), 1)


class _Recall(CountMetric):
    def figure(self, found: Counts) -> np.ndarray:
        return _sensitivity(found)


def _sensitivity(found: Counts) -> np.ndarray:
    return ratio(found.tp, found.tp + found.fn)
