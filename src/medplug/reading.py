"""What a thread knows of the image that it reads at the moment, so that nothing of it is found out twice.

Pillow keeps pixels in its own form and NumPy in another; going from one to the other costs a good part of decoding, and
opening a file again for its header does too. Within :func:`one_image` both are remembered; outside nothing is, so that
whoever keeps arrays keeps arrays alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image


class _Known(threading.local):
    reading = False

    def __init__(self) -> None:
        self.pictures: list[tuple[np.ndarray, Image.Image]] = []
        self.headers: dict[str, Mapping[str, Any]] = {}


_known = _Known()


@contextmanager
def one_image() -> Iterator[None]:
    """One image is read and prepared here, by this thread."""
    _known.reading = True
    try:
        yield
    finally:
        _known.reading = False
        _known.pictures.clear()
        _known.headers.clear()


def is_reading() -> bool:
    """Whether this thread is within :func:`one_image`."""
    return _known.reading


def note_picture(pixels: np.ndarray, picture: Image.Image) -> None:
    """Remember that Pillow has these pixels already; of an array that may change nothing is remembered."""
    if _known.reading and not pixels.flags.writeable:
        _known.pictures.append((pixels, picture))


def as_picture(pixels: np.ndarray) -> Image.Image:
    """uint8 ``[H, W, C]`` with one or three channels as Pillow has it; not to be changed."""
    for known, picture in _known.pictures:
        if known is pixels:
            return picture
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
    note_picture(pixels, picture)
    return picture


def note_header(path: str, facts: Mapping[str, Any]) -> None:
    """Remember what the header of a file tells."""
    if _known.reading:
        _known.headers[path] = facts


def header(path: str) -> Mapping[str, Any] | None:
    """What was remembered of a file; None where nothing was."""
    return _known.headers.get(path)
