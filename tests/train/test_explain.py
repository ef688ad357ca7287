"""A network as explainers see it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from medplug.errors import ContractError, UsageError
from medplug.model.explain import check_explainer, explain_function, image_keys, network_view
from medplug.model.network import build
from medplug.plugins import NetworkView
from medplug.testing.fakes import InputGradient, TinyNet


@pytest.fixture(scope="module")
def network():
    return build(TinyNet(), (16, 16, 1), 3, seed=0)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (8, 16, 16, 1), dtype=np.uint8)


class Noise:
    """Draws, so that one sees what the keys are used for."""

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps [B, T, 2, 2] of noise."""
        each = jax.vmap(lambda key: jax.random.normal(key, (classes.shape[1], 2, 2)))(keys)
        return each + 0 * images.mean()


class Needy:
    """Needs what the tiny network does not have."""

    needs = ("attention",)


class Early:
    """Looks at features that are not there."""

    stage = "block9"


def test_the_view_is_the_network(network, images):
    x = network.standardise(images)
    view = network_view(lambda: network.module, "multiclass")
    assert view.stages == ("stem", "body")
    assert view.attention is None
    np.testing.assert_allclose(view.logits(x), network(x), atol=1e-6)
    np.testing.assert_allclose(view.classify(view.features(x, "stem"), "stem"), network(x), atol=1e-5)
    pooled = view.features(x).mean((1, 2)) @ view.linear_head
    constant = np.asarray(network(x) - pooled)
    np.testing.assert_allclose(constant, np.broadcast_to(constant[:1], constant.shape), atol=1e-5)


def test_activations_are_replaced_everywhere_and_only_in_the_new_view(network, images):
    graph, state = nnx.split(network.module)
    view = network_view(lambda: nnx.merge(graph, state, copy=True), "multiclass")
    assert view.with_activations is not None
    x, seen = network.standardise(images), []

    def rule(activation):
        seen.append(activation)
        return lambda value: 0 * value

    before = np.asarray(view.logits(x))
    dead = view.with_activations(rule)
    np.testing.assert_allclose(dead.features(x), 0)
    np.testing.assert_allclose(dead.features(x, "stem"), 0)
    np.testing.assert_array_equal(view.logits(x), before)
    assert set(seen) == {nnx.relu}


def test_a_map_does_not_depend_on_the_other_images_or_on_their_order(network, images):
    explain = explain_function(network, Noise(), "multiclass")
    samples = [f"case {n}" for n in range(8)]
    classes = np.zeros((8, 1), np.int32)
    maps = np.asarray(explain(images, classes, image_keys(3, samples)))
    turned = np.asarray(explain(images[::-1], classes, image_keys(3, samples[::-1])))
    np.testing.assert_array_equal(maps, turned[::-1])
    assert len({one.tobytes() for one in maps}) == 8
    other_seed = np.asarray(explain(images, classes, image_keys(4, samples)))
    assert not (maps == other_seed).any()


def test_probabilities_log_odds_and_logits():
    view = NetworkView(lambda x: x, lambda f: f)
    logits = jnp.asarray([[1.0, 2.0, -1.0]])
    classes = jnp.asarray([[1, 0]])
    p = np.exp([1.0, 2.0, -1.0]) / np.exp([1.0, 2.0, -1.0]).sum()
    np.testing.assert_allclose(view.scores(logits, classes), [[2.0, 1.0]])
    np.testing.assert_allclose(view.scores(logits, classes, "probability"), [[p[1], p[0]]], rtol=1e-6)
    np.testing.assert_allclose(
        view.scores(logits, classes, "log_odds"), np.log([[p[1] / (1 - p[1]), p[0] / (1 - p[0])]]), rtol=1e-5
    )


def test_what_a_network_cannot_serve_is_refused_before_anything_is_computed(network):
    check_explainer("input_gradient", InputGradient(), network)
    with pytest.raises(UsageError, match=r"rollout cannot explain TinyNetwork: .* its attention maps"):
        check_explainer("rollout", Needy(), network)
    with pytest.raises(UsageError, match="no stage 'block9'; its stages are stem, body"):
        check_explainer("cam", Early(), network)


def test_an_explainer_with_maps_of_the_wrong_shape_is_named(network, images):
    class Flat:
        def __call__(self, network, images, classes, keys):
            return images[..., 0]

    with pytest.raises(ContractError, match=r"must give \[B, T, \*s\] float32"):
        explain_function(network, Flat(), "multiclass")(images, np.zeros((8, 1)), image_keys(0, list("abcdefgh")))
    with pytest.raises(ContractError, match="one random key for each of 8 images"):
        explain_function(network, InputGradient(), "multiclass")(images, np.zeros((8, 1)), image_keys(0, ["a"]))
