"""Raw maps at the size of the images."""

from __future__ import annotations

import numpy as np

from medplug.errors import ContractError


def to_input_size(raw: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Raw maps ``[N, *s]`` as ``[N, *shape]`` float32, linear along each axis.

    Centres of places are at half pixels, as in bilinear resizing of images; outside of the outer centres the outer
    values go on. Where an axis shrinks, values between are skipped, not averaged.

    Raises:
        ContractError: the numbers of axes differ.
    """
    maps = np.asarray(raw, np.float32)
    if maps.ndim != 1 + len(shape):
        asked = f"[N, {', '.join('*' * len(shape))}]"
        raise ContractError(f"maps for images of {list(shape)} pixels must be {asked}, got {list(maps.shape)}")
    for axis, size in enumerate(shape, start=1):
        if maps.shape[axis] != size:
            maps = np.moveaxis(np.moveaxis(maps, axis, -1) @ _between(maps.shape[axis], size).T, -1, axis)
    return np.ascontiguousarray(maps)


def _between(given: int, wanted: int) -> np.ndarray:
    """``[wanted, given]`` float32: what each new place takes from each old one."""
    at = np.clip((np.arange(wanted) + 0.5) * given / wanted - 0.5, 0, given - 1)
    before = np.floor(at).astype(np.int64)
    after = np.minimum(before + 1, given - 1)
    weights = np.zeros((wanted, given), np.float64)
    np.add.at(weights, (np.arange(wanted), before), 1 - (at - before))
    np.add.at(weights, (np.arange(wanted), after), at - before)
    return weights.astype(np.float32)
