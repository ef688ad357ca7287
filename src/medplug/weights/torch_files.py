"""PyTorch's files without PyTorch: state dicts as ``torch.save`` writes them, before and after version 1.6."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from pathlib import Path

import numpy as np

from medplug.errors import WeightsError
from medplug.weights.torch_pickle import RefusedError, Storage, TensorRecord, load_pickle, state_dict

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
MAX_GROWTH = 4  # tensors may share storages, but not so as to make a small file fill the memory


def read_torch(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch file by name, in PyTorch's layout and order.

    Both formats are read: one zip archive (since 1.6), and pickles in a row (before). Shapes are kept, 0-d
    included; dtypes too, but bfloat16 becomes float32. A state dict under ``state_dict`` or ``model`` is
    unwrapped, a ``module.`` in front of all names is dropped. The file cannot run code: it is read by an
    unpickler that admits nothing but tensors.

    Raises:
        WeightsError: the file is missing, damaged or truncated, was written on a big-endian machine, holds
            anything but tensors, or tensors that reach outside the stored bytes.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        arrays = _read_zip(data) if data.startswith(ZIP_MAGIC) else _read_legacy(data)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except RefusedError as error:
        raise WeightsError(f"{path}: not usable as PyTorch weights: {error}") from None
    return without_prefix(arrays)


def without_prefix(arrays: dict[str, np.ndarray], prefix: str = "module.") -> dict[str, np.ndarray]:
    """The arrays without the prefix that ``DataParallel`` puts in front, if all names have it."""
    if not all(name.startswith(prefix) for name in arrays):
        return arrays
    return {name.removeprefix(prefix): array for name, array in arrays.items()}


# ---------------------------------------------------------------- the two formats


def _read_legacy(data: bytes) -> dict[str, np.ndarray]:
    stream = io.BytesIO(data)
    if load_pickle(stream)[0] != LEGACY_MAGIC:
        raise RefusedError("a pickle, but not one of torch.save")
    version = load_pickle(stream)[0]
    if version != LEGACY_VERSION:
        raise RefusedError("an unknown version of PyTorch's legacy format")
    system = load_pickle(stream)[0]
    if not isinstance(system, dict) or dict.get(system, "little_endian") is not True:
        raise RefusedError("written on a big-endian machine, which is not understood")
    saved, storages = load_pickle(stream)
    tensors = state_dict(saved)
    keys = load_pickle(stream)[0]
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise RefusedError("the list of storages is damaged")
    if len(keys) != len(storages) or set(keys) != set(storages):
        raise RefusedError("the list of storages does not match the tensors")
    flats = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little", signed=True)
        if count != storages[key].length:
            raise RefusedError(f"storage {key!r} has {count} values where {storages[key].length} were announced")
        flats[key] = _flat(storages[key], stream.read(min(_bytes(storages[key]), len(data))))
    if stream.read(1):
        raise RefusedError("bytes follow after the last storage")
    return _arrays(tensors, flats, len(data))


def _read_zip(data: bytes) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_archive(archive, len(data))
    # zipfile answers forged archives with these: not a zip, cut short, encrypted, unknown method, bad lengths
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, OverflowError, OSError, struct.error) as error:
        raise RefusedError(f"damaged or truncated zip archive: {error}") from None


def _read_archive(archive: zipfile.ZipFile, file_size: int) -> dict[str, np.ndarray]:
    entries = {info.filename: info for info in archive.infolist()}
    if any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()):
        raise RefusedError(
            "a compressed zip archive; torch.save writes none (TorchScript does: save model.state_dict() instead)"
        )
    if sum(info.file_size for info in entries.values()) > file_size:
        raise RefusedError("the zip archive announces more bytes than the file has")
    pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise RefusedError("a zip archive without a single data.pkl, so not one of torch.save")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
        raise RefusedError("written on a big-endian machine, which is not understood")
    saved, storages = load_pickle(io.BytesIO(archive.read(pickles[0])))
    tensors = state_dict(saved)
    flats = {}
    for key, storage in storages.items():
        if f"{root}data/{key}" not in entries:
            raise RefusedError(f"storage {key!r} is missing from the archive")
        flats[key] = _flat(storage, archive.read(f"{root}data/{key}"))
    return _arrays(tensors, flats, file_size)


# ---------------------------------------------------------------- bytes to arrays


def _bytes(storage: Storage) -> int:
    return storage.length * (2 if storage.type.dtype == "bfloat16" else np.dtype(storage.type.dtype).itemsize)


def _flat(storage: Storage, raw: bytes) -> np.ndarray:
    """``[count]``: the values of a storage in the machine's byte order."""
    if _bytes(storage) != len(raw):
        raise RefusedError(
            f"storage {storage.key!r} has {len(raw)} bytes, but {storage.length} values of {storage.type.name} "
            f"are {_bytes(storage)}"
        )
    if storage.type.dtype == "bfloat16":
        return bfloat16_to_float32(raw)
    if storage.type.dtype == "bool":
        return np.frombuffer(raw, np.uint8) != 0
    values = np.frombuffer(raw, storage.type.dtype)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def bfloat16_to_float32(raw: bytes | bytearray) -> np.ndarray:
    """``[n]`` float32 from ``2n`` bytes: a bfloat16 is the upper half of a float32."""
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)


def _arrays(tensors: dict[str, TensorRecord], flats: dict[str, np.ndarray], file_size: int) -> dict[str, np.ndarray]:
    total = sum(math.prod(t.shape) * flats[t.storage.key].itemsize for t in tensors.values())
    if total > MAX_GROWTH * file_size:
        raise RefusedError(f"the tensors need {total} bytes, more than {MAX_GROWTH} times the file")
    return {name: _array(name, record, flats[record.storage.key]) for name, record in tensors.items()}


def _array(name: str, record: TensorRecord, flat: np.ndarray) -> np.ndarray:
    size = math.prod(record.shape)
    steps = [0 if n <= 1 else step for n, step in zip(record.shape, record.stride, strict=True)]
    last = record.offset + sum((n - 1) * step for n, step in zip(record.shape, steps, strict=True) if n)
    if size > flat.size or (last >= flat.size if size else record.offset > flat.size):
        raise RefusedError(
            f"tensor {name!r} reaches outside its storage of {flat.size} values: "
            f"offset {record.offset}, shape {record.shape}, strides {record.stride}"
        )
    if not size:
        return _empty(name, record.shape, flat.dtype)
    strides = [step * flat.itemsize for step in steps]
    view = np.lib.stride_tricks.as_strided(flat[record.offset :], record.shape, strides, writeable=False)
    return np.array(view, order="C")  # not ascontiguousarray, which makes a 0-d array 1-d


def _empty(name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    try:
        return np.empty(shape, dtype)
    except (ValueError, OverflowError):
        raise RefusedError(f"tensor {name!r} has impossible sizes {shape}") from None
