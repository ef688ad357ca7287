"""Writes PyTorch's two file formats by hand, opcode by opcode, so that tests can write what torch.save never would."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

FORMATS = ("legacy", "zip")
MAGIC = 0x1950A86A20F9469CFC6C


class Raw(bytes):
    """Opcodes that leave one object on the stack."""


def opcodes(value: Any) -> bytes:
    """Protocol 2 opcodes that build a plain value."""
    match value:
        case Raw():
            return value
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            number = pickle.encode_long(value)
            return b"\x8a" + bytes([len(number)]) + number
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(opcodes, value)) + b"e"
        case dict():
            return b"}(" + b"".join(opcodes(k) + opcodes(v) for k, v in value.items()) + b"u"
    raise TypeError(type(value))


def pickled(value: Any) -> bytes:
    return b"\x80\x02" + opcodes(value) + b"."


def name(module: str, attribute: str) -> Raw:
    return Raw(f"c{module}\n{attribute}\n".encode())


def call(module: str, attribute: str, *arguments: Any) -> Raw:
    return Raw(name(module, attribute) + opcodes(arguments) + b"R")


def storage(kind: str = "FloatStorage", key: str = "0", count: Any = 6, view: Any = None) -> Raw:
    return Raw(opcodes(("storage", name("torch", kind), key, "cpu", count, view)) + b"Q")


def tensor(where: Raw, offset: Any, shape: Any, stride: Any) -> Raw:
    hooks = call("collections", "OrderedDict")
    return call("torch._utils", "_rebuild_tensor_v2", where, offset, shape, stride, False, hooks)


def legacy(saved: Any, storages: Mapping[str, tuple[int, bytes]], little_endian: Any = True) -> bytes:
    """``storages``: the count and the bytes by key."""
    system = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {"int": 4}}
    head = b"".join(map(pickled, (MAGIC, 1001, system, saved, list(storages))))
    return head + b"".join(struct.pack("<q", count) + raw for count, raw in storages.values())


def zipped(
    saved: Any,
    storages: Mapping[str, tuple[int, bytes]],
    little_endian: Any = True,
    method: int = zipfile.ZIP_STORED,
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("archive/data.pkl", pickled(saved))
        archive.writestr("archive/byteorder", "little" if little_endian else "big")
        for key, (_, raw) in storages.items():
            archive.writestr(f"archive/data/{key}", raw)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def forge(kind: str, saved: Any, storages: Mapping[str, tuple[int, bytes]], **options: Any) -> bytes:
    return {"legacy": legacy, "zip": zipped}[kind](saved, storages, **options)
