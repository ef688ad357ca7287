"""Integrated gradients and gradient SHAP: against captum, by hand, and complete."""

from dataclasses import replace
from typing import Any

import explainer_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import record_gradients as recorded
from scipy.ndimage import gaussian_filter1d
from test_gradient_explainers import CAPTUM, CLASSES, IMAGES, KEYS, WEIGHTS, agree, draws, explain, linear, network_of

from medplug_standard.explainers.gradients import Asked
from medplug_standard.explainers.paths import (
    GradientShap,
    IntegratedGradients,
    baseline_images,
    expected_gradients,
    steps_of,
)

# ---------------------------------------------------------------- captum


@pytest.mark.parametrize(
    ("name", "explainer"),
    [
        ("gauss_legendre", IntegratedGradients(steps=recorded.GAUSS_STEPS)),
        ("midpoint", IntegratedGradients(steps=recorded.MIDPOINTS, rule="midpoint", baseline="darkest")),
    ],
)
def test_integrated_gradients_agree_with_captum(name: str, explainer: Any) -> None:
    agree(explain(explainer, reference.reference_view(), IMAGES, CLASSES), f"integrated_gradients/{name}")


def test_gradient_shap_agrees_with_captum_on_the_same_draws() -> None:
    # Captum drew anew for each of the two classes, as whose image it saw them.
    chosen, places = CAPTUM["gradient_shap/chosen"], CAPTUM["gradient_shap/places"]
    start = recorded.baselines()[chosen.reshape(4, -1)]  # [class and image, sample]

    @jax.jit
    def maps(x: jax.Array, c: jax.Array) -> jax.Array:
        asked = Asked(reference.reference_view(), x, c, "logit")
        share = np.moveaxis(places.reshape(4, -1), 1, 0)
        return expected_gradients(asked, recorded.SAMPLES, draws(np.moveaxis(start, 1, 0)), draws(share))

    found = maps(jnp.tile(IMAGES, (2, 1, 1, 1)), CLASSES.T.reshape(4, 1))
    agree(jnp.moveaxis(found.reshape(2, 2, 32, 32), 0, 1), "gradient_shap")


# ---------------------------------------------------------------- by hand


def cubic(x: jax.Array) -> jax.Array:
    """Sums of ``x^3 / 3``, whose gradient is ``x^2``, and the negative."""
    total = (x**3 / 3).sum(tuple(range(1, x.ndim)))
    return jnp.stack([total, -total], 1)


@pytest.mark.parametrize("baseline", ["mean", "darkest", "blurred"])
@pytest.mark.parametrize("method", [IntegratedGradients, GradientShap])
def test_of_a_linear_network_the_map_is_the_weights_times_the_way(method: Any, baseline: Any) -> None:
    settings: dict[str, Any] = {"steps": 3} if method is IntegratedGradients else {"samples": 3, "noise": 0}
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 3), np.float32)
    maps = explain(method(baseline=baseline, **settings), network_of(linear), x, [[0, 1], [1, 0]])
    way = x - np.asarray(baseline_images(jnp.asarray(x), baseline))
    for i, t in np.ndindex(2, 2):
        np.testing.assert_allclose(maps[i, t], way[i] @ WEIGHTS[t if i == 0 else 1 - t], atol=1e-5)
    if baseline == "mean":
        np.testing.assert_array_equal(way, x)


