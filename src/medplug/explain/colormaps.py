"""Colours of maps, computed from a few anchors.

``magma`` is for reading: its lightness rises evenly from black to pale yellow, so that equal steps of evidence look
equal, in grey print and with every colour vision deficiency too. ``jet`` is what published overlays were drawn with;
its lightness goes up and down again, which draws edges where there are none.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

Colormap = Literal["magma", "jet"]

_MAGMA = ("000004", "180f3e", "451077", "721f81", "9f2f7f", "cd4071", "f1605d", "fd9567", "fec98d", "fcfdbf")
# What speaks against a class, on the scale of ``magma``: blue to mint, each anchor as light as its counterpart above.
_AGAINST = ("000004", "001939", "00385f", "005278", "006d91", "008ba7", "00abb9", "5dc8c4", "99e6d4", "e3fff2")
# Break points of each channel and its value there; linear between them.
_JET = (
    ((0.0, 0.35, 0.66, 0.89, 1.0), (0.0, 0.0, 1.0, 1.0, 0.5)),
    ((0.0, 0.125, 0.375, 0.64, 0.91, 1.0), (0.0, 0.0, 1.0, 1.0, 0.0, 0.0)),
    ((0.0, 0.11, 0.34, 0.65, 1.0), (0.5, 1.0, 1.0, 0.0, 0.0)),
)


def colours(values: np.ndarray, colormap: Colormap) -> np.ndarray:
    """Values ``[...]`` in [0, 1] to sRGB ``[..., 3]`` float64 in [0, 1]."""
    values = np.clip(np.asarray(values, np.float64), 0, 1)
    if colormap == "jet":
        return np.stack([np.interp(values, at, level) for at, level in _JET], axis=-1)
    return _between(values, _MAGMA)


def signed_colours(values: np.ndarray, colormap: Colormap) -> np.ndarray:
    """Values ``[...]`` in [-1, 1] to sRGB ``[..., 3]``: of ``magma`` both signs begin at black and get lighter alike."""
    values = np.clip(np.asarray(values, np.float64), -1, 1)
    if colormap == "jet":
        return colours((1 + values) / 2, colormap)
    return np.where((values < 0)[..., None], _between(-values, _AGAINST), _between(values, _MAGMA))


def _between(values: np.ndarray, anchors: tuple[str, ...]) -> np.ndarray:
    at, table = _table(anchors)
    return np.stack([np.interp(values, at, table[:, i]) for i in range(3)], axis=-1)


@lru_cache(maxsize=8)
def _table(anchors: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Places in [0, 1] and their colours, so dense that between them sRGB is as good as straight."""
    lab = _to_oklab(np.array([[int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)] for text in anchors]))
    at = np.linspace(0, 1, 256 * (len(anchors) - 1) + 1)
    path = [np.interp(at, np.linspace(0, 1, len(lab)), lab[:, i]) for i in range(3)]
    return at, _from_oklab(np.stack(path, axis=-1))


# Between anchors the path is straight in Oklab, where equal distances look equal: Ottosson, "A perceptual color
# space for image processing", 2020, which gives the two matrices.
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _to_oklab(srgb: np.ndarray) -> np.ndarray:
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T


def _from_oklab(lab: np.ndarray) -> np.ndarray:
    linear = np.clip((lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_CONES).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
