"""Windowing."""

from __future__ import annotations

import numpy as np

from medplug.plugins import ParameterError, Preprocessing, component, full_scale, of_depth, param


@component
class Clip:
    """Clips grey values to a window and stretches it over the whole range (``stretch``), at the depth of the image.

    The window is a share of the range of the image's depth (0.1 is 25.5 of 255 and 6553.5 of 65535), or with
    ``quantiles`` the grey values below which such a share of the image's own pixels lies.

    Example:
        >>> import numpy as np
        >>> from medplug.plugins import Preprocessing
        >>> levels = np.array([[[0], [51], [102], [153], [204], [255]]], np.uint8)
        >>> Clip(low=(0.2,), high=(0.6,))(levels, Preprocessing()).ravel().tolist()
        [0, 0, 128, 255, 255, 255]
        >>> Clip(low=(0.2,), high=(0.6,), stretch=False)(levels, Preprocessing()).ravel().tolist()
        [51, 51, 102, 153, 153, 153]
    """

    stage = "image"

    low: tuple[float, ...] = param("lower end of the window: one value, or one per channel", ge=0, lt=1)
    high: tuple[float, ...] = param("upper end of the window: one value, or one per channel", gt=0, le=1)
    quantiles: bool = param("the ends are quantiles of each image, not shares of the range", default=False)
    stretch: bool = param("stretch the window over the whole range", default=True)

    examples = (
        {"low": (0.1,), "high": (0.6,)},
        {"low": (0.005,), "high": (0.995,), "quantiles": True},
        {"low": (0.2,), "high": (0.7,), "stretch": False},
    )

    def __post_init__(self) -> None:
        if not self.low or len(self.low) not in (1, 3) or len(self.high) != len(self.low):
            raise ParameterError("low and high must have one value each, or three each, for red, green and blue")
        if any(a >= b for a, b in zip(self.low, self.high, strict=True)):
            raise ParameterError(f"low must be below high, got low={list(self.low)} and high={list(self.high)}")

    def __call__(self, pixels: np.ndarray, target: Preprocessing) -> np.ndarray:
        """Pixels ``[*S, C]`` to the same shape and depth.

        Raises:
            ParameterError: the window has three channels and the image another number.
        """
        if len(self.low) == 3 and pixels.shape[-1] != 3:
            raise ParameterError(
                f"low and high have three values, for red, green and blue, and an image has {pixels.shape[-1]}: give one value, "
                "or have the channels converted before"
            )
        white = full_scale(pixels.dtype)
        low, high = (
            self._quantiles(pixels) if self.quantiles else (np.array(self.low) * white, np.array(self.high) * white)
        )
        low, high = low.astype(np.float32), high.astype(np.float32)
        values = np.clip(pixels.astype(np.float32), low, high)
        if self.stretch:
            values = (values - low) / np.maximum(high - low, np.finfo(np.float32).tiny) * white
        return of_depth(values, pixels.dtype)

    def _quantiles(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(self.low) == 1:
            return np.quantile(pixels, self.low), np.quantile(pixels, self.high)
        flat = pixels.reshape(-1, 3)
        ends = [[np.quantile(flat[:, c], share[c]) for c in range(3)] for share in (self.low, self.high)]
        return np.array(ends[0]), np.array(ends[1])
