"""From stored values to an image for the eye: rescaling, window, palette, as PS3.3 C.7.6.3, C.11.1 and C.11.2 say."""

from __future__ import annotations

import numpy as np

from medplug.plugins import ImageError
from medplug_dicom.picture import Grey, Picture, Window

WINDOWS = ("file", "range", "none")


def shown(values: np.ndarray, picture: Picture, window: str, frame: int = 1) -> np.ndarray:
    """One frame as an image.

    Args:
        values: stored, ``[H, W]`` or ``[H, W, 3]``.
        picture: of the file.
        window: as the reader's parameter says, grey images only.
        frame: which one it is, from 1.

    Returns:
        ``[H, W, 1]`` of greys or ``[H, W, 3]`` of colours: uint8 from 0 to 255 where at most 8 bits are stored (of a
        palette: in its entries), else uint16 from 0 to 65535.
    """
    if picture.palette is not None:
        return _filled(picture.palette(values), picture.palette.bits)
    if values.ndim == 3:
        return _filled(values, picture.bits)
    return greys(values, picture, window, picture.grey(frame))[..., None]


def greys(values: np.ndarray, picture: Picture, window: str, grey: Grey) -> np.ndarray:
    """Stored values ``[H, W]`` as greys ``[H, W]``, uint8 or uint16; MONOCHROME1 is inverted, padding is black."""
    values, padded = _without_padding(values, picture)
    inside = values if padded is None else values[~padded]
    ends = inside.min(), inside.max()
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:  # through a table: a formula a value, not a pixel
        steps = np.arange(int(ends[0]), int(ends[1]) + 1)
        levels = _levels(steps.astype(np.float64), ends, picture, window, grey)
        image = levels[np.clip(values.astype(np.int32), steps[0], steps[-1]) - steps[0]]
    else:
        image = _levels(values.astype(np.float64), ends, picture, window, grey)
    if padded is not None:
        image[padded] = 0
    return image


def _without_padding(values: np.ndarray, picture: Picture) -> tuple[np.ndarray, np.ndarray | None]:
    """Values that are numbers, and where there is no image; None where all is image, or nothing."""
    padded = np.zeros(values.shape, bool)
    if values.dtype.kind == "f":
        padded = ~np.isfinite(values)
        values = np.where(padded, 0, values)
    if picture.padding is not None:
        padded |= (values >= picture.padding[0]) & (values <= picture.padding[1])
    return values, padded if padded.any() and not padded.all() else None


def _levels(
    stored: np.ndarray, ends: tuple[np.generic, np.generic], picture: Picture, window: str, grey: Grey
) -> np.ndarray:
    values = rescaled(stored, grey)
    if window == "file" and grey.voi is not None:
        share = _by_table(values, grey)
    else:
        chosen = _chosen(window, picture, grey)
        share = windowed(values, chosen) if chosen else _stretched(values, *_limits(window, ends, picture, grey))
    if picture.photometric == "MONOCHROME1":
        share = 1 - share
    top = 255 if picture.bits <= 8 else 65535
    return np.round(share * top).astype(np.uint8 if picture.bits <= 8 else np.uint16)


def rescaled(stored: np.ndarray, grey: Grey) -> np.ndarray:
    """Stored values, float64, in the units of the modality: by its table, or slope and intercept."""
    if grey.modality is not None:
        return grey.modality(stored).astype(np.float64)
    return stored * grey.slope + grey.intercept


def windowed(values: np.ndarray, window: Window) -> np.ndarray:
    """Values through a window, 0 to 1, by the formulas of PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2."""
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if window.function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:  # a linear window of 1: black up to the centre, white above
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def parse_window(text: str) -> Window | None:
    """The window that a parameter such as ``40,400`` states; None for a word of :data:`WINDOWS`.

    Raises:
        ValueError: it is neither.
    """
    if text in WINDOWS:
        return None
    center, width = (float(part) for part in text.split(","))
    window = Window(center, width)
    if not window.valid:
        raise ValueError(text)
    return window


def _chosen(window: str, picture: Picture, grey: Grey) -> Window | None:
    return grey.window if window == "file" else parse_window(window)


def _by_table(values: np.ndarray, grey: Grey) -> np.ndarray:
    table = grey.voi
    assert table is not None
    first = table.first
    if first > 32767 and values.min(initial=0) < 0:  # a negative number that was written as an unsigned one
        values = values + 65536
    return np.clip(table(values) / float(2**table.bits - 1), 0, 1)


def _limits(window: str, ends: tuple[np.generic, np.generic], picture: Picture, grey: Grey) -> tuple[float, float]:
    """What becomes black and white where no window says so: the image's own ends, or those of the bits."""
    if window == "range" or (window == "file" and picture.bits > 8):
        low, high = rescaled(np.array(ends, np.float64), grey)
    elif grey.modality is not None:
        low, high = 0.0, 2.0**grey.modality.bits - 1
    elif ends[0].dtype.kind == "f":
        raise ImageError("window=none needs whole numbers, and these are not; take file or range")
    else:
        least = -(2 ** (picture.bits - 1)) if picture.signed else 0
        low, high = rescaled(np.array([least, least + 2**picture.bits - 1], np.float64), grey)
    return min(low, high), max(low, high)


def _stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)


def _filled(values: np.ndarray, bits: int) -> np.ndarray:
    """Colours of any depth so that they fill 8 or 16 bits."""
    wide = bits > 8
    top = 65535 if wide else 255
    dtype = np.uint16 if wide else np.uint8
    if bits in (8, 16):
        return values.astype(dtype)
    return np.round(np.clip(values, 0, 2**bits - 1).astype(np.float64) * (top / (2**bits - 1))).astype(dtype)
