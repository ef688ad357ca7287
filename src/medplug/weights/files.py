"""One door to weights files of every kind: what a file holds is decided by its first bytes."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from medplug.errors import WeightsError
from medplug.weights.keras_files import HDF5_MAGIC, read_keras
from medplug.weights.torch_files import ZIP_MAGIC, bfloat16_to_float32, read_torch, without_prefix

Layout = Literal["torch", "keras"]

UNDERSTOOD = "PyTorch's .pth and .pt (torch.save of a state dict), .safetensors, Keras' .h5 and .weights.h5"
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


@dataclass(frozen=True)
class WeightsFile:
    """The arrays of a weights file.

    Attributes:
        arrays: the values by name, as the file has them, but bfloat16 as float32.
        layout: ``"torch"``: names like ``features.conv0.weight``, convolutions ``[O, I, *S]``, linear layers
            ``[out, in]``; ``"keras"``: names like ``conv1_conv/kernel``, convolutions ``[*S, I, O]``, linear
            layers ``[in, out]``.
        path: where they come from, for messages.
    """

    arrays: dict[str, np.ndarray]
    layout: Layout
    path: Path


def read_weights(path: str | Path) -> WeightsFile:
    """Read a weights file of another framework, whatever its extension.

    No code of the file is run, no other file is opened, and the framework need not be installed (Keras' files
    need h5py).

    Raises:
        WeightsError: the file is missing, damaged, unsafe, or of a kind that is not understood.
    """
    path = Path(path).expanduser()
    head, size = _head(path)
    if head.startswith(HDF5_MAGIC):
        return WeightsFile(read_keras(path), "keras", path)
    if _is_safetensors(head, size):
        arrays = read_safetensors(path)
        layout = layout_of(arrays)
        return WeightsFile(without_prefix(arrays) if layout == "torch" else arrays, layout, path)
    if head.startswith(ZIP_MAGIC) and _is_keras_archive(path):
        raise WeightsError(f"{path}: a whole Keras model; save its weights with model.save_weights('x.weights.h5')")
    # Each pickle since protocol 2 begins so; whether it is one of PyTorch is for the reader to say.
    if head.startswith(ZIP_MAGIC) or (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        return WeightsFile(read_torch(path), "torch", path)
    raise WeightsError(f"{path}: not a weights file of a known format; understood are {UNDERSTOOD}")


def layout_of(names: dict[str, np.ndarray] | list[str]) -> Layout:
    """The layout that names tell: ``layer/variable`` is of Keras, ``module.parameter`` of PyTorch."""
    return "keras" if names and all("/" in name for name in names) else "torch"


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.safetensors`` file by name, sorted; bfloat16 becomes float32.

    Raises:
        WeightsError: the file is missing or damaged, or has numbers of a type that NumPy lacks.
    """
    from safetensors import SafetensorError, deserialize

    path = Path(path)
    try:
        entries = deserialize(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise WeightsError(f"{path}: damaged .safetensors file: {error}") from None
    ordered = sorted(entries, key=lambda item: item[0])  # the package hands them out in a random order
    return {name: _array(path, name, entry) for name, entry in ordered}


def _array(path: Path, name: str, entry: dict) -> np.ndarray:
    kind, shape, raw = entry["dtype"], tuple(entry["shape"]), entry["data"]
    if kind == "BF16":
        return bfloat16_to_float32(raw).reshape(shape)
    if kind not in _DTYPES:
        raise WeightsError(f"{path}: tensor {name!r} is of type {kind}; understood are BF16, {', '.join(_DTYPES)}")
    dtype = np.dtype(_DTYPES[kind])
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise WeightsError(f"{path}: damaged: tensor {name!r} has {len(raw)} bytes, wrong for its shape {shape}")
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _head(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            return file.read(16), path.stat().st_size
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from None


def _is_safetensors(head: bytes, size: int) -> bool:
    """A safetensors file is the length of its header (8 bytes), the header (JSON), the data."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8


def _is_keras_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "model.weights.h5" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False  # the reader of the archive says what is wrong with it
