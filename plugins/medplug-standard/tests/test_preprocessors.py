"""Preprocessors against plain NumPy, hand-worked values and what Keras' formulas give."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medplug.plugins import ImageError, ParameterError, Preprocessing
from medplug_standard.preprocessors.channels import Channels
from medplug_standard.preprocessors.clip import Clip
from medplug_standard.preprocessors.colour_constancy import ColourConstancy
from medplug_standard.preprocessors.crop import Crop, RandomCrop
from medplug_standard.preprocessors.padding import Padding
from medplug_standard.preprocessors.resize import Resize
from medplug_standard.preprocessors.standardize import Standardize

DEPTHS = {np.uint8: 255, np.uint16: 65535, np.float32: 1}


def target(size: int = 16, channels: int = 3) -> Preprocessing:
    return Preprocessing(size, channels, (0.5,) * channels, (0.25,) * channels)


def picture(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def as_depth(levels: np.ndarray, dtype: Any) -> np.ndarray:
    return (levels * (DEPTHS[dtype] / 255)).astype(dtype)


def as_levels(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float64) * 255 / DEPTHS[pixels.dtype.type]


# ---------------------------------------------------------------- the default chain


@pytest.mark.parametrize("shape", [(50, 33, 3), (20, 90, 1), (40, 40, 4), (10, 24, 30, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_then_resize_is_pillow_to_the_bit(shape: tuple[int, ...], channels: int) -> None:
    image = picture(*shape)
    found = Resize()(Channels()(image, target(17, channels)), target(17, channels))
    assert found.shape == ((17,) * (len(shape) - 1)) + (channels,)
    if len(shape) == 4:
        return
    flat = image[..., :3] if shape[-1] != 4 else np.round(image[..., :3] * (image[..., 3:].astype(np.float32) / 255))
    flat = flat.astype(np.uint8)
    if flat.shape[-1] == 3 and channels == 1:
        luma = 0.299 * flat[..., 0] + 0.587 * flat[..., 1] + 0.114 * flat[..., 2]
        flat = np.round(luma).astype(np.uint8)[..., None]
    flat = np.repeat(flat, 3, axis=-1) if flat.shape[-1] < channels else flat
    expected = np.asarray(Image.fromarray(flat.squeeze()).resize((17, 17), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found, expected.reshape(17, 17, channels))


def test_standardize_is_exactly_what_the_architecture_states() -> None:
    images = np.random.default_rng(0).random((2, 5, 5, 3), np.float32)
    how = Preprocessing()
    np.testing.assert_array_equal(Standardize()(images, how), how.standardise(images))


# ---------------------------------------------------------------- channels


@pytest.mark.parametrize("dtype", DEPTHS)
def test_luma_of_each_depth(dtype: Any) -> None:
    levels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]])
    found = Channels()(as_depth(levels, dtype), target(channels=1))
    np.testing.assert_allclose(as_levels(found).ravel(), [76.245, 149.685, 29.07, 255], atol=0.5)


def test_dropped_colour_leaves_three_equal_channels() -> None:
    found = Channels(colour="drop")(picture(6, 7, 3), target())
    assert np.ptp(found, axis=-1).max() == 0
    np.testing.assert_array_equal(found[..., :1], Channels()(picture(6, 7, 3), target(channels=1)))


# ---------------------------------------------------------------- resize, padding, crop


def test_pad_keeps_the_aspect_ratio() -> None:
    """40 x 20 becomes 16 x 8, with 4 columns at each side."""
    image = picture(40, 20, 3)
    found = Resize(mode="pad", value=1.0)(image, target())
    inner = np.asarray(Image.fromarray(image).resize((8, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found[:, 4:12], inner)
    assert (found[:, :4] == 255).all()
    assert (found[:, 12:] == 255).all()
    assert Resize(mode="pad").region((40, 20, 3), target()) == ((0, 40), (-10, 30))


def test_crop_keeps_the_aspect_ratio() -> None:
    """40 x 20 becomes 32 x 16, of which the middle 16 rows stay."""
    image = picture(40, 20, 3)
    whole = np.asarray(Image.fromarray(image).resize((16, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(Resize(mode="crop")(image, target()), whole[8:24])
    assert Resize(mode="crop").region((40, 20, 3), target()) == ((10, 30), (0, 20))


@pytest.mark.parametrize("mode", ["pad", "crop"])
def test_all_axes_of_a_volume_count(mode: Any) -> None:
    found = Resize(mode=mode, border="edge")(picture(8, 16, 32, 1), target())
    assert found.shape == (16, 16, 16, 1)
    assert Resize(mode="pad").region((8, 16, 32, 1), target()) == ((-12, 20), (-8, 24), (0, 32))


@pytest.mark.parametrize(
    ("border", "row"), [("constant", [51, 9, 8, 7, 51]), ("edge", [9, 9, 8, 7, 7]), ("reflect", [8, 9, 8, 7, 8])]
)
def test_borders_by_hand(border: Any, row: list[int]) -> None:
    line = np.array([[[9], [8], [7]]], np.uint8)
    found = Padding(edges=(1, 5), border=border, value=0.2)(line, target())
    assert found[0, :, 0].tolist() == row


@pytest.mark.parametrize("dtype", DEPTHS)
def test_the_grey_of_a_border_is_a_share_of_white(dtype: Any) -> None:
    found = Padding(value=0.4)(as_depth(np.zeros((2, 6, 3)), dtype), target())
    assert found.dtype == dtype
    np.testing.assert_allclose(as_levels(found[0]), 102, atol=0.01)


def test_padding_to_a_square_and_to_edges() -> None:
    assert Padding()(picture(3, 7, 1), target()).shape == (7, 7, 1)
    assert Padding(edges=(5,))(picture(3, 7, 1), target()).shape == (5, 7, 1)
    assert Padding()(picture(3, 7, 5, 1), target()).shape == (7, 7, 7, 1)
    assert Padding().region((3, 7, 1), target()) == ((-2, 5), (0, 7))
    with pytest.raises(ParameterError, match="edges has 3 values, and an image has 2 spatial axes"):
        Padding(edges=(4, 4, 4))(picture(3, 7, 1), target())


def test_the_middle_is_cut_out() -> None:
    image = picture(20, 31, 3)
    np.testing.assert_array_equal(Crop()(image, target()), image[2:18, 7:23])
    np.testing.assert_array_equal(Crop(edges=(4, 9))(image, target()), image[8:12, 11:20])
    np.testing.assert_array_equal(Crop(share=0.5)(image, target()), image[5:15, 7:23])
    with pytest.raises(ImageError, match="has 20 x 31 pixels, fewer than the 24 x 24 that shall be cut out"):
        Crop(edges=(24,))(image, target())
    with pytest.raises(ParameterError, match="not both"):
        Crop(edges=(4,), share=0.5)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["stretch", "pad", "crop"]), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_any_image_gets_the_size(height: int, width: int, mode: Any, size: int) -> None:
    found = Resize(mode=mode)(picture(height, width, 1), target(size, 1))
    assert found.shape == (size, size, 1)
    region = Resize(mode=mode).region((height, width, 1), target(size, 1))
    inside = [(low >= -1e-9 and high <= n + 1e-9) for (low, high), n in zip(region, (height, width), strict=True)]
    assert all(inside) or mode == "pad"


# ---------------------------------------------------------------- the random part


def test_a_random_part_is_a_part_and_differs() -> None:
    images = np.broadcast_to(np.arange(400, dtype=np.float32).reshape(1, 20, 20, 1), (40, 20, 20, 1))
    found = np.asarray(jax.jit(lambda k: RandomCrop(margin=0.25)(images, target(16, 1), k))(jax.random.key(0)))
    corners = found[:, 0, 0, 0].astype(int)
    rows, columns = corners // 20, corners % 20
    for cut, row, column in zip(found, rows, columns, strict=True):
        np.testing.assert_array_equal(cut, images[0, row : row + 16, column : column + 16])
    assert set(rows) == set(columns) == set(range(5))  # each of the places, at both ends too


def test_without_a_key_the_middle_of_volumes_too() -> None:
    volume = np.random.default_rng(0).random((2, 10, 10, 10, 1), np.float32)
    found = RandomCrop(margin=0.25)(volume, target(8, 1))
    np.testing.assert_array_equal(found, volume[:, 1:9, 1:9, 1:9])
    assert RandomCrop().region((10, 10, 10, 1), target(8, 1)) == ((1, 9),) * 3


@pytest.mark.parametrize(
    ("margin", "size", "expected"), [(0.125, 224, 252), (1 / 7, 224, 256), (0.01, 16, 17), (1.0, 16, 32)]
)
def test_how_large_images_are_kept(margin: float, size: int, expected: int) -> None:
    assert RandomCrop(margin=margin).input_size(size) == expected


# ---------------------------------------------------------------- clip


@pytest.mark.parametrize("dtype", DEPTHS)
def test_a_window_of_each_depth(dtype: Any) -> None:
    levels = np.array([0, 51, 76.5, 102, 153, 255]).reshape(1, 6, 1)
    found = Clip(low=(0.2,), high=(0.4,))(as_depth(levels, dtype), target())
    np.testing.assert_allclose(as_levels(found).ravel(), [0, 0, 127.5, 255, 255, 255], atol=2.6)


def test_a_window_for_each_channel() -> None:
    levels = np.full((1, 1, 3), 102, np.uint8)
    found = Clip(low=(0.0, 0.2, 0.5), high=(0.8, 0.4, 1.0))(levels, target())
    assert found.ravel().tolist() == [128, 255, 0]
    with pytest.raises(ParameterError, match="three values, for red, green and blue, and an image has 1"):
        Clip(low=(0.0, 0.2, 0.5), high=(0.8, 0.4, 1.0))(levels[..., :1], target())


def test_quantiles_are_those_of_the_image() -> None:
    image = np.arange(101, dtype=np.uint16).reshape(1, 101, 1) * 100 + 5000
    found = Clip(low=(0.1,), high=(0.9,), quantiles=True)(image, target()).ravel()
    assert (found[:11] == 0).all()
    assert (found[90:] == 65535).all()
    np.testing.assert_allclose(found[50], 65535 / 2, atol=1)
    constant = np.full((4, 4, 3), 77, np.uint8)
    assert (Clip(low=(0.1,), high=(0.9,), quantiles=True)(constant, target()) == 0).all()


@pytest.mark.parametrize(
    ("low", "high"), [((0.5,), (0.4,)), ((0.1, 0.2), (0.3, 0.4)), ((), ()), ((0.1,), (0.3, 0.4, 0.5))]
)
def test_windows_that_make_no_sense(low: tuple[float, ...], high: tuple[float, ...]) -> None:
    with pytest.raises(ParameterError, match="low"):
        Clip(low=low, high=high)


# ---------------------------------------------------------------- colour constancy


def shades_of_grey(pixels: np.ndarray, power: float) -> np.ndarray:
    """The formula on values 0..255, one pixel after another's power."""
    values = pixels.astype(np.float64)
    light = (values**power).mean((0, 1)) ** (1 / power)
    light /= np.linalg.norm(light)
    return np.clip(values / (light * np.sqrt(3)), 0, 255)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("power", [1.0, 6.0])
