"""Cutting out and padding, shared by the preprocessors that change the frame of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from medplug.plugins import ParameterError, full_scale, of_depth

Border = Literal["constant", "edge", "reflect"]
Region = tuple[tuple[float, float], ...]

BORDER_HELP = "what is added: one grey value, the outermost pixels again, or the image mirrored at its edge"
VALUE_HELP = "the grey value of a constant border, as a share of white"


def per_axis(values: Sequence[int], axes: int) -> tuple[int, ...]:
    """One value for all axes, or one for each.

    Raises:
        ParameterError: there are neither one value nor as many as axes.
    """
    if len(values) not in (1, axes):
        raise ParameterError(
            f"edges has {len(values)} values, and an image has {axes} spatial axes: give one, or {axes}"
        )
    return tuple(values) * (axes if len(values) == 1 else 1)


def centred(shape: Sequence[int], wanted: Sequence[int]) -> list[tuple[int, int]]:
    """First and last-but-one pixel of the middle of each axis; below 0 and above n where the axis is too short."""
    starts = [(n - w) // 2 for n, w in zip(shape, wanted, strict=True)]
    return [(start, start + w) for start, w in zip(starts, wanted, strict=True)]


def frame(pixels: np.ndarray, bounds: Sequence[tuple[int, int]], border: Border, value: float) -> np.ndarray:
    """The part of ``[*S, C]`` within bounds; what lies outside of the image is made as ``border`` says."""
    inside = tuple(slice(max(low, 0), min(high, n)) for (low, high), n in zip(bounds, pixels.shape[:-1], strict=True))
    widths = [(max(-low, 0), max(high - n, 0)) for (low, high), n in zip(bounds, pixels.shape[:-1], strict=True)]
    part = pixels[inside]
    if not any(map(any, widths)):
        return np.ascontiguousarray(part)
    if border == "constant":
        level = of_depth(np.asarray(value * full_scale(pixels.dtype)), pixels.dtype)
        return np.pad(part, (*widths, (0, 0)), "constant", constant_values=level)
    return np.pad(part, (*widths, (0, 0)), border)
