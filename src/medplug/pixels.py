"""Pixels on the host, ``[*S, C]``: their depth, their channels, their size.

An image is uint8 (0..255), uint16 (0..65535) or float32 (0..1) from its reader to the last image preprocessor, and each
function here gives the depth that it was given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from medplug.reading import as_picture

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def full_scale(dtype: np.dtype | type) -> float:
    """The value of white: 255, 65535 or 1."""
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0


def of_depth(values: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """Computed values as pixels of a depth: clipped to its range, rounded where it has levels."""
    limited = np.clip(values, 0, full_scale(dtype))
    return (np.round(limited) if np.issubdtype(dtype, np.integer) else limited).astype(dtype)


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Any depth to 0..255: uint16 by its whole range, which readers promise to fill, float32 from [0, 1]."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return np.round(pixels.astype(np.float32) / 257).astype(np.uint8)
    return np.round(np.clip(np.nan_to_num(pixels), 0, 1) * 255).astype(np.uint8)


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Grey to RGB by repetition, RGB to grey by ITU-R BT.601 luma; a fourth channel is opacity over black."""
    depth = pixels.dtype
    if pixels.shape[-1] == 4:
        opacity = pixels[..., 3:].astype(np.float32) / full_scale(depth)
        pixels = of_depth(pixels[..., :3] * opacity, depth)
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    luma = sum(weight * pixels[..., channel] for channel, weight in enumerate(_LUMA))
    return of_depth(np.asarray(luma), depth)[..., None]


def resize(pixels: np.ndarray, size: int | Sequence[int], antialias: bool = True) -> np.ndarray:
    """Stretched to an edge of ``size`` pixels, or one edge per axis: bilinear, with half-pixel centres.

    With ``antialias`` the filter grows with the shrinking, as Pillow's does; without it each pixel is made of its two
    neighbours along an axis, as in OpenCV, and fine detail aliases. A fourth channel, opacity, is flattened on black first.
    """
    if pixels.shape[-1] == 4:
        pixels = to_channels(pixels, 3)
    spatial = pixels.shape[:-1]
    wanted = (size,) * len(spatial) if isinstance(size, int) else tuple(size)
    if spatial == wanted:
        return np.ascontiguousarray(pixels)
    if len(spatial) == 2 and antialias:
        return _resize_pillow(pixels, wanted)
    result = pixels.astype(np.float32)
    for axis, edge in enumerate(wanted):
        if spatial[axis] != edge:
            result = _resize_axis(result, axis, edge, antialias)
    whole = np.issubdtype(pixels.dtype, np.integer)
    return np.clip(np.floor(result + 0.5) if whole else result, 0, full_scale(pixels.dtype)).astype(pixels.dtype)


def _resize_pillow(pixels: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
    height, width = wanted
    if pixels.dtype != np.uint8:  # Pillow knows more than 8 bits in one channel only
        planes = [Image.fromarray(np.ascontiguousarray(p, np.float32)) for p in np.moveaxis(pixels, -1, 0)]
        made = [np.asarray(p.resize((width, height), Image.Resampling.BILINEAR)) for p in planes]
        return of_depth(np.stack(made, axis=-1), pixels.dtype)
    resized = np.asarray(as_picture(pixels).resize((width, height), Image.Resampling.BILINEAR))
    return resized[..., None] if resized.ndim == 2 else resized


def _resize_axis(values: np.ndarray, axis: int, size: int, antialias: bool) -> np.ndarray:
    """Bilinear along one axis: two taps, or a triangle as wide as the shrinking where ``antialias`` is on."""
    n = values.shape[axis]
    centres = (np.arange(size) + 0.5) * (n / size) - 0.5
    reach = max(1.0, n / size) if antialias else 1.0
    taps = np.floor(centres - reach).astype(int)[:, None] + np.arange(int(np.ceil(2 * reach)) + 2)
    weights = np.maximum(0, 1 - np.abs(taps - centres[:, None]) / reach)
    matrix = np.zeros((size, n), np.float32)
    if antialias:
        weights[(taps < 0) | (taps >= n)] = 0  # the filter is renormalised at the border, as Pillow does
    np.add.at(matrix, (np.arange(size)[:, None], np.clip(taps, 0, n - 1)), weights)
    matrix /= matrix.sum(1, keepdims=True)
    return np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