def test_shades_of_grey(dtype: Any, power: float) -> None:
    levels = picture(9, 8, 3) // 2 + np.array([100, 20, 0], np.uint8)
    found = ColourConstancy(power=power)(as_depth(levels.astype(np.float64), dtype), target())
    assert found.dtype == dtype
    np.testing.assert_allclose(as_levels(found), shades_of_grey(levels, power), atol=0.51)


def test_values_as_published() -> None:
    """Two pixels of a seeded image, as AUCMEDI 0.11.0 gives them (power 6)."""
    image = np.random.default_rng(0).integers(0, 200, (5, 6, 3)).astype(np.uint8)
    assert image[0, 0].tolist() == [170, 127, 102]
    found = ColourConstancy()(as_depth(image, np.float32), target()) * 255
    np.testing.assert_allclose(found[0, 0], [174.1245, 125.76964, 100.64284], rtol=1e-5)
    np.testing.assert_allclose(found[0, 5], [148.51794, 124.77933, 106.563], rtol=1e-5)


@pytest.mark.parametrize("dtype", DEPTHS)
def test_bright_images_are_clipped_and_black_ones_stay(dtype: Any) -> None:
    yellow = np.full((9, 9, 3), [200.0, 200.0, 20.0])
    yellow[4, 4] = 255
    found = ColourConstancy()(as_depth(yellow, dtype), target())
    assert found[4, 4, 2] == DEPTHS[dtype]
    black = np.zeros((3, 3, 3), dtype)
    np.testing.assert_array_equal(ColourConstancy()(black, target()), black)
    grey = as_depth(np.full((3, 3, 1), 77.0), dtype)
    assert ColourConstancy()(grey, target()) is grey


