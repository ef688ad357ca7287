"""Gradients of the score in the image: against captum, by hand, and what must hold of all of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import explainer_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import record_gradients as recorded

from medplug.plugins import NetworkView
from medplug_standard.explainers.gradients import (
    Asked,
    InputXGradient,
    Saliency,
    SmoothGrad,
    VarGrad,
    gaussian,
    gradient_variance,
    mean_gradient,
)
from medplug_standard.explainers.guided import GuidedBackprop, GuidedGradCam, guided

CAPTUM = np.load(Path(__file__).parent / "gradients.npz")
KEYS = jax.random.split(jax.random.key(0), 2)
IMAGES = jnp.asarray(reference.images()[: recorded.COUNT])
CLASSES = jnp.asarray(recorded.CLASSES, jnp.int32)


def explain(explainer: Any, network: NetworkView, images: Any, classes: Any, keys: Any = KEYS) -> np.ndarray:
    run = jax.jit(lambda x, c, k: explainer(network, x, c, k))
    return np.asarray(run(jnp.asarray(images, jnp.float32), jnp.asarray(classes, jnp.int32), keys))


def agree(maps: Any, name: str) -> None:
    expected = CAPTUM[name]
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def network_of(scores: Callable[[jax.Array], jax.Array], **declared: Any) -> NetworkView:
    """A network that is one function from images to logits ``[B, K]``."""
    return NetworkView(lambda x, stage=None: x, lambda f, stage=None: scores(f), ("only",), "multilabel", **declared)


def draws(values: np.ndarray) -> Callable[[jax.Array], jax.Array]:
    """Recorded draws in place of random ones."""
    return lambda numbers: jnp.asarray(values)[numbers]


# ---------------------------------------------------------------- captum


@pytest.mark.parametrize(
    ("explainer", "name"),
    [
        (Saliency(), "saliency"),
        (InputXGradient(), "input_x_gradient"),
        (GuidedBackprop(), "guided_backprop"),
        # Captum enlarges Grad-CAM by repeating it unless told otherwise; the paper interpolates, and so was it told.
        (GuidedGradCam(stage="conv2"), "guided_grad_cam/relu2"),
        (GuidedGradCam(), "guided_grad_cam/relu3"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_agrees_with_captum(explainer: Any, name: str) -> None:
    agree(explain(explainer, reference.reference_view(), IMAGES, CLASSES), name)


def test_smoothed_gradients_agree_with_captum_on_the_same_noise() -> None:
    # Captum averages absolute gradients unless told otherwise; the papers speak of the gradient, and so was it told.
    network = replace(reference.reference_view(), at_once=4)  # 2 of the 6 samples of both images at a time

    @jax.jit
    def both(x: jax.Array, c: jax.Array) -> tuple[jax.Array, jax.Array]:
        asked, noise = Asked(network, x, c, "logit"), draws(recorded.noise())
        return mean_gradient(asked, recorded.SAMPLES, noise), gradient_variance(asked, recorded.SAMPLES, noise)

    mean, variance = map(np.asarray, both(IMAGES, CLASSES))
    agree(mean.sum(-1), "smooth_grad/signed")
    agree(np.abs(mean).max(-1), "smooth_grad/absolute")
    agree(variance.sum(-1), "var_grad")


# ---------------------------------------------------------------- by hand

WEIGHTS = np.array([[1.0, -3.0, 2.0], [0.5, 0.0, -0.25]], np.float32)  # of two classes for the channels of each pixel


def linear(x: jax.Array) -> jax.Array:
    return x.sum((1, 2)) @ jnp.asarray(WEIGHTS).T


@pytest.mark.parametrize(
    ("explainer", "expected"),
    [
        (Saliency(), lambda x, w: np.abs(w).max()),
        (InputXGradient(), lambda x, w: x @ w),
        (SmoothGrad(samples=3), lambda x, w: np.abs(w).max()),
        (SmoothGrad(samples=3, reduce="signed"), lambda x, w: w.sum()),
        (VarGrad(samples=3), lambda x, w: 0),
    ],
    ids=["saliency", "input_x_gradient", "smooth_grad", "smooth_grad_signed", "var_grad"],
)
def test_of_a_linear_network(explainer: Any, expected: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 3), np.float32)
    maps = explain(explainer, network_of(linear), x, [[0, 1], [1, 0]])
    assert maps.shape == (2, 2, 3, 4)
    for i, t in np.ndindex(2, 2):
        weights = WEIGHTS[t if i == 0 else 1 - t]
        np.testing.assert_allclose(maps[i, t], np.broadcast_to(expected(x[i], weights), (3, 4)), atol=1e-6)


def test_noise_is_a_share_of_each_images_range() -> None:
    # The gradient of sum(x^2) / 2 is x: its mean over copies is near x, its variance that of the noise.
    network = network_of(lambda x: (x**2 / 2).sum((1, 2, 3))[:, None])
    x = np.zeros((2, 40, 40, 1), np.float32)
    x[0, 0, 0], x[1, 0, 0] = 1, -10
    smooth, variance = SmoothGrad(samples=50, noise=0.2, reduce="signed"), VarGrad(samples=50, noise=0.2)
    both = explain(lambda *args: jnp.stack([smooth(*args), variance(*args)]), network, x, [[0], [0]])
    mean, spread = both[:, :, 0]
    for i, size in enumerate((1, 10)):
        deviation = 0.2 * size
        np.testing.assert_allclose(spread[i].mean(), deviation**2 * 49 / 50, rtol=0.02)
        np.testing.assert_allclose(mean[i].std(), np.hypot(deviation / 50**0.5, x[i].std()), rtol=0.1)
        assert np.abs(mean[i] - x[i, ..., 0]).max() < 5 * deviation / 50**0.5


def test_small_variances_of_large_gradients_survive() -> None:
    # Gradient 10000 + x: its mean square has 8 digits before those of the variance, 0.01, begin.
    network = replace(network_of(lambda x: (1e4 * x + x**2 / 2).sum((1, 2, 3))[:, None]), at_once=4)
    noise = np.random.default_rng(1).normal(0, 0.1, (50, 2, 5, 5, 1)).astype(np.float32)
    asked = Asked(network, jnp.zeros((2, 5, 5, 1)), jnp.zeros((2, 1), jnp.int32), "logit")
    variance = jax.jit(lambda: gradient_variance(asked, 50, draws(noise)))()
    np.testing.assert_allclose(variance[:, 0], noise.var(0), rtol=0.03)


def test_the_gradient_of_a_probability() -> None:
    x = np.random.default_rng(2).normal(0, 0.1, (2, 3, 4, 3)).astype(np.float32)
    classes = [[0, 1], [1, 0]]
    logit = explain(InputXGradient(), network_of(linear), x, classes)
    maps = explain(InputXGradient(score="probability"), network_of(linear), x, classes)
    p = 1 / (1 + np.exp(-np.take_along_axis(x.sum((1, 2)) @ WEIGHTS.T, np.array(classes), 1)))
    np.testing.assert_allclose(maps, (p * (1 - p))[..., None, None] * logit, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------- the guided rule


def two_layers(activation: Any) -> NetworkView:
    """Pixels a, b: ``h = f(a - b), f(b - a), f(a + b)``; class 0 scores ``h1 + 2 h2 - 3 h3``, class 1 ``-h1 + h2 + h3``."""
    first = jnp.array([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
    second = jnp.array([[1.0, -1.0], [2.0, 1.0], [-3.0, 1.0]])
    return network_of(
        lambda x: activation(x[:, 0, :, 0] @ first) @ second,
        with_activations=lambda rule: two_layers(rule(activation)),
    )


@pytest.mark.parametrize(
    ("activation", "pixels", "expected"),
    [
        # Class 0: (1, 2, -3) comes in, of which (1, 2, 0) is positive; h2 is off. Class 1: (-1, 1, 1), so (0, 1, 1).
        (jax.nn.relu, (2, 1), [[1, -1], [1, 1]]),
        (jax.nn.relu6, (2, 1), [[1, -1], [1, 1]]),
        # a + b = 9 is beyond 6: the ReLU6 passes nothing of h3.
        (jax.nn.relu, (5, 4), [[1, -1], [1, 1]]),
        (jax.nn.relu6, (5, 4), [[1, -1], [0, 0]]),
        # 2x has the derivative 2 everywhere: 2 * (1, 2, 0) and 2 * (0, 1, 1).
        (lambda x: 2 * x, (2, 1), [[-2, 2], [0, 4]]),
    ],
    ids=["relu", "relu6", "relu_9", "relu6_9", "doubling"],
)
def test_guided_backpropagation_by_hand(activation: Any, pixels: Any, expected: Any) -> None:
    x = np.array(pixels, np.float32).reshape(1, 1, 2, 1)
    maps = explain(GuidedBackprop(), two_layers(activation), x, [[0, 1]], KEYS[:1])
    np.testing.assert_allclose(maps[0, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["relu", "relu6", "silu", "gelu", "elu", "leaky_relu", "hard_swish"])
def test_the_guided_rule_is_the_derivative_times_what_is_positive_of_the_gradient(name: str) -> None:
    function = getattr(jax.nn, name)
    x = jnp.linspace(-8, 8, 41) + 0.01  # off the kinks
    incoming = jnp.asarray(np.random.default_rng(3).standard_normal(41), jnp.float32)
    value, pull = jax.vjp(guided(function), x)
    step = 1e-2
    slope = (np.float64(function(x + step)) - np.float64(function(x - step))) / (2 * step)
    np.testing.assert_array_equal(value, function(x))
    away = np.abs(np.abs(np.asarray(x)[:, None] - np.array([-3, 0, 3, 6])).min(1)) > step
    np.testing.assert_allclose(pull(incoming)[0][away], (slope * np.maximum(incoming, 0))[away], atol=2e-3)


def test_a_network_without_activations_is_guided_by_nothing() -> None:
    network = network_of(linear, with_activations=lambda rule: network_of(linear))
    x = np.random.default_rng(4).standard_normal((2, 3, 4, 3), np.float32)
    maps = explain(GuidedBackprop(), network, x, [[0], [1]])
    np.testing.assert_allclose(maps[:, 0], np.broadcast_to(WEIGHTS.sum(1)[:, None, None], (2, 3, 4)), atol=1e-6)


def test_guided_grad_cam_is_zero_where_grad_cam_is_negative_and_keeps_the_gradients_sign() -> None:
    # Grad-CAM of the mean of relu(x) is relu(x) / places, and minus that for the other class.
    def network(activation: Any = jax.nn.relu) -> NetworkView:
        weights = jnp.array([[1.0, -1.0]])
        return replace(
            network_of(lambda f: f.mean((1, 2)) @ weights, with_activations=lambda rule: network(rule(activation))),
            features=lambda x, stage=None: activation(x),
        )

    x = np.random.default_rng(5).standard_normal((2, 4, 4, 1), np.float32)
    maps = explain(GuidedGradCam(), network(), x, [[0, 1], [0, 1]])
    np.testing.assert_allclose(maps[:, 0], np.maximum(x[..., 0], 0) / 16 / 16, atol=1e-7)
    np.testing.assert_array_equal(maps[:, 1], 0)


# ---------------------------------------------------------------- what must hold of all


def test_noise_depends_on_the_key_and_the_number_alone() -> None:
    x = jnp.asarray(np.random.default_rng(6).standard_normal((3, 5, 6, 2), np.float32))
    keys, numbers = jax.random.split(jax.random.key(1), 3), jnp.arange(4)
    draw = jax.jit(lambda k, x, n: gaussian(k, x, 0.2)(n))
    together = np.asarray(draw(keys, x, numbers))
    turned = jnp.array([2, 0, 1])
    np.testing.assert_array_equal(draw(keys[turned], x[turned], numbers[::-1]), together[::-1][:, turned])
    changed = np.asarray(draw(keys.at[0].set(keys[1]), x.at[0].set(x[1]), numbers))
    np.testing.assert_array_equal(changed[:, 0], together[:, 1])
    np.testing.assert_array_equal(changed[:, 1:], together[:, 1:])
    unit = together / np.asarray(x.max((1, 2, 3)) - x.min((1, 2, 3)))[:, None, None, None]
    flat = unit.reshape(12, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(12)).max() < 0.6  # 12 different draws
    np.testing.assert_allclose([flat.mean(), flat.std()], [0, 0.2], atol=0.02)


def test_how_many_go_at_once_changes_nothing() -> None:
    x = np.random.default_rng(7).standard_normal((2, 1, 2, 1), np.float32)

    def both(at_once: int, batch: slice) -> list[np.ndarray]:
        network = replace(two_layers(jnp.tanh), at_once=at_once)

        def pair(*args: jax.Array) -> tuple[jax.Array, jax.Array]:
            return SmoothGrad(samples=6)(network, *args), VarGrad(samples=6)(network, *args)

        classes = jnp.array([[0, 1], [1, 0]], jnp.int32)
        return [np.asarray(m) for m in jax.jit(pair)(jnp.asarray(x)[batch], classes[batch], KEYS[batch])]

    one_by_one, all_at_once, alone = both(1, slice(2)), both(64, slice(2)), both(3, slice(1, 2))
    for a, b, c in zip(one_by_one, all_at_once, alone, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(c[0], a[1], rtol=1e-5, atol=1e-7)
        assert a.min() > 1e-4


def test_no_more_images_than_asked_for_go_through_at_once_and_targets_share_the_pass() -> None:
    seen: list[int] = []

    def scores(x: jax.Array) -> jax.Array:
        seen.append(len(x))
        return jnp.tanh(x).sum((1, 2)) @ jnp.ones((3, 9))

    network, x = replace(network_of(scores), at_once=6), np.ones((2, 4, 4, 3), np.float32)
    classes = np.tile(np.arange(7), (2, 1))
    for explainer, images in ((Saliency(), 2), (SmoothGrad(samples=12), 6)):
        seen.clear()
        maps = explain(explainer, network, x, classes)
        assert set(seen) == {images}
        assert len(seen) == 1 or images == 6  # a scan may be traced twice
        assert maps.shape == (2, 7, 4, 4)
        np.testing.assert_allclose(maps, maps[:, :1].repeat(7, 1), rtol=1e-6)
