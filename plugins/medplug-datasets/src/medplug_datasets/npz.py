"""Arrays in ``.npz`` files, mapped into memory instead of read: a file may hold more than the memory does."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medplug.plugins import DataError, progress_bar
from medplug_datasets.files import some

_CHUNK = 1 << 22
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, length of the name, length of the extra field


@dataclass(frozen=True)
class Member:
    """One array of a file, as its headers describe it.

    Attributes:
        name: without ``.npy``.
        shape, dtype: of the array.
        crc: CRC-32 of its bytes: what tells one version of a file from another.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    crc: int


def members(path: Path) -> dict[str, Member]:
    """The arrays of an ``.npz`` file by name; only headers are read.

    Raises:
        DataError: the file is not there, damaged, no ``.npz``, or holds Python objects.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    name = info.filename.removesuffix(".npy")
                    with archive.open(info) as stream:
                        shape, dtype = _header(stream)
                    if dtype.hasobject:
                        raise DataError(f"{path}: {name} holds Python objects, which are not read")
                    found[name] = Member(name, shape, dtype, info.CRC)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise DataError(f"{path}: not an .npz file, or a damaged one: {error}") from None
    return found


def _header(stream: object) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)  # type: ignore[arg-type]
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)  # type: ignore[arg-type]
    return shape, dtype


def read(path: Path, name: str) -> np.ndarray:
    """A small array, as it is.

    Raises:
        DataError: it is not there, or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[name]
    except KeyError:
        raise DataError(f"{path}: no array {name!r}; there are {some(sorted(members(path)))}") from None
    except (OSError, ValueError, zipfile.BadZipFile, zipfile.error) as error:
        raise DataError(f"{path}: {name} cannot be read: {error}") from None


_mapped: dict[tuple[Path, str, int], np.ndarray] = {}
_opening = threading.Lock()


def mapped(path: Path, name: str, crc: int, cache: Path) -> np.ndarray:
    """An array, mapped read-only; the same object on each call.

    An array that is stored without compression is mapped where it lies. A compressed one is unpacked once into
    ``cache``, checked by its CRC, and mapped from there. Threads may call at once.

    Raises:
        DataError: the file is not there, damaged, or has changed since ``crc`` was read; the disk is full.
    """
    key = (path, name, crc)
    if key not in _mapped:
        with _opening:
            if key not in _mapped:
                _mapped[key] = _map(path, name, crc, cache)
    return _mapped[key]


def _map(path: Path, name: str, crc: int, cache: Path) -> np.ndarray:
    unpacked = cache / f"{path.stem}-{name}-{crc:08x}.npy"
    try:
        if unpacked.is_file():
            return np.load(unpacked, mmap_mode="r", allow_pickle=False)
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(f"{name}.npy")
            if crc != info.CRC:
                raise DataError(f"{path} has changed since its labels were read; start again")
            if info.compress_type == zipfile.ZIP_STORED:
                return _in_place(path, info)
            _unpack(archive, info, unpacked)
        return np.load(unpacked, mmap_mode="r", allow_pickle=False)
    except KeyError:
        raise DataError(f"{path}: no array {name!r}") from None
    except OSError as error:
        raise DataError(f"{path}: {name} cannot be unpacked into {cache}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise DataError(f"{path}: {name} is damaged: {error}; remove the file to download it anew") from None


def _in_place(path: Path, info: zipfile.ZipInfo) -> np.ndarray:
    """Map an array that is stored as it is: behind the entry's local header and the array's own."""
    with path.open("rb") as stream:
        stream.seek(info.header_offset)
        signature, name, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
        if signature != b"PK\x03\x04":
            raise zipfile.BadZipFile("no entry where the directory says")
        stream.seek(name + extra, os.SEEK_CUR)
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        offset = stream.tell()
    return np.memmap(path, dtype, mode="r", offset=offset, shape=shape, order="F" if fortran else "C")


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if info.file_size > free:
        raise DataError(
            f"{archive.filename}: {info.filename} needs {info.file_size / 2**20:,.0f} MiB, but {target.parent} has room for "
            f"{free / 2**20:,.0f} MiB; choose another folder with MEDPLUG_CACHE"
        )
    handle, part = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with (
            os.fdopen(handle, "wb") as file,
            archive.open(info) as stream,
            progress_bar(f"unpacking {info.filename}") as report,
        ):
            done = 0
            while chunk := stream.read(_CHUNK):  # the last one raises where the CRC is wrong
                file.write(chunk)
                done += len(chunk)
                report(done, info.file_size)
        os.replace(part, target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
