"""Keras' two layouts, written with h5py alone, and once by Keras itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medplug.errors import WeightsError
from medplug.weights.keras_files import read_keras

h5py = pytest.importorskip("h5py")


def numbers(*shape: int, start: int = 0) -> np.ndarray:
    return np.arange(start, start + np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)


def legacy(root: Any, layers: dict[str, dict[str, np.ndarray]]) -> None:
    root.attrs["layer_names"] = [name.encode() for name in layers]
    for layer, weights in layers.items():
        group = root.create_group(layer)
        group.attrs["weight_names"] = [name.encode() for name in weights]
        for name, values in weights.items():
            group[name] = values


def numbered(file: Any, place: str, name: str | None, *variables: np.ndarray) -> None:
    group = file.create_group(f"{place}/vars")
    if name is not None:
        group.attrs["name"] = name
    for number, values in enumerate(variables):
        group[str(number)] = values


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.h5"


# The names of Keras 3, of tf.keras (layers with a slash among them), of a renumbered scope, of a nested model.
LEGACY = {
    "stem": {"stem/kernel": numbers(3, 3, 1, 2), "stem/bias": numbers(2)},
    "conv1/bn": {f"conv1/bn/{v}:0": numbers(2, start=i) for i, v in enumerate(("gamma", "beta", "moving_mean"))},
    "head": {"head_1_1/kernel:0": numbers(2, 3)},
    "flat": {},
    "inner": {"inner/a/kernel": numbers(1, 2), "inner/b/kernel": numbers(1, 3)},
    "old_inner": {"c/kernel:0": numbers(1, 4), "d/kernel:0": numbers(1, 5)},
}
READ = {
    "stem/kernel": (3, 3, 1, 2),
    "stem/bias": (2,),
    "conv1/bn/gamma": (2,),
    "conv1/bn/beta": (2,),
    "conv1/bn/moving_mean": (2,),
    "head/kernel": (2, 3),
    "a/kernel": (1, 2),
    "b/kernel": (1, 3),
    "c/kernel": (1, 4),
    "d/kernel": (1, 5),
}


@pytest.mark.parametrize("nested", [False, True], ids=["weights", "whole model"])
def test_legacy(path: Path, nested: bool) -> None:
    with h5py.File(path, "w") as file:
        legacy(file.create_group("model_weights") if nested else file, LEGACY)
    arrays = read_keras(path)
    assert {name: array.shape for name, array in arrays.items()} == READ
    np.testing.assert_array_equal(arrays["stem/kernel"], numbers(3, 3, 1, 2))
    assert arrays["conv1/bn/moving_mean"].tolist() == [2, 3]
    assert arrays["stem/kernel"].dtype == np.float32


def test_legacy_with_split_attributes(path: Path) -> None:
    with h5py.File(path, "w") as file:
        legacy(file, {name: {f"{name}/bias": numbers(1, start=i)} for i, name in enumerate("abc")})
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"a", b"b"], [b"c"]
    assert [float(v[0]) for v in read_keras(path).values()] == [0, 1, 2]


def test_numbered_layers_go_by_their_names(path: Path) -> None:
    with h5py.File(path, "w") as file:
        numbered(file, "", "model")
        # the running number says nothing, and the alphabet puts 10 before 2
        numbered(file, "layers/conv2d_2", "first", numbers(1, 1, 1, 2))
        numbered(file, "layers/conv2d_10", "second", numbers(1, 1, 2, 2), numbers(2))
        numbered(file, "layers/batch_normalization", "bn", *(numbers(2, start=i) for i in range(4)))
        numbered(file, "layers/depthwise_conv2d_1", "dw", numbers(3, 3, 2, 1))
        numbered(file, "layers/dense", "head", numbers(2, 5), numbers(5))
        numbered(file, "layers/functional/layers/conv2d", "inner", numbers(1, 1, 2, 3))
        numbered(file, "layers/normalization", "scale", numbers(3), numbers(3), np.array(0))
        numbered(file, "layers/batch_normalization_1", "no_scale", numbers(2), numbers(2), numbers(2))
        numbered(file, "layers/group", "many", *(numbers(1, start=i) for i in range(12)))
        numbered(file, "layers/dropout/seed_generator", "seed_generator", np.zeros(2, np.uint32))
        numbered(file, "optimizer", "adam", numbers(3))
    arrays = read_keras(path)
    many = {f"many/{i}": (1,) for i in range(12)}
    assert {name: array.shape for name, array in arrays.items()} == {
        "first/kernel": (1, 1, 1, 2),
        "second/kernel": (1, 1, 2, 2),
        "second/bias": (2,),
        **{f"bn/{v}": (2,) for v in ("gamma", "beta", "moving_mean", "moving_variance")},
        "dw/depthwise_kernel": (3, 3, 2, 1),
        "head/kernel": (2, 5),
        "head/bias": (5,),
        "inner/kernel": (1, 1, 2, 3),
        "scale/0": (3,),
        "scale/1": (3,),
        "scale/2": (),
        **{f"no_scale/{i}": (2,) for i in range(3)},
        **many,
    }
    assert [float(arrays[f"bn/{v}"][0]) for v in ("gamma", "beta", "moving_mean", "moving_variance")] == [0, 1, 2, 3]
    assert [float(arrays[name][0]) for name in many] == list(range(12))
    assert [name for name in arrays if name in many] == list(many)


def other_file(path: Path) -> Path:
    other = path.with_name("secret.h5")
    with h5py.File(other, "w") as file:
        file["x"] = numbers(2)
    return other


def soft_link(file: Any, other: Path) -> None:
    file["head/head/kernel"] = h5py.SoftLink("/head/head/bias")


def external_link(file: Any, other: Path) -> None:
    file["head/head/kernel"] = h5py.ExternalLink(str(other), "x")


def linked_group(file: Any, other: Path) -> None:
    del file["head"]
    file["head"] = h5py.ExternalLink(str(other), "/")


def external_values(file: Any, other: Path) -> None:
    file["head/head"].create_dataset("kernel", (2,), "f4", external=[(str(other), 0, 8)])


def virtual_values(file: Any, other: Path) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(str(other), "x", (2,))
    file["head/head"].create_virtual_dataset("kernel", layout)


def unwritten_values(file: Any, other: Path) -> None:
    file["head/head"].create_dataset("kernel", (1 << 40,), "f4", chunks=(1 << 20,))


def text_values(file: Any, other: Path) -> None:
    file["head/head/kernel"] = "text"


def no_values(file: Any, other: Path) -> None:
    file.create_group("head/head/kernel")


def nothing(file: Any, other: Path) -> None:
    del file["head/head/bias"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (soft_link, "'kernel' is a link to another place"),
        (external_link, "'kernel' is a link to another place"),
        (linked_group, "'head' is a link to another place"),
        (external_values, "keeps its values in another file"),
        (virtual_values, "keeps its values in another file"),
        (unwritten_values, "announces more values than it stores"),
        (text_values, "not numbers"),
        (no_values, "is not a data set"),
        (nothing, "announced but missing"),
    ],
)
def test_refused(path: Path, spoil: Any, reason: str) -> None:
    with h5py.File(path, "w") as file:
        legacy(file, {"head": {"head/bias": numbers(2)}})
        file["head"].attrs["weight_names"] = [b"head/kernel"]
        spoil(file, other_file(path))
    with pytest.raises(WeightsError, match=reason) as caught:
        read_keras(path)
    assert str(path) in str(caught.value)


def test_links_in_the_numbered_layout(path: Path) -> None:
    with h5py.File(path, "w") as file:
        numbered(file, "layers/dense", "head", numbers(2, 2))
        file["layers/dense/vars/1"] = h5py.ExternalLink(str(other_file(path)), "x")
    with pytest.raises(WeightsError, match="'1' is a link to another place"):
        read_keras(path)


def test_link_as_model_weights(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["model_weights"] = h5py.ExternalLink(str(other_file(path)), "/")
    with pytest.raises(WeightsError, match="'model_weights' is a link"):
        read_keras(path)


def test_layers_of_one_name(path: Path) -> None:
    with h5py.File(path, "w") as file:
        numbered(file, "layers/dense", "head", numbers(2, 2))
        numbered(file, "layers/dense_1", "head", numbers(2, 2))
    with pytest.raises(WeightsError, match="two layers have a variable 'head/kernel'"):
        read_keras(path)


def test_layers_without_names(path: Path) -> None:
    with h5py.File(path, "w") as file:
        numbered(file, "layers/dense", None, numbers(2, 2))
    with pytest.raises(WeightsError, match="does not say its layer's name"):
        read_keras(path)


def test_no_weights_and_damage(path: Path, tmp_path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["image"] = numbers(4)
    with pytest.raises(WeightsError, match="without weights of Keras"):
        read_keras(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(WeightsError, match="cannot be read as an HDF5 file"):
        read_keras(path)
    with pytest.raises(WeightsError, match=r"nowhere\.h5: cannot be read"):
        read_keras(tmp_path / "nowhere.h5")


def test_without_h5py(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match="pip install h5py"):
        read_keras(path)


@pytest.mark.slow
def test_files_of_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    layers = keras.layers
    model = keras.Sequential(
        name="sequential",
        layers=[
            keras.Input((8, 8, 3)),
            *(layers.Conv2D(4, 1, name=f"conv_{i}", use_bias=i % 2 == 0) for i in range(12)),
            layers.BatchNormalization(name="bn"),
            layers.DepthwiseConv2D(3, name="dw"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, name="head"),
        ],
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    model.save_weights(tmp_path / "new.weights.h5")
    model.save(tmp_path / "old.h5")
    expected = {
        v.path.removeprefix("sequential/"): np.asarray(v.value) for v in model.variables if "seed" not in v.path
    }
    old, new = read_keras(tmp_path / "old.h5"), read_keras(tmp_path / "new.weights.h5")
    new["dw/kernel"] = new.pop("dw/depthwise_kernel")  # Keras 3 calls it kernel in the legacy layout
    for arrays in (old, new):
        assert set(arrays) == set(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(arrays[name], values)
