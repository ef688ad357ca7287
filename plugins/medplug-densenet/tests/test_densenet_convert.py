"""Weights of other frameworks: names, shapes, heads, channels, files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from densenet_seeded import seeded
from safetensors.numpy import save_file

from medplug.plugins import WeightsError, read_weights
from medplug_densenet.convert import convert, entries
from medplug_densenet.plan import DENSENET121, Plan

HERE = Path(__file__).parent
TINY = Plan(blocks=(1, 1, 1, 1), growth=4, stem=8)
TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}


def torch_arrays(plan: Plan = TINY, classes: int = 3) -> dict[str, np.ndarray]:
    """A state dict in the new spelling."""
    shapes = {e.torch: tuple(e.shape[i] for i in TO_TORCH[len(e.shape)]) for e in entries(plan, 3, classes)}
    return {name: seeded(name, shape) for name, shape in shapes.items()}


def old_spelling(name: str) -> str:
    return re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name)


def load(arrays: dict, channels: int = 3, classes: int | None = 3, layout: str = "torch") -> dict[str, np.ndarray]:
    return convert(arrays, layout, TINY, channels=channels, classes=classes, where="FILE")


def test_names_of_densenet121() -> None:
    """Some of torchvision's and Keras' names, as they are published."""
    names = {e.path: (e.torch, e.keras) for e in entries(DENSENET121, 3, 1000)}
    assert len(names) == 606
    assert names["stem/conv/kernel"] == ("features.conv0.weight", "conv1_conv/kernel")
    assert names["stem/norm/scale"] == ("features.norm0.weight", "conv1_bn/gamma")
    layer = "features.denseblock4.denselayer16"
    assert names["block4/layer16/norm1/mean"] == (f"{layer}.norm1.running_mean", "conv5_block16_0_bn/moving_mean")
    assert names["block4/layer16/conv1/kernel"] == (f"{layer}.conv1.weight", "conv5_block16_1_conv/kernel")
    assert names["block4/layer16/norm2/var"] == (f"{layer}.norm2.running_var", "conv5_block16_1_bn/moving_variance")
    assert names["block4/layer16/conv2/kernel"] == (f"{layer}.conv2.weight", "conv5_block16_2_conv/kernel")
    assert names["transition3/norm/bias"] == ("features.transition3.norm.bias", "pool4_bn/beta")
    assert names["transition3/conv/kernel"] == ("features.transition3.conv.weight", "pool4_conv/kernel")
    assert names["final/norm/bias"] == ("features.norm5.bias", "bn/beta")
    assert names["head/output/kernel"] == ("classifier.weight", "predictions/kernel")


def test_axes_of_torch() -> None:
    arrays = torch_arrays()
    weights = load(arrays)
    assert weights.keys() == {e.path for e in entries(TINY, 3, 3)}
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in weights.values())
    kernel = arrays["features.denseblock1.denselayer1.conv2.weight"]
    assert weights["block1/layer1/conv2/kernel"][0, 2, 5, 1] == kernel[1, 5, 0, 2]
    assert weights["head/output/kernel"][4, 2] == arrays["classifier.weight"][2, 4]


def test_old_spelling_and_step_counters() -> None:
    arrays = torch_arrays()
    old = {old_spelling(name): array for name, array in arrays.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    old["features.norm0.num_batches_tracked"] = np.array(7)
    expected = load(arrays)
    assert all(np.array_equal(array, expected[path]) for path, array in load(old).items())


def test_all_missing_surplus_and_misshapen_arrays_are_listed() -> None:
    arrays = torch_arrays()
    del arrays["features.norm5.bias"], arrays["features.denseblock2.denselayer1.conv2.weight"]
    arrays |= {"features.extra": np.zeros(1), "features.denseblock1.denselayer2.norm1.weight": np.zeros(12)}
    arrays["features.norm0.weight"] = np.zeros(9, np.float32)
    with pytest.raises(WeightsError) as caught:
        load(arrays)
    message = str(caught.value)
    assert "FILE" in message
    assert "missing (2): features.denseblock2.denselayer1.conv2.weight, features.norm5.bias" in message
    assert "surplus (2): features.denseblock1.denselayer2.norm1.weight, features.extra" in message
    assert "wrong shape (1): stem/norm/scale has [9], expected [8]" in message


@pytest.mark.parametrize("classes", [1, 5, 1000, None])
def test_another_head_is_left_out(classes: int | None) -> None:
    weights = load(torch_arrays(), classes=classes)
    assert weights.keys() == {e.path for e in entries(TINY, 3, 1) if not e.path.startswith("head/")}


def test_a_file_without_a_head_is_whole_but_half_a_head_is_not() -> None:
    arrays = torch_arrays()
    del arrays["classifier.weight"]
    with pytest.raises(WeightsError, match=r"missing \(1\): classifier.weight"):
        load(arrays)
    del arrays["classifier.bias"]
    assert not any(path.startswith("head/") for path in load(arrays))


def test_one_channel_sums_the_stem() -> None:
    arrays = torch_arrays()
    grey = load(arrays, channels=1)["stem/conv/kernel"]
    assert grey.shape == (7, 7, 1, 8)
    kernel = arrays["features.conv0.weight"]
    np.testing.assert_allclose(grey[2, 3, 0], kernel[:, 0, 2, 3] + kernel[:, 1, 2, 3] + kernel[:, 2, 2, 3], rtol=1e-6)


def test_layout_of_keras_needs_no_transposition() -> None:
    arrays = {e.keras: np.full(e.shape, i, np.float32) for i, e in enumerate(entries(TINY, 3, 3))}
    weights = load(arrays, layout="keras")
    for i, entry in enumerate(entries(TINY, 3, 3)):
        assert weights[entry.path].shape == entry.shape
        assert (weights[entry.path] == i).all()


@pytest.mark.parametrize("name", ["tiny_zip.pth", "tiny_legacy.pth"])
def test_files_that_torch_wrote(name: str) -> None:
    """They hold the seeded weights, see ``record_torch.py``."""
    file = read_weights(HERE / name)
    assert any(key.endswith("num_batches_tracked") for key in file.arrays)
    expected = load(torch_arrays())
    weights = load(file.arrays, layout=file.layout)
    assert weights.keys() == expected.keys()
    assert all(np.array_equal(array, expected[path]) for path, array in weights.items())


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_safetensors(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "model.safetensors"
    save_file({name: array.astype(dtype) for name, array in torch_arrays().items()}, path)
    file = read_weights(path)
    expected = load(torch_arrays())
    for name, array in load(file.arrays, layout=file.layout).items():
        np.testing.assert_allclose(array, expected[name], rtol=0 if dtype is np.float32 else 1e-3, atol=1e-6)
