"""Intervals of shares: Wilson's, and Wilson's with an effective number of samples where samples share groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

_CELLS = 1_000_000  # groups times columns that are worked on at a time


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


def many_shares(
    hits: np.ndarray, trials: np.ndarray, codes: np.ndarray, columns: int, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds ``[T]`` of many shares of the same samples, each as :func:`share` makes them; NaN where no sample counts.

    In column t the samples count whose number in ``trials`` is at most t, and those are right whose number in ``hits`` is.

    Args:
        hits: ``[M]`` int64, the first column in which a sample is right; ``columns`` for never. Never before ``trials``.
        trials: ``[M]`` int64, the first column in which a sample counts; ``columns`` for never.
        codes: ``[M]`` int64, the groups from 0 on; a number for each sample where they are independent.
        columns: T.
        confidence: of the intervals.
    """
    sizes = np.bincount(codes)
    right, counted = (np.cumsum(np.bincount(f, minlength=columns + 1)[:columns]) for f in (hits, trials))
    plain_low, plain_high = wilson(right, counted, confidence)
    if sizes.max(initial=0) < 2:
        return plain_low, plain_high
    held, squares, crossed, together = _sums_within(hits, trials, codes, columns)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = right / counted
        spread = squares - 2 * value * crossed + value**2 * together
        effect = np.maximum(1.0, spread / (counted * value * (1 - value)) * held / (held - 1))
    # As in design_effect: where all outcomes are alike nothing shows how groups hang together.
    alike = (right == 0) | (right == counted) | (held < 2)
    effect = np.where(alike, counted / np.maximum(held, 1), effect)
    low, high = wilson(right, counted, confidence, design_effect=effect, clusters=held)
    grouped = held < counted
    return np.where(grouped, low, plain_low), np.where(grouped, high, plain_high)


def _sums_within(hits: np.ndarray, trials: np.ndarray, codes: np.ndarray, columns: int) -> np.ndarray:
    """``[4, T]``: groups with a sample that counts, and over groups the sums of hits², hits · trials and trials²."""
    order = np.argsort(codes, kind="stable")
    hits, trials, codes = hits[order], trials[order], codes[order]
    new = np.diff(codes, prepend=-1) != 0
    rows, starts = np.cumsum(new) - 1, np.append(np.flatnonzero(new), len(codes))
    found, step = np.zeros((4, columns)), max(1, _CELLS // columns)
    for first in range(0, len(starts) - 1, step):
        last = min(first + step, len(starts) - 1)
        some = slice(starts[first], starts[last])
        h, c = (_counts(rows[some] - first, begun[some], last - first, columns) for begun in (hits, trials))
        found += np.stack([(c > 0).sum(0), (h * h).sum(0), (h * c).sum(0), (c * c).sum(0)])
    return found


def _counts(rows: np.ndarray, firsts: np.ndarray, groups: int, columns: int) -> np.ndarray:
    """How many samples of each group ``[G, T]`` have begun by each column."""
    cells = np.bincount(rows * (columns + 1) + firsts, minlength=groups * (columns + 1))
    return np.cumsum(cells.reshape(groups, columns + 1)[:, :columns], axis=1).astype(np.float64)


def wilson_text(confidence: float, trials: float, clusters: int | None = None) -> str:
    """The method in words."""
    words = f"{100 * confidence:g} % Wilson interval, n = {trials:g}"
    if clusters is not None and clusters < trials:
        words += f" in {clusters} groups (effective n, Student's t)"
    return words
