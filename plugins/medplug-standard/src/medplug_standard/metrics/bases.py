"""What families of metrics have in common, so that each of them is a formula."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from medplug_standard.metrics.decisions import Counts, counts, members, plain, ratio, weights

BOTH = ("multiclass", "multilabel")
_STEP = 1e-30  # of the complex-step derivative, which loses no digits however small the step is


def gradient(figure: Callable[[Counts], np.ndarray], totals: Counts) -> Counts:
    """Derivatives of ``figure`` by each of the four counts, ``[K]``, exact to rounding; NaN where it is undefined.

    By the complex step (Squire and Trapp 1998): ``figure`` must be made of arithmetic, :func:`ratio` and roots.
    """
    undefined = np.isnan(figure(totals))
    slopes = []
    for name in Counts._fields:
        moved = Counts(*(np.asarray(part, complex) for part in totals))
        moved = moved._replace(**{name: getattr(moved, name) + 1j * _STEP})
        slopes.append(np.where(undefined, np.nan, np.imag(figure(moved)) / _STEP))
    return Counts(*slopes)


class CountMetric(ABC):
    """A figure of each class that is a smooth function of its four counts, unchanged when all of them are doubled."""

    tasks = BOTH
    higher_is_better = True
    bounds = (0.0, 1.0)
    vectorised = True

    @abstractmethod
    def figure(self, found: Counts) -> np.ndarray:
        """The formula, element by element; complex counts carry derivatives."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """``[K]``, or ``[R, K]`` for R weightings, from ``targets`` and ``probabilities`` ``[N, K]``."""
        return self.figure(counts(targets, probabilities, sample_weight, thresholds))

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N, K]`` by the delta method: the derivative by the weight of each sample (infinitesimal jackknife)."""
        cells = members(targets, probabilities, thresholds)
        slopes = gradient(self.figure, Counts(*(cell.sum(0) for cell in cells)))
        return sum(np.where(cell, slope, 0) for cell, slope in zip(cells, slopes, strict=True))  # type: ignore[return-value]


class Rate(CountMetric):
    """A figure of counts that also makes sense of the pooled counts of all classes."""

    def micro(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """A float, or ``[R]``: the figure of the counts summed over the classes."""
        found = counts(targets, probabilities, sample_weight, thresholds)
        return plain(self.figure(Counts(*(part.sum(-1) for part in found))))


class MeanMetric(ABC):
    """A weighted mean over samples of what each has by itself."""

    tasks = BOTH
    higher_is_better = True
    bounds = (0.0, 1.0)
    vectorised = True

    @abstractmethod
    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N]``, or ``[N, K]`` for a mean per class; NaN where a sample does not count."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """A float or ``[K]``, with an axis R before for R weightings, from arrays ``[N, K]``."""
        values, weight = self.each(targets, probabilities, thresholds), weights(targets, sample_weight)
        known = ~np.isnan(values)
        return plain(ratio(weight @ np.where(known, values, 0), weight @ known.astype(np.float64)))

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N]`` or ``[N, K]``: the distance of each sample from the mean, over their number."""
        values = self.each(targets, probabilities, thresholds)
        known = ~np.isnan(values)
        n = known.sum(0)
        mean = ratio(np.where(known, values, 0).sum(0), n)
        return np.where(known, (values - mean) / np.maximum(n, 1), 0)


class ShareMetric(MeanMetric):
    """A mean of zeros and ones, with Wilson's interval."""

    interval = "wilson"

    def trials(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> float | np.ndarray:
        """A float or ``[K]``: the samples that count."""
        return plain((~np.isnan(self.each(targets, probabilities, thresholds))).sum(0).astype(np.float64))
