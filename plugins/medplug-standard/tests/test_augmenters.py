"""Augmenters at given parameters, against plain NumPy written for one image (and pixel) at a time."""

import colorsys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug_standard.augmenters.colour import apply_hue_hsv, apply_hue_yiq, apply_saturation
from medplug_standard.augmenters.flips import apply_flip, apply_rotate90
from medplug_standard.augmenters.intensity import apply_brightness, apply_contrast
from medplug_standard.augmenters.scale import apply_scale

LUMA = np.array([0.299, 0.587, 0.114])
ULP = 6e-8  # v / 255 may be rounded either way, as it is a product with 1 / 255 on some devices


@partial(jax.jit, static_argnums=(0, 1))
def run(apply: Any, options: tuple[Any, ...], images: Any, parameter: Any) -> jax.Array:
    return apply(images, parameter, *options)


def compiled(apply: Any, images: Any, parameter: Any, *options: Any) -> np.ndarray:
    """As in training: one compilation is also much faster than one for each operation."""
    return np.asarray(run(apply, options, images, jnp.asarray(parameter)))


def levels(seed: int, *shape: int) -> np.ndarray:
    """Random whole grey levels; part of the pixels are grey, dark or saturated."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, shape)
    values[:, 0] = values[:, 0, :, :1]
    values[:, 1] //= 50
    values[:, 2] = rng.choice([0, 255], values[:, 2].shape)
    return values


def images(seed: int, *shape: int) -> np.ndarray:
    return (levels(seed, *shape) / 255).astype(np.float32)


def as_levels(array: object) -> np.ndarray:
    scaled = np.asarray(array, np.float64) * 255
    assert np.abs(scaled - np.round(scaled)).max() < 1e-4, "not whole grey levels"
    return np.round(scaled).astype(int)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("spatial", [(6, 6), (6, 9), (3, 6, 6)])
def test_flips_and_turns_are_numpys(spatial: tuple[int, ...], channels: int) -> None:
    x = images(0, 8, *spatial, channels)
    horizontal, vertical = np.arange(8) % 2 == 1, np.arange(8) // 2 % 2 == 1
    turns = np.arange(8, dtype=np.int32) % 4
    flipped = np.asarray(jax.jit(apply_flip)(x, horizontal, vertical))
    turned = compiled(apply_rotate90, x, turns)
    square = spatial[-1] == spatial[-2]
    for i, image in enumerate(x):
        axes = [axis for axis, chosen in ((-2, horizontal[i]), (-3, vertical[i])) if chosen]
        np.testing.assert_array_equal(flipped[i], np.flip(image, tuple(axes)))
        k = turns[i] if square else 2 * (turns[i] // 2)
        np.testing.assert_array_equal(turned[i], np.rot90(image, k, axes=(-3, -2)))


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness(channels: int) -> None:
    x = images(1, 4, 5, 6, channels)
    delta = np.array([-0.3, -0.01, 0.02, 0.5], np.float32)
    expected = np.clip(x + delta[:, None, None, None], 0, 1)
    np.testing.assert_allclose(compiled(apply_brightness, x, delta), expected, atol=1e-6)


@pytest.mark.parametrize("delta", [-0.1, -0.0371, 0.0, 0.004, 0.0999])
def test_integer_brightness_is_the_lookup_table(delta: float) -> None:
    table = np.clip(np.arange(256, dtype=np.float32) + 255 * np.float32(delta), 0, 255).astype(np.uint8)
    v = np.arange(256).reshape(1, 16, 16, 1)
    changed = compiled(apply_brightness, (v / 255).astype(np.float32), [delta], True)
    np.testing.assert_array_equal(as_levels(changed), table[v])


@pytest.mark.parametrize("factor", [0.9, 0.9632, 1.0, 1.004, 1.0999])
def test_integer_contrast_about_zero_is_the_lookup_table(factor: float) -> None:
    table = np.clip(np.arange(256, dtype=np.float32) * np.float32(factor), 0, 255).astype(np.uint8)
    v = np.arange(256).reshape(1, 16, 16, 1)
    changed = compiled(apply_contrast, (v / 255).astype(np.float32), [factor], "zero", True)
    np.testing.assert_array_equal(as_levels(changed), table[v])


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("spatial", [(7, 5), (3, 7, 5)])
def test_contrast(spatial: tuple[int, ...], channels: int) -> None:
    x = images(2, 3, *spatial, channels)
    factor = np.array([0.7, 1.0, 1.6], np.float32)
    about_mean, about_zero = (compiled(apply_contrast, x, factor, about) for about in ("mean", "zero"))
    for i, image in enumerate(x.astype(np.float64)):
        mean = (image @ LUMA).mean() if channels == 3 else image.mean()
        np.testing.assert_allclose(about_mean[i], np.clip(mean + factor[i] * (image - mean), 0, 1), atol=1e-6)
        np.testing.assert_allclose(about_zero[i], np.clip(factor[i] * image, 0, 1), atol=1e-6)


def test_contrast_about_the_mean_keeps_the_mean() -> None:
    x = 0.4 + 0.2 * images(3, 2, 8, 8, 3)  # far from 0 and 1, so that nothing is clipped
    changed = compiled(apply_contrast, x, [0.8, 1.2])
    np.testing.assert_allclose((changed @ LUMA).mean((1, 2)), (x @ LUMA).mean((1, 2)), atol=1e-6)


def test_saturation() -> None:
    x = images(4, 4, 6, 6, 3)
    factor = np.array([0.0, 0.9, 1.1, 1.5], np.float32)
    grey = (x @ LUMA)[..., None]
    expected = np.clip(grey + factor[:, None, None, None] * (x - grey), 0, 1)
    np.testing.assert_allclose(compiled(apply_saturation, x, factor), expected, atol=1e-6)


@pytest.mark.parametrize("factor", [0.9, 0.963, 1.02, 1.1])
def test_integer_saturation_rounds_grey_and_result(factor: float) -> None:
    v = levels(5, 1, 16, 16, 3)
    grey = np.round(v @ LUMA)[..., None]
    exact = factor * v + (1 - factor) * grey
    changed = as_levels(compiled(apply_saturation, (v / 255).astype(np.float32), [factor], True))
    expected = np.clip(np.round(exact), 0, 255)
    close_call = np.abs(exact % 1 - 0.5) < 1e-3  # halves may fall either way
    assert np.array_equal(changed[~close_call], expected[~close_call])
    assert close_call.mean() < 0.1


@pytest.mark.parametrize("turns", [-0.5, -0.1, 0.037, 0.1, 0.49])
def test_hsv_hue_is_that_of_colorsys(turns: float) -> None:
    x = images(6, 1, 8, 8, 3)
    changed = compiled(apply_hue_hsv, x, [turns])
    for pixel, got in zip(x.reshape(-1, 3), changed.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel.astype(float))
        np.testing.assert_allclose(got, colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value), atol=2e-6)


def hue_8bit(pixel: np.ndarray, turns: float) -> list[int]:
    """One pixel through 8-bit HSV in integers: quotients of 12 binary places, hue 0..179."""
    red, green, blue = (int(c) for c in pixel)
    value, chroma = max(red, green, blue), max(red, green, blue) - min(red, green, blue)
    if value == red:
        sixths = green - blue
    elif value == green:
        sixths = blue - red + 2 * chroma
    else:
        sixths = red - green + 4 * chroma
    hue = (sixths * round(30 * 4096 / chroma) + 2048) >> 12 if chroma else 0
    saturation = (chroma * round(255 * 4096 / value) + 2048) >> 12 if value else 0
    hue = int((hue % 180 + 180 * turns) % 180)
    exact = [255 * c for c in colorsys.hsv_to_rgb(hue / 180, saturation / 255, value / 255)]
    return [int(c + 1e-6) for c in exact]


@pytest.mark.parametrize("turns", [-0.1, -0.037, 0.02, 0.0999])
def test_integer_hsv_hue_goes_through_8_bit_hsv(turns: float) -> None:
    v = levels(7, 1, 24, 24, 3)
    changed = as_levels(compiled(apply_hue_hsv, (v / 255).astype(np.float32), [turns], True))
    expected = np.array([hue_8bit(pixel, turns) for pixel in v.reshape(-1, 3)]).reshape(v.shape)
    assert np.abs(changed - expected).max() <= 1  # a product that is whole may round down to the level below
    assert (changed != expected).mean() < 0.03


# Made once with OpenCV 4.6: cvtColor to HSV, the hue through a table that adds 180 * 0.1, and back.
OPENCV = {
    (200, 30, 60): (200, 103, 29),
    (12, 200, 99): (11, 187, 200),
    (90, 91, 250): (186, 90, 250),
    (7, 7, 7): (7, 7, 7),
}


def test_integer_hsv_hue_is_opencvs() -> None:
    v = np.array(list(OPENCV)).reshape(1, 2, 2, 3)
    changed = as_levels(compiled(apply_hue_hsv, (v / 255).astype(np.float32), [0.1], True))
    np.testing.assert_array_equal(changed.reshape(-1, 3), list(OPENCV.values()))


@pytest.mark.parametrize("turns", [-0.1, 0.04, 0.3])
def test_yiq_hue_rotates_in_the_plane_of_chroma(turns: float) -> None:
    x = 0.4 + 0.2 * images(8, 1, 6, 6, 3)  # nothing is clipped
    changed = compiled(apply_hue_yiq, x, [turns]).astype(np.float64)
    np.testing.assert_allclose(changed @ LUMA, x @ LUMA, atol=1e-6)
    to_yiq = np.array([LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)])
    before, after = x @ to_yiq.T, changed @ to_yiq.T
    rotated = (before[..., 1] + 1j * before[..., 2]) * np.exp(-2j * np.pi * turns)
    np.testing.assert_allclose(after[..., 1] + 1j * after[..., 2], rotated, atol=1e-5)


def test_both_hues_turn_red_to_yellow() -> None:
    red = np.array([0.6, 0.3, 0.3], np.float32).reshape(1, 1, 1, 3)
    for apply in (apply_hue_hsv, apply_hue_yiq):
        changed = compiled(apply, red, [0.08]).ravel()
        assert changed[1] - changed[2] > 0.05


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("apply", [apply_saturation, apply_hue_yiq, apply_hue_hsv])
def test_colour_operations_leave_grey_alone(apply: object, integer: bool) -> None:
    grey = images(9, 3, 5, 5, 1)
    strength = [0.83, 0.2, -0.3]
    np.testing.assert_array_equal(compiled(apply, grey, strength, integer), grey)
    three = np.repeat(grey, 3, axis=-1)
    np.testing.assert_allclose(compiled(apply, three, strength, integer), three, rtol=0, atol=ULP * integer)


@pytest.mark.parametrize("integer", [False, True])
def test_no_strength_is_no_change(integer: bool) -> None:
    x = images(10, 3, 5, 5, 3)
    zero, one = np.zeros(3, np.float32), np.ones(3, np.float32)
    for changed in (
        compiled(apply_brightness, x, zero, integer),
        compiled(apply_contrast, x, one, "mean", integer),
        compiled(apply_contrast, x, one, "zero", integer),
        compiled(apply_saturation, x, one, integer),
        compiled(apply_hue_yiq, x, zero, integer),
        compiled(apply_hue_hsv, x, zero, integer),
        zoomed(x, one, np.full((3, 2), 0.7, np.float32)),
    ):
        np.testing.assert_allclose(changed, x, rtol=0, atol=ULP * integer)


def zoomed(x: np.ndarray, factors: Any, places: Any) -> np.ndarray:
    return np.asarray(jax.jit(apply_scale)(x, jnp.asarray(factors), jnp.asarray(places)))


def zoom(image: np.ndarray, factor: float, place: tuple[float, float]) -> np.ndarray:
    """One plane ``[H, W]``: the resized image is made in full, then cut out of or padded by NumPy."""
    planes = image.astype(np.float64)
    for axis in (0, 1):
        length = planes.shape[axis]
        size = max(1, int(np.float32(length) * np.float32(factor)))
        at = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        planes = np.apply_along_axis(lambda line, at=at: np.interp(at, np.arange(len(line)), line), axis, planes)
        if size >= length:
            first = int(place[axis] * (size - length + 1))
            planes = np.take(planes, np.arange(first, first + length), axis)
        else:
            before = (length - size) // 2
            padding = [(0, 0), (0, 0)]
            padding[axis] = (before, length - size - before)
            planes = np.pad(planes, padding, mode="reflect")
    return planes


@pytest.mark.parametrize("spatial", [(16, 16), (13, 20), (3, 16, 11)])
def test_scale_resizes_then_cuts_or_pads(spatial: tuple[int, ...]) -> None:
    factors = np.array([0.3, 0.71, 0.95, 1.0, 1.06, 1.9, 2.08], np.float32)
    x = images(11, len(factors), *spatial, 2)
    places = np.random.default_rng(0).random((len(factors), 2), np.float32)
    changed = zoomed(x, factors, places).reshape(len(factors), -1, *spatial[-2:], 2)
    for i, volume in enumerate(x.reshape(changed.shape)):
        for z, plane in enumerate(volume):
            for c in range(2):
                expected = zoom(plane[..., c], factors[i], (float(places[i, 0]), float(places[i, 1])))
                np.testing.assert_allclose(changed[i, z, ..., c], expected, atol=1e-5)


def test_scale_by_hand() -> None:
    x = np.array([0.0, 0.4, 0.8, 1.0], np.float32).reshape(1, 1, 4, 1).repeat(4, axis=1)
    doubled = zoomed(x, [2.0], [[0.0, 0.5]])[0, 0, :, 0]
    # Eight pixels 0 .1 .3 .5 .7 .85 .95 1; the third of five windows begins at the third pixel.
    np.testing.assert_allclose(doubled, [0.3, 0.5, 0.7, 0.85], atol=1e-6)
    halved = zoomed(x, [0.5], [[0.0, 0.0]])[0, 0, :, 0]
    # Two pixels .2 .9; mirrored about their centres: .9 | .2 .9 | .2
    np.testing.assert_allclose(halved, [0.9, 0.2, 0.9, 0.2], atol=1e-6)


def test_scale_to_a_single_pixel() -> None:
    x = images(12, 1, 4, 4, 1)
    tiny = zoomed(x, [0.01], [[0.0, 0.0]])
    assert np.ptp(tiny) == 0
    assert x.min() <= tiny.max() <= x.max()
