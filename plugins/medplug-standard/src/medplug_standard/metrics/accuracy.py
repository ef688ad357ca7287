"""Shares of right decisions."""

from __future__ import annotations

import numpy as np

from medplug.plugins import component
from medplug_standard.metrics.decisions import counts, decide, is_multiclass, ratio, weights


@component
class Accuracy:
    """The share of samples that are wholly right: the right class, or all labels right (exact match)."""

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "no sample has all its labels known"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float:
        """A float from ``targets`` and ``probabilities`` ``[N, K]``; samples with an unknown label are left out."""
        weight = weights(targets, sample_weight) * ~np.isnan(targets).any(1)
        if is_multiclass(targets, probabilities, thresholds):
            right = probabilities.argmax(1) == targets.argmax(1)
        else:
            right = (decide(targets, probabilities, thresholds) == (targets >= 0.5)).all(1)
        return float(ratio(weight @ right, weight.sum()))


@component
class BalancedAccuracy:
    """Accuracy in which each class counts alike, whatever its size.

    Multi-class: the mean sensitivity of the classes that occur. Multi-label: the mean of sensitivity and
    specificity, for each label.
    """

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "there are no samples (multi-class), or the label has no positives or no negatives (multi-label)"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """A float in multi-class tasks, ``[K]`` in multi-label tasks and wherever ``thresholds`` are given."""
        found = counts(targets, probabilities, sample_weight, thresholds)
        sensitivity = ratio(found.tp, found.tp + found.fn)
        if not is_multiclass(targets, probabilities, thresholds):
            return (sensitivity + ratio(found.tn, found.tn + found.fp)) / 2
        present = ~np.isnan(sensitivity)
        return float(sensitivity[present].mean()) if present.any() else float("nan")


@component
class AccuracyOvr:
    """One-vs-rest accuracy of each class, ``(TP + TN) / N``: the "accuracy" of Mayer et al. and of AUCMEDI.

    The mean over classes is far above the share of right decisions (0.93 beside 0.71 in their skin task), since
    a wrong decision counts as right for all classes but two. It is here for comparison with published figures.
    """

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "the label is known for no sample"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]`` from ``targets`` ``[N, K]`` and ``probabilities`` ``[N, K]``."""
        found = counts(targets, probabilities, sample_weight, thresholds)
        return ratio(found.tp + found.tn, found.tp + found.fp + found.fn + found.tn)
