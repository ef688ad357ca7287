"""Raw pixels to the network's uint8 image."""

import jax
import numpy as np
import pytest
from PIL import Image

from medplug.data.decode import DecodeOptions, check_pixels, resize, to_channels, to_input, to_uint8
from medplug.errors import ContractError


@pytest.mark.parametrize("shape", [(100, 77, 3), (30, 50, 1), (300, 17, 3)])
def test_without_antialias_it_is_plain_bilinear_sampling(rng, shape):
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    expected = jax.image.resize(image.astype(np.float32), (64, 64, shape[2]), "bilinear", antialias=False)
    assert np.abs(resize(image, 64, antialias=False) - np.asarray(expected)).max() <= 0.51


def test_with_antialias_it_is_pillow(rng):
    image = rng.integers(0, 256, (90, 130, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((40, 40), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(image, 40, antialias=True), expected)


def test_volumes_are_resized_along_every_axis(rng):
    volume = rng.integers(0, 256, (10, 20, 30, 1), dtype=np.uint8)
    for antialias in (True, False):
        expected = jax.image.resize(volume.astype(np.float32), (16, 16, 16, 1), "bilinear", antialias=antialias)
        assert np.abs(resize(volume, 16, antialias).astype(float) - np.asarray(expected)).max() <= 0.75


def test_antialias_changes_a_fine_pattern_and_its_absence_does_not():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))[..., None]
    assert np.ptp(resize(stripes, 16, antialias=True)) < 30
    shrunk = resize(np.roll(stripes, 1, 1)[:, :63], 16, antialias=False)
    assert np.ptp(shrunk) > 100


def test_sixteen_bits_are_scaled_by_their_whole_range():
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16, 1)
    np.testing.assert_array_equal(to_uint8(ramp).ravel(), np.arange(256))
    assert to_uint8(ramp // 16).max() == 16  # a dark image stays dark: scanners' brightness is not evened out


def test_floats_are_zero_to_one():
    np.testing.assert_array_equal(
        to_uint8(np.array([[[-1.0], [0.5], [2.0], [np.nan]]], np.float32)).ravel(), [0, 128, 255, 0]
    )


def test_channels():
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert to_channels(red, 1).max() == 76  # 0.299 * 255, as Pillow's L
    assert to_channels(np.full((2, 2, 1), 7, np.uint8), 3).tolist() == np.full((2, 2, 3), 7).tolist()
    half = np.full((1, 1, 4), 200, np.uint8)
    half[..., 3] = 51
    assert to_channels(half, 3).ravel().tolist() == [40, 40, 40]
    assert to_channels(half, 1).ravel().tolist() == [40]


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
        [1],
    ],
)
def test_a_reader_that_breaks_its_contract_is_named(bad):
    with pytest.raises(ContractError, match=r"a\.png: a reader's load must give"):
        check_pixels(bad, "a.png")


def test_to_input_gives_the_asked_form(rng):
    image = rng.integers(0, 4096, (20, 30, 1), dtype=np.uint16)
    result = to_input(image, DecodeOptions(16, 3))
    assert (result.shape, result.dtype) == ((16, 16, 3), np.uint8)
