"""Pickles written by PyTorch, read so that nothing but tensors can come out of them.

Three fences stand one behind the other: only the opcodes that state dicts need, only the names of the table
below, and only objects without attributes behind these names, so that a file cannot alter them either.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import OrderedDict
from typing import Any, NamedTuple

MAX_AXES = 32

_OPCODE_NAMES = """
PROTO FRAME STOP MARK MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET NONE NEWTRUE NEWFALSE
BININT BININT1 BININT2 LONG1 BINFLOAT SHORT_BINSTRING BINSTRING SHORT_BINUNICODE BINUNICODE
EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS
GLOBAL STACK_GLOBAL REDUCE BUILD BINPERSID
"""
_OPCODES = frozenset(_OPCODE_NAMES.split())


class RefusedError(Exception):
    """The file is damaged or holds something else than tensors; the message completes "PATH: ..."."""


class StorageType(NamedTuple):
    """A class of PyTorch's typed storages: its name and the NumPy dtype of the stored bytes."""

    name: str
    dtype: str


class Storage(NamedTuple):
    """A flat run of numbers that tensors look into: the key of its bytes, their type, how many numbers."""

    key: str
    type: StorageType
    length: int


class TensorRecord(NamedTuple):
    """A tensor before its bytes are read; all counts are in elements, not in bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _RebuildTensor:
    """Stands for ``torch._utils._rebuild_tensor`` and ``_rebuild_tensor_v2``."""

    __slots__ = ()

    def __call__(self, storage: object, offset: object, shape: object, stride: object, *_: object) -> TensorRecord:
        if not isinstance(storage, Storage):
            raise RefusedError("a tensor refers to something that is no storage")
        if not (_is_count(offset) and _is_counts(shape) and _is_counts(stride)):
            raise RefusedError("a tensor's offset, sizes and strides must be whole numbers, none of them negative")
        sizes, steps = _counts(shape), _counts(stride)
        if len(sizes) != len(steps) or len(sizes) > MAX_AXES:
            raise RefusedError(f"a tensor has {len(sizes)} sizes and {len(steps)} strides (at most {MAX_AXES})")
        return TensorRecord(storage, _counts((offset,))[0], sizes, steps)


class _RebuildParameter:
    """Stands for ``torch._utils._rebuild_parameter``: a parameter is its tensor."""

    __slots__ = ()

    def __call__(self, data: object, *_: object) -> TensorRecord:
        if not isinstance(data, TensorRecord):
            raise RefusedError("a parameter holds something that is no tensor")
        return data


_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "bool",
}
_ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _RebuildTensor(),  # files from before PyTorch 0.4
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
    **{("torch", name): StorageType(name, dtype) for name, dtype in _STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str, /) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise RefusedError(
                f"refers to {module}.{name}, which is not part of a state dict of tensors and is not loaded "
                "(save model.state_dict() alone)"
            ) from None

    def persistent_load(self, pid: Any, /) -> Storage:
        if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"):
            raise RefusedError("holds a reference that is not to a storage")
        _, kind, key, _, count = pid[:5]
        if not (isinstance(kind, StorageType) and isinstance(key, str) and _is_count(count)):
            raise RefusedError("describes a storage by something else than a type, a key and a count")
        if pid[5:] not in ((), (None,)):
            raise RefusedError("describes a storage as a view of another one, which is not understood")
        storage = Storage(key, kind, count)
        if self.storages.setdefault(key, storage) != storage:
            raise RefusedError(f"describes storage {key!r} in two ways")
        return storage


def load_pickle(stream: io.BytesIO) -> tuple[object, dict[str, Storage]]:
    """The next pickle of a stream, which is left behind its end: the object, and the storages by key.

    Objects are None, bool, int, float, str, tuple, list, dict, :class:`TensorRecord` and what the table admits.

    Raises:
        RefusedError: the pickle is damaged, or holds anything else.
    """
    unpickler = _Unpickler(_checked(stream))
    try:
        return unpickler.load(), unpickler.storages
    except RefusedError:
        raise
    except Exception as error:  # a forged pickle can make the unpickler raise anything
        raise RefusedError(f"damaged pickle: {type(error).__name__}: {error}") from None


def state_dict(obj: object) -> dict[str, TensorRecord]:
    """The tensors of what was saved: a state dict, or a checkpoint that has it under ``state_dict`` or ``model``."""
    for wrapper in ("state_dict", "model"):
        if isinstance(obj, dict) and isinstance(dict.get(obj, wrapper), dict):
            obj = dict.get(obj, wrapper)
    if not isinstance(obj, dict):
        raise RefusedError(f"holds a {type(obj).__name__} and not a state dict")
    tensors: dict[str, TensorRecord] = {}
    # dict.items, since a file may have given the object an attribute of that name
    for name, value in dict.items(obj):
        if not isinstance(name, str):
            raise RefusedError(f"names an entry by a {type(name).__name__}")
        if not isinstance(value, TensorRecord):
            raise RefusedError(f"entry {name!r} is a {type(value).__name__} and not a tensor")
        tensors[name] = value
    return tensors


def _checked(stream: io.BytesIO) -> bytes:
    """The bytes of the next pickle, after a look at each opcode."""
    start = stream.tell()
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if opcode.name not in _OPCODES:
                raise RefusedError(
                    f"uses the pickle instruction {opcode.name}, which no state dict of tensors needs "
                    "(save model.state_dict() alone)"
                )
            # The unpickler allocates a table up to this index; an honest one counts up from zero.
            if opcode.name == "LONG_BINPUT" and (argument is None or argument > number):
                raise RefusedError("damaged pickle: a memo index that was never reached")
    except (ValueError, IndexError, OverflowError) as error:
        raise RefusedError(f"damaged or truncated pickle: {error}") from None
    stop = stream.tell()
    return stream.getbuffer()[start:stop].tobytes()


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_counts(values: object) -> bool:
    return isinstance(values, tuple) and all(map(_is_count, values))


def _counts(values: Any) -> tuple[int, ...]:
    return tuple(values)
