"""From a DICOM file to the numbers that are stored in it, decompressed, before anything is done for the eye."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from medplug.plugins import ImageError
from medplug_dicom.decoders import missing_decoder
from medplug_dicom.header import silence
from medplug_dicom.picture import Picture, read_picture

MAX_PIXELS = 100_000_000
"""Rows times columns of one frame beyond which a file is taken for damaged or hostile."""

_COLOURS = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
_UNDEFINED = 0xFFFFFFFF
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"  # tags of a fragment and of the end of all, little endian


def stored_values(path: str | Path, frame: int | None = None) -> np.ndarray:
    """The stored values of a file: before rescaling, window and palette, colours as RGB.

    Args:
        path: of the file.
        frame: number of one frame, from 1; None gives all.

    Returns:
        ``[H, W]`` or ``[H, W, 3]``, with an axis of frames before them where all of several are asked for; integers of
        this machine's byte order, as wide as the file allocates, signed where it says so.

    Raises:
        ImageError: no DICOM file, no image in it, damaged or truncated, or no decoder is installed.
    """
    return decoded(path, read_picture(path), frame)


def decoded(path: str | Path, picture: Picture, frame: int | None = None) -> np.ndarray:
    """As :func:`stored_values`, of a file whose ``picture`` is known."""
    silence()
    _check(picture, frame)
    try:
        with open(path, "rb") as stream:
            _check_length(stream, picture)
            stream.seek(0)
            # Of a file pydicom reads one frame alone; deflated ones have to be unpacked as a whole.
            source = dcmread(stream) if picture.syntax == DeflatedExplicitVRLittleEndian else stream
            values = pixel_array(source, index=None if frame is None else frame - 1)
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(f"cannot be opened: {error.strerror or error}") from None
    except MemoryError:
        raise ImageError("does not fit into memory") from None
    except Exception as error:  # decoders raise nearly anything; their messages speak of bytes, not of patients
        text = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"damaged, or of a kind that its decoder does not know: {text}") from None
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _check(picture: Picture, frame: int | None) -> None:
    if frame is not None and not 1 <= frame <= picture.frames:
        raise ImageError(f"has {picture.frames} frames, so that there is no frame {frame}")
    if picture.rows * picture.columns > MAX_PIXELS:
        raise ImageError(f"{picture.rows} x {picture.columns} pixels exceed the limit of {MAX_PIXELS:,}")
    lacking = missing_decoder(picture.syntax, picture.bits)
    if lacking:
        raise ImageError(lacking)
    grey = picture.samples == 1 and picture.photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    if not (grey or (picture.samples == 3 and picture.photometric in _COLOURS)):
        raise ImageError(
            f"its pixels are {picture.photometric or 'of no stated kind'} with {picture.samples} samples, which is not read"
        )
    if picture.photometric.startswith("YBR") and picture.bits > 8:
        raise ImageError(f"its pixels are {picture.photometric} of {picture.bits} bits, which is not read")


def _check_length(stream: BinaryIO, picture: Picture) -> None:
    """Whether all bytes are there: some decoders make a picture of the half of them without a word."""
    syntax = UID(picture.syntax)
    if syntax == DeflatedExplicitVRLittleEndian:
        return  # its checks are those of the unpacking
    stream.seek(picture.pixels_at)
    order = "little" if syntax.is_little_endian else "big"
    head = stream.read(8 if syntax.is_implicit_VR else 12)
    if len(head) < 8:
        raise ImageError("has no pixels")
    length = int.from_bytes(head[-4:], order)  # type: ignore[arg-type]
    if length == _UNDEFINED:
        _check_fragments(stream)
        return
    there = os.fstat(stream.fileno()).st_size - stream.tell()
    if there < length:
        raise ImageError(f"truncated: {there} of {length} bytes of pixels are there")


def _check_fragments(stream: BinaryIO) -> None:
    size = os.fstat(stream.fileno()).st_size
    while True:
        head = stream.read(8)
        if head[:4] == _END and len(head) == 8:
            return
        length = int.from_bytes(head[4:], "little")
        if head[:4] != _ITEM or len(head) < 8 or stream.tell() + length > size:
            raise ImageError("truncated: the compressed pixels have no end")
        stream.seek(length, os.SEEK_CUR)
