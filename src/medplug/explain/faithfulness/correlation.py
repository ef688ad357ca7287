"""Whether what a map says of parts of the image goes along with what the score loses without them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from medplug.explain.faithfulness.agreement import pearson
from medplug.explain.faithfulness.curves import BLUR, blurred
from medplug.explain.faithfulness.inputs import Seeds, checked, generators
from medplug.explain.faithfulness.scoring import ScoreFunction, score_variants

CELLS = 14
"""Cells along each axis, or pixels where there are fewer: about as many as the features that maps are made of."""


def faithfulness_correlation(
    score: ScoreFunction,
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    subsets: int = 50,
    share: float = 0.2,
    seed: Seeds = 0,
    blur: float = BLUR,
) -> np.ndarray:
    """Correlation ``[N]`` float64, over random subsets of places, of the map's sum and the score's drop. High is good.

    The places are cells of a grid (:data:`CELLS` along each axis), not pixels as in the paper: single pixels out of
    place are noise that no network was trained on, each sum of many scattered pixels is much like the next, and maps
    are coarser than pixels anyhow. A subset is ``share`` of the cells, at least one and never all; they are replaced by
    the blurred image, see :data:`~medplug.explain.faithfulness.curves.BLUR`. The subsets of a seed are the same for
    every map. NaN where the map's sums or the drops are all equal, as with a constant map over cells of one size. The
    cost: ``subsets + 1`` scores an image.

    Reference: Bhatt et al. 2020, "Evaluating and aggregating feature-based model explanations".
    """
    images, maps, classes = checked(images, maps, classes)
    cells = cell_numbers(maps.shape[1:])
    chosen = np.stack([_subsets(draws, int(cells.max()) + 1, subsets, share) for draws in generators(seed, len(maps))])

    def variants() -> Iterator[np.ndarray]:
        for image, rows in zip(images, chosen, strict=True):
            without = np.where(rows[:, cells][..., None], blurred(image[None], blur)[0], image)
            yield np.concatenate([image[None], without])

    scores = score_variants(score, variants(), classes)
    sums = np.stack([rows @ np.bincount(cells.ravel(), m.ravel()) for rows, m in zip(chosen, maps, strict=True)])
    return pearson(_levelled(sums, maps), scores[:, :1] - scores[:, 1:])


def cell_numbers(shape: tuple[int, ...], cells: int = CELLS) -> np.ndarray:
    """``[*S]`` int: each place's cell, numbered, in a grid of ``cells`` along each axis, at most one a pixel."""
    numbers = np.zeros(shape, np.int64)
    for axis, edge in enumerate(shape):
        along = np.arange(edge) * min(cells, edge) // edge
        numbers = numbers * min(cells, edge) + along.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return numbers


def _subsets(draws: np.random.Generator, cells: int, count: int, share: float) -> np.ndarray:
    """``[count, cells]`` bool, the same number of cells in each row."""
    size = min(max(1, round(share * cells)), cells - 1)
    return draws.random((count, cells)).argsort(1).argsort(1) < size


def _levelled(sums: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Sums that differ by rounding only are equal: a constant map's, over cells of one size."""
    scale = np.abs(maps).reshape(len(maps), -1).sum(1, keepdims=True)
    same = np.ptp(sums, axis=1, keepdims=True) <= 1e-9 * scale
    return np.where(same, 0, sums)
