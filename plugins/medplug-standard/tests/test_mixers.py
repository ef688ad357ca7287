"""Mixers: by hand at given partners and shares, and by what has to hold between images and targets."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from medplug_standard.mixers.cutmix import CutMix, inside_box
from medplug_standard.mixers.mixup import Mixup
from medplug_standard.mixers.pairs import mix_rows, own_shares, partners

NAN = np.nan
MIXERS = [Mixup(), CutMix(), Mixup(alpha=1.0, p=0.5), CutMix(alpha=0.3, p=0.5)]


def batch(count: int, *spatial: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Black and white images, their brightness ``[B]``, and one-hot targets that say which is which."""
    white = np.random.default_rng(1).integers(0, 2, count).astype(np.float32)  # at any distance some differ
    images = np.broadcast_to(white.reshape(-1, *(1,) * (len(spatial) + 1)), (count, *spatial, 1))
    return jnp.asarray(images), white, np.stack([1 - white, white], 1)


@pytest.mark.parametrize("spatial", [(8, 12), (4, 6, 8)])
@pytest.mark.parametrize("mixer", MIXERS, ids=str)
def test_targets_have_the_shares_of_the_pixels(mixer: Any, spatial: tuple[int, ...]) -> None:
    """The mean brightness of a mixed image is its share of white images, which its target has to tell."""
    images, white, targets = batch(32, *spatial)
    mixed, told = jax.jit(mixer)(jax.random.key(0), images, targets)
    np.testing.assert_allclose(np.asarray(mixed).mean(tuple(range(1, mixed.ndim))), told[:, 1], atol=1e-6)
    np.testing.assert_allclose(np.asarray(told).sum(1), 1, atol=1e-6)
    changed = np.abs(told[:, 1] - white) > 0
    assert 0 < changed.sum() < 32


def test_rows_by_hand_with_unknown_labels() -> None:
    """NaN enters where its row has a share, and nowhere else."""
    rows = jnp.array([[1.0, 0.0, NAN], [0.0, NAN, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, NAN]])
    mixed = mix_rows(rows, jnp.array([1, 2, 3, 0]), jnp.array([0.75, 1.0, 0.0, 0.5]))
    np.testing.assert_allclose(mixed, [[0.75, NAN, NAN], [0, NAN, 1], [0, 0, NAN], [0.5, 0, NAN]])


def test_a_share_of_all_or_nothing_is_a_plain_copy() -> None:
    rows = np.random.default_rng(0).random((3, 5), np.float32)
    other = np.array([1, 2, 0])
    np.testing.assert_array_equal(mix_rows(jnp.asarray(rows), other, jnp.ones(3)), rows)
    np.testing.assert_array_equal(mix_rows(jnp.asarray(rows), other, jnp.zeros(3)), rows[other])


def test_mixup_adds_up_what_it_says() -> None:
    """With a constant second channel of targets the share can be read off, and the images follow it."""
    rng = np.random.default_rng(4)
    images = rng.random((6, 5, 5, 3), np.float32)
    mixed, told = jax.jit(Mixup(alpha=1.0))(jax.random.key(3), images, np.eye(6, dtype=np.float32))
    np.testing.assert_allclose(mixed, np.einsum("ij,jhwc->ihwc", told, images), atol=1e-6)
    assert ((np.asarray(told) > 0).sum(1) == 2).all()  # each image and exactly one other


@pytest.mark.parametrize("spatial", [(20, 30), (8, 10, 12)])
def test_the_box_is_counted_by_hand(spatial: tuple[int, ...]) -> None:
    share = np.array([0.0, 0.2, 0.5, 0.9, 1.0], np.float32)
    centre = np.random.default_rng(5).random((5, len(spatial)), np.float32)
    found = np.asarray(inside_box(spatial, jnp.asarray(share), jnp.asarray(centre)))
    for box, part, middle in zip(found, share, centre, strict=True):
        expected = np.zeros(spatial, bool)
        slices = []
        for length, at in zip(spatial, middle, strict=True):
            edge = int(np.float32(length) * np.float32(part) ** np.float32(1 / len(spatial)))
            first = int(length * at) - edge // 2
            slices.append(slice(max(0, first), max(0, first + edge)))
        expected[tuple(slices)] = True
        np.testing.assert_array_equal(box, expected)


def test_cutmix_copies_pixels() -> None:
    """Each pixel is that of the image or of one other, in a box."""
    images = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1) / 4 * np.ones((1, 9, 9, 1), np.float32)
    mixed, told = jax.jit(CutMix())(jax.random.key(1), images, np.eye(4, dtype=np.float32))
    for row, image in enumerate(np.asarray(mixed)[..., 0]):
        foreign = image != image.dtype.type(row / 4)
        assert len(np.unique(image)) <= 2
        rows, columns = np.nonzero(foreign)
        if len(rows):
            assert foreign[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
        assert told[row, row] == pytest.approx(1 - foreign.mean())


def test_an_unknown_label_enters_with_its_pixels_and_not_without() -> None:
    """A box of nothing brings nothing in, not even NaN."""
    targets = jnp.array([[NAN], [1.0]])
    images = jnp.stack([jnp.zeros((2, 2, 1)), jnp.ones((2, 2, 1))])
    entered = set()
    for seed in range(12):
        mixed, told = map(np.asarray, CutMix()(jax.random.key(seed), images, targets))
        assert np.isnan(told[1, 0]) == (mixed[1] == 0).any()
        assert np.isnan(told[0, 0])  # some of the image stays, whose label nobody knows
        entered.add(bool(np.isnan(told[1, 0])))
    assert entered == {False, True}


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_drawn_from_beta(alpha: float) -> None:
    drawn = np.asarray(own_shares(jax.random.key(0), 3000, alpha, 1.0))
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    some = np.asarray(own_shares(jax.random.key(1), 3000, alpha, 0.3))
    assert (some < 1).mean() == pytest.approx(0.3, abs=0.05)


def test_partners_are_others_with_equal_chances() -> None:
    drawn = np.array([partners(jax.random.key(seed), 4) for seed in range(200)])
    assert (drawn != np.arange(4)).all()
    assert (np.sort(drawn, 1) == np.arange(4)).all()
    np.testing.assert_allclose([(drawn[:, 0] == k).mean() for k in (1, 2, 3)], 1 / 3, atol=0.12)
    assert partners(jax.random.key(0), 1).tolist() == [0]


@pytest.mark.parametrize("cls", [Mixup, CutMix])
def test_a_batch_of_one_stays_as_it_is(cls: type) -> None:
    images, targets = jnp.full((1, 4, 4, 1), 0.3), jnp.array([[1.0, 0.0]])
    mixed, told = cls()(jax.random.key(0), images, targets)
    np.testing.assert_allclose(mixed, images, rtol=1e-6)
    np.testing.assert_allclose(told, targets, rtol=1e-6)
