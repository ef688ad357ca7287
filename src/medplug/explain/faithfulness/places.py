"""Where maps have their evidence, whatever the score says; and maps that know nothing, to compare with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from medplug.explain.faithfulness.inputs import checked_maps
from medplug.explain.faithfulness.localisation import share_within

_SAME = 1e-6  # of the largest value: rounding of float32


class RegionShare(NamedTuple):
    """Evidence in a part of the image.

    Attributes:
        share: ``[N]`` float64, of the positive evidence; NaN where there is none.
        even: what a map of one positive value has there, the part's share of all places.
    """

    share: np.ndarray
    even: float


def border_share(maps: np.ndarray, width: float = 0.1) -> RegionShare:
    """Share of the positive evidence no further than ``width`` times an edge, or a pixel, from a side."""
    near = _near_sides(np.shape(maps)[1:], width)
    return _share(maps, np.any(near, axis=0))


def corner_share(maps: np.ndarray, width: float = 0.2) -> RegionShare:
    """Share of the positive evidence in the corners, within ``width`` times an edge of a side along every axis.

    Side markers and burnt-in text are in corners more often than organs are.
    """
    near = _near_sides(np.shape(maps)[1:], width)
    return _share(maps, np.all(near, axis=0))


def is_constant(maps: np.ndarray) -> np.ndarray:
    """Whether a map shows nothing, ``[N]`` bool: its range is at most a millionth of its largest absolute value."""
    flat = checked_maps(maps).reshape(len(maps), -1)
    return np.ptp(flat, axis=1) <= _SAME * np.abs(flat).max(1)


def centre_maps(shape: tuple[int, ...], n: int) -> np.ndarray:
    """``[n, *shape]`` float32: a Gaussian at the centre, its standard deviation a quarter of each edge.

    The baseline of a method that only knows that images are centred on what they are of.
    """
    distance = np.zeros(shape)
    for axis, edge in enumerate(shape):
        along = (np.arange(edge) + 0.5) / edge - 0.5
        distance = distance + (along.reshape([-1 if a == axis else 1 for a in range(len(shape))]) / 0.25) ** 2
    return np.broadcast_to(np.exp(-distance / 2).astype(np.float32), (n, *shape)).copy()


def random_maps(shape: tuple[int, ...], n: int, seed: int) -> np.ndarray:
    """``[n, *shape]`` float32 of white noise, standard normal, each pixel on its own.

    The baseline of a method that knows nothing. Ask for the shape of the method's raw maps and bring the noise to the
    size of the images as the maps are brought there: then the two differ in what they show, not in how smooth they are.
    """
    return np.stack([np.random.default_rng([seed, k]).standard_normal(shape, np.float32) for k in range(n)])


def _near_sides(shape: tuple[int, ...], width: float) -> np.ndarray:
    """``[axes, *shape]`` bool: near one of the two sides along each axis."""
    near = []
    for axis, edge in enumerate(shape):
        strip = max(1, round(width * edge))
        along = np.minimum(np.arange(edge), np.arange(edge)[::-1]) < strip
        near.append(np.broadcast_to(along.reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape))
    return np.stack(near)


def _share(maps: np.ndarray, region: np.ndarray) -> RegionShare:
    return RegionShare(share_within(checked_maps(maps), region[None]), float(region.mean()))
