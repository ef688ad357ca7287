"""Lines around what reaches a level, drawn so that they show on dark and on pale tissue."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

_FINEST = 1.5  # pixels, the thinnest line that does not flicker
_OF_EDGE = 260  # the thinnest line is the longer edge of the picture divided by this


def smooth_resize(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Values ``[h, w]`` at another size, without the corners that bilinear level lines have at every cell.

    Along each axis it is the monotone cubic of Fritsch and Carlson (1980), which makes no maximum and no level of its own,
    with half-pixel centres and constant beyond the outermost cells.
    """
    for axis, wanted in enumerate(shape):
        n = values.shape[axis]
        if n > 1 and n != wanted:
            at = np.clip((np.arange(wanted) + 0.5) * (n / wanted) - 0.5, 0, n - 1)
            values = PchipInterpolator(np.arange(n), values, axis=axis)(at)
        elif n != wanted:
            values = np.repeat(values, wanted, axis)
    return values


def line_width(level: float, shape: tuple[int, ...]) -> float:
    """Pixels of the line of a level in a picture of this shape: the higher the level, the thicker."""
    return max(_FINEST, max(shape[:2]) / _OF_EDGE) * (0.75 + level)


def line_cover(values: np.ndarray, level: float, width: float) -> np.ndarray:
    """How much of each pixel a line covers that separates what reaches a level from what does not.

    Args:
        values: ``[H, W]``, at the size of the picture.
        level: in the units of the values.
        width: of the line, pixels.

    Returns:
        ``[H, W]`` float32 in [0, 1]. The border of the picture is no line.
    """
    return _cover(_distance(values, level, width, _slope(values)), width)


def draw_lines(base: np.ndarray, values: np.ndarray, lines: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """Lines over an image, each light with a dark edge on both sides.

    Args:
        base: ``[H, W, 3]`` float in [0, 1].
        values: ``[H, W]``.
        lines: level and sRGB colour ``[3]`` of each; the later ones lie above. A negative level is that of what is at or
            below it.
    """
    drawn = np.array(base)
    slope = _slope(values)
    for level, colour in lines:
        signed, reached = (values, level) if level >= 0 else (-values, -level)
        width = line_width(abs(level), values.shape)
        edged = width + 2 * max(1.0, 0.6 * width)
        distance = _distance(signed, reached, edged, slope)
        there = np.isfinite(distance)  # few pixels of a large picture
        for wide, ink in ((edged, np.zeros(3)), (width, colour)):
            cover = _cover(distance[there], wide)[:, None]
            drawn[there] += cover * (ink - drawn[there])
    return drawn


def _slope(values: np.ndarray) -> np.ndarray:
    """How much the values change from one pixel to the next, ``[H, W]`` float32, never zero."""
    steps = [np.gradient(values.astype(np.float32), axis=axis) for axis, n in enumerate(values.shape) if n > 1]
    found = np.sqrt(sum((step * step for step in steps), start=np.zeros(values.shape, np.float32)))
    return np.maximum(found, np.finfo(np.float32).tiny)


def _distance(values: np.ndarray, level: float, width: float, slope: np.ndarray) -> np.ndarray:
    """Pixels from a line of that width, ``[H, W]``; infinite away from it.

    To first order it is the difference of the value to the level over the slope, so that edges are smooth.
    Where values hardly change, that says little: a line is only where the level is crossed nearby.
    """
    reached = values >= level
    near = 2 * int(np.ceil(width / 2)) + 3
    some, all_ = (
        ndimage.maximum_filter(reached, near, mode="nearest"),
        ndimage.minimum_filter(reached, near, mode="nearest"),
    )
    crossed = np.asarray(some != all_)
    found = np.full(values.shape, np.inf, np.float32)
    found[crossed] = np.abs(values[crossed] - level) / slope[crossed]
    return found


def _cover(distance: np.ndarray, width: float) -> np.ndarray:
    return np.clip(width / 2 + 0.5 - distance, 0, 1)
