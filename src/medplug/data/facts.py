"""What is seen of one image before it is brought to the network's form: the ground of all checks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medplug.data.decode import resize, to_channels, to_uint8

THUMB = 32
"""Edge of the grey thumbnails that near-duplicates are found with."""

_FRAME = 0.05  # of the shorter edge: what counts as border


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
        colour: mean absolute difference between the channels, 0 to 1; 0 for grey.
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


def measure(reader: Any, uri: str, pixels: np.ndarray) -> tuple[ImageFacts, np.ndarray]:
    """The facts of one decoded image ``[*S, C]``, and its grey thumbnail ``[32, 32]`` uint8.

    The thumbnail of a volume is that of its middle slice along the first axis.
    """
    digest = hashlib.sha256(f"{pixels.dtype}{pixels.shape}".encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    small = to_uint8(pixels)
    facts = ImageFacts(
        pixels=digest.hexdigest(),
        shape=tuple(pixels.shape),
        constant=bool((pixels == pixels.reshape(-1, pixels.shape[-1])[0]).all()),
        content=_file_hash(uri),
        values=_distinct(pixels),
        mean=round(float(small.mean()) / 255, 4),
        border=round(_border(small) / 255, 4),
        colour=_colour(small),
        file=dict(reader.facts(uri)) if hasattr(reader, "facts") else {},
    )
    return facts, thumbnail(small)


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """uint8 ``[*S, C]`` to a grey ``[32, 32]``."""
    while pixels.ndim > 3:
        pixels = pixels[pixels.shape[0] // 2]
    return resize(to_channels(pixels, 1), THUMB, antialias=True)[..., 0]


def _file_hash(uri: str) -> str:
    try:
        with Path(uri).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):  # a uri need not be a file
        return ""


def _distinct(pixels: np.ndarray) -> int:
    """1, 2, or 3 for more. Two-valued images are rare, so that a look at the extremes mostly decides."""
    low, high = pixels.min(), pixels.max()
    if low == high:
        return 1
    return 2 if bool(((pixels == low) | (pixels == high)).all()) else 3


def _border(pixels: np.ndarray) -> float:
    spatial = pixels.shape[-3:-1]
    width = max(1, round(min(spatial) * _FRAME))
    inner = pixels[..., width:-width, width:-width, :]
    total, inside = float(pixels.sum(dtype=np.float64)), float(inner.sum(dtype=np.float64))
    return (total - inside) / max(pixels.size - inner.size, 1)


def _colour(pixels: np.ndarray) -> float:
    if pixels.shape[-1] < 3:
        return 0.0
    channels = pixels[..., :3].astype(np.int16)
    spread = np.abs(channels[..., 0] - channels[..., 1]) + np.abs(channels[..., 1] - channels[..., 2])
    return round(float(spread.mean()) / 510, 4)
