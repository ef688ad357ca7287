"""The colour of the light is taken out of photographs."""

from __future__ import annotations

import numpy as np

from medplug.plugins import Preprocessing, component, full_scale, of_depth, param


@component
class ColourConstancy:
    """Shades of grey: as if the light had been white (Finlayson and Trezzi, Color and Imaging Conference 2004).

    The light's colour is the mean of each channel in the norm of ``power`` (1 is "grey world"), brought to unit length; each
    channel is divided by its share times the square root of 3. Results are clipped to the range of the image's depth.
    Grey images have no light to take out and stay as they are, as does a channel that is black everywhere.

    Example:
        >>> import numpy as np
        >>> from medplug.plugins import Preprocessing
        >>> reddish = np.full((2, 2, 3), (120, 60, 60), np.uint8)
        >>> ColourConstancy()(reddish, Preprocessing())[0, 0].tolist()
        [85, 85, 85]
    """

    stage = "image"

    power: float = param("exponent of the mean", default=6.0, ge=1, le=20)

    def __call__(self, pixels: np.ndarray, target: Preprocessing) -> np.ndarray:
        """Pixels ``[*S, C]`` to the same shape and depth; a fourth channel, opacity, stays."""
        if pixels.shape[-1] == 1:
            return pixels
        colours = pixels[..., :3]
        light = self._light(colours)
        factor = 1 / np.where(light > 0, light * np.sqrt(3), 1)
        changed = of_depth(colours * factor.astype(np.float32), pixels.dtype)
        return np.concatenate([changed, pixels[..., 3:]], axis=-1)

    def _light(self, colours: np.ndarray) -> np.ndarray:
        """The colour of the light ``[3]``, of unit length; zeros for a black image."""
        means = np.array([self._mean(channel) for channel in np.moveaxis(colours, -1, 0)])
        length = np.sqrt((means**2).sum())
        return means / length if length > 0 else means

    def _mean(self, channel: np.ndarray) -> float:
        """``mean(x ** power) ** (1 / power)`` of values in [0, 1]; levels are counted instead of raised one by one."""
        if np.issubdtype(channel.dtype, np.integer):
            counts = np.bincount(channel.ravel())
            values, weights = np.arange(len(counts)) / full_scale(channel.dtype), counts / channel.size
        else:
            values, weights = channel.ravel().astype(np.float64), np.full(1, 1 / channel.size)
        return float((values**self.power * weights).sum() ** (1 / self.power))
