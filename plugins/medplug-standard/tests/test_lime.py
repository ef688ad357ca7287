"""LIME and its superpixels: against the authors' package and captum, and by what must hold."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import explainer_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.plugins import NetworkView
from medplug_standard.explainers.lime import Lime, LimeCon, LimePro, choices, linear_model, ridge
from medplug_standard.explainers.superpixels import segment_grid, superpixels

RECORDED = np.load(Path(__file__).with_name("perturbations.npz"))


def linear(weights: Any, **declared: Any) -> NetworkView:
    """Class k scores the sum of the image times ``weights[k]``, which are ``[K, *S, C]``."""
    w = jnp.asarray(weights, jnp.float32)
    return NetworkView(lambda x: x, lambda x: jnp.einsum("b...,k...->bk", x, w), **declared)


def keys(*seeds: int) -> jax.Array:
    return jax.vmap(jax.random.key)(jnp.asarray(seeds))


def explain_all(explainers: Any, network: NetworkView, images: Any, classes: Any, keys: Any) -> list[np.ndarray]:
    run = jax.jit(lambda x, c, k: [e(network, x, c, k) for e in explainers])
    return [np.asarray(m) for m in run(jnp.asarray(images, jnp.float32), jnp.asarray(classes, jnp.int32), keys)]


@pytest.mark.parametrize("whose", ["authors", "captum"])
def test_weights_from_the_same_choices(whose: str) -> None:
    segments, expected = RECORDED["lime/segments"], RECORDED[f"lime/{whose}"]  # [B, H, W], [B, T, K]
    run = jax.jit(lambda x, c, s, z: Lime()._painted(reference.reference_view(), x, c, s, z))
    maps = run(
        jnp.asarray(reference.images()[:2]),
        jnp.asarray([[1, 3]] * 2),
        jnp.asarray(segments, jnp.int32),
        jnp.asarray(RECORDED["lime/shown"]),
    )
    painted = np.stack([w[:, s] for w, s in zip(expected, segments, strict=True)])
    np.testing.assert_allclose(maps, painted, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_ridge_solves_the_penalised_least_squares() -> None:
    rng = np.random.default_rng(1)
    z, y, weights, alpha = rng.integers(0, 2, (30, 6)), rng.normal(size=(30, 2)), rng.random(30), 0.7
    # The same as plain least squares with a row sqrt(alpha) for each coefficient, and none for the intercept.
    root = np.sqrt(weights)[:, None]
    rows = np.vstack([root * np.hstack([z, np.ones((30, 1))]), np.sqrt(alpha) * np.eye(6, 7)])
    expected = np.linalg.lstsq(rows, np.vstack([root * y, np.zeros((6, 2))]), rcond=None)[0][:6].T
    found = ridge(*(jnp.asarray(a, jnp.float32) for a in (z, y, weights)), alpha)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_linear_score_gives_each_superpixel_what_it_adds() -> None:
    rng = np.random.default_rng(2)
    images, weights = rng.normal(size=(2, 12, 20, 2)), rng.normal(size=(3, 12, 20, 2))
    lime, classes = Lime(samples=150, segments=12, alpha=1e-4, score="logit"), np.array([[0, 2], [1, 1]])
    (maps,) = explain_all([lime], linear(weights, at_once=7), images, classes, keys(0, 1))
    segments = np.asarray(superpixels(jnp.asarray(images, jnp.float32), 12, lime.compactness))
    for i, t in np.ndindex(2, 2):
        adds = (images[i] * weights[classes[i, t]]).sum(-1)
        for segment in np.unique(segments[i]):
            inside = segments[i] == segment
            np.testing.assert_allclose(maps[i, t][inside], adds[inside].sum(), atol=0.02)


def test_pro_and_con_are_the_ends_of_lime() -> None:
    rng = np.random.default_rng(3)
    images, weights = rng.normal(size=(2, 15, 10, 1)), rng.normal(size=(2, 15, 10, 1))
    common = {"samples": 60, "segments": 15}
    methods = [Lime(**common), LimePro(**common, top=3), LimeCon(**common, top=3), LimePro(**common, top=99)]
    lime, pro, con, every = explain_all(methods, linear(weights), images, [[0, 1]] * 2, keys(0, 1))
    for at in np.ndindex(2, 2):
        values = np.unique(lime[at])  # each superpixel has its own
        assert (values > 0).sum() > 3
        assert (values < 0).sum() > 3
        np.testing.assert_array_equal(pro[at], np.where(lime[at] >= values[-3], lime[at], 0))
        np.testing.assert_array_equal(con[at], np.where(lime[at] <= values[2], -lime[at], 0))
        np.testing.assert_array_equal(every[at], np.maximum(lime[at], 0))


def test_choices_are_even_and_come_from_the_images_own_key() -> None:
    shown = np.asarray(choices(keys(4, 5, 4), 2000, 7))
    assert shown[:, 0].all()  # the image itself
    np.testing.assert_allclose(shown[:, 1:].mean(1), 0.5, atol=0.05)
    np.testing.assert_array_equal(shown[0], shown[2])
    assert (shown[0] != shown[1]).mean() > 0.4


def test_a_superpixel_without_pixels_has_no_weight_and_takes_no_part() -> None:
    rng = np.random.default_rng(6)
    shown, scores = rng.random((1, 40, 4)) < 0.5, rng.normal(size=(40, 1, 2)).astype(np.float32)
    segments = rng.integers(0, 3, (1, 5, 6))  # the fourth is missing
    with_it = linear_model(jnp.asarray(shown), jnp.asarray(segments), jnp.asarray(scores), 0.25, 1.0)
    without = linear_model(jnp.asarray(shown[..., :3]), jnp.asarray(segments), jnp.asarray(scores), 0.25, 1.0)
    np.testing.assert_allclose(with_it[..., :3], without, atol=1e-6)
    np.testing.assert_array_equal(with_it[..., 3], 0)


def slic(image: np.ndarray, grid: tuple[int, ...], compactness: float, rounds: int) -> np.ndarray:
    """Superpixels, pixel by pixel, as the docstring says."""
    spatial = image.shape[:-1]
    pixels = list(np.ndindex(*spatial))
    place = {p: np.array([(i + 0.5) * g / n for i, g, n in zip(p, grid, spatial, strict=True)]) for p in pixels}
    cells = list(itertools.product(*map(range, grid)))
    member = {p: tuple(int(v) for v in place[p]) for p in pixels}
    scale = image.shape[-1] * image.var()
    centre: dict[Any, Any] = {}
    for step in range(rounds + 1):
        if step:
            for p in pixels:
                home = place[p].astype(int)
                near = [c for c in cells if np.abs(np.array(c) - home).max() <= 1]
                member[p] = min(near, key=lambda c: _distance(image[p], place[p], *centre[c], scale, compactness))
        for c in cells:
            own = [p for p in pixels if member[p] == c]
            if own:
                centre[c] = np.mean([image[p] for p in own], 0), np.mean([place[p] for p in own], 0)
    return np.array([cells.index(member[p]) for p in pixels]).reshape(spatial)


def _distance(colour: Any, place: Any, other: Any, there: Any, scale: float, compactness: float) -> float:
    return float(((colour - other) ** 2).sum() / scale + compactness**2 * ((place - there) ** 2).sum())


@pytest.mark.parametrize(("spatial", "segments", "grid"), [((9, 14), 6, (2, 3)), ((4, 5, 6), 8, (2, 2, 2))])
def test_superpixels_as_a_loop(spatial: tuple[int, ...], segments: int, grid: tuple[int, ...]) -> None:
    assert segment_grid(spatial, segments) == grid
    images = np.random.default_rng(7).normal(size=(2, *spatial, 3)).astype(np.float32)
    found = superpixels(jnp.asarray(images), segments, 0.6, 3)
    for one, labels in zip(images, found, strict=True):
        np.testing.assert_array_equal(labels, slic(one.astype(np.float64), grid, 0.6, 3))


def test_superpixels_keep_to_edges_in_the_image() -> None:
    rows, columns = np.mgrid[:40, :60]
    disc = (rows - 21) ** 2 + (columns - 33) ** 2 < 130
    image = np.where(disc, 1.0, 0.0)[None, ..., None] + np.random.default_rng(8).normal(0, 0.02, (1, 40, 60, 1))
    segments = np.asarray(superpixels(jnp.asarray(image, jnp.float32), 50, 0.4))[0]
    grey = np.asarray(superpixels(jnp.zeros((1, 40, 60, 1)), 50, 0.4))[0]

    def mixed(labels: np.ndarray) -> int:
        return sum(min(disc[labels == s].sum(), (~disc)[labels == s].sum()) for s in np.unique(labels))

    assert mixed(segments) <= 0.02 * disc.sum()
    assert mixed(grey) > 0.2 * disc.sum()  # squares, where there is nothing to see
    assert len(np.unique(grey)) == np.prod(segment_grid((40, 60), 50))
