"""The order of preprocessors, the sizes that they hand to each other, and where in an image the network looks."""

import numpy as np
import pytest

from medplug.contracts.architecture import Preprocessing
from medplug.data.preprocess import Preprocessors, cut
from medplug.errors import ContractError, UsageError
from medplug.plugins import component, param, resize
from medplug.testing.fakes import Fit, Shift

TARGET = Preprocessing(16, 1, (0.5,), (0.25,))


@component
class Cropped:
    """Needs images that are ``margin`` pixels larger, and cuts its middle out."""

    stage = "batch"

    margin: int = param("pixels at each end", default=4, ge=1)

    def input_size(self, size):
        return size + 2 * self.margin

    def __call__(self, images, target, key=None):
        m = self.margin
        return images[(slice(None), *(slice(m, m + target.size),) * (images.ndim - 2))]

    def region(self, shape, target):
        return tuple((self.margin, n - self.margin) for n in shape[:-1])


class Framed:
    """Pads by 2 pixels at the left and 4 at the right."""

    stage = "image"

    def __call__(self, pixels, target):
        return np.pad(pixels, ((0, 0), (2, 4), (0, 0)))

    def region(self, shape, target):
        return (0, shape[0]), (-2, shape[1] + 4)


class Quiet:
    """Changes the size and says nothing."""

    stage = "image"

    def __call__(self, pixels, target):
        return resize(pixels, 10)


def chain(*steps, target=TARGET):
    return Preprocessors(tuple((f"x:{type(s).__name__}", s) for s in steps), target)


def test_a_batch_preprocessor_decides_what_is_kept():
    found = chain(Fit(), Cropped(margin=4), Shift())
    assert (found.decode.size, found.decode.target.size) == (24, 24)
    assert [(s.edge, s.target.size) for s in found.batch] == [(24, 16), (16, 16)]
    assert found.input_shape(3) == (16, 16, 16, 1)


def test_several_sizes_are_told_backwards():
    found = chain(Fit(), Cropped(margin=1), Shift(), target=TARGET)
    again = Preprocessors((("a:Cropped", Cropped(margin=1)), ("b:Cropped", Cropped(margin=3))), TARGET)
    assert [(s.edge, s.target.size) for s in again.batch] == [(24, 22), (22, 16)]
    assert found.decode.size == 18


def test_images_come_before_batches():
    with pytest.raises(UsageError, match="name Fit first"):
        chain(Shift(), Fit())


def test_a_stage_that_does_not_exist():
    class Astray(Quiet):
        stage = "network"

    with pytest.raises(ContractError, match="stage must be 'image' or 'batch', got 'network'"):
        chain(Astray())


def test_the_same_one_twice_must_have_the_same_parameters():
    with pytest.raises(UsageError, match="stands there twice with different parameters"):
        chain(Fit(), Fit(antialias=False))
    chain(Fit(), Fit())


def test_references_and_parameters():
    assert chain(Fit(antialias=False), Shift()).to_json() == [
        {"use": "x:Fit", "parameters": {"antialias": False}},
        {"use": "x:Shift", "parameters": {}},
    ]


# ---------------------------------------------------------------- what maps are drawn on


def numbered(rows, columns):
    return np.arange(rows * columns, dtype=np.uint8).reshape(rows, columns, 1)


def kept(preprocessors, image):
    pixels = image
    for _, step in preprocessors.decode.steps:
        pixels = step(pixels, preprocessors.decode.target)
    return pixels


def test_a_stretched_image_is_drawn_on_whole():
    image = numbered(10, 20)
    found = chain(Fit(), Shift())
    assert found.ground(image, kept(found, image)) is image


def test_what_a_batch_preprocessor_cuts_off_is_cut_off_the_image():
    """Of 24 kept pixels, the middle 16: of 48 rows and 12 columns, those from 8 and 2 on."""
    image = numbered(48, 12) // 3
    found = chain(Fit(), Cropped(margin=4), Shift())
    np.testing.assert_array_equal(found.ground(image, kept(found, image)), image[8:40, 2:10])


def test_padding_is_black():
    image = numbered(6, 10) + 1
    found = chain(Framed(), Fit())
    ground = found.ground(image, kept(found, image))
    np.testing.assert_array_equal(ground, np.pad(image, ((0, 0), (2, 4), (0, 0))))


def test_padding_and_cropping_are_composed():
    """16 columns after padding (2 + 10 + 4); the middle two thirds are columns 2.67 to 13.33 of them: 1 to 11 of the image."""
    image = numbered(24, 10) % 200 + 1
    found = chain(Framed(), Fit(), Cropped(margin=4))
    ground = found.ground(image, kept(found, image))
    np.testing.assert_array_equal(ground[:, :9], image[4:20, 1:10])
    assert ground.shape == (16, 10, 1)
    assert (ground[:, 9:] == 0).all()


def test_without_a_region_the_kept_image_is_drawn_on():
    image = numbered(12, 20)
    found = chain(Quiet(), Cropped(margin=1), target=Preprocessing(8, 1, (0.5,), (0.25,)))
    ground = found.ground(image, kept(found, image))
    np.testing.assert_array_equal(ground, resize(image, 10)[1:9, 1:9])


def test_a_batch_preprocessor_that_cuts_needs_a_region():
    class Silent:
        stage = "batch"

        def input_size(self, size):
            return size + 2

        def __call__(self, images, target, key=None):
            return images[:, 1:-1, 1:-1]

    image = numbered(12, 20)
    found = chain(Fit(), Silent())
    with pytest.raises(ContractError, match="needs a method region"):
        found.ground(image, kept(found, image))


def test_volumes_are_cut_along_all_axes(rng):
    volume = rng.integers(0, 256, (12, 24, 36, 1), dtype=np.uint8)
    found = chain(Fit(), Cropped(margin=4))
    ground = found.ground(volume, kept(found, volume))
    np.testing.assert_array_equal(ground, volume[2:10, 4:20, 6:30])


@pytest.mark.parametrize("region", [((0.2, 3.7), (-0.4, 5.2)), ((0.0, 4.0), (0.0, 5.0))])
def test_whole_pixels(region):
    image = numbered(4, 5)
    assert cut(image, region) is image


def test_a_region_beside_the_image_is_black():
    assert cut(numbered(4, 5) + 1, ((0, 4), (7, 9))).tolist() == np.zeros((4, 2, 1)).tolist()
