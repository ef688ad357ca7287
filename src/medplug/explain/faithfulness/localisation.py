"""Maps against masks of where the thing to be found is known to be."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from medplug.errors import ContractError
from medplug.explain.faithfulness.inputs import Seeds, checked_maps, generators, highest_first


def pointing_game(maps: np.ndarray, masks: np.ndarray, tolerance: float = 0) -> np.ndarray:
    """Whether the highest place of each map ``[N, *S]`` lies in its mask ``[N, *S]`` bool: ``[N]`` bool.

    Args:
        maps: ``[N, *S]``. One without positive evidence points nowhere and misses. Where several places are highest,
            all have to
            lie in the mask, so a constant map misses.
        masks: ``[N, *S]`` bool.
        tolerance: places no further than so many pixels from the mask hit too.

    Raises:
        ContractError: shapes differ, or a mask is empty.

    Reference: Zhang et al. 2018, "Top-down neural attention by excitation backprop" (there with 15 pixels of
    tolerance).
    """
    maps, masks = _checked(maps, masks)
    if tolerance > 0:
        masks = np.stack([np.asarray(distance_transform_edt(~mask)) <= tolerance for mask in masks])
    flat, inside = maps.reshape(len(maps), -1), masks.reshape(len(masks), -1)
    top = flat.max(1, keepdims=True)
    return (top[:, 0] > 0) & ((flat < top) | inside).all(1)


def mask_share(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of the positive evidence that lies inside the masks: ``[N]`` float64, NaN where there is none.

    Raises:
        ContractError: shapes differ, or a mask is empty.

    Reference: Arras et al. 2022, "CLEVR-XAI: a benchmark dataset for the ground truth evaluation of neural network
    explanations" (relevance mass accuracy).
    """
    return share_within(*_checked(maps, masks))


def mask_overlap(maps: np.ndarray, masks: np.ndarray, seed: Seeds = 0) -> np.ndarray:
    """Intersection over union ``[N]`` float64 of each mask, of k places, with the k highest places of its map.

    Places with equal values are taken in random order, so a constant map is like a random one.

    Raises:
        ContractError: shapes differ, or a mask is empty.
    """
    maps, masks = _checked(maps, masks)
    found = []
    for values, mask, draws in zip(maps, masks, generators(seed, len(maps)), strict=True):
        size = int(mask.sum())
        both = int(mask.reshape(-1)[highest_first(values, draws)[:size]].sum())
        found.append(both / (2 * size - both))
    return np.array(found, np.float64)


def share_within(maps: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Share ``[N]`` of the positive values inside a region ``[N or 1, *S]`` bool; NaN where none is positive."""
    positive = np.maximum(maps, 0).reshape(len(maps), -1)
    total = positive.sum(1)
    found = np.full(len(maps), np.nan)
    return np.divide((positive * region.reshape(len(region), -1)).sum(1), total, out=found, where=total > 0)


def _checked(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    maps, masks = checked_maps(maps), np.asarray(masks)
    if masks.shape != maps.shape or masks.dtype != np.bool_:
        raise ContractError(f"masks must be bool {list(maps.shape)}, got {masks.dtype} {list(masks.shape)}")
    empty = np.flatnonzero(~masks.reshape(len(masks), -1).any(1))
    if len(empty):
        raise ContractError(
            f"mask {empty[0]} (of {len(empty)} like it) marks no place; leave images without a mask out"
        )
    return maps, masks
