"""Areas under the ROC curve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from medplug.plugins import component, param
from medplug_standard.metrics.bases import BOTH
from medplug_standard.metrics.decisions import in_blocks, nan_mean, plain, weights
from medplug_standard.metrics.ranking import Ranked, area, area_influence, curve, pooled, ranked


class _Area:
    """Of every area: larger is better, and the sort is done once for all weightings."""

    tasks = BOTH
    higher_is_better = True
    bounds = (0.0, 1.0)
    vectorised = True


@component
class RocAuc(_Area):
    """Area under the ROC curve of each class against the rest.

    The probability that a sample of the class scores higher than another one; 0.5 is chance. Thresholds play no part.
    Intervals are those of DeLong (1988) on the logit scale.
    """

    interval = "logit"
    variance = "DeLong"
    inverted_below = 0.4
    undefined = "the class has no samples, or all samples belong to it"
    reading = "ranks {one} above {other} in {value} of pairs"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]``, or ``[R, K]`` for R weightings, from ``targets`` and ``probabilities`` ``[N, K]``."""
        classes = list(_classes(targets, probabilities))
        weight = weights(targets, sample_weight)
        return in_blocks(weight, lambda some: np.stack([area(found, some) for found in classes], axis=-1))

    def micro(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """A float, or ``[R]``: the area of the scores of all classes in one ranking."""
        found = pooled(targets, probabilities)
        return plain(in_blocks(weights(targets, sample_weight), lambda some: area(found, some)))

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N, K]``, whose sums of squares are DeLong's variances; NaN where a side has fewer than two samples."""
        n = len(targets)
        return np.stack([area_influence(found, n) for found in _classes(targets, probabilities)], axis=-1)


def _classes(targets: np.ndarray, probabilities: np.ndarray) -> Iterator[Ranked]:
    for target, score in zip(targets.T, probabilities.T, strict=True):
        yield ranked(target >= 0.5, target < 0.5, np.ascontiguousarray(score))


@component
class RocAucOvo(_Area):
    """The M of Hand and Till (2001): the mean area over all ordered pairs of classes, each ranked by the first's score.

    It does not depend on how frequent the classes are. Pairs with a class that does not occur are left out.
    """

    tasks = ("multiclass",)
    interval = "logit"
    variance = "DeLong"
    inverted_below = 0.4
    undefined = "fewer than two classes occur"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """A float, or ``[R]`` for R weightings, from ``targets`` and ``probabilities`` ``[N, K]``."""
        pairs = list(_pairs(targets, probabilities))
        weight = weights(targets, sample_weight)
        return plain(in_blocks(weight, lambda some: nan_mean(np.stack([area(pair, some) for pair in pairs], axis=-1))))

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N]``: the mean of DeLong's influences over the pairs; NaN where a class has a single sample."""
        there = [pair for pair in _pairs(targets, probabilities) if len(pair.positives) and len(pair.negatives)]
        if not there:
            return np.full(len(targets), np.nan)
        return sum(area_influence(pair, len(targets)) for pair in there) / len(there)  # type: ignore[return-value]


def _pairs(targets: np.ndarray, probabilities: np.ndarray) -> Iterator[Ranked]:
    """Each class against each other one, in both orders."""
    of_class = targets >= 0.5
    k = targets.shape[1]
    for i in range(k):
        for j in range(k):
            if i != j:
                yield ranked(of_class[:, i], of_class[:, j], probabilities[:, i])


@component
class PartialAuc(_Area):
    """Area under a part of the ROC curve of each class, standardised so that 0.5 is chance and 1 perfect.

    The part is that of false positive rates up to ``limit``, or that of sensitivities from ``limit`` on, where the
    area is counted between the curve and its right end. Reference: McClish, Analyzing a portion of the ROC curve, 1989.
    """

    undefined = "the class has no samples, or all samples belong to it"
    examples = ({"region": "min_sensitivity", "limit": 0.8},)
    region: Literal["max_fpr", "min_sensitivity"] = param("which part of the curve counts", default="max_fpr")
    limit: float = param(
        "the highest false positive rate, or the lowest sensitivity, that counts", default=0.1, gt=0, lt=1
    )

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]``, or ``[R, K]`` for R weightings, from ``targets`` and ``probabilities`` ``[N, K]``."""
        weight = weights(targets, sample_weight)
        columns = list(zip(targets.T, probabilities.T, strict=True))
        return in_blocks(weight, lambda some: np.stack([self._one(*column, some) for column in columns], axis=-1))

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N, K]``: the derivative by the weight of each sample."""
        columns = zip(targets.T, probabilities.T, strict=True)
        return np.stack([self._one_influence(*column) for column in columns], axis=-1)

    def _sides(self, target: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Positives, negatives, scores and the highest rate of false alarms.

        Sensitivities from a limit on are, with the classes exchanged, rates of false alarms up to 1 - limit.
        """
        if self.region == "max_fpr":
            return target >= 0.5, target < 0.5, score, self.limit
        return target < 0.5, target >= 0.5, -score, 1 - self.limit

    def _one(self, target: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
        positive, negative, scores, limit = self._sides(target, score)
        found = curve(positive, negative, scores, weight)
        width, share = _cut(found.alarms, limit)
        low = found.hits[..., :-1]
        part = (width * (low + share * np.diff(found.hits) / 2)).sum(-1)
        undefined = np.isnan(found.alarms[..., -1] + found.hits[..., -1])
        return np.where(undefined, np.nan, _standardised(part, limit))

    def _one_influence(self, target: np.ndarray, score: np.ndarray) -> np.ndarray:
        positive, negative, scores, limit = self._sides(target, score)
        found = curve(positive, negative, scores, np.ones(len(target)))
        m, n = positive.sum(), negative.sum()
        if m == 0 or n == 0:
            return np.where(positive | negative, np.nan, 0)
        width, share = _cut(found.alarms, limit)
        low, rise = found.hits[:-1], np.diff(found.hits)
        part = (width * (low + share * rise / 2)).sum()
        # A positive adds to the curve from its own step on; a negative adds width there, and pushes the end of the
        # part, where the curve stands at last, back by what no longer fits.
        of_positives = limit - np.minimum(found.alarms[1:], limit) + width * share / 2 - part
        cut = np.flatnonzero(share > 0)[-1]
        last = low[cut] + rise[cut] * share[cut]
        of_negatives = share * (low + share * rise / 2) + last * (limit - share) - part
        rows = np.where(positive, of_positives[found.group] / m, 0) + np.where(
            negative, of_negatives[found.group] / n, 0
        )
        return rows * (_standardised(1.0, limit) - _standardised(0.0, limit))


def _cut(alarms: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Of each step of the curve: its width up to the limit, and which share of its whole width that is."""
    whole, width = np.diff(alarms), np.diff(np.minimum(alarms, limit))
    return width, np.where(whole > 0, width / np.where(whole > 0, whole, 1), alarms[..., 1:] <= limit)


def _standardised(part: np.ndarray | float, limit: float) -> np.ndarray | float:
    """The area so that 1/2 is chance, ``limit² / 2``, and 1 is perfect, ``limit``."""
    chance = limit**2 / 2
    return (1 + (part - chance) / (limit - chance)) / 2
