"""What the measures share: their inputs checked, generators by image, an order of places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medplug.errors import ContractError

Seeds = int | Sequence[int] | np.ndarray
"""One seed, where image n has the stream (seed, n); or one an image, so that no figure depends on the others."""


def checked_maps(maps: np.ndarray) -> np.ndarray:
    """Maps ``[N, *S]`` as float64.

    Raises:
        ContractError: there is no spatial axis, or a value is not finite.
    """
    maps = np.asarray(maps, np.float64)
    if maps.ndim < 2 or 0 in maps.shape[1:]:
        raise ContractError(f"maps must be [N, *S], got shape {list(maps.shape)}")
    bad = int((~np.isfinite(maps)).reshape(len(maps), -1).any(1).sum())
    if bad:
        raise ContractError(f"{bad} of {len(maps)} maps hold NaN or infinite values; leave these images out")
    return maps


def checked(images: np.ndarray, maps: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images float32, maps float64 and classes int32 that belong together.

    Raises:
        ContractError: they do not.
    """
    images, maps, classes = np.asarray(images, np.float32), checked_maps(maps), np.asarray(classes, np.int32)
    if images.shape[:-1] != maps.shape:
        raise ContractError(
            f"maps of images {list(images.shape)} must be {list(images.shape[:-1])}, got {list(maps.shape)}"
        )
    if classes.shape != (len(images),):
        raise ContractError(f"there must be one class for each of {len(images)} images, got {list(classes.shape)}")
    return images, maps, classes


def generators(seed: Seeds, count: int) -> list[np.random.Generator]:
    """One generator for each of ``count`` images.

    Raises:
        ContractError: seeds are not one an image.
    """
    if isinstance(seed, int | np.integer):
        return [np.random.default_rng([int(seed), n]) for n in range(count)]
    if len(seed) != count:
        raise ContractError(f"there must be one seed for each of {count} images, got {len(seed)}")
    return [np.random.default_rng(int(one)) for one in seed]


def highest_first(values: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Flat places ``[P]`` of one map, from its highest value to its lowest; equal values in random order.

    So a constant map orders as a random one does, instead of from the first corner to the last.
    """
    flat = values.reshape(-1)
    return np.lexsort((draws.random(flat.size), -flat))
