"""Augmenters as components: what they draw, and what holds for all of them."""

from collections.abc import Callable
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.plugins import ParameterError
from medplug_standard.augmenters.colour import Hue, Saturation
from medplug_standard.augmenters.flips import Flip, HorizontalFlip, Rotate90, VerticalFlip
from medplug_standard.augmenters.intensity import Brightness, Contrast
from medplug_standard.augmenters.scale import Scale

Augment = Callable[[jax.Array, jax.Array], jax.Array]
EVERY = [HorizontalFlip, VerticalFlip, Flip, Rotate90, Brightness, Contrast, Saturation, Hue, Scale]
WIDE = [
    Brightness(limit=1, p=1),
    Brightness(limit=1, p=1, integer=True),
    Contrast(limit=1, p=1),
    Contrast(limit=1, p=1, about="zero", integer=True),
    Saturation(limit=1, p=1),
    Saturation(limit=1, p=1, integer=True),
    Hue(limit=0.5, p=1),
    Hue(limit=0.5, p=1, integer=True),
    Hue(limit=0.5, p=1, method="hsv"),
    Hue(limit=0.5, p=1, method="hsv", integer=True),
    Scale(low=0.05, high=8, p=1),
]
MANY = 4000


def noise(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).random(shape, np.float32))


def same_image(count: int, *shape: int) -> jax.Array:
    return jnp.broadcast_to(noise(*shape), (count, *shape))


def label(augment: Augment) -> str:
    return str(augment)


@pytest.mark.parametrize("shape", [(4, 6, 6, 3), (1, 3, 6, 9, 1)])
@pytest.mark.parametrize("augment", [*(cls(p=1) for cls in EVERY), *WIDE], ids=label)
def test_shape_dtype_and_range(augment: Augment, shape: tuple[int, ...]) -> None:
    x = noise(*shape).at[0, 0].set(0.0).at[0, 1].set(1.0)
    changed = jax.jit(augment)(jax.random.key(3), x)
    assert changed.shape == x.shape
    assert changed.dtype == jnp.float32
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1


@pytest.mark.parametrize("cls", EVERY)
def test_the_key_alone_decides(cls: type) -> None:
    augment, x = jax.jit(cls()), noise(32, 8, 8, 3)
    first = augment(jax.random.key(1), x)
    np.testing.assert_array_equal(first, augment(jax.random.key(1), x))
    assert not np.array_equal(first, augment(jax.random.key(2), x))


@pytest.mark.parametrize("cls", EVERY)
def test_images_do_not_influence_each_other(cls: type) -> None:
    augment, x = jax.jit(cls(p=1)), noise(6, 8, 8, 3)
    other = x.at[1:].set(noise(5, 8, 8, 3, seed=9))
    key = jax.random.key(4)
    np.testing.assert_allclose(augment(key, x)[0], augment(key, other)[0], atol=1e-6)


@pytest.mark.parametrize("cls", EVERY)
def test_each_image_has_its_own_draw(cls: type) -> None:
    changed = np.asarray(jax.jit(cls())(jax.random.key(5), same_image(64, 8, 8, 3)))
    assert len({image.tobytes() for image in changed}) > 1


@pytest.mark.parametrize("cls", EVERY)
def test_never_applied_is_the_same(cls: type) -> None:
    x = noise(8, 6, 6, 3)
    np.testing.assert_array_equal(cls(p=0)(jax.random.key(0), x), x)


@pytest.mark.parametrize("p", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("cls", [HorizontalFlip, VerticalFlip, Flip, Brightness, Contrast, Saturation, Hue])
def test_the_share_of_changed_images_is_p(cls: type, p: float) -> None:
    x = same_image(MANY, 3, 3, 3)
    share = np.any(np.asarray(jax.jit(cls(p=p))(jax.random.key(6), x)) != np.asarray(x), (1, 2, 3)).mean()
    assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / MANY) + 1e-9


def test_flip_draws_three_ways_alike() -> None:
    x = jnp.arange(4, dtype=jnp.float32).reshape(1, 2, 2, 1).repeat(MANY, 0) / 4
    corner = np.asarray(Flip(p=1)(jax.random.key(7), x))[:, 0, 0, 0] * 4
    shares = [(corner == value).mean() for value in (1, 2, 3)]  # left-right, top-bottom, both
    np.testing.assert_allclose(shares, 1 / 3, atol=0.04)


