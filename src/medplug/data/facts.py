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
from medplug.reading import as_picture

THUMB = 32
"""Edge of the grey thumbnails that near-duplicates are found with."""

_FRAME = 0.05  # of the shorter edge: what counts as border
_SMALL = 128  # pixels: as short may an edge become where areas are averaged
_GLANCE = 61  # so many pixels decide most images; a prime, so that they fall in step with no pattern


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
    constant, values = _variety(pixels.reshape(-1, pixels.shape[-1]))
    whole = to_uint8(pixels)
    picture = _picture(whole)
    small = _shrunk(whole, picture)
    mean, border = _means(small)
    facts = ImageFacts(
        pixels=digest.hexdigest(),
        shape=tuple(pixels.shape),
        constant=constant,
        content=_file_hash(uri) if content is None else content,
        values=values,
        mean=mean,
        border=border,
        colour=_colour(small),
        file=dict(reader.facts(uri)) if hasattr(reader, "facts") else {},
    )
    # Not of what is shrunk: rounding twice moves pairs across the limit of near-duplicates.
    return facts, _thumbnail(picture)


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """uint8 ``[*S, C]`` to a grey ``[32, 32]``: means of areas, which keep more detail apart than wider filters do."""
    return _thumbnail(_picture(pixels))


def _picture(pixels: np.ndarray) -> Image.Image:
    """uint8 ``[*S, C]`` for Pillow: grey or RGB; of a volume the middle slice along the first axis."""
    while pixels.ndim > 3:
        pixels = pixels[pixels.shape[0] // 2]
    if pixels.shape[-1] != 3:
        pixels = to_channels(pixels, 1)
    return as_picture(pixels)


def _thumbnail(picture: Image.Image) -> np.ndarray:
    # Grey first: one channel is averaged in half the time of three, and rounded less often.
    return np.asarray(picture.convert("L").resize((THUMB, THUMB), Image.Resampling.BOX))


def _shrunk(pixels: np.ndarray, picture: Image.Image) -> np.ndarray:
    """Means of areas, so that edges of 256 pixels and more come to 128 to 255: what is averaged needs no more."""
    height, width = (max(1, edge // _SMALL) for edge in pixels.shape[-3:-1])
    if pixels.ndim > 3 or pixels.shape[-1] == 4 or height == width == 1:
        return pixels[..., ::height, ::width, :]
    small = np.asarray(picture.reduce((width, height)))
    return small[..., None] if pixels.shape[-1] == 1 else small


def _file_hash(uri: str) -> str:
    try:
        with Path(uri).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):  # a uri need not be a file
        return ""


def _variety(flat: np.ndarray) -> tuple[bool, int]:
    """Of pixels ``[P, C]``: whether all are alike, and how many values there are: 1, 2, or 3 for more.

    A glance at some pixels decides for nearly every image, in plain Python: each operation of NumPy would let other
    threads have the interpreter, and there are thousands of images.
    """
    some = flat[:: max(1, len(flat) // _GLANCE)].tolist()
    if len(set(map(tuple, some))) > 1 and len({value for pixel in some for value in pixel}) > 2:
        return False, 3
    low, high = flat.min(), flat.max()
    more = not ((flat == low) | (flat == high)).all()
    return bool((flat == flat[0]).all()), 3 if more else 1 if low == high else 2


def _means(pixels: np.ndarray) -> tuple[float, float]:
    """The mean of all values, and that of the outermost 5 % of each edge, 0 to 1."""
    height, width = pixels.shape[-3:-1]
    frame = max(1, round(min(height, width) * _FRAME))
    inner = pixels[..., frame:-frame, frame:-frame, :]
    total, inside = int(pixels.sum(dtype=np.uint64)), int(inner.sum(dtype=np.uint64))
    border = (total - inside) / max(pixels.size - inner.size, 1)
    return round(total / pixels.size / 255, 4), round(border / 255, 4)


def _colour(pixels: np.ndarray) -> float:
    channels = pixels.shape[-1]
    if channels < 3:
        return 0.0
    values = pixels.reshape(-1).astype(np.int16)
    apart = np.abs(values[:-1] - values[1:])  # neighbours in memory, which NumPy is quickest with
    for last in range(2, channels):  # these neighbours belong to two pixels, or to opacity
        apart[last::channels] = 0
    return round(int(apart.sum(dtype=np.int64)) / (pixels.size // channels) / 510, 4)
