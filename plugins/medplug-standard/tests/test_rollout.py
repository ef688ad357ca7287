"""Attention rollout: by hand, against an independent loop, and through a small transformer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from medplug.errors import MedplugError, UsageError
from medplug.model.explain import check_explainer, explain_function, image_keys
from medplug.model.network import build
from medplug.plugins import Features, NetworkView, Preprocessing, component
from medplug.testing.fakes import TinyNet
from medplug_standard.explainers.rollout import AttentionRollout, rollout

PATCH, WIDTH, HEADS, LAYERS, CLASSES = 4, 8, 2, 2, 3


class Layer(nnx.Module):
    """Attention of tokens ``[B, N, D]``, added to them."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        start = jax.nn.initializers.normal(0.7)
        self.mixing = nnx.Linear(WIDTH, 3 * WIDTH, use_bias=False, kernel_init=start, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        split = self.mixing(tokens).reshape(*tokens.shape[:2], 3, HEADS, WIDTH // HEADS)
        query, key, value = jnp.moveaxis(split, 2, 0)
        weights = jax.nn.softmax(jnp.einsum("bnad,bmad->banm", query, key))
        return tokens + jnp.einsum("banm,bmad->bnad", weights, value).reshape(tokens.shape), weights


class Transformer(nnx.Module):
    """Patches of 4 pixels, a class token, two layers of attention, and a linear head on the token."""

    stages = ()

    def __init__(self, channels: int, rngs: nnx.Rngs) -> None:
        start = jax.nn.initializers.normal(0.3)
        self.patches = nnx.Linear(PATCH * PATCH * channels, WIDTH, kernel_init=start, rngs=rngs)
        self.token = nnx.Param(jnp.ones((WIDTH,)))
        self.layers = nnx.List([Layer(rngs) for _ in range(LAYERS)])
        self.head = nnx.Linear(WIDTH, CLASSES, kernel_init=start, rngs=rngs)

    def _through(self, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        batch, rows, columns, channels = images.shape
        cut = images.reshape(batch, rows // PATCH, PATCH, columns // PATCH, PATCH, channels).swapaxes(2, 3)
        places = self.patches(cut.reshape(batch, -1, PATCH * PATCH * channels))
        tokens = jnp.concatenate([jnp.broadcast_to(self.token[...], (batch, 1, WIDTH)), places], 1)
        seen = []
        for layer in self.layers:
            tokens, weights = layer(tokens)
            seen.append(weights)
        return tokens, seen

    def features(self, images: jax.Array, stage: str | None = None) -> Features:
        tokens, _ = self._through(images)
        grid = (images.shape[1] // PATCH, images.shape[2] // PATCH)
        return Features(tokens[:, 1:].reshape(len(images), *grid, WIDTH), tokens[:, 0])

    def classify(self, features: Any, metadata: Any = None, stage: str | None = None) -> jax.Array:
        return self.head(features.token)

    def attention(self, images: jax.Array) -> jax.Array:
        return jnp.stack(self._through(images)[1], 1)

    def __call__(self, images: jax.Array, metadata: Any = None) -> jax.Array:
        return self.classify(self.features(images))


@component
class Transformers:
    """The architecture of ``Transformer``."""

    preprocessing = Preprocessing(size=16, channels=1, mean=(0.5,), std=(0.25,))
    head = ("head",)

    def build(self, input_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> nnx.Module:
        return Transformer(input_shape[-1], rngs)

    def pretrained(self, input_shape: tuple[int, ...], classes: int) -> dict[str, np.ndarray]:
        return {}


def explain(layers: Any, places: tuple[int, ...], heads: Any = "mean", targets: int = 2) -> np.ndarray:
    """Maps of a network that declares these attention maps, over so many places."""
    images = jnp.zeros((len(layers), *places, 1))
    network = NetworkView(lambda x: x, lambda x: x.sum(1), attention=lambda x: jnp.asarray(layers, jnp.float32))
    classes, keys = jnp.zeros((len(layers), targets), jnp.int32), jax.random.split(jax.random.key(0), len(layers))
    return np.asarray(AttentionRollout(heads=heads)(network, images, classes, keys))


def attention(*shape: int, seed: int = 0) -> np.ndarray:
    """Random rows that sum to 1."""
    drawn = np.exp(2 * np.random.default_rng(seed).standard_normal(shape))
    return drawn / drawn.sum(-1, keepdims=True)


def test_by_hand() -> None:
    # The class token and two places. Half of each layer goes around it.
    first = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # the token takes all from the first place
    second = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # and then all from the second
    # Layer 1 leaves the token (1/2, 1/2, 0); layer 2 makes it half of that, and half the second place.
    expected = [0.25, 0.5]
    layers = np.stack([first, second])[None, :, None]
    np.testing.assert_allclose(rollout(jnp.asarray(layers), "mean")[0, 0], [0.25, *expected], atol=1e-7)
    np.testing.assert_allclose(explain(layers, (2,), targets=3), [[expected] * 3], atol=1e-7)
    # The other way round, the first place has the last word.
    np.testing.assert_allclose(explain(layers[:, ::-1], (2,), targets=1), [[[0.5, 0.25]]], atol=1e-7)


@pytest.mark.parametrize("heads", ["mean", "max", "min"])
@pytest.mark.parametrize("token", [0, 1, 2])
def test_as_a_loop(heads: str, token: int) -> None:
    places = (3, 2, 2)
    count = 12 + token
    layers = attention(2, 3, 4, count, count)
    fuse = {"mean": np.mean, "max": np.max, "min": np.min}[heads]
    expected = []
    for one in layers:
        rolled = np.eye(count)
        for layer in one:
            mixed = 0.5 * fuse(layer, axis=0) + 0.5 * np.eye(count)
            rolled = (mixed / mixed.sum(1)[:, None]) @ rolled
        expected.append((rolled[0, token:] if token else rolled.mean(0)).reshape(places))
    np.testing.assert_allclose(explain(layers, places, heads)[:, 1], expected, rtol=1e-5)


def test_what_reaches_the_token_is_shared_out() -> None:
    layers = attention(2, 4, 2, 7, 7, seed=1)
    np.testing.assert_allclose(np.asarray(rollout(jnp.asarray(layers), "mean")).sum(2), 1, rtol=1e-5)
    assert (explain(layers, (2, 3)).sum((2, 3)) < 1).all()  # the rest is the token's own


def test_attention_that_does_not_fit_the_features_is_refused() -> None:
    with pytest.raises(MedplugError, match=r"between 5 tokens, but its features have 6 places \(2 x 3\)"):
        explain(attention(1, 1, 1, 5, 5), (2, 3))


@pytest.fixture(scope="module")
def network() -> Any:
    return build(Transformers(), (16, 24, 1), CLASSES, seed=0)


def test_through_a_transformer(network: Any) -> None:
    images = np.random.default_rng(2).integers(0, 256, (4, 16, 24, 1), dtype=np.uint8)
    classes = np.array([[0, 1]] * 4)
    check_explainer("attention_rollout", AttentionRollout(), network)
    explain = explain_function(network, AttentionRollout(), "multiclass")
    maps = np.asarray(explain(images, classes, image_keys(0, ["a", "b", "c", "d"])))
    assert maps.shape == (4, 2, 4, 6)
    np.testing.assert_array_equal(maps[:, 0], maps[:, 1])  # whatever the class
    layers = np.asarray(network.module.attention(network.standardise(images)), np.float64).mean(2)
    first, second = (0.5 * layers[:, n] + 0.5 * np.eye(25) for n in (0, 1))
    np.testing.assert_allclose(maps[:, 0].reshape(4, -1), (second @ first)[:, 0, 1:], rtol=1e-4)


def test_the_place_that_the_token_looks_at_stands_out(network: Any) -> None:
    # The place whose attention from the token is highest in both layers alike must be the highest of the map.
    images = np.full((1, 16, 24, 1), 128, np.uint8)
    images[:, 4:8, 16:20] = 255
    explain = explain_function(network, AttentionRollout(), "multiclass")
    maps = np.asarray(explain(images, np.zeros((1, 1), np.int32), image_keys(0, ["a"])))[0, 0]
    far = np.abs(maps - np.median(maps))
    assert np.unravel_index(far.argmax(), far.shape) == (1, 4)


def test_a_network_without_attention_is_refused() -> None:
    tiny = build(TinyNet(), (16, 16, 1), 3, seed=0)
    with pytest.raises(UsageError, match="attention_rollout cannot explain TinyNetwork: .* its attention maps"):
        check_explainer("attention_rollout", AttentionRollout(), tiny)
