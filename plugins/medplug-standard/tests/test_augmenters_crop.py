"""Random windows at full size, against cutting and resizing one axis after the other with NumPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.plugins import ParameterError
from medplug_standard.augmenters.crop import RandomResizedCrop, apply_resized_crop, window_edges


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def cut_and_resize(image: np.ndarray, edges: Any, place: Any) -> np.ndarray:
    """``[..., H, W, C]`` by hand."""
    for axis, edge, at in ((-3, int(edges[0]), place[0]), (-2, int(edges[1]), place[1])):
        length = image.shape[axis]
        first = int(at * (length - edge + 1))
        part = np.take(image, np.arange(first, first + edge), axis)
        centres = np.clip((np.arange(length) + 0.5) * edge / length - 0.5, 0, edge - 1)
        image = np.apply_along_axis(lambda line, c=centres: np.interp(c, np.arange(len(line)), line), axis, part)
    return image


@pytest.mark.parametrize("spatial", [(16, 16), (13, 20), (3, 12, 11)])
def test_a_window_is_cut_and_enlarged(spatial: tuple[int, ...]) -> None:
    height, width = spatial[-2:]
    edges = np.array([[height, width], [height // 2, width], [5, 7], [1, 1], [height - 1, 3]], np.float32)
    place = np.array([[0.4, 0.9], [0.0, 0.5], [0.99, 0.3], [0.5, 0.5], [0.7, 0.999]], np.float32)
    images = noise(len(edges), *spatial, 2)
    found = np.asarray(jax.jit(apply_resized_crop)(images, edges, place))
    np.testing.assert_array_equal(found[0], images[0])  # all of the image
    for image, expected, edge, at in zip(found, images, edges, place, strict=True):
        np.testing.assert_allclose(image, cut_and_resize(expected, edge, at), atol=1e-5)


def test_by_hand() -> None:
    image = np.array([0.0, 0.4, 0.8, 1.0], np.float32).reshape(1, 1, 4, 1)
    found = apply_resized_crop(jnp.asarray(image), jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 0.5]]))
    # The second of three windows of two pixels, .4 and .8; centres at -.25, .25, .75, 1.25 of it.
    np.testing.assert_allclose(found[0, 0, :, 0], [0.4, 0.5, 0.7, 0.8], atol=1e-6)


def test_edges_have_the_area_and_the_ratio() -> None:
    edges = window_edges((100, 200), jnp.array([0.25, 0.25, 0.5, 1.0]), jnp.array([1.0, 4.0, 0.5, 2.0]))
    np.testing.assert_array_equal(edges, [[50, 100], [25, 200], [100, 100], [71, 200]])  # the last is cut to the width


def test_windows_are_drawn_within_their_bounds() -> None:
    """Ramps show where a window begins and how long it is."""
    ramp = np.linspace(0, 1, 101, dtype=np.float32)
    grid = np.stack(np.meshgrid(ramp, ramp, indexing="ij"), -1)
    crop = RandomResizedCrop(area_low=0.2, area_high=0.4, aspect_low=0.5, aspect_high=2)
    found = np.asarray(jax.jit(crop)(jax.random.key(0), np.broadcast_to(grid, (400, *grid.shape))))
    height = np.round(100 * np.ptp(found[:, :, 50, 0], axis=1)) + 1
    width = np.round(100 * np.ptp(found[:, 50, :, 1], axis=1)) + 1
    area, aspect = height * width / 101**2, width / height
    assert (area.min(), area.max()) == (pytest.approx(0.2, abs=0.02), pytest.approx(0.4, abs=0.02))
    assert (aspect.min(), aspect.max()) == (pytest.approx(0.5, abs=0.05), pytest.approx(2, abs=0.15))
    assert area.mean() == pytest.approx(0.3, abs=0.01)
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.06)
    begin = found[:, 0, 50, 0] / np.maximum(1 - height / 101, 0.01)  # share of the possible places
    assert np.quantile(begin, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.08)


def test_the_share_of_images_that_are_cut() -> None:
    images = np.broadcast_to(noise(9, 9, 1), (1000, 9, 9, 1))
    changed = np.asarray(jax.jit(RandomResizedCrop(area_high=0.8, p=0.3))(jax.random.key(1), images)) != images
    assert changed.any((1, 2, 3)).mean() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("name", ["area", "aspect"])
def test_bounds_in_the_wrong_order_are_refused(name: str) -> None:
    with pytest.raises(ParameterError, match=f"{name}_low must be at most {name}_high"):
        RandomResizedCrop(**{f"{name}_low": 0.9, f"{name}_high": 0.6})
