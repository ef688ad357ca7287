"""From probabilities to decisions, and the weighted counts that metrics are made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_ROUNDING = 1e-3  # probabilities may come from a table with a few decimals


class Counts(NamedTuple):
    """Weighted numbers of true and false positives and negatives, each ``[K]`` float64."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray


def is_multiclass(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> bool:
    """Whether the largest probability decides: no thresholds are given, and all rows of both arrays sum to 1.

    Independent labels do so by accident only in a handful of samples; give ``thresholds`` (0.5 each, say) to be sure.
    """
    if thresholds is not None or probabilities.shape[1] < 2:
        return False
    return all(bool(np.all(np.abs(rows.sum(1) - 1) < _ROUNDING)) for rows in (targets, probabilities))


def decide(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
    """``[N, K]`` bool: the class with the largest probability, or the labels that reach their threshold."""
    if is_multiclass(targets, probabilities, thresholds):
        return np.arange(probabilities.shape[1]) == probabilities.argmax(1)[:, None]
    return probabilities >= (0.5 if thresholds is None else thresholds)


def weights(targets: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
    """``[N]`` float64: the sample weights, ones by default."""
    if sample_weight is None:
        return np.ones(len(targets))
    return np.asarray(sample_weight, np.float64)


def counts(
    targets: np.ndarray,
    probabilities: np.ndarray,
    sample_weight: np.ndarray | None,
    thresholds: np.ndarray | None,
) -> Counts:
    """The weighted counts of each class against the rest, over the samples whose label is known."""
    weight = weights(targets, sample_weight)
    chosen = decide(targets, probabilities, thresholds)
    positive, negative = targets >= 0.5, targets < 0.5  # both False for NaN
    parts = (positive & chosen, negative & chosen, positive & ~chosen, negative & ~chosen)
    return Counts(*(weight @ part for part in parts))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, NaN where the denominator is 0."""
    defined = denominator > 0
    return np.where(defined, numerator / np.where(defined, denominator, 1), np.nan)
