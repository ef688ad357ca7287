"""ROAD: remove places so that what is left does not tell which, and see what the score makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from medplug.explain.faithfulness.imputation import imputed
from medplug.explain.faithfulness.inputs import Seeds, checked, generators, highest_first
from medplug.explain.faithfulness.scoring import ScoreFunction, score_variants

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NOISE = 0.01
"""Standard deviation of the noise on imputed places, in units of standardised images; the paper's figure."""


def road(
    score: ScoreFunction,
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    shares: Sequence[float] = SHARES,
    seed: Seeds = 0,
) -> np.ndarray:
    """How much more score stays without the least relevant places than without the most: ``[N]`` float64. High is good.

    ``mean over shares of (LeRF - MoRF) / 2``, where MoRF is the score after that share of the places was removed,
    highest values of the map first, and LeRF after lowest values first. A removed place gets the weighted mean of its
    neighbours, removed or not (see :func:`~medplug.explain.faithfulness.imputation.imputed`), and a little noise. A
    random map has about 0, and a constant map too, for equal values go in random order. The cost: ``2 * len(shares)``
    scores an image, and as many sparse linear systems.

    Reference: Rong et al. 2022, "A consistent and efficient evaluation strategy for attribution methods". The two
    orders are combined as pytorch-grad-cam does; the paper looks at each.
    """
    images, maps, classes = checked(images, maps, classes)
    counts = np.round(np.asarray(shares, np.float64) * maps[0].size).astype(np.int64)
    each = zip(images, maps, generators(seed, len(maps)), strict=True)

    def variants() -> Iterator[np.ndarray]:
        for image, values, draws in each:
            missing = _removed(highest_first(values, draws), counts, values.shape)
            noise = draws.normal(0, NOISE, (len(missing), *image.shape))
            yield imputed(image, missing) + np.where(missing[..., None], noise, 0)

    scores = score_variants(score, variants(), classes)
    most, least = np.split(scores, 2, axis=1)
    return (least - most).mean(1) / 2


def _removed(order: np.ndarray, counts: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``[2 V, *S]`` bool: the first ``counts[v]`` places of the order, then the last."""
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    first, last = rank < counts[:, None], rank >= order.size - counts[:, None]
    return np.concatenate([first, last]).reshape(-1, *shape)