def test_opacity_stays() -> None:
    image = picture(4, 5, 4)
    found = ColourConstancy()(image, target())
    np.testing.assert_array_equal(found[..., 3], image[..., 3])
    np.testing.assert_array_equal(found[..., :3], ColourConstancy()(image[..., :3].copy(), target()))


# ---------------------------------------------------------------- standardize

IMAGE = np.arange(12).reshape(1, 2, 2, 3) * 20.0  # 0, 20 … 220
# First and last pixel as AUCMEDI 0.11.0 gives them for that image.
PUBLISHED = [
    ("z_score", [-1.59325498, -1.30357225, -1.01388952], [1.01388955, 1.30357228, 1.59325501]),
    ("minmax", [0.0, 0.090909095, 0.181818186], [0.818181819, 0.90909091, 1.0]),
    ("grayscale", [0, 23, 46], [209, 232, 255]),
    ("tf", [-1.0, -0.84313725, -0.68627451], [0.41176471, 0.56862745, 0.7254902]),
    ("caffe", [-63.939, -96.779, -123.68], [116.061, 83.221, 56.32]),
    ("torch", [-2.11790393, -1.68557423, -1.10727669], [0.96455176, 1.46568627, 2.02997821]),
]


@pytest.mark.parametrize(("mode", "first", "last"), PUBLISHED)
def test_modes_as_published(mode: Any, first: list[float], last: list[float]) -> None:
    found = np.asarray(Standardize(mode=mode)((IMAGE / 255).astype(np.float32), target())).reshape(-1, 3)
    np.testing.assert_allclose(found[[0, -1]], [first, last], atol=2e-5)


