"""Weights, images and targets decided by their names, for the PyTorch recording and for the tests.

The weights are in PyTorch's layout under torchvision's names. ``record_torch.py`` and the tests make them with
the same function, so the recorded file holds results only. ``numpy.random.RandomState`` is used because its
streams never change.
"""

from __future__ import annotations

import math
import zlib

import numpy as np


def seeded(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array of a torchvision name: float32, decided by name and shape alone."""
    state = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        values = state.uniform(0.5, 1.5, shape)
    elif len(shape) == 1:
        values = 0.1 * state.standard_normal(shape)
    else:
        values = state.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
    return values.astype(np.float32)


def seeded_images(shape: tuple[int, int, int, int]) -> np.ndarray:
    """Noise ``[B, H, W, C]`` float32 with a mean that is not zero."""
    return (np.random.RandomState(341).standard_normal(shape) + 0.3).astype(np.float32)


def seeded_targets(count: int, classes: int) -> np.ndarray:
    """Class numbers ``[B]``."""
    return np.random.RandomState(5).randint(0, classes, count)