@pytest.mark.parametrize(
    ("rule", "steps", "share"),
    [
        ("midpoint", 1, 3 / 4),  # x * (x / 2)^2 instead of x^3 / 3
        ("midpoint", 2, 15 / 16),  # x * (x^2 / 16 + 9 x^2 / 16) / 2
        ("gauss_legendre", 1, 3 / 4),
        ("gauss_legendre", 2, 1),  # exact up to the third power
    ],
)
def test_the_error_of_few_steps(rule: Any, steps: int, share: float) -> None:
    explainer, x = IntegratedGradients(steps=steps, rule=rule), np.array([3, -1, 2, 0], np.float32).reshape(1, 2, 2, 1)
    network, classes = network_of(cubic), np.array([[0, 1]], np.int32)
    maps = explain(explainer, network, x, classes, KEYS[:1])
    np.testing.assert_allclose(maps[0, 0], share * x[0, ..., 0] ** 3 / 3, rtol=1e-5)
    np.testing.assert_allclose(maps[0, 1], -maps[0, 0])
    error = explainer.completeness_error(network, jnp.asarray(x), jnp.asarray(classes), jnp.asarray(maps))
    np.testing.assert_allclose(error, [[1 - share] * 2], atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 7, 32])
def test_weights_of_the_steps(steps: int) -> None:
    for rule in ("midpoint", "gauss_legendre"):
        places, weights = steps_of(rule, steps)
        assert places.min() > 0
        assert places.max() < 1
        np.testing.assert_allclose([weights.sum(), weights @ places], [1, 0.5], rtol=1e-6)
    power = 2 * steps - 1  # the highest that this rule integrates exactly
    np.testing.assert_allclose(weights @ places.astype(np.float64) ** power, 1 / (power + 1), rtol=1e-5)


def test_the_darkest_baseline_is_the_least_of_each_channel_of_each_image() -> None:
    x = np.random.default_rng(1).standard_normal((2, 3, 4, 5, 2)).astype(np.float32)
    found = np.asarray(baseline_images(jnp.asarray(x), "darkest"))
    for i, c in np.ndindex(2, 2):
        np.testing.assert_array_equal(found[i, ..., c], x[i, ..., c].min())


def test_the_blurred_baseline() -> None:
    x = np.random.default_rng(2).standard_normal((1, 60, 40, 2)).astype(np.float32)
    found = np.asarray(baseline_images(jnp.asarray(x), "blurred"))
    expected = gaussian_filter1d(gaussian_filter1d(x.astype(np.float64), 6, 1, truncate=8), 4, 2, truncate=8)
    assert np.abs(found - expected)[:, 28:32, 19:21].max() < 0.02 * expected.std()  # far from borders, as SciPy's
    flat = np.asarray(baseline_images(jnp.full((1, 7, 5, 1), 3.0), "blurred"))
    np.testing.assert_allclose(flat, 3, rtol=1e-6)  # colours stay, at the border too


def test_what_is_as_the_baseline_has_no_part() -> None:
    x = np.array(IMAGES)
    x[:, :10] = 0
    maps = explain(IntegratedGradients(steps=4), reference.reference_view(), x, CLASSES)
    np.testing.assert_array_equal(maps[:, :, :10], 0)
    assert np.abs(maps[:, :, 10:]).max() > 1e-3


# ---------------------------------------------------------------- complete


def error_of(explainer: IntegratedGradients, network: Any, images: Any, classes: Any) -> np.ndarray:
    def run(x: jax.Array, c: jax.Array) -> jax.Array:
        return explainer.completeness_error(network, x, c, explainer(network, x, c, KEYS))

    return np.asarray(jax.jit(run)(jnp.asarray(images), jnp.asarray(classes, jnp.int32)))


def test_complete_on_the_reference_network() -> None:
    network, classes = reference.reference_view(), np.tile(np.arange(reference.CLASSES), (len(IMAGES), 1))
    errors = error_of(IntegratedGradients(), network, IMAGES, classes)
    difference = np.abs(network.logits(IMAGES) - network.logits(jnp.zeros_like(IMAGES)))
    assert errors.shape == classes.shape
    large = difference > difference.max() / 10  # the error of a difference of almost nothing says nothing
    assert large.sum() > large.size / 2
    assert errors[large].max() < 0.01
    assert (errors * difference).max() < 0.002 * difference.max()