@pytest.mark.parametrize("mode", ["z_score", "minmax", "grayscale"])
def test_each_channel_by_itself(mode: Any) -> None:
    images = np.random.default_rng(0).random((2, 6, 7, 3)).astype(np.float32) * np.array([1, 0.5, 0.1], np.float32)
    found = np.asarray(Standardize(mode=mode, per_channel=True)(images, target()))
    for image, got in zip(images, found, strict=True):
        for c in range(3):
            alone = np.asarray(Standardize(mode=mode)(image[None, ..., c : c + 1], target(channels=1)))[0]
            np.testing.assert_allclose(got[..., c : c + 1], alone, atol=2e-4)
    assert not np.allclose(found, Standardize(mode=mode)(images, target()), atol=0.1)


@pytest.mark.parametrize("mode", ["z_score", "minmax", "grayscale"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_an_image_of_one_colour_is_zero(mode: Any, per_channel: bool) -> None:
    """Also where the compiler joins the division by 255 with what follows, which rounds differently."""
    images = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None, None], (256, 20, 30, 3))
    one = Standardize(mode=mode, per_channel=per_channel)
    found = np.asarray(jax.jit(lambda x: one(x.astype(np.float32) / 255, target()))(images))
    np.testing.assert_allclose(found, 0, atol=1e-3)


@pytest.mark.parametrize("mode", ["torch", "caffe"])
def test_statistics_of_three_channels_refuse_grey(mode: Any) -> None:
    with pytest.raises(ParameterError, match="statistics of three channels, and the network takes 1"):
        Standardize(mode=mode)(np.zeros((1, 4, 4, 1), np.float32), target(channels=1))


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(ParameterError, match="per_channel has no meaning in the mode tf"):
        Standardize(mode="tf", per_channel=True)
