"""Raw pixels to the network's uint8 image."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from medplug.contracts.architecture import Preprocessing
from medplug.data.decode import DecodeOptions, check_pixels, to_input
from medplug.errors import ContractError, UsageError
from medplug.images import ImageError
from medplug.pixels import resize, to_channels, to_uint8
from medplug.testing.fakes import Fit


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


# ---------------------------------------------------------------- preprocessors


class Step:
    """An image preprocessor that calls a function."""

    stage = "image"

    def __init__(self, function):
        self.function = function

    def __call__(self, pixels, target):
        return self.function(pixels, target)


def through(function, image=None, size=16, channels=1):
    image = np.full((20, 30, 1), 9, np.uint8) if image is None else image
    return to_input(image, DecodeOptions(size, channels, (("x:step", Step(function)),)), "a.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_preprocessors_see_the_depth_of_the_image_and_end_in_bytes(dtype):
    seen = []

    def function(pixels, target):
        seen.append(pixels.dtype)
        return resize(pixels, target.size)

    image = np.full((20, 30, 1), {np.uint8: 51, np.uint16: 51 * 257, np.float32: 0.2}[dtype], dtype)
    found = through(function, image)
    assert seen == [np.dtype(dtype)]
    assert found.dtype == np.uint8
    assert (found == 51).all()


def test_an_image_that_does_not_fit_tells_what_is_missing():
    with pytest.raises(UsageError) as caught:
        through(lambda pixels, target: pixels, channels=3)
    text = str(caught.value)
    assert text.startswith(
        "a.png: 20 x 30 x 1 after step, but the network takes 16 x 16 x 3: add a preprocessor that resizes"
    )
    assert "turns grey into colour" in text
    with pytest.raises(UsageError, match="20 x 30 x 1 without any preprocessing"):
        to_input(np.zeros((20, 30, 1), np.uint8), DecodeOptions(16, 1, ()))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda p, t: p.astype(np.float32), r"got float32 \[20, 30, 1\] with values from 9 to 9"),
        (lambda p, t: np.full(p.shape, np.nan, np.float32), "values from nan to nan"),
        (lambda p, t: p / 255, r"got float64 \[20, 30, 1\]"),
        (lambda p, t: p[..., 0], r"got uint8 \[20, 30\]"),
        (lambda p, t: None, r"got NoneType \[\]"),
        (lambda p, t: p[99], "failed on an image .20, 30, 1. uint8: IndexError"),
    ],
)
def test_a_preprocessor_that_breaks_its_contract_is_named(result, words):
    with pytest.raises(ContractError, match=rf"a\.png: the preprocessor x:step .*{words}"):
        through(result)


def test_a_refused_image_is_one_that_cannot_be_read():
    def refuse(pixels, target):
        raise ImageError("is too small")

    with pytest.raises(ImageError, match="is too small"):
        through(refuse)


def test_the_key_tells_parameters_code_and_target_apart():
    def key(step, **target):
        return json.dumps(DecodeOptions(16, 1, (("x:fit", step),), Preprocessing(**target)).key(), sort_keys=True)

    assert key(Fit()) == key(Fit(antialias=True))
    keys = {key(Fit()), key(Fit(antialias=False)), key(Fit(), size=32), key(Step(len)), str(DecodeOptions(16, 1).key())}
    assert len(keys) == 5


def test_a_class_that_is_typed_anew_has_another_key():
    """As in a notebook: the file is not there, so its methods count."""

    def typed(code):
        space = {}
        exec(
            f"class Own:\n    stage = 'image'\n    def __call__(self, pixels, target):\n        return {code}\n", space
        )
        return DecodeOptions(16, 1, (("unregistered:Own", space["Own"]()),)).key()

    assert typed("pixels[:16]") == typed("pixels[:16]")
    assert typed("pixels[:16]") != typed("pixels[1:17]")


def test_floats_of_a_reader_beyond_one_are_refused():
    check_pixels(np.ones((2, 2, 1), np.float32), "a.png")
    with pytest.raises(ContractError, match=r"float32 \(0\.\.1\).*values from 0 to 255"):
        check_pixels(np.array([[[0.0], [255.0]]], np.float32), "a.png")
