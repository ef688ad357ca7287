"""What a class's ROC curve offers at a required sensitivity or specificity.

The threshold is chosen on the very samples that are scored, so that these figures say what would be possible, not what
a threshold fixed beforehand achieves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from medplug.plugins import component, param
from medplug_standard.metrics.bases import BOTH
from medplug_standard.metrics.decisions import in_blocks, weights
from medplug_standard.metrics.ranking import Curve, curve

_ROUNDING = 1e-9  # 1 - 0.9 is not 0.1


class _AtLevel(ABC):
    tasks = BOTH
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "the class has no samples, or all samples belong to it"
    vectorised = True
    level: float

    @abstractmethod
    def best(self, found: Curve) -> np.ndarray:
        """The figure from one class's curve, ``[]`` or ``[R]``."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]``, or ``[R, K]`` for R weightings, from ``targets`` and ``probabilities`` ``[N, K]``."""
        columns = list(zip(targets.T, probabilities.T, strict=True))

        def figures(weight: np.ndarray) -> np.ndarray:
            curves = (curve(target >= 0.5, target < 0.5, score, weight) for target, score in columns)
            return np.stack([_where_defined(found, self.best(found)) for found in curves], axis=-1)

        return in_blocks(weights(targets, sample_weight), figures)


def _where_defined(found: Curve, figure: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(found.alarms[..., -1] + found.hits[..., -1]), np.nan, figure)


@component
class SensitivityAtSpecificity(_AtLevel):
    """The highest sensitivity of each class that a threshold with at least the specificity ``level`` reaches."""

    level: float = param("the least specificity", default=0.9, ge=0, le=1)

    def best(self, found: Curve) -> np.ndarray:
        """The end of the curve as far as specificity allows."""
        return np.where(found.alarms <= 1 - self.level + _ROUNDING, found.hits, 0).max(-1)


@component
class SpecificityAtSensitivity(_AtLevel):
    """The highest specificity of each class that a threshold with at least the sensitivity ``level`` reaches."""

    level: float = param("the least sensitivity", default=0.9, ge=0, le=1)

    def best(self, found: Curve) -> np.ndarray:
        """The beginning of the curve that is sensitive enough."""
        return 1 - np.where(found.hits >= self.level - _ROUNDING, found.alarms, 1).min(-1)
