"""Figures of one class against the rest, at its operating point."""

from __future__ import annotations

import numpy as np

from medplug.plugins import component
from medplug_standard.metrics.decisions import counts, ratio


@component
class F1:
    """F1 of each class: ``2 TP / (2 TP + FP + FN)``, the harmonic mean of precision and sensitivity."""

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "the class has no samples, so that no prediction could earn anything but 0"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]`` from ``targets`` ``[N, K]`` and ``probabilities`` ``[N, K]``."""
        found = counts(targets, probabilities, sample_weight, thresholds)
        occurs = found.tp + found.fn > 0
        return np.where(occurs, ratio(2 * found.tp, 2 * found.tp + found.fp + found.fn), np.nan)


@component
class Sensitivity:
    """Sensitivity (recall) of each class: ``TP / (TP + FN)``, the share of its samples that are found."""

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "the class has no samples"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]`` from ``targets`` ``[N, K]`` and ``probabilities`` ``[N, K]``."""
        found = counts(targets, probabilities, sample_weight, thresholds)
        return ratio(found.tp, found.tp + found.fn)


@component
class Specificity:
    """Specificity of each class: ``TN / (TN + FP)``, the share of the other samples that are left alone."""

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "there are no samples outside the class"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]`` from ``targets`` ``[N, K]`` and ``probabilities`` ``[N, K]``."""
        found = counts(targets, probabilities, sample_weight, thresholds)
        return ratio(found.tn, found.tn + found.fp)
