"""Example-based and ranking figures of multi-label tasks, from the known labels of each sample.

Samples of which a figure cannot say anything (none of the labels to be ranked occurs) are left out; the references
named below count them as right. Ties in a ranking count against the model.
"""

from __future__ import annotations

import math

import numpy as np

from medplug.plugins import component
from medplug_standard.metrics.bases import MeanMetric, ShareMetric
from medplug_standard.metrics.decisions import decide, ratio

_TASKS = ("multilabel",)
_NO_POSITIVE = "no sample has a label that is known to be present"


@component
class HammingLoss(ShareMetric):
    """The share of wrong decisions about each label; the mean over the labels is the Hamming loss."""

    tasks = _TASKS
    higher_is_better = False
    undefined = "the label is known for no sample"

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N, K]`` of 0 and 1."""
        wrong = decide(targets, probabilities, _half(targets, thresholds)) != (targets >= 0.5)
        return np.where(np.isnan(targets), np.nan, wrong)


@component
class Jaccard(MeanMetric):
    """The mean over samples of the labels both true and predicted, as a share of those that are either.

    A sample that has no label and gets none is wholly right: 1 (Godbole and Sarawagi 2004).
    """

    tasks = _TASKS
    undefined = "no label of any sample is known"

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N]`` shares."""
        known, truth = ~np.isnan(targets), targets >= 0.5
        chosen = decide(targets, probabilities, _half(targets, thresholds)) & known
        either = (truth | chosen).sum(1)
        shares = np.where(either > 0, (truth & chosen).sum(1) / np.maximum(either, 1), 1.0)
        return np.where(known.any(1), shares, np.nan)


@component
class LabelRankingAveragePrecision(MeanMetric):
    """For each true label of a sample, the share of true ones among the labels that score at least as high; the mean.

    Reference: Tsoumakas, Katakis and Vlahavas, Mining Multi-label Data, 2010.
    """

    tasks = _TASKS
    undefined = _NO_POSITIVE

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N]``."""
        known, truth = ~np.isnan(targets), targets >= 0.5
        total = np.zeros(len(targets))
        for k in range(targets.shape[1]):
            above = known & (probabilities >= probabilities[:, k : k + 1])
            total += np.where(truth[:, k], (above & truth).sum(1) / np.maximum(above.sum(1), 1), 0)
        return ratio(total, truth.sum(1))


@component
class CoverageError(MeanMetric):
    """How many labels of the ranking must be taken, from the top, until all true ones are among them: the mean.

    Reference: Tsoumakas, Katakis and Vlahavas, Mining Multi-label Data, 2010 (who count from 0).
    """

    tasks = _TASKS
    higher_is_better = False
    bounds = (1.0, math.inf)
    undefined = _NO_POSITIVE

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N]`` numbers of labels."""
        known, truth = ~np.isnan(targets), targets >= 0.5
        lowest = np.where(truth, probabilities, np.inf).min(1, initial=np.inf)
        depth = (known & (probabilities >= lowest[:, None])).sum(1)
        return np.where(truth.any(1), depth, np.nan)


@component
class RankingLoss(MeanMetric):
    """The share of pairs of a true and an untrue label of a sample in which the true one does not score higher.

    Reference: Tsoumakas, Katakis and Vlahavas, Mining Multi-label Data, 2010.
    """

    tasks = _TASKS
    higher_is_better = False
    undefined = "no sample has both a label that is known to be present and one that is known to be absent"

    def each(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
        """``[N]`` shares."""
        truth, untrue = targets >= 0.5, targets < 0.5
        wrong = np.zeros(len(targets))
        for k in range(targets.shape[1]):
            wrong += truth[:, k] * (untrue & (probabilities >= probabilities[:, k : k + 1])).sum(1)
        return ratio(wrong, truth.sum(1) * untrue.sum(1))


def _half(targets: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
    """The thresholds, 0.5 by default: these figures are never decided by the largest probability."""
    return np.full(targets.shape[1], 0.5) if thresholds is None else thresholds
