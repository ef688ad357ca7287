"""Intervals of shares: Wilson's, and Wilson's with an effective number of samples where samples share groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit


def wilson(
    successes: Any, trials: Any, confidence: float, *, design_effect: Any = 1.0, clusters: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of ``successes / trials``, arrays or numbers; NaN where there is no trial.

    With ``clusters``, the number of independent groups, the trials are divided by the ``design_effect``, and the normal
    quantile by Student's t with one degree of freedom less than there are groups.

    References: Wilson 1927; for clusters Korn and Graubard 1998, and Dean and Pagano 2015, who find Wilson's the best
    of the intervals with an effective number of samples.
    """
    trials, successes = np.asarray(trials, np.float64), np.asarray(successes, np.float64)
    tail = (1 + confidence) / 2
    z = ndtri(tail) if clusters is None else stdtrit(np.maximum(np.asarray(clusters, np.float64) - 1, 1), tail)
    with np.errstate(invalid="ignore", divide="ignore"):
        share, n = successes / trials, trials / design_effect
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
        low = np.where(share <= 0, 0.0, np.clip(middle - half, 0, 1))
        high = np.where(share >= 1, 1.0, np.clip(middle + half, 0, 1))
    empty = trials <= 0
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def design_effect(residuals: np.ndarray, codes: np.ndarray) -> tuple[float, int]:
    """How much wider a share is for sharing groups, at least 1, and the number of groups.

    ``residuals`` ``[M]`` are outcomes minus their share; ``codes`` ``[M]`` name the groups. Where all outcomes are
    alike nothing shows how they hang together: each group then counts as one sample.
    """
    groups, numbers = np.unique(codes, return_inverse=True)
    count, plain = len(groups), float(residuals @ residuals)
    if count == len(residuals):
        return 1.0, count
    if plain == 0 or count < 2:
        return len(residuals) / count, count
    sums = np.bincount(numbers, residuals)
    return max(1.0, float(sums @ sums) / plain * count / (count - 1)), count


def share(right: np.ndarray, codes: np.ndarray | None, confidence: float) -> dict[str, Any]:
    """A share as a figure: of ``right`` ``[M]`` bool, whose samples belong to the groups ``codes`` ``[M]``."""
    right = np.asarray(right, np.float64)
    if len(right) == 0:
        return {"value": None, "reason": "no sample counts"}
    value = float(right.mean())
    effect, count = (1.0, len(right)) if codes is None else design_effect(right - value, codes)
    grouped = count < len(right)
    low, high = wilson(right.sum(), len(right), confidence, design_effect=effect, clusters=count if grouped else None)
    return {
        "value": value,
        "low": float(low),
        "high": float(high),
        "method": wilson_text(confidence, len(right), count),
    }


def wilson_text(confidence: float, trials: float, clusters: int | None = None) -> str:
    """The method in words."""
    words = f"{100 * confidence:g} % Wilson interval, n = {trials:g}"
    if clusters is not None and clusters < trials:
        words += f" in {clusters} groups (effective n, Student's t)"
    return words
