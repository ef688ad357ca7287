"""Arrays in ``.npz`` and ``.npy`` files: what they hold, told by their headers, and their numbers, memory-mapped.

Nothing is unpickled. Arrays that an ``.npz`` file stores uncompressed are mapped where they lie; compressed ones are
unpacked once into a temporary file without a name, which the system removes.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import threading
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy

from medplug.plugins import DataError

_OPEN = 16  # arrays that stay mapped
_CHUNK = 1 << 26  # bytes of pixels looked at together
_LOCK = threading.Lock()
_MAPPED: OrderedDict[tuple[str, str, int, int], np.ndarray] = OrderedDict()


@dataclass(frozen=True)
class Stored:
    """One array in a file: ``key`` is its name in an ``.npz`` file, and empty for an ``.npy`` file."""

    path: str
    key: str
    dtype: np.dtype
    shape: tuple[int, ...]

    def read(self) -> np.ndarray:
        """The numbers, memory-mapped and read-only."""
        return mapped(self.path, self.key)


def stored_in(path: Path) -> dict[str, Stored]:
    """The arrays of an ``.npz`` file by name, or the one of an ``.npy`` file under the file's stem.

    Raises:
        DataError: no such file, or damaged.
    """
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as stream:
                return {path.stem: Stored(str(path), "", *_header(stream))}
        found = {}
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as stream:
                        found[name[:-4]] = Stored(str(path), name[:-4], *_header(stream))
        return found
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{path}: not a NumPy file that can be read: {error}") from None


def mapped(path: str, key: str) -> np.ndarray:
    """One array of a file, memory-mapped; the same map for all threads as long as the file does not change.

    Raises:
        DataError: damaged, Python objects, or no room to unpack.
        OSError: the file is not there.
    """
    status = os.stat(path)
    identity = (path, key, status.st_mtime_ns, status.st_size)
    with _LOCK:
        if identity not in _MAPPED:
            try:
                _MAPPED[identity] = _map(Path(path), key)
            except (ValueError, KeyError, EOFError, struct.error, zipfile.BadZipFile, NotImplementedError) as error:
                raise DataError(f"{path}: {key or 'the array'} cannot be read: {error}") from None
        _MAPPED.move_to_end(identity)
        while len(_MAPPED) > _OPEN:
            _MAPPED.popitem(last=False)
        return _MAPPED[identity]


def _header(stream: Any) -> tuple[np.dtype, tuple[int, ...]]:
    dtype, shape, _ = _read_header(stream)
    return dtype, shape


def _read_header(stream: Any) -> tuple[np.dtype, tuple[int, ...], Literal["C", "F"]]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return dtype, shape, "F" if fortran else "C"


def _map(path: Path, key: str) -> np.ndarray:
    if not key:
        with path.open("rb") as stream:
            return _map_from(stream, path)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{key}.npy")
        if info.compress_type == zipfile.ZIP_STORED:
            with path.open("rb") as stream:
                stream.seek(info.header_offset)
                names = struct.unpack("<HH", stream.read(30)[26:])  # lengths of the name and of further fields
                start = info.header_offset + 30 + sum(names)
                stream.seek(start)
                return _map_from(stream, path)
        with tempfile.TemporaryFile() as unpacked:
            try:
                with archive.open(info) as packed:
                    shutil.copyfileobj(packed, unpacked, 1 << 20)
                unpacked.flush()
            except OSError as error:
                raise DataError(
                    f"{path}: no room to unpack {key} ({info.file_size / 2**20:.0f} MiB) into {tempfile.gettempdir()} "
                    f"({error.strerror}); set TMPDIR, or save it with numpy.savez, which does not compress"
                ) from None
            unpacked.seek(0)
            return _map_from(unpacked, unpacked)


def _map_from(stream: Any, file: Any) -> np.ndarray:
    dtype, shape, order = _read_header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not loaded; save it as numbers or text")
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype, "r", stream.tell(), shape, order)


# ---------------------------------------------------------------- black and white


def span_of(arrays: list[np.ndarray]) -> tuple[tuple[float, float] | None, str]:
    """The values that stand for black and white in all of some arrays, and a note; None for uint8, which is right.

    Whole numbers have the smallest usual depth (8, 10, 12, 14, 16 bits) that holds the largest of them; floats within
    0..1 or 0..255 have that range.

    Raises:
        DataError: other values, or types that differ.
    """
    kinds = {array.dtype for array in arrays}
    if len(kinds) > 1:
        raise DataError(f"images of different types: {', '.join(sorted(map(str, kinds)))}; save them as one")
    [kind] = kinds
    if kind == np.uint8:
        return None, ""
    if kind.kind == "b":
        return (0.0, 1.0), ""
    if kind.kind not in "uif":
        raise DataError(f"images must be numbers, got {kind}")
    low, high = _extremes(arrays)
    if kind.kind != "f" and low >= 0 and high <= 65535:
        bits = next(bits for bits in (8, 10, 12, 14, 16) if high < 2**bits)
        return (0.0, 2.0**bits - 1), f"images are read as {bits}-bit data, their largest value being {high:g}"
    if kind.kind == "f" and low >= 0 and high <= 1:
        return (0.0, 1.0), ""
    if low >= 0 and high <= 255:
        return (0.0, 255.0), f"images are read as values from 0 to 255, their largest being {high:g}"
    raise DataError(
        f"images have values from {low:g} to {high:g}; say what is black and white: reader.value_range=[…, …]"
    )


def _extremes(arrays: list[np.ndarray]) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for array in arrays:
        step = max(1, _CHUNK // max(1, array[:1].nbytes))
        for start in range(0, len(array), step):
            part = array[start : start + step]
            known = part[np.isfinite(part)] if part.dtype.kind == "f" else part
            if known.size:
                low, high = min(low, float(known.min())), max(high, float(known.max()))
    if low > high:
        raise DataError("the images hold no finite number")
    return low, high


def within(image: np.ndarray, span: tuple[float, float] | None) -> np.ndarray:
    """An image as readers give it: uint8 where it holds 8 bits, else float32 from black, 0, to white, 1.

    What lies beyond ``span`` is black or white; NaN is black.
    """
    if span is None:
        return np.array(image)
    low, high = span
    if span == (0.0, 255.0) and image.dtype.kind in "ui":
        return np.clip(image, 0, 255).astype(np.uint8)
    values = np.nan_to_num(np.asarray(image, np.float32), nan=low)
    return np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
