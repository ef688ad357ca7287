"""Grey to colour and back."""

from __future__ import annotations

from typing import Literal

import numpy as np

from medplug.plugins import Preprocessing, component, param, to_channels


@component
class Channels:
    """Brings an image to the channels that the network takes: grey to RGB by repetition, RGB to grey by its luma.

    Luma is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601). A fourth channel is opacity: it is flattened on black.

    Example:
        >>> import numpy as np
        >>> from medplug.plugins import Preprocessing
        >>> grey = np.full((2, 2, 1), 7, np.uint8)
        >>> Channels()(grey, Preprocessing(channels=3)).shape
        (2, 2, 3)
        >>> red = np.array([[[255, 0, 0]]], np.uint8)
        >>> Channels(colour="drop")(red, Preprocessing(channels=3)).tolist()
        [[[76, 76, 76]]]
    """

    stage = "image"

    colour: Literal["keep", "drop"] = param(
        "drop turns colour into grey also for a network that takes three channels: it then cannot rely on stains or cameras",
        default="keep",
    )

    examples = ({"colour": "drop"},)

    def __call__(self, pixels: np.ndarray, target: Preprocessing) -> np.ndarray:
        """Pixels ``[*S, C]`` to ``[*S, target.channels]`` of the same depth."""
        if self.colour == "drop" and pixels.shape[-1] != 1:
            pixels = to_channels(pixels, 1)
        return to_channels(pixels, target.channels)
