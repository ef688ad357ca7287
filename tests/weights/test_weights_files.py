"""The door to all formats: content decides, not the extension."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from torch_forge import FORMATS, forge, storage, tensor

from medplug.errors import WeightsError
from medplug.weights import WeightsFile, read_weights
from medplug.weights.files import layout_of

SIX = np.arange(6, dtype=np.float32)
EXTENSIONS = [".pth", ".h5", ".safetensors", ".bin"]


def safetensors(**tensors: tuple[str, list[int], bytes]) -> bytes:
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("kind", FORMATS)
def test_pytorch(tmp_path: Path, extension: str, kind: str) -> None:
    path = tmp_path / f"x{extension}"
    path.write_bytes(forge(kind, {"fc.weight": tensor(storage(), 0, (2, 3), (3, 1))}, {"0": (6, SIX.tobytes())}))
    weights = read_weights(path)
    assert isinstance(weights, WeightsFile)
    assert (weights.layout, weights.path) == ("torch", path)
    np.testing.assert_array_equal(weights.arrays["fc.weight"], SIX.reshape(2, 3))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_keras(tmp_path: Path, extension: str) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / f"x{extension}"
    with h5py.File(path, "w") as file:
        file.create_group("layers/dense/vars").attrs["name"] = "head"
        file["layers/dense/vars/0"] = SIX.reshape(2, 3)
    weights = read_weights(str(path))
    assert weights.layout == "keras"
    np.testing.assert_array_equal(weights.arrays["head/kernel"], SIX.reshape(2, 3))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_safetensors(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"x{extension}"
    brain = (np.array([1.0, -2.5], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    path.write_bytes(
        safetensors(
            **{
                "module.a.weight": ("F32", [2, 3], SIX.tobytes()),
                "module.b": ("BF16", [2, 1], brain),
                "module.count": ("I64", [], np.int64(7).tobytes()),
                "module.flag": ("BOOL", [2], b"\0\1"),
            }
        )
    )
    weights = read_weights(path)
    assert weights.layout == "torch"
    assert list(weights.arrays) == ["a.weight", "b", "count", "flag"]
    np.testing.assert_array_equal(weights.arrays["a.weight"], SIX.reshape(2, 3))
    np.testing.assert_array_equal(weights.arrays["b"], np.array([[1.0], [-2.5]], np.float32))
    assert weights.arrays["count"].shape == ()
    assert weights.arrays["count"] == 7
    assert weights.arrays["flag"].tolist() == [False, True]


def test_safetensors_whose_length_looks_like_a_pickle(tmp_path: Path) -> None:
    body = safetensors(w=("F32", [6], SIX.tobytes()))
    text = body[8 : body.index(b"}}") + 2].ljust(0x280)  # 0x0280 little-endian is 80 02, a pickle's first bytes
    path = tmp_path / "x.pth"
    path.write_bytes(struct.pack("<Q", len(text)) + text + SIX.tobytes())
    assert path.read_bytes()[:2] == b"\x80\x02"
    np.testing.assert_array_equal(read_weights(path).arrays["w"], SIX)


def test_written_by_the_package_itself(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    arrays = {"stem/kernel": SIX.reshape(1, 6), "head/bias": np.arange(3, dtype=np.float16)}
    save_file(arrays, tmp_path / "w.safetensors")
    weights = read_weights(tmp_path / "w.safetensors")
    assert weights.layout == "keras"
    for name, values in arrays.items():
        np.testing.assert_array_equal(weights.arrays[name], values)


def test_layout_of() -> None:
    assert layout_of(["features.conv0.weight", "classifier.bias"]) == "torch"
    assert layout_of(["conv1/conv/kernel", "bn/gamma"]) == "keras"
    assert layout_of([]) == "torch"


def test_damaged_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(w=("F32", [6], SIX.tobytes()))[:-1])
    with pytest.raises(WeightsError, match=r"x\.safetensors: damaged \.safetensors file"):
        read_weights(path)
    path.write_bytes(safetensors(w=("F32", [7], SIX.tobytes())))
    with pytest.raises(WeightsError, match=r"x\.safetensors: damaged"):
        read_weights(path)
    path.write_bytes(safetensors(w=("F8_E5M2", [2], b"ab")))
    with pytest.raises(WeightsError, match=r"'w' is of type F8_E5M2; understood are BF16, F64"):
        read_weights(path)


@pytest.mark.parametrize("data", [b"", b"hello, world, this is text", b"\x80\x01.", bytes(100), b"{" * 40])
def test_unknown_content(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"x\.pth: not a weights file.*\.safetensors, Keras' \.h5 and \.weights\.h5"):
        read_weights(path)


def test_other_pickles_and_archives(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(pickle.dumps({"w": [1.0, 2.0]}, protocol=4))
    with pytest.raises(WeightsError, match=r"not one of torch\.save"):
        read_weights(path)
    np.savez(tmp_path / "x.npz", a=SIX)
    with pytest.raises(WeightsError, match=r"without a single data\.pkl"):
        read_weights(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(WeightsError, match="a whole Keras model; save its weights"):
        read_weights(tmp_path / "x.keras")
    path.write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(WeightsError, match="damaged or truncated zip"):
        read_weights(path)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        read_weights(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="Is a directory"):
        read_weights(tmp_path)
