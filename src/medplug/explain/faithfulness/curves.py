"""Deletion and insertion: how fast the score falls, or comes, when places go in the order of the map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from medplug.explain.faithfulness.inputs import Seeds, checked, generators, highest_first
from medplug.explain.faithfulness.scoring import ScoreFunction, score_variants

BLUR = 0.1
"""Standard deviation of the blur that takes the place of what is removed, as a share of the edge along each axis."""


class Curves(NamedTuple):
    """Scores while places are replaced.

    Attributes:
        auc: ``[N]`` float64, the area under each curve over the share of places, by the trapezoid rule.
        values: ``[N, steps + 1]`` float64, the scores at the shares 0, 1 / steps, ..., 1.
    """

    auc: np.ndarray
    values: np.ndarray


def deletion(
    score: ScoreFunction,
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    steps: int = 20,
    seed: Seeds = 0,
    blur: float = BLUR,
) -> Curves:
    """From the image to its blurred self, highest values of the map first. Low areas are good.

    Places with equal values go in random order, so a constant map is like a random one. The cost: ``steps + 1`` scores
    an image.

    Args:
        score: see the package.
        images: ``[N, *S, C]``, standardised.
        maps: ``[N, *S]``.
        classes: ``[N]`` int.
        steps: equal shares of the places that are replaced one after the other.
        seed: decides ties.
        blur: see :data:`BLUR`. What is replaced has to lose what the network looks for, hence so wide a blur;
            it stays closer to images than one colour would.

    Reference: Petsiuk et al. 2018, "RISE: randomized input sampling for explanation of black-box models".
    """
    return _curves(score, images, maps, classes, steps, seed, blur, inserted=False)


def insertion(
    score: ScoreFunction,
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    steps: int = 20,
    seed: Seeds = 0,
    blur: float = BLUR,
) -> Curves:
    """From the blurred image to the image, highest values first. High areas are good. Else as :func:`deletion`."""
    return _curves(score, images, maps, classes, steps, seed, blur, inserted=True)


def blurred(images: np.ndarray, blur: float = BLUR) -> np.ndarray:
    """Images ``[N, *S, C]`` float32, blurred by ``blur`` times the edge along each axis; outside, the edge goes on."""
    sigmas = (0, *(blur * edge for edge in images.shape[1:-1]), 0)
    return gaussian_filter(np.asarray(images, np.float32), sigmas, mode="nearest")


def _curves(
    score: ScoreFunction,
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    steps: int,
    seed: Seeds,
    blur: float,
    inserted: bool,
) -> Curves:
    images, maps, classes = checked(images, maps, classes)
    each = zip(images, maps, generators(seed, len(images)), strict=True)
    counts = np.round(np.linspace(0, 1, steps + 1) * maps[0].size).astype(np.int64)

    def variants() -> Iterator[np.ndarray]:
        for image, values, draws in each:
            ends = image, blurred(image[None], blur)[0]
            start, goal = ends[::-1] if inserted else ends
            yield replaced(start, goal, highest_first(values, draws), counts)

    values = score_variants(score, variants(), classes)
    return Curves(np.trapezoid(values, dx=1 / steps, axis=1), values)


def replaced(start: np.ndarray, goal: np.ndarray, order: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``[V, *S, C]``: ``start`` ``[*S, C]`` with the first ``counts[v]`` places of ``order`` taken from ``goal``."""
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    gone = rank < np.asarray(counts)[:, None]
    return np.where(gone.reshape(-1, *start.shape[:-1], 1), goal, start)
