"""Raw pixels of any depth and channel count to the uint8 image that the network's input is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from medplug.errors import ContractError


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How images are brought to one form.

    Attributes:
        size: edge in pixels of each spatial axis.
        channels: 1 or 3.
        antialias: filter when shrinking.
    """

    size: int
    channels: int = 3
    antialias: bool = True

    def key(self) -> dict[str, object]:
        """What a cache has to tell apart."""
        return asdict(self)


def check_pixels(pixels: np.ndarray, uri: str) -> np.ndarray:
    """The array if it meets the reader's contract, else a ``ContractError`` that names the sample."""
    good = isinstance(pixels, np.ndarray) and pixels.dtype in (np.uint8, np.uint16, np.float32) and pixels.ndim >= 3
    if not good or pixels.shape[-1] not in (1, 3, 4) or 0 in pixels.shape:
        got = f"{getattr(pixels, 'dtype', type(pixels).__name__)} {list(getattr(pixels, 'shape', ()))}"
        raise ContractError(
            f"{uri}: a reader's load must give [*S, C] uint8, uint16 or float32 with 1, 3 or 4 channels, got {got}"
        )
    return pixels


def to_input(pixels: np.ndarray, options: DecodeOptions) -> np.ndarray:
    """Pixels ``[*S, C]`` to uint8 ``[size, …, channels]``; the aspect ratio is not kept."""
    return resize(to_channels(to_uint8(pixels), options.channels), options.size, options.antialias)


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Any depth to 0..255: uint16 by its whole range, which readers promise to fill, float32 from [0, 1]."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return np.round(pixels.astype(np.float32) / 257).astype(np.uint8)
    return np.round(np.clip(np.nan_to_num(pixels), 0, 1) * 255).astype(np.uint8)


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Grey to RGB by repetition, RGB to grey by ITU-R BT.601 luma; a fourth channel is opacity over black."""
    if pixels.shape[-1] == 4:
        pixels = np.round(pixels[..., :3] * (pixels[..., 3:].astype(np.float32) / 255)).astype(np.uint8)
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    luma = 0.299 * pixels[..., 0] + 0.587 * pixels[..., 1] + 0.114 * pixels[..., 2]
    return np.round(luma).astype(np.uint8)[..., None]


def resize(pixels: np.ndarray, size: int, antialias: bool) -> np.ndarray:
    """uint8 ``[*S, C]`` to ``[size, …, C]``, bilinear with half-pixel centres."""
    spatial = pixels.shape[:-1]
    if all(n == size for n in spatial):
        return np.ascontiguousarray(pixels)
    if len(spatial) == 2 and antialias:
        return _resize_pillow(pixels, size)
    result = pixels.astype(np.float32)
    for axis in range(len(spatial)):
        result = _resize_axis(result, axis, size, antialias)
    return np.clip(np.floor(result + 0.5), 0, 255).astype(np.uint8)


def _resize_pillow(pixels: np.ndarray, size: int) -> np.ndarray:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    resized = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
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
