"""RISE: against the authors' formula on recorded masks, by hand, and by what must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import explainer_reference as reference
import jax
import jax.numpy as jnp
import numpy as np

from medplug.plugins import NetworkView
from medplug_standard.explainers.rise import Rise, _maps, draws, mask

RECORDED = np.load(Path(__file__).with_name("perturbations.npz"))


def linear(weights: Any) -> NetworkView:
    """Class k scores the sum of the image times ``weights[k]``, which are ``[K, *S, C]``."""
    w = jnp.asarray(weights, jnp.float32)
    return NetworkView(lambda x: x, lambda x: jnp.einsum("b...,k...->bk", x, w))


def explain(explainer: Any, network: NetworkView, images: Any, classes: Any, keys: Any) -> np.ndarray:
    run = jax.jit(lambda x, c, k: explainer(network, x, c, k))
    return np.asarray(run(jnp.asarray(images, jnp.float32), jnp.asarray(classes, jnp.int32), keys))


def keys(*seeds: int) -> jax.Array:
    return jax.vmap(jax.random.key)(jnp.asarray(seeds))


def test_masks_are_those_of_the_authors() -> None:
    made = jax.vmap(jax.vmap(lambda grid, shift: mask(grid, shift, (32, 20))))
    found = made(jnp.asarray(RECORDED["rise/grids"][:, :3]), jnp.asarray(RECORDED["rise/shifts"][:, :3], jnp.int32))
    np.testing.assert_allclose(found, RECORDED["rise/masks"], atol=1e-5)


def test_as_the_papers_formula_less_the_mean_score() -> None:
    # The paper's map is linear in the scores; with the mean score taken off them it is the paper's less the mean score times
    # how often a place was shown.
    mean, shares = RECORDED["rise/scores"][:, :, None, None], RECORDED["rise/shares"][:, None]
    expected = RECORDED["rise/paper"] - mean * shares
    run = jax.jit(lambda x, c, g, s: _maps(reference.reference_view(), x, c, g, s, 0.5, "probability"))
    maps = run(
        jnp.asarray(reference.images()[:2, :, 6:26]),
        jnp.asarray([[1, 3]] * 2),
        jnp.asarray(RECORDED["rise/grids"]),
        jnp.asarray(RECORDED["rise/shifts"], jnp.int32),
    )
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_by_hand() -> None:
    # Two cells over two pixels are enlarged to three: the pixels lie at -1/6, mirrored to 1/6, and at 1/2.
    grids = jnp.asarray([[True, False], [False, True]])
    np.testing.assert_allclose(mask(grids[0], jnp.zeros(1, jnp.int32), (2,)), [5 / 6, 1 / 2], rtol=1e-6)
    # A score of the first pixel, 6, is 5 and 1 behind the two masks, 2 more and 2 less than their mean.
    network, image = linear([[[1.0], [0.0]]]), jnp.asarray([[[6.0], [1.0]]])
    shifts, classes = jnp.zeros((1, 2, 1), jnp.int32), jnp.zeros((1, 1), jnp.int32)
    maps = jax.jit(lambda x: _maps(network, x, classes, grids[None], shifts, 0.5, "logit"))(image)
    np.testing.assert_allclose(maps, [[[2 * 5 / 6 - 2 * 1 / 6, 0]]], atol=1e-6)


def test_it_finds_the_place_that_counts_and_is_signed() -> None:
    weights = np.zeros((2, 32, 64, 1))  # not square, and the place is near one corner only
    weights[0, 4:8, 50:56] = 1
    weights[1] = -weights[0]
    maps = explain(Rise(score="logit"), linear(weights), np.ones((1, 32, 64, 1)), [[0, 1]], keys(0))[0]
    assert maps[0, 4:8, 50:56].min() > 4 * np.abs(maps[0, 16:, :32]).max()
    np.testing.assert_allclose(maps[1], -maps[0], atol=1e-4)


def test_draws_are_even_and_stay_in_range() -> None:
    grids, shifts = draws(keys(3, 4), 2000, 4, 0.3, (9, 32, 16))  # cells of 3, 8 and 4 pixels
    assert grids.shape == (2, 2000, 4, 4, 4)
    np.testing.assert_allclose(np.asarray(grids).mean((0, 1)), 0.3, atol=0.05)
    for axis, cell in enumerate((3, 8, 4)):
        counts = np.bincount(np.asarray(shifts[..., axis]).reshape(-1), minlength=cell)
        assert len(counts) == cell
        np.testing.assert_allclose(counts / 4000, 1 / cell, atol=0.04)


def test_a_score_that_never_changes_gives_nothing() -> None:
    network = NetworkView(lambda x: x, lambda x: jnp.full((len(x), 3), 7.0))
    maps = explain(Rise(masks=20), network, np.ones((2, 8, 8, 1)), [[0, 1], [1, 2]], keys(0, 1))
    np.testing.assert_allclose(maps, 0, atol=1e-6)  # the paper's own map would show how often each place was shown


def test_masks_come_from_the_images_own_key() -> None:
    images, classes = np.random.default_rng(6).normal(size=(3, 8, 12, 1)), [[0, 1], [1, 0], [0, 0]]
    network = linear(np.random.default_rng(7).normal(size=(2, 8, 12, 1)))
    run = jax.jit(lambda x, c, k: Rise(masks=30, cells=3)(network, x, jnp.asarray(c), k))
    images = images.astype(np.float32)
    maps = run(images, np.asarray(classes), keys(0, 1, 2))
    turned = run(images[::-1], np.asarray(classes[::-1]), keys(2, 1, 0))
    np.testing.assert_allclose(maps, turned[::-1], atol=1e-6)
    same = run(images[[0, 0, 0]], np.asarray([[0, 1]] * 3), keys(5, 5, 6))
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)
    assert np.abs(same[0] - same[2]).max() > 0.1 * np.abs(same[0]).max()
