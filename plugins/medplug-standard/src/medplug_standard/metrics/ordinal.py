"""Figures for classes in an order, such as grades: the order is that in which the task lists them."""

from __future__ import annotations

import math

import numpy as np

from medplug.plugins import component, param
from medplug_standard.metrics.bases import MeanMetric, ShareMetric


def _steps(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """``[N]`` float64: how many classes lie between the most probable one and the truth, counted in steps."""
    return np.abs(targets.argmax(1) - probabilities.argmax(1)).astype(np.float64)


@component
class MeanAbsoluteError(MeanMetric):
    """The mean distance of the most probable class from the truth, in steps of the order. Thresholds play no part."""

    tasks = ("multiclass",)
    higher_is_better = False
    bounds = (0.0, math.inf)
    undefined = "there are no samples"

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N]`` steps."""
        return _steps(targets, probabilities)


@component
class AdjacentAccuracy(ShareMetric):
    """The share of samples whose most probable class is the truth or near it in the order. Thresholds play no part."""

    tasks = ("multiclass",)
    undefined = "there are no samples"
    within: int = param("how many steps off still count as right", default=1, ge=1, le=1000)

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N]`` of 0 and 1."""
        return (_steps(targets, probabilities) <= self.within).astype(np.float64)
