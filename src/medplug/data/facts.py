"""What is seen of one image before it is brought to the network's form: the ground of all checks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medplug.data.decode import to_channels, to_uint8

THUMB = 32
"""Edge of the grey thumbnails that near-duplicates are found with."""

_FRAME = 0.05  # of the shorter edge: what counts as border
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_SMALL = 128  # pixels: as short may an edge become where areas are averaged
_GLANCE = 61  # every so many pixels decide most images; a prime, so that it falls in step with no pattern


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What was seen of one image before it was resized.

    Attributes:
        pixels: SHA-256 of the decoded pixels, their shape and type; empty where the image cannot be read.
        shape: ``[*S, C]``.
        constant: whether all pixels are alike.
        error: why it cannot be read; empty if it can.
        content: SHA-256 of the file's bytes; empty where the uri is no file.
        values: how many different values the pixels have, 3 standing for more than two (masks have two).
        mean: of all pixels, 0 to 1.
        border: mean of the outermost 5 % of each edge, 0 to 1.
        colour: mean absolute difference between the channels, 0 to 1, of areas of some 2 to 8 pixels in large images; 0
            for grey.
        file: what the reader's ``facts`` told.
    """

    pixels: str = ""
    shape: tuple[int, ...] = ()
    constant: bool = False
    error: str = ""
    content: str = ""
    values: int = 0
    mean: float = 0.0
    border: float = 0.0
    colour: float = 0.0
    file: Mapping[str, Any] = field(default_factory=dict)


def measure(reader: Any, uri: str, pixels: np.ndarray, content: str | None = None) -> tuple[ImageFacts, np.ndarray]:
    """The facts of one decoded image ``[*S, C]``, and its grey thumbnail ``[32, 32]`` uint8.

    The thumbnail of a volume is that of its middle slice along the first axis.

    Args:
        reader: its ``facts`` are asked where it has any.
        uri: of the image.
        pixels: uint8, uint16 or float32.
        content: SHA-256 of the file's bytes; None reads the file for it.
    """
    pixels = np.ascontiguousarray(pixels)
    digest = hashlib.sha256(f"{pixels.dtype}{pixels.shape}".encode())
    digest.update(pixels.data)
    flat = pixels.reshape(-1, pixels.shape[-1])
    glance = np.ascontiguousarray(flat[::_GLANCE])
    whole = to_uint8(pixels)
    small = _shrunk(whole)
    facts = ImageFacts(
        pixels=digest.hexdigest(),
        shape=tuple(pixels.shape),
        constant=_constant(glance, flat),
        content=_file_hash(uri) if content is None else content,
        values=_distinct(glance, flat),
        mean=round(int(small.sum(dtype=np.uint64)) / small.size / 255, 4),
        border=round(_border(small) / 255, 4),
        colour=_colour(small),
        file=dict(reader.facts(uri)) if hasattr(reader, "facts") else {},
    )
    # Not of what is shrunk: rounding twice moves pairs across the limit of near-duplicates.
    return facts, thumbnail(whole)


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    """Means of areas, so that edges of 256 pixels and more come to 128 to 255: what is averaged needs no more."""
    height, width = (max(1, edge // _SMALL) for edge in pixels.shape[-3:-1])
    if pixels.ndim > 3 or pixels.shape[-1] == 4 or height == width == 1:
        return pixels[..., ::height, ::width, :]
    grey = pixels.shape[-1] == 1
    small = np.asarray(Image.fromarray(pixels[..., 0] if grey else pixels).reduce((width, height)))
    return small[..., None] if grey else small


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """uint8 ``[*S, C]`` to a grey ``[32, 32]``: means of areas, which keep more detail apart than wider filters do."""
    while pixels.ndim > 3:
        pixels = pixels[pixels.shape[0] // 2]
    if pixels.shape[-1] != 3:
        pixels = to_channels(pixels, 1)
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
    small = np.asarray(image.resize((THUMB, THUMB), Image.Resampling.BOX))
    # Greys are made last, where they cost nothing.
    return small if small.ndim == 2 else np.round(small @ _LUMA).astype(np.uint8)


def _file_hash(uri: str) -> str:
    try:
        with Path(uri).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):  # a uri need not be a file
        return ""


def _constant(glance: np.ndarray, flat: np.ndarray) -> bool:
    return bool((glance == flat[0]).all()) and bool((flat == flat[0]).all())


def _distinct(glance: np.ndarray, flat: np.ndarray) -> int:
    """1, 2, or 3 for more. Two-valued images are rare, so that a glance at some pixels mostly decides."""
    for values in (glance, flat):
        low, high = values.min(), values.max()
        if not ((values == low) | (values == high)).all():
            return 3
    return 1 if low == high else 2


def _border(pixels: np.ndarray) -> float:
    height, width = pixels.shape[-3:-1]
    frame = max(1, round(min(height, width) * _FRAME))
    inner = pixels[..., frame:-frame, frame:-frame, :]
    total, inside = int(pixels.sum(dtype=np.uint64)), int(inner.sum(dtype=np.uint64))
    return (total - inside) / max(pixels.size - inner.size, 1)


def _colour(pixels: np.ndarray) -> float:
    if pixels.shape[-1] < 3:
        return 0.0
    channels = pixels[..., :3].astype(np.int16)
    spread = np.abs(channels[..., 0] - channels[..., 1]) + np.abs(channels[..., 1] - channels[..., 2])
    return round(float(spread.mean()) / 510, 4)
