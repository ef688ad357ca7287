"""Grad-CAM on networks whose maps are known in closed form."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.plugins import Features, NetworkView
from medplug_standard.explainers.grad_cam import GradCam

KEYS = jax.random.split(jax.random.key(0), 1)  # Grad-CAM draws nothing


def identity(images: jax.Array) -> jax.Array:
    """Images are their own features, so that a test can choose them."""
    return images


def pooled(weights: np.ndarray) -> Callable[[jax.Array], jax.Array]:
    """Global average pooling and one linear layer ``[D, K]``."""
    return lambda f: f.mean(tuple(range(1, f.ndim - 1))) @ jnp.asarray(weights)


def explain(
    explainer: GradCam, features: Any, classify: Any, images: Any, classes: Any, task: Any = "multiclass"
) -> np.ndarray:
    run = jax.jit(lambda x, c: explainer(view(features, classify, task), x, c, KEYS))
    return np.asarray(run(jnp.asarray(images), jnp.asarray(classes, jnp.int32)))


def view(features: Any, classify: Any, task: Any = "multiclass", **declared: Any) -> NetworkView:
    """A network with one stage."""
    return NetworkView(lambda x, stage: features(x), lambda f, stage: classify(f), ("only",), task, **declared)


def test_by_hand() -> None:
    # Two channels on a 1 x 2 grid; class 0 scores 3 * mean(a) - 1 * mean(b): gradients 3/2 and -1/2 at each place.
    f = np.array([[[[1.0, 4.0], [2.0, 0.0]]]], np.float32)
    weights = np.array([[3.0, 0.0], [-1.0, 2.0]], np.float32)
    maps = explain(GradCam(), identity, pooled(weights), f, [[0, 1]])
    np.testing.assert_allclose(maps, [[[[-0.5, 3.0]], [[4.0, 0.0]]]], atol=1e-6)


@pytest.mark.parametrize("places", [(5, 4), (3, 4, 2), (6,)])
def test_a_pooled_linear_head_gives_the_class_activation_map(places: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    f, weights = rng.standard_normal((3, *places, 6), np.float32), rng.standard_normal((6, 4), np.float32)
    classes = np.array([[0, 3], [2, 2], [1, 0]])
    maps = explain(GradCam(), identity, pooled(weights), f, classes)
    assert maps.shape == (3, 2, *places)
    assert maps.dtype == np.float32
    for i, j in np.ndindex(classes.shape):
        np.testing.assert_allclose(maps[i, j], f[i] @ weights[:, classes[i, j]] / np.prod(places), atol=1e-5)


def test_the_gradient_is_averaged_over_space() -> None:
    # A head that looks at one corner: its gradient is 1 there and 0 elsewhere, 1/4 on average in channel 0.
    f = np.random.default_rng(2).standard_normal((1, 2, 2, 3), np.float32)

    def corner(f: jax.Array) -> jax.Array:
        return jnp.stack([f[:, 0, 0, 0], -f[:, 0, 0, 0]], 1)

    maps = explain(GradCam(), identity, corner, f, [[0, 1]])
    np.testing.assert_allclose(maps[0, 0], f[0, ..., 0] / 4, atol=1e-6)
    np.testing.assert_allclose(maps[0, 1], -f[0, ..., 0] / 4, atol=1e-6)  # signed: no ReLU


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_probability_scales_the_logits_gradient(task: str) -> None:
    rng = np.random.default_rng(3)
    f, weights = rng.standard_normal((2, 3, 3, 5), np.float32), rng.standard_normal((5, 3), np.float32)
    classes = np.tile(np.arange(3), (2, 1))
    logit = explain(GradCam(), identity, pooled(weights), f, classes)
    maps = explain(GradCam(score="probability"), identity, pooled(weights), f, classes, task)
    z = f.mean((1, 2)) @ weights
    if task == "multilabel":
        p = 1 / (1 + np.exp(-z))
        slope = p * (1 - p)  # d p_c / d z_c
        expected = slope[..., None, None] * logit
    else:
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        jacobian = p[:, :, None] * (np.eye(3) - p[:, None, :])  # d p_c / d z_k
        expected = np.einsum("bck,bkhw->bchw", jacobian, logit)
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    assert np.abs(maps - logit).max() > 0.01


def test_a_sure_probability_has_no_gradient_left() -> None:
    f, weights = np.ones((1, 2, 2, 1), np.float32), np.array([[40.0, -40.0]], np.float32)
    assert np.abs(explain(GradCam(score="probability"), identity, pooled(weights), f, [[0]])).max() < 1e-30
    np.testing.assert_allclose(explain(GradCam(), identity, pooled(weights), f, [[0]]), 10.0)


def test_a_declared_linear_head_needs_no_gradient_and_gives_the_same() -> None:
    rng = np.random.default_rng(8)
    f, weights = rng.standard_normal((3, 5, 4, 6), np.float32), rng.standard_normal((6, 29), np.float32)
    classes = jnp.asarray(np.tile(np.arange(29), (3, 1)), jnp.int32)

    def stopped(f: jax.Array) -> jax.Array:
        raise AssertionError("the classifier is not needed")

    closed = GradCam()(view(identity, stopped, linear_head=jnp.asarray(weights)), jnp.asarray(f), classes, KEYS)
    by_gradient = explain(GradCam(form="gradient"), identity, pooled(weights), f, classes)
    np.testing.assert_allclose(closed, by_gradient, rtol=1e-5, atol=1e-6)


def test_log_odds_are_against_all_others() -> None:
    rng = np.random.default_rng(9)
    f, weights = rng.standard_normal((2, 3, 3, 5), np.float32), rng.standard_normal((5, 4), np.float32)
    classes = np.tile(np.arange(4), (2, 1))
    maps = explain(GradCam(score="log_odds"), identity, pooled(weights), f, classes)
    logit = explain(GradCam(), identity, pooled(weights), f, classes)
    p = np.exp(f.mean((1, 2)) @ weights)
    for i, c in np.ndindex(2, 4):
        others = np.where(np.arange(4) == c, 0, p[i])
        expected = logit[i, c] - np.einsum("k,khw->hw", others / others.sum(), logit[i])
        np.testing.assert_allclose(maps[i, c], expected, atol=1e-5)
    single = explain(GradCam(score="log_odds"), identity, pooled(weights), f, classes, "multilabel")
    np.testing.assert_array_equal(single, logit)


def test_a_token_takes_part_in_the_score_only() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 3, 3, 4), np.float32)

    def features(images: jax.Array) -> Features:
        return Features(spatial=images, token=images.sum((1, 2)))

    def classify(f: Features) -> jax.Array:  # a product, so that the gradient depends on the token
        return f.spatial.mean((1, 2))[:, :2] * f.token[:, 2:]

    maps = explain(GradCam(), features, classify, x, [[0], [1]])
    token = x.sum((1, 2))
    for i, c in enumerate((0, 1)):
        np.testing.assert_allclose(maps[i, 0], x[i, ..., c] * token[i, 2 + c] / 9, atol=1e-5)


def test_images_do_not_influence_each_other() -> None:
    rng = np.random.default_rng(5)
    f, weights = rng.standard_normal((4, 3, 3, 5), np.float32), rng.standard_normal((5, 3), np.float32)

    def classify(f: jax.Array) -> jax.Array:
        return jnp.tanh(f).mean((1, 2)) @ weights

    classes = rng.integers(0, 3, (4, 2))
    together = explain(GradCam(), identity, classify, f, classes)
    for i in (0, 3):
        others = f + 1
        others[i] = f[i]
        np.testing.assert_allclose(explain(GradCam(), identity, classify, others, classes)[i], together[i], atol=1e-6)


def test_one_pass_through_the_features_and_no_new_compilation_for_other_classes() -> None:
    traces = []

    def features(images: jax.Array) -> jax.Array:
        traces.append("features")
        return images * 2

    run = jax.jit(lambda x, c: GradCam()(view(features, pooled(np.eye(3, dtype=np.float32))), x, c, KEYS))
    x = jnp.asarray(np.random.default_rng(6).random((2, 4, 4, 3), np.float32))
    maps = [np.asarray(run(x, jnp.array(c, jnp.int32))) for c in ([[0, 1, 2], [2, 1, 0]], [[1, 1, 1], [0, 0, 2]])]
    assert traces == ["features"]
    np.testing.assert_array_equal(maps[0][0, 1], maps[1][0, 0])
    np.testing.assert_array_equal(maps[0][1, 2], maps[1][1, 1])


def test_it_finds_the_half_that_decides() -> None:
    # Bright blobs speak for class 1, dark ones for class 0; the kernel turns pixels into "bright" and "dark" channels.
    rng = np.random.default_rng(7)
    x = 0.5 + 0.02 * rng.standard_normal((6, 16, 16, 1)).astype(np.float32)
    left = np.array([True, False] * 3)
    bright = np.array([True, True, True, False, False, False])
    for i in range(6):
        x[i, 5:10, (2 if left[i] else 10) : (6 if left[i] else 14)] = 0.95 if bright[i] else 0.05

    def features(images: jax.Array) -> jax.Array:
        both = jnp.concatenate([jax.nn.relu(0.3 - images), jax.nn.relu(images - 0.7)], -1)
        return both.reshape(6, 8, 2, 8, 2, 2).mean((2, 4))

    maps = explain(GradCam(), features, pooled(np.eye(2, dtype=np.float32)), x, np.tile([0, 1], (6, 1)))
    for i in range(6):
        target = maps[i, int(bright[i])]
        inside, outside = (target[:, :4], target[:, 4:]) if left[i] else (target[:, 4:], target[:, :4])
        assert inside.sum() > 20 * abs(outside.sum())
        assert abs(maps[i, 1 - int(bright[i])].sum()) < 0.05 * inside.sum()
