"""Paired differences: of two tables of predictions on the same images, and pooled over sets and seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.floors import paired_resamples
from medplug.evaluation.intervals import IntervalSettings, bootstrap_weights, units

RESAMPLES = 2000  # of images, for the standard error of one difference
DRAWS = 20_000  # of pairs, for the interval of their mean
CONFIDENCE = 0.95
_SMALLEST = 1e-7  # a probability that a loss still takes

Difference = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None], dict[str, float]]


def auc_difference(
    targets: np.ndarray, ours: np.ndarray, theirs: np.ndarray, groups: np.ndarray | None
) -> dict[str, float]:
    """The macro AUC of ``ours`` minus that of ``theirs``, and its standard error over images (or groups).

    ``[N, K]`` all three, groups ``[N]``; targets may be NaN for unknown. The error is the standard deviation over a
    bootstrap that draws the same images for both.
    """
    settings = IntervalSettings(resamples=RESAMPLES)
    value, resampled, _ = paired_resamples(targets, ours, theirs, groups, settings)
    return {"value": value, "error": float(np.nanstd(resampled, ddof=1))}


def loss_difference(
    targets: np.ndarray, ours: np.ndarray, theirs: np.ndarray, groups: np.ndarray | None
) -> dict[str, float]:
    """The same for the log loss; negative where ``ours`` is better."""
    each = losses(targets, ours) - losses(targets, theirs)
    settings = IntervalSettings(resamples=RESAMPLES)
    drawn = bootstrap_weights(units(len(targets), groups), settings)
    resampled = [float(weights @ each / weights.sum()) for weights in drawn]
    return {"value": float(each.mean()), "error": float(np.std(resampled, ddof=1))}


def losses(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The log loss of each image, ``[N]``: of its class, or the mean over its known labels.

    Rows of one-hot targets are those of a multi-class task where the probabilities sum to 1 as well.
    """
    p = np.clip(np.asarray(probabilities, np.float64), _SMALLEST, 1 - _SMALLEST)
    if np.allclose(targets.sum(1), 1) and np.allclose(np.sum(probabilities, axis=1), 1, atol=1e-3):
        return -np.log((targets * p).sum(1))
    each = -np.where(targets >= 0.5, np.log(p), np.log1p(-p))
    known = ~np.isnan(targets)
    return np.where(known, each, 0).sum(1) / np.maximum(known.sum(1), 1)


def pooled(differences: Sequence[dict[str, Any]], seed: int = 0) -> dict[str, Any]:
    """The mean of paired differences over all pairs of a set and a seed, with two intervals.

    Args:
        differences: of each pair its ``value`` and ``error``.
        seed: of the draws.

    Returns:
        ``value``, ``pairs``; ``low`` and ``high`` of a bootstrap that draws pairs with replacement and, within each drawn
        pair, images again; ``pairs_low`` and ``pairs_high`` of one that draws pairs alone. What images do to the
        difference of a pair is drawn from a normal distribution with the pair's standard error, so that the
        interval can be made again from figures, without predictions. The first interval counts the noise of the
        images twice, once as a part of the spread between the pairs: it is the wider one, and the cautious one.

    Reference: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8, on drawing at two levels.
    """
    values, errors = (np.array([d[key] for d in differences], np.float64) for key in ("value", "error"))
    count, rng = len(values), np.random.default_rng(seed)
    chosen = rng.integers(0, count, (DRAWS, count))
    alone = values[chosen].mean(1)
    both = alone + (errors[chosen] * rng.standard_normal((DRAWS, count))).mean(1)
    tail = (1 - CONFIDENCE) / 2
    (low, high), (pairs_low, pairs_high) = (np.quantile(x, [tail, 1 - tail]).tolist() for x in (both, alone))
    found = {"value": float(values.mean()), "pairs": count, "low": low, "high": high}
    return {**found, "pairs_low": pairs_low, "pairs_high": pairs_high}
