"""A network applied to batches: parts and padding change nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.data.batches import Loader
from medplug.data.store import PixelStore
from medplug.errors import ContractError
from medplug.model.apply import divisor, in_parts, predict
from medplug.model.explain import explain_function
from medplug.model.network import build
from medplug.testing.fakes import InputGradient, TinyNet


@pytest.mark.parametrize(
    ("batch", "at_most", "expected"), [(32, 4, 4), (30, 4, 3), (31, 4, 31), (3, 4, 3), (1, 4, 1), (6, 4, 3)]
)
def test_divisor(batch, at_most, expected):
    assert divisor(batch, at_most) == expected


@pytest.mark.parametrize("batch", [1, 7, 8, 12])
def test_in_parts_is_the_function_itself(batch, rng):
    """Also of random keys, and never with more than four images at once on a CPU."""
    x, keys, seen = jnp.asarray(rng.normal(size=(batch, 3))), jax.random.split(jax.random.key(0), batch), []

    def function(x, keys):
        seen.append(len(x))
        return 2 * x, x.sum(1), jax.vmap(jax.random.uniform)(keys)

    doubled, summed, drawn = jax.jit(lambda x, keys: in_parts(function, x, keys))(x, keys)
    np.testing.assert_allclose(doubled, 2 * x)
    np.testing.assert_allclose(summed, x.sum(1), rtol=1e-6)
    np.testing.assert_array_equal(drawn, jax.vmap(jax.random.uniform)(keys))
    assert max(seen) <= 4


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_predictions_are_those_of_one_image_at_a_time(rng, task):
    network = build(TinyNet(), (16, 16, 1), 3, seed=0)
    images = rng.integers(0, 256, (11, 16, 16, 1), dtype=np.uint8)
    loader = Loader(PixelStore(images), np.zeros((11, 3), np.float32), np.arange(11), 4)
    found = predict(network, loader.once(), task)
    assert found.shape == (11, 3)
    activation = jax.nn.softmax if task == "multiclass" else jax.nn.sigmoid
    for image, row in zip(images, found, strict=True):
        x = network.preprocessing.standardise(jnp.asarray(image[None], jnp.float32) / 255)
        np.testing.assert_allclose(row, activation(network(x))[0], rtol=1e-5, atol=1e-7)


def test_damaged_weights_do_not_become_predictions(rng):
    network = build(TinyNet(), (16, 16, 1), 3, seed=0)
    network.module.head.kernel.set_value(network.module.head.kernel[...] * jnp.nan)
    images = np.zeros((2, 16, 16, 1), np.uint8)
    loader = Loader(PixelStore(images), np.zeros((2, 3), np.float32), np.arange(2), 2)
    with pytest.raises(ContractError, match="2 of 2 predictions are not finite"):
        predict(network, loader.once(), "multiclass")


def test_the_list_of_classes_to_explain_must_match_the_images():
    network = build(TinyNet(), (16, 16, 1), 3, seed=0)
    explain = explain_function(network, InputGradient(), "multiclass")
    images = np.zeros((2, 16, 16, 1), np.uint8)
    keys = jax.random.split(jax.random.key(0), 2)
    assert explain(images, [[0, 1], [2, 0]], keys).shape == (2, 2, 16, 16)
    for wrong in ([[0]], [0, 1]):
        with pytest.raises(ContractError, match=r"classes must be \[B, T\] for 2 images"):
            explain(images, wrong, keys)
