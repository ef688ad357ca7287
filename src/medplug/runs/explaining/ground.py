"""What maps are drawn on: images in their own resolution, cut to what the network saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from medplug.data.preprocess import Preprocessors
from medplug.errors import ContractError
from medplug.images import ImageError
from medplug.pixels import to_channels, to_uint8
from medplug.runs.explaining.maps import Wanted


@dataclass(frozen=True)
class Ground:
    """Loads images again when they are drawn, so that only one is in memory in its own resolution.

    Attributes:
        reader: loads them by their uri.
        preprocessors: those of the run.
        warn: is told of an image that has gone since it was predicted, whose map is drawn over the network's input; None
            makes that an error.
    """

    reader: Any
    preprocessors: Preprocessors | None
    warn: Callable[[str], None] | None = None

    def __call__(self, one: Wanted) -> np.ndarray:
        """Pixels ``[*S, C]`` of any depth: cut where preprocessors crop, with black where they pad."""
        try:
            pixels = self.reader.load(one.uri)
        except ImageError as error:
            if self.warn is None:
                raise
            self.warn(
                f"{one.sample} can no longer be read ({error}): its map is drawn over the input that the network got"
            )
            return one.pixels
        return pixels if self.preprocessors is None else self.preprocessors.ground(pixels, one.pixels, one.sample)


def drawn_part(pixels: np.ndarray, one: Wanted, raw: np.ndarray) -> tuple[np.ndarray, list[int] | None]:
    """The picture to draw on, ``[H, W, 1 or 3]`` uint8, and the place of the flat map in ``raw`` that belongs to it.

    Of a volume it is the slice, along the leading axes, in which the map has its largest value; else the place is None.
    """
    pixels = to_uint8(pixels)
    pixels = to_channels(pixels, 3 if pixels.shape[-1] != 1 else 1)
    place: list[int] = []
    while raw.ndim > 2:
        strongest = int(raw.reshape(len(raw), -1).max(1).argmax())
        pixels = pixels[min(len(pixels) - 1, int((strongest + 0.5) / len(raw) * len(pixels)))]
        raw = raw[strongest]
        place.append(strongest)
    if pixels.ndim != 3:
        raise ContractError(
            f"{one.sample}: a map with {raw.ndim} axes does not belong to an image of shape {pixels.shape}"
        )
    return pixels, place or None
