"""From probabilities to decisions, and the weighted counts that metrics are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_ROUNDING = 1e-3  # of the sum of a row
_FEW_DIGITS = 0.05  # the same at most, for probabilities from a table with two or three decimals
_BLOCK = 32  # weightings at once where each needs copies of its own: more fall out of the processor's cache


class Counts(NamedTuple):
    """Weighted numbers of true and false positives and negatives, each ``[K]`` or ``[R, K]`` float64."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray


def one_of_many(targets: np.ndarray, probabilities: np.ndarray) -> bool:
    """Whether each sample has exactly one class: all rows of both arrays sum to 1, up to the rounding of few decimals.

    Independent labels do so by accident only in a handful of samples.
    """
    if probabilities.shape[1] < 2:
        return False
    off, wrong = (np.abs(rows.sum(1) - 1).max(initial=0) for rows in (probabilities, targets))
    # Comparisons with NaN, an unknown label, are False.
    return bool(wrong <= _ROUNDING and (off <= _ROUNDING or off <= _rounded(probabilities)))


def _rounded(probabilities: np.ndarray) -> float:
    """How far rounding moves the sum of a row ``[K]``: with d decimals by up to K / 2 · 10^-d; 0 with more than three."""
    for digits in (2, 3):
        if np.allclose(probabilities, probabilities.round(digits), rtol=0, atol=1e-9):
            return min(probabilities.shape[1] / 2 * 10**-digits, _FEW_DIGITS) + 1e-9
    return 0.0


def is_multiclass(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> bool:
    """Whether the largest probability decides: no thresholds are given, and each sample has one class."""
    return thresholds is None and one_of_many(targets, probabilities)


def decide(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
    """``[N, K]`` bool: the class with the largest probability, or the labels that reach their threshold."""
    if is_multiclass(targets, probabilities, thresholds):
        return np.arange(probabilities.shape[1]) == probabilities.argmax(1)[:, None]
    return probabilities >= (0.5 if thresholds is None else thresholds)


def weights(targets: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
    """``[N]`` or ``[R, N]`` float64: the sample weights, ones by default."""
    if sample_weight is None:
        return np.ones(len(targets))
    return np.asarray(sample_weight, np.float64)


def members(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None) -> Counts:
    """Which samples are true and false positives and negatives of each class, ``[N, K]`` bool; unknown ones are none."""
    chosen = decide(targets, probabilities, thresholds)
    positive, negative = targets >= 0.5, targets < 0.5  # both False for NaN
    return Counts(positive & chosen, negative & chosen, positive & ~chosen, negative & ~chosen)


def counts(
    targets: np.ndarray,
    probabilities: np.ndarray,
    sample_weight: np.ndarray | None,
    thresholds: np.ndarray | None,
) -> Counts:
    """The weighted counts of each class against the rest, over the samples whose label is known."""
    cells = np.concatenate(members(targets, probabilities, thresholds), axis=1).astype(np.float64)
    return Counts(*np.split(weights(targets, sample_weight) @ cells, 4, axis=-1))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, NaN where the denominator is 0. Complex arguments carry a derivative in their imaginary part."""
    defined = np.real(denominator) > 0
    return np.where(defined, numerator / np.where(defined, denominator, 1), np.nan)


def nan_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the defined values along the last axis, NaN where none is."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1))


def plain(value: np.ndarray) -> Any:
    """A float from a value without axes; other arrays stay what they are."""
    return float(value) if np.ndim(value) == 0 else value


def in_blocks(weight: np.ndarray, figure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """``figure`` of weights ``[N]`` or ``[R, N]``, a few weightings at a time."""
    if weight.ndim == 1 or len(weight) <= _BLOCK:
        return figure(weight)
    return np.concatenate([figure(weight[start : start + _BLOCK]) for start in range(0, len(weight), _BLOCK)])