@pytest.mark.parametrize(("shape", "expected"), [((2, 2), (0.25,) * 4), ((2, 3), (0.5, 0, 0.5, 0))])
def test_rotate90_draws_turns_alike(shape: tuple[int, int], expected: tuple[float, ...]) -> None:
    image = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(*shape, 1) / 6
    changed = np.asarray(Rotate90(p=1)(jax.random.key(8), jnp.asarray(image)[None].repeat(MANY, 0)))
    shares = []
    for k in range(4):
        turned = np.rot90(image, k)
        shares.append(np.all(changed == turned, (1, 2, 3)).mean() if turned.shape == image.shape else 0)
    np.testing.assert_allclose(shares, expected, atol=0.04)


def assert_uniform(values: np.ndarray, low: float, high: float) -> None:
    """Within the bounds, and no decile of them far from its tenth of the values."""
    assert low - 1e-5 <= values.min()
    assert values.max() <= high + 1e-5
    share = np.histogram(values, bins=10, range=(low, high))[0] / len(values)
    np.testing.assert_allclose(share, 0.1, atol=0.025)


def test_strengths_are_uniform() -> None:
    key, grey = jax.random.key(9), jnp.full((MANY, 1, 1, 1), 0.5)
    assert_uniform(np.asarray(Brightness(limit=0.2, p=1)(key, grey)).ravel() - 0.5, -0.2, 0.2)
    assert_uniform(np.asarray(Contrast(limit=0.2, p=1, about="zero")(key, grey)).ravel() / 0.5, 0.8, 1.2)
    colour = jnp.broadcast_to(jnp.array([0.6, 0.4, 0.4]), (MANY, 1, 1, 3))
    paler = np.asarray(Saturation(limit=0.2, p=1)(key, colour))[:, 0, 0]
    assert_uniform((paler[:, 0] - paler[:, 1]) / 0.2, 0.8, 1.2)
    # From red, the hue turns by (green - blue) / (6 chroma) of a circle, in either direction.
    shifted = np.asarray(Hue(limit=0.1, p=1, method="hsv")(key, colour))[:, 0, 0]
    assert_uniform((shifted[:, 1] - shifted[:, 2]) / 0.2 / 6, -0.1, 0.1)


@pytest.mark.parametrize(("low", "high"), [(0.6, 0.9), (1.9, 2.1)])
def test_scale_draws_factor_and_place_uniformly(low: float, high: float) -> None:
    length = 64
    ramp = jnp.broadcast_to(jnp.linspace(0, 1, length)[None, None, :, None], (500, length, length, 1))
    row = np.asarray(jax.jit(Scale(low=low, high=high, p=1))(jax.random.key(10), ramp))[:, 0, :, 0]
    slope = np.diff(row, axis=1)[:, length // 2 - 2]
    factors = 1 / (slope * (length - 1))
    assert low - 0.03 <= factors.min()
    assert factors.max() <= high + 0.03
    assert np.ptp(factors) > 0.7 * (high - low)
    if low > 1:  # the window's left edge runs from the image's edge to the last possible place
        assert row[:, 0].min() < 0.02
        assert row[:, 0].max() > 1 - 1 / low - 0.03
        assert abs(row[:, 0].mean() - (1 - 1 / 2) / 2) < 0.03


def test_parameters_that_make_no_sense() -> None:
    with pytest.raises(ParameterError, match="low must be at most high"):
        Scale(low=1.2, high=1.1)
    with pytest.raises(ParameterError, match="p must be at most 1"):
        Flip(p=1.5)
    with pytest.raises(ParameterError, match="about must be one of"):
        Contrast(about="median")


@pytest.mark.parametrize("cls", [HorizontalFlip, VerticalFlip, Flip, Rotate90, Scale])
def test_one_spatial_axis_is_refused(cls: type) -> None:
    with pytest.raises(ValueError, match=r"at least two spatial axes, got shape \[2, 9, 1\]"):
        cls()(jax.random.key(0), noise(2, 9, 1))


@pytest.mark.parametrize("cls", [Saturation, Hue])
def test_colours_need_one_or_three_channels(cls: type) -> None:
    with pytest.raises(ValueError, match="1 or 3 channels, got 4"):
        cls()(jax.random.key(0), noise(2, 5, 5, 4))


def test_equal_parameters_are_equal_components() -> None:
    augmenters = [Brightness(limit=0.2), Brightness(limit=0.2, p=0.5), Brightness(), Contrast(limit=0.2)]
    assert augmenters[0] == augmenters[1]
    assert hash(augmenters[0]) == hash(augmenters[1])
    assert all(a != b for a, b in pairwise(augmenters[1:]))