@pytest.mark.parametrize("baseline", ["mean", "darkest", "blurred"])
def test_complete_on_a_trained_network(trained: Any, baseline: Any) -> None:
    network, images = trained
    scores = np.asarray(network.logits(images))
    assert (scores.argmax(1) == np.arange(8) % 2).all()  # it has learned where they are bright
    assert np.ptp(scores, 1).min() > 3
    errors = error_of(IntegratedGradients(baseline=baseline), network, images, np.tile([0, 1], (8, 1)))
    assert errors.max() < 0.01


@pytest.fixture(scope="module")
def trained() -> Any:
    """A small network that tells images that are bright at the left from those at the right, and 8 of each in turn."""
    rng = np.random.default_rng(3)
    x = rng.normal(0, 0.3, (32, 16, 16, 1)).astype(np.float32)
    x[::2, 4:12, 2:6] += 2
    x[1::2, 4:12, 10:14] += 2
    target = np.arange(32) % 2
    weights = [jnp.asarray(rng.normal(0, 0.3, shape), jnp.float32) for shape in ((16, 32), (32,), (4 * 4 * 32, 2))]

    def logits(weights: Any, x: jax.Array) -> jax.Array:
        patches = x.reshape(-1, 4, 4, 4, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 16, 16)
        return jax.nn.relu(patches @ weights[0] + weights[1]).reshape(len(x), -1) @ weights[2] / 16

    def loss(weights: Any) -> jax.Array:
        return -jax.nn.log_softmax(logits(weights, jnp.asarray(x)))[np.arange(32), target].mean()

    def step(_: int, weights: Any) -> Any:
        return jax.tree.map(lambda w, g: w - 0.3 * g, weights, jax.grad(loss)(weights))

    weights = jax.jit(lambda w: jax.lax.fori_loop(0, 200, step, w))(weights)
    return network_of(lambda x: logits(weights, x)), jnp.asarray(x[:8])


# ---------------------------------------------------------------- gradient SHAP


def test_gradient_shap_without_noise_approaches_the_integral() -> None:
    x = np.array([3, -1, 2, 0.5], np.float32).reshape(1, 2, 2, 1)
    network = network_of(cubic)
    maps = explain(GradientShap(samples=64, noise=0), network, x, [[0]], KEYS[:1])
    # One place in each of 64 parts: within 1/64 of x^3 / 3 at worst, and 32 would not do with free places.
    np.testing.assert_allclose(maps[0, 0], x[0, ..., 0] ** 3 / 3, rtol=0.01)


def test_gradient_shap_starts_from_noise_as_wide_as_a_share_of_the_range() -> None:
    # Linear network: the mean of (x - baseline) * w over 200 draws; its spread is that of the noise over sqrt(200).
    x = np.zeros((2, 30, 30, 1), np.float32)
    x[0, 0, 0], x[1, 0, 0] = 1, 5
    network = network_of(lambda x: x.sum((1, 2, 3))[:, None])
    maps = explain(GradientShap(samples=200, noise=0.3), network, x, [[0], [0]])[:, 0]
    gaps = maps - x[..., 0]
    for i, size in enumerate((1, 5)):
        np.testing.assert_allclose(gaps[i].std(), 0.3 * size / 200**0.5, rtol=0.1)
        assert abs(gaps[i].mean()) < 5 * 0.3 * size / (200 * 900) ** 0.5


def test_gradient_shap_depends_on_the_images_own_key_and_not_on_how_many_go_at_once() -> None:
    x = np.random.default_rng(4).standard_normal((2, 3, 2, 1), np.float32)
    explainer, network = GradientShap(samples=6), network_of(cubic)
    together = explain(explainer, replace(network, at_once=1), x, [[0, 1], [1, 0]])
    alone = explain(explainer, replace(network, at_once=64), x[1:], [[1, 0]], KEYS[1:])
    np.testing.assert_allclose(alone[0], together[1], rtol=1e-4, atol=1e-6)
    other = explain(explainer, replace(network, at_once=64), x[1:], [[1, 0]], KEYS[:1])
    assert np.abs(other - alone).max() > 1e-2
