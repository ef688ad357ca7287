"""Warps against SciPy and quarter turns, and the policy that draws one operation for each image."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from medplug_standard.augmenters.policy import TrivialAugment
from medplug_standard.augmenters.warp import Rotate, apply_warp, turned


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.mark.parametrize("spatial", [(11, 11), (9, 14), (3, 8, 9)])
def test_a_warp_is_that_of_scipy(spatial: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    matrix = (np.eye(2) + rng.normal(0, 0.4, (5, 2, 2))).astype(np.float32)
    shift = rng.normal(0, 4, (5, 2)).astype(np.float32)
    images = noise(5, *spatial, 2)
    found = np.asarray(jax.jit(apply_warp)(images, matrix, shift)).reshape(5, -1, *spatial[-2:], 2)
    middle = (np.array(spatial[-2:]) - 1) / 2
    for i, volume in enumerate(images.reshape(found.shape)):
        offset = middle + shift[i] - matrix[i] @ middle
        for z, plane in enumerate(volume):
            for c in range(2):
                expected = ndimage.affine_transform(plane[..., c], matrix[i], offset, order=1, mode="mirror")
                np.testing.assert_allclose(found[i, z, ..., c], expected, atol=2e-4)


def test_quarter_turns_are_numpys() -> None:
    images = noise(5, 7, 7, 3)
    degrees = jnp.array([0.0, 90.0, 180.0, 270.0, -90.0])
    found = apply_warp(jnp.asarray(images), turned(degrees), jnp.zeros((5, 2)))
    for image, before, k in zip(found, images, (0, 1, 2, 3, -1), strict=True):
        np.testing.assert_allclose(image, np.rot90(before, k), atol=1e-5)
    np.testing.assert_array_equal(found[0], images[0])


def test_angles_are_drawn_within_their_limit() -> None:
    """A bright line through the middle, whose direction can be read off."""
    across = np.linspace(-1, 1, 41, dtype=np.float32)
    ramp = np.broadcast_to(across[None, :, None], (500, 41, 41, 1)) / 4 + 0.5
    found = np.asarray(jax.jit(Rotate(limit=20, p=1))(jax.random.key(0), ramp))[:, 15:26, 15:26, 0]
    down, right = np.gradient(found, axis=(1, 2))
    angle = np.degrees(np.arctan2(-down.mean((1, 2)), right.mean((1, 2))))
    assert (angle.min(), angle.max()) == (pytest.approx(-20, abs=1), pytest.approx(20, abs=1))
    assert np.quantile(angle, [0.25, 0.5, 0.75]) == pytest.approx([-10, 0, 10], abs=2.5)


def colourful(count: int) -> np.ndarray:
    return np.broadcast_to(0.3 + 0.4 * noise(12, 12, 3), (count, 12, 12, 3))


def test_all_operations_have_equal_chances() -> None:
    """One of eleven operations on colour images does nothing, and one of the nine on grey ones."""
    images = colourful(3000)
    for shown, part in ((images, 1 / 11), (images[..., :1], 1 / 9)):
        changed = np.asarray(jax.jit(TrivialAugment())(jax.random.key(0), shown))
        same = (np.abs(changed - shown) < 1e-7).all((1, 2, 3))
        assert same.mean() == pytest.approx(part, abs=0.02)


def test_without_colour_hue_and_saturation_are_left_out() -> None:
    """One flat colour: only grey levels can change it, and those keep the differences of its channels or scale them."""
    images = np.broadcast_to(np.array([0.6, 0.5, 0.45], np.float32), (2000, 4, 4, 3))

    def turned_hues(colour: bool) -> float:
        found = np.asarray(jax.jit(TrivialAugment(colour=colour))(jax.random.key(2), images))[:, 0, 0]
        inside = (found > 0).all(1) & (found < 1).all(1)  # nothing was clipped
        spread = found[inside] - found[inside].mean(1, keepdims=True)
        given = images[0, 0, 0] - images[0, 0, 0].mean()
        cosine = (spread @ given) / np.linalg.norm(spread, axis=1) / np.linalg.norm(given)
        return float((cosine < 0.9999).mean())

    assert turned_hues(True) > 0.05
    assert turned_hues(False) == 0


@pytest.mark.parametrize(
    ("flips", "expected"), [("none", (1, 0, 0, 0)), ("horizontal", (0.5, 0.5, 0, 0)), ("both", (0.25,) * 4)]
)
def test_flips_where_anatomy_allows_them(flips: str, expected: tuple[float, ...]) -> None:
    image = noise(6, 6, 1)
    images = np.broadcast_to(image, (2000, 6, 6, 1))
    found = np.asarray(jax.jit(TrivialAugment(strength=0, flips=flips))(jax.random.key(3), images))
    ways = (image, image[:, ::-1], image[::-1], image[::-1, ::-1])
    shares = [(np.abs(found - way) < 1e-6).all((1, 2, 3)).mean() for way in ways]
    np.testing.assert_allclose(shares, expected, atol=0.04)


def test_strength_bounds_the_change() -> None:
    """Of a flat grey image only brightness changes the level, evenly up to 0.3 of the range at full strength."""
    images = np.full((4000, 4, 4, 1), 0.5, np.float32)
    for strength in (0.5, 1.0):
        level = np.asarray(jax.jit(TrivialAugment(strength=strength))(jax.random.key(4), images))[:, 0, 0, 0] - 0.5
        moved = level[np.abs(level) > 1e-6]
        assert np.abs(moved).max() == pytest.approx(0.3 * strength, rel=0.03)
        assert np.abs(moved).mean() == pytest.approx(0.15 * strength, rel=0.1)
        assert len(moved) / len(level) == pytest.approx(1 / 9, abs=0.02)
