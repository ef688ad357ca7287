"""Occlusion sensitivity: against captum, by hand, and by what must hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import explainer_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.plugins import NetworkView, ParameterError
from medplug_standard.explainers.occlusion import Occlusion, patches
from medplug_standard.explainers.variants import blurred


def linear(weights: Any, **declared: Any) -> NetworkView:
    """Class k scores the sum of the image times ``weights[k]``, which are ``[K, *S, C]``."""
    w = jnp.asarray(weights, jnp.float32)
    return NetworkView(lambda x: x, lambda x: jnp.einsum("b...,k...->bk", x, w), **declared)


def explain(explainer: Any, network: NetworkView, images: Any, classes: Any) -> np.ndarray:
    keys = jax.random.split(jax.random.key(0), len(images))
    run = jax.jit(lambda x, c: explainer(network, x, c, keys))
    return np.asarray(run(jnp.asarray(images, jnp.float32), jnp.asarray(classes, jnp.int32)))


def test_as_captum() -> None:
    # captum, too, gives each pixel the mean over the patches that cover it, and cuts the last patch at the edge.
    recorded = np.load(Path(__file__).with_name("perturbations.npz"))
    x = jnp.asarray(reference.images()[:2, :, 6:26])
    classes, keys = jnp.asarray([[1, 3]] * 2), jax.random.split(jax.random.key(0), 2)
    sizes = [(8, 4), (6, 5), (16, 16)]
    found = jax.jit(
        lambda x, c: [Occlusion(patch=p, stride=s)(reference.reference_view(), x, c, keys) for p, s in sizes]
    )(x, classes)
    for (patch, stride), maps in zip(sizes, found, strict=True):
        expected = recorded[f"occlusion/{patch}/{stride}"]
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_by_hand() -> None:
    # Patches of 2 pixels lose 1 + 2, 2 + 3 and 3 + 4; a pixel has the mean of those that cover it.
    image = np.array([1.0, 2.0, 3.0, 4.0])[None, :, None]
    weights = np.ones((2, 4, 1)) * [[[1.0]], [[-2.0]]]
    maps = explain(Occlusion(patch=2, stride=1), linear(weights), image, [[0, 1]])
    np.testing.assert_allclose(maps, [[[3, 4, 6, 7], [-6, -8, -12, -14]]], rtol=1e-6)


def test_patches_cover_every_pixel() -> None:
    np.testing.assert_array_equal(patches(5, 3, 3), [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]])  # the last is cut
    np.testing.assert_array_equal(patches(5, 3, 2), [[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])
    np.testing.assert_array_equal(patches(3, 16, 16), [[1, 1, 1]])
    with pytest.raises(ParameterError, match="a stride of 5 pixels leaves pixels that no patch of 4 covers"):
        Occlusion(patch=4, stride=5)


@pytest.mark.parametrize(
    ("spatial", "place", "covered"),
    [
        ((32, 64), (5, 50), (slice(0, 16), slice(48, 64))),
        ((64, 32), (50, 5), (slice(48, 64), slice(0, 16))),
        ((8, 24, 40), (7, 20, 33), (slice(0, 8), slice(16, 24), slice(32, 40))),
    ],
)
def test_the_patch_over_the_only_pixel_that_counts(spatial: Any, place: Any, covered: Any) -> None:
    image, weights = np.random.default_rng(1).random((1, *spatial, 1)) + 1, np.zeros((1, *spatial, 1))
    weights[(0, *place)] = 2
    expected = np.zeros(spatial)
    expected[covered] = 2 * image[(0, *place, 0)]
    maps = explain(Occlusion(), linear(weights, at_once=5), image, [[0]])
    np.testing.assert_allclose(maps[0, 0], expected, rtol=1e-5, atol=1e-5)


def test_a_patch_of_one_pixel_shows_what_each_adds_to_a_linear_score() -> None:
    rng = np.random.default_rng(2)
    images, weights = rng.normal(size=(3, 4, 5, 2)), rng.normal(size=(4, 4, 5, 2))
    classes = np.array([[0, 3], [2, 2], [1, 0]])
    expected = np.stack([(images[i] * weights[classes[i]]).sum(-1) for i in range(3)])
    for at_once in (1, 4, 64):  # one image, one variant, all at once
        maps = explain(Occlusion(patch=1, stride=1), linear(weights, at_once=at_once), images, classes)
        np.testing.assert_allclose(maps, expected, atol=1e-5)


@pytest.mark.parametrize(("score", "task"), [("probability", "multiclass"), ("log_odds", "multiclass")])
def test_the_loss_of_other_scores(score: Any, task: Any) -> None:
    rng = np.random.default_rng(3)
    image, weights = rng.normal(size=(1, 6, 4, 1)), rng.normal(size=(3, 6, 4, 1))

    def of(pixels: np.ndarray) -> np.ndarray:
        p = np.exp((pixels * weights).sum((1, 2, 3)))
        p /= p.sum()
        return p if score == "probability" else np.log(p / (1 - p))

    expected = np.zeros((3, 6, 4))
    for top in (0, 3):
        for left in (0, 3):
            hidden = image[0].copy()
            hidden[top : top + 3, left : left + 3] = 0
            expected[:, top : top + 3, left : left + 3] = (of(image[0]) - of(hidden))[:, None, None]
    maps = explain(Occlusion(patch=3, stride=3, score=score), linear(weights, task=task), image, [[0, 1, 2]])
    np.testing.assert_allclose(maps[0], expected, atol=1e-5)


def test_one_pass_for_each_patch_whatever_the_number_of_targets() -> None:
    seen: list[int] = []
    inner = linear(np.ones((3, 8, 12, 1)), at_once=4)

    def counted(x: jax.Array) -> jax.Array:
        jax.debug.callback(lambda: seen.append(x.shape[0]))
        return x

    for classes in ([[0]], [[0, 1, 2]]):
        seen.clear()
        explain(Occlusion(patch=4, stride=4), replace(inner, features=counted), np.ones((1, 8, 12, 1)), classes)
        jax.effects_barrier()
        assert seen == [4, 4]  # six patches, and the image itself, in chunks of the same size


def test_images_do_not_influence_each_other() -> None:
    images = np.random.default_rng(4).normal(size=(3, 32, 32, 3))
    network, classes = reference.reference_view(), np.array([[0, 1], [2, 3], [4, 0]])
    alone = explain(Occlusion(), network, images[1:2], classes[1:2])
    np.testing.assert_allclose(explain(Occlusion(), network, images, classes)[1], alone[0], atol=1e-5)


def test_a_blurred_cover_changes_nothing_where_there_is_nothing() -> None:
    image, weights = np.full((1, 8, 24, 1), 3.0), np.ones((1, 8, 24, 1))
    image[:, :, 20:] = 5.0  # an edge, far from the first patch
    maps = explain(Occlusion(patch=4, stride=4, value="blur"), linear(weights), image, [[0]])[0, 0]
    np.testing.assert_allclose(maps[:, :8], 0, atol=1e-4)
    assert maps[:, 16:20].max() < -0.5  # the blur carries the bright side into the dark
    assert maps[:, 20:].min() > 0.5
    assert explain(Occlusion(patch=4, stride=4), linear(weights), image, [[0]]).min() > 1


def test_the_blur_is_a_gaussian() -> None:
    rng = np.random.default_rng(5)
    images, sigma = rng.normal(size=(2, 5, 7, 3)), 1.5
    expected = np.zeros_like(images)
    for y, x in np.ndindex(5, 7):
        rows, columns = np.mgrid[:5, :7]
        w = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
        expected[:, y, x] = np.einsum("bhwc,hw->bc", images, w / w.sum())
    np.testing.assert_allclose(blurred(jnp.asarray(images, jnp.float32), [sigma, sigma]), expected, atol=1e-5)
