"""Proper scores of probabilities: only the true ones minimise their expectation."""

from __future__ import annotations

import math

import numpy as np

from medplug.plugins import component
from medplug_standard.metrics.bases import MeanMetric
from medplug_standard.metrics.decisions import one_of_many

_TINY = float(np.finfo(np.float64).eps)


@component
class LogLoss(MeanMetric):
    """The mean of ``-log p`` of what is true, with natural logarithms.

    Multi-class: a float. Multi-label: of each label. Probabilities are clipped by the rounding of float64, so that a
    single 0 for what is true costs 36. Thresholds play no part.
    """

    higher_is_better = False
    bounds = (0.0, math.inf)
    undefined = "there are no samples, or the label is known for none"

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N]`` or ``[N, K]`` losses."""
        clipped = np.clip(probabilities, _TINY, 1 - _TINY)
        if one_of_many(targets, probabilities):
            return -np.log(clipped[np.arange(len(targets)), targets.argmax(1)])
        losses = -np.log(np.where(targets >= 0.5, clipped, 1 - clipped))
        return np.where(np.isnan(targets), np.nan, losses)


@component
class Brier(MeanMetric):
    """The mean squared distance of the probability of each class from 1 or 0, whichever is true.

    The score that Brier (1950) gave to several classes is the sum over the classes. Thresholds play no part.
    """

    higher_is_better = False
    undefined = "the label is known for no sample"

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N, K]`` squares."""
        return np.where(np.isnan(targets), np.nan, (probabilities - (targets >= 0.5)) ** 2)
