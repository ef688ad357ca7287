"""To the size of the network's input."""

from __future__ import annotations

from typing import Literal

import numpy as np

from medplug.plugins import Preprocessing, component, param, resize
from medplug_standard.preprocessors.frames import BORDER_HELP, VALUE_HELP, Border, Region, centred, frame


@component
class Resize:
    """Brings an image, or a volume, to the edge that the network takes, bilinearly.

    ``stretch`` changes the aspect ratio. ``pad`` keeps it: the longest edge fits, and the rest is filled up alike at both
    ends. ``crop`` keeps it too: the shortest edge fits, and what the other edges have too much is cut off at both ends.
    In volumes all three axes count, in voxels.

    Example:
        >>> import numpy as np
        >>> from medplug.plugins import Preprocessing
        >>> photograph = np.full((300, 200, 3), 90, np.uint8)
        >>> Resize()(photograph, Preprocessing(size=64)).shape
        (64, 64, 3)
        >>> letterbox = Resize(mode="pad")(photograph, Preprocessing(size=64))
        >>> letterbox[32, ::8, 0].tolist()
        [0, 0, 90, 90, 90, 90, 90, 0]
    """

    stage = "image"

    mode: Literal["stretch", "pad", "crop"] = param(
        "what becomes of an aspect ratio that is not the network's", default="stretch"
    )
    antialias: bool = param("filter when shrinking; off is plain bilinear sampling, as OpenCV's", default=True)
    border: Border = param(f"in the mode pad, {BORDER_HELP}", default="constant")
    value: float = param(VALUE_HELP, default=0.0, ge=0, le=1)

    examples = ({"mode": "pad"}, {"mode": "crop"}, {"antialias": False}, {"mode": "pad", "border": "reflect"})

    def __call__(self, pixels: np.ndarray, target: Preprocessing) -> np.ndarray:
        """Pixels ``[*S, C]`` to ``[size, …, C]`` of the same depth."""
        inner = self._inner(pixels.shape[:-1], target.size)
        bounds = centred(inner, (target.size,) * len(inner))
        return frame(resize(pixels, inner, self.antialias), bounds, self.border, self.value)

    def region(self, shape: tuple[int, ...], target: Preprocessing) -> Region:
        """Where the result lies in the image."""
        inner = self._inner(shape[:-1], target.size)
        bounds = centred(inner, (target.size,) * len(inner))
        return tuple((low * n / m, high * n / m) for (low, high), n, m in zip(bounds, shape[:-1], inner, strict=True))

    def _inner(self, spatial: tuple[int, ...], size: int) -> tuple[int, ...]:
        """The size of the whole image before it is padded or cut."""
        if self.mode == "stretch":
            return (size,) * len(spatial)
        fitting = max(spatial) if self.mode == "pad" else min(spatial)
        return tuple(size if n == fitting else max(1, round(n * size / fitting)) for n in spatial)
