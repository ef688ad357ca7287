"""Hostile and damaged PyTorch files, in both formats: refused with the file's name and a reason."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from torch_forge import FORMATS, Raw, call, forge, legacy, name, opcodes, pickled, storage, tensor, zipped

from medplug.errors import WeightsError
from medplug.weights.torch_files import read_torch

SIX = np.arange(6, dtype=np.float32)
ONE = {"0": (6, SIX.tobytes())}
GOOD = {"w": tensor(storage(), 0, (2, 3), (3, 1)), "b": tensor(storage(), 3, (3,), (1,))}
both_formats = pytest.mark.parametrize("kind", FORMATS)


def refuse(path: Path, data: bytes, reason: str) -> None:
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=reason) as caught:
        read_torch(path)
    assert str(path) in str(caught.value)


@both_formats
@pytest.mark.parametrize("caller", [("os", "system"), ("posix", "system"), ("subprocess", "getoutput")])
def test_commands_do_not_run(kind: str, caller: tuple[str, str], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    attack = call(*caller, f"touch '{marker}'")
    refuse(tmp_path / "evil.pth", forge(kind, {"w": attack}, {}), f"refers to {caller[0]}.{caller[1]}")
    assert not marker.exists()
    pickle.loads(pickled(attack))  # the attack is a real one: an ordinary reader runs it
    assert marker.exists()


STACK_GLOBAL = Raw(opcodes("os") + opcodes("system") + b"\x93")
ARRAY = call("numpy._core.multiarray", "_reconstruct", name("numpy", "ndarray"), (0,), "b")
NAMES = {
    "eval": (call("builtins", "eval", "1"), r"builtins\.eval"),
    "old eval": (call("__builtin__", "eval", "1"), r"__builtin__\.eval"),
    "getattr": (call("builtins", "getattr", {}, "keys"), r"builtins\.getattr"),
    "stack global": (STACK_GLOBAL, r"refers to os\.system"),
    "numpy array": (ARRAY, r"numpy\._core\.multiarray\._reconstruct"),
    "numpy scalar": (call("numpy.core.multiarray", "scalar", 1), r"numpy\.core\.multiarray\.scalar"),
    "a path below an admitted name": (name("collections", "OrderedDict.fromkeys"), r"OrderedDict\.fromkeys"),
    "newer tensors": (call("torch._utils", "_rebuild_tensor_v3"), "_rebuild_tensor_v3"),
    "a module": (name("torch.nn.modules.linear", "Linear"), "state_dict"),
    "object by NEWOBJ": (Raw(name("collections", "OrderedDict") + b")\x81"), "NEWOBJ"),
    "object by INST": (Raw(b"(icollections\nOrderedDict\n"), "INST"),
    "extension registry": (Raw(b"\x82\x01"), "EXT1"),
    "huge memo": (Raw(b"Nr" + struct.pack("<I", 2**32 - 1)), "memo index"),
    "alters an admitted name": (
        Raw(name("torch._utils", "_rebuild_tensor_v2") + opcodes((None, {"__doc__": "x"})) + b"b"),
        "damaged pickle: AttributeError",
    ),
    "alters a storage type": (
        Raw(name("torch", "FloatStorage") + opcodes((None, {"dtype": "x"})) + b"b"),
        "damaged pickle: AttributeError",
    ),
    "alters a class": (Raw(name("collections", "OrderedDict") + opcodes({"items": 1}) + b"b"), "damaged pickle"),
    "calls a storage": (call("torch", "FloatStorage", 3), "damaged pickle: TypeError"),
    "reference to elsewhere": (Raw(opcodes(("module", "x")) + b"Q"), "not to a storage"),
    "storage of no type": (Raw(opcodes(("storage", "f4", "0", "cpu", 6)) + b"Q"), "something else than a type"),
    "storage of negative count": (storage(count=-1), "something else than a type"),
    "storage as view": (storage(view=("1", 0, 3)), "view of another"),
    "unhashable name": (Raw(b"}" + opcodes([]) + b"Ns"), "damaged pickle: TypeError"),
}


@both_formats
@pytest.mark.parametrize("case", NAMES)
def test_only_tensors_are_admitted(kind: str, case: str, tmp_path: Path) -> None:
    value, reason = NAMES[case]
    refuse(tmp_path / "evil.pth", forge(kind, {**GOOD, "x": value}, ONE), reason)
    path = tmp_path / "good.pth"  # and the evil file left nothing behind
    path.write_bytes(forge(kind, GOOD, ONE))
    np.testing.assert_array_equal(read_torch(path)["w"], SIX.reshape(2, 3))


SHAPES = {
    "offset behind the end": ((6, (1,), (1,)), "outside its storage of 6"),
    "shape beyond the end": ((1, (2, 3), (3, 1)), "outside its storage"),
    "stride beyond the end": ((0, (2, 3), (4, 1)), "outside its storage"),
    "stride far away": ((0, (2,), (1 << 61,)), "outside its storage"),
    "stride that wraps around": ((0, (3,), (1 << 63,)), "outside its storage"),
    "empty behind the end": ((7, (0,), (1,)), "outside its storage"),
    "one value repeated": ((0, (10**12,), (0,)), "more than 4 times|outside its storage"),
    "more values than stored": ((0, (7,), (0,)), "outside its storage"),
    "empty of impossible sizes": ((0, (0, 1 << 70), (1, 1)), "impossible sizes"),
    "negative offset": ((-1, (1,), (1,)), "none of them negative"),
    "negative size": ((0, (-1,), (1,)), "none of them negative"),
    "negative stride": ((5, (6,), (-1,)), "none of them negative"),
    "fraction": ((0, (1.5,), (1,)), "whole numbers"),
    "bool": ((True, (1,), (1,)), "whole numbers"),
    "list": ((0, [6], (1,)), "whole numbers"),
    "fewer strides than sizes": ((0, (2, 3), (1,)), "2 sizes and 1 strides"),
    "too many axes": ((0, (1,) * 65, (1,) * 65), "65 sizes"),
}


@both_formats
@pytest.mark.parametrize("case", SHAPES)
def test_bounds(kind: str, case: str, tmp_path: Path) -> None:
    (offset, shape, stride), reason = SHAPES[case]
    refuse(tmp_path / "evil.pth", forge(kind, {"w": tensor(storage(), offset, shape, stride)}, ONE), reason)


@both_formats
def test_what_is_saved_must_be_a_state_dict(kind: str, tmp_path: Path) -> None:
    for saved, reason in (
        ([1, 2], "holds a list"),
        (GOOD["w"], "holds a TensorRecord"),
        ({**GOOD, "epoch": 3}, "entry 'epoch' is a int"),
        ({3: GOOD["w"]}, "names an entry by a int"),
        ({"state_dict": {"w": "text"}}, "entry 'w' is a str"),
        ({"w": call("torch._utils", "_rebuild_parameter", 3)}, "parameter holds something"),
        ({"w": tensor(Raw(opcodes("0")), 0, (1,), (1,))}, "something that is no storage"),
    ):
        refuse(tmp_path / "x.pth", forge(kind, saved, ONE), reason)


@both_formats
@pytest.mark.parametrize("raw", [SIX.tobytes()[:-1], SIX.tobytes() + b"\0", b""])
def test_wrong_sizes_of_storages(kind: str, raw: bytes, tmp_path: Path) -> None:
    refuse(tmp_path / "x.pth", forge(kind, GOOD, {"0": (6, raw)}), r"has \d+ bytes, but 6|bytes follow")


@both_formats
def test_oversize_claims(kind: str, tmp_path: Path) -> None:
    huge = {"w": tensor(storage(count=1 << 62), 0, (1 << 62,), (1,))}
    refuse(tmp_path / "x.pth", forge(kind, huge, {"0": (1 << 62, SIX.tobytes())}), "has 24 bytes, but")
    raw = bytes(4000)
    shared = {f"w{i}": tensor(storage(count=1000), 0, (1000,), (1,)) for i in range(100)}
    refuse(tmp_path / "x.pth", forge(kind, shared, {"0": (1000, raw)}), "more than 4 times the file")


@both_formats
def test_one_storage_in_two_ways(kind: str, tmp_path: Path) -> None:
    saved = {**GOOD, "x": tensor(storage("IntStorage"), 0, (1,), (1,))}
    refuse(tmp_path / "x.pth", forge(kind, saved, ONE), "in two ways")


@both_formats
def test_big_endian(kind: str, tmp_path: Path) -> None:
    refuse(tmp_path / "x.pth", forge(kind, GOOD, ONE, little_endian=False), "big-endian")


@both_formats
def test_storages_that_do_not_match(kind: str, tmp_path: Path) -> None:
    refuse(tmp_path / "x.pth", forge(kind, GOOD, {}), "missing|does not match")
    refuse(tmp_path / "x.pth", forge(kind, GOOD, {"1": ONE["0"]}), "missing|does not match")


@both_formats
def test_every_truncation(kind: str, tmp_path: Path) -> None:
    whole = forge(kind, GOOD, ONE)
    for length in range(len(whole)):
        refuse(tmp_path / "x.pth", whole[:length], "not usable as PyTorch weights")


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # pickletools on damaged text
@both_formats
def test_random_damage_is_an_error_or_harmless(kind: str, tmp_path: Path) -> None:
    whole, rng, refused = forge(kind, GOOD, ONE), np.random.default_rng(0), 0
    path = tmp_path / "x.pth"
    for _ in range(500):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            arrays = read_torch(path)
        except WeightsError:
            refused += 1
        else:
            assert all(isinstance(a, np.ndarray) and a.size <= 2 * len(whole) for a in arrays.values())
    assert refused > 150


def test_legacy_framing(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    refuse(path, pickled({"a": 1}), "not one of torch.save")
    refuse(path, pickled(0x1950A86A20F9469CFC6C) + pickled(1002), "unknown version")
    refuse(path, legacy(GOOD, {"0": (5, SIX.tobytes())}), "5 values where 6 were announced")
    refuse(path, legacy(GOOD, {"0": (-6, SIX.tobytes())}), "-6 values")
    refuse(path, legacy(GOOD, ONE, little_endian=1), "big-endian")
    refuse(path, legacy(GOOD, ONE).replace(pickled(["0"]), pickled("0")), "list of storages is damaged")


def test_zip_framing(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    refuse(path, zipped(GOOD, ONE, method=zipfile.ZIP_DEFLATED), "compressed")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled(GOOD))
        archive.writestr("b/data.pkl", pickled(GOOD))
    refuse(path, path.read_bytes(), r"without a single data\.pkl")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refuse(path, path.read_bytes(), r"without a single data\.pkl")


def test_zip_that_announces_more_than_it_has(tmp_path: Path) -> None:
    whole = zipped(GOOD, ONE)
    # in the central directory the sizes of an entry stand 22 bytes before the entry's name
    place = whole.rindex(b"archive/data/0") - 26
    assert whole[place : place + 8] == struct.pack("<II", 24, 24)
    forged = whole[:place] + struct.pack("<II", 1 << 31, 1 << 31) + whole[place + 8 :]
    refuse(tmp_path / "x.pth", forged, "announces more bytes")


def test_message_names_file_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    refuse(path, legacy({"x": name("my.models", "Net")}, {}), re.escape("save model.state_dict() alone"))
