"""Losses that have left the numbers, or have exploded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MEMORY = 0.9  # of the smoothed loss from step to step
_FIRST = 5  # steps before which no loss counts as exploded, and whose mean is what later ones are compared with


class DivergedError(Exception):
    """The loss has left the numbers, or has exploded; the text says where and how."""


@dataclass
class LossWatch:
    """Looks at each loss of an epoch as it comes.

    Attributes:
        limit: how many times the run's first losses the smoothed loss may reach; 0 for any.
        reference: mean of the first losses of the run; None until there are enough.
    """

    limit: float
    reference: float | None = None
    _mean: float = 0.0
    _weight: float = 0.0
    _steps: int = 0

    def see(self, loss: float, place: str) -> None:
        """Look at the loss of one more step.

        Raises:
            DivergedError: it is not finite, or the smoothed loss has passed the limit.
        """
        if not math.isfinite(loss):
            raise DivergedError(f"the loss was {loss} at {place}")
        self._steps += 1
        self._mean = _MEMORY * self._mean + (1 - _MEMORY) * loss
        self._weight = _MEMORY * self._weight + 1 - _MEMORY
        smooth = self._mean / self._weight
        if self.limit and self.reference is not None and self._steps >= _FIRST and smooth > self.limit * self.reference:
            times = smooth / self.reference
            raise DivergedError(
                f"the loss has grown to {smooth:.3g}, {times:.0f} times that of the first steps, at {place}"
            )

    def learn(self, losses: Sequence[float]) -> None:
        """Take the first losses of the run as reference, once there are enough of them."""
        if self.reference is None and len(losses) >= _FIRST:
            first = float(np.mean(losses[:_FIRST]))
            self.reference = first if first > 0 else None  # a loss may be negative; then nothing is compared
