"""Average precision."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from medplug.plugins import component
from medplug_standard.metrics.bases import BOTH
from medplug_standard.metrics.decisions import in_blocks, plain, weights
from medplug_standard.metrics.ranking import Ranked, pooled, precision_area, precision_influence, ranked


@component
class AveragePrecision:
    """Average precision of each class: the area under its precision-recall curve, without interpolation.

    Chance is the prevalence of the class, so that values of data with another prevalence cannot be compared.
    """

    tasks = BOTH
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "the class has no samples, or all samples belong to it"
    vectorised = True

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]``, or ``[R, K]`` for R weightings, from ``targets`` and ``probabilities`` ``[N, K]``."""
        classes = [found for found, _ in _classes(targets, probabilities)]
        weight = weights(targets, sample_weight)
        return in_blocks(weight, lambda some: np.stack([precision_area(found, some) for found in classes], axis=-1))

    def micro(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """A float, or ``[R]``: that of the scores of all classes in one ranking."""
        found = pooled(targets, probabilities)
        return plain(in_blocks(weights(targets, sample_weight), lambda some: precision_area(found, some)))

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N, K]``: the derivative by the weight of each sample."""
        return np.stack([precision_influence(*column) for column in _classes(targets, probabilities)], axis=-1)


def _classes(targets: np.ndarray, probabilities: np.ndarray) -> Iterator[tuple[Ranked, np.ndarray]]:
    for target, score in zip(targets.T, probabilities.T, strict=True):
        yield ranked(target >= 0.5, target < 0.5, score), score
