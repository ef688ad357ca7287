"""The kit finds what is wrong with a preprocessor, and passes what is right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.errors import ParameterError
from medplug.images import ImageError
from medplug.plugins import component
from medplug.testing import ConformanceError, check_component
from medplug.testing.fakes import Fit, Shift


@pytest.mark.parametrize("good", [Fit, Shift])
def test_the_fakes_pass(good):
    report = check_component(good)
    assert report.ok
    assert "region_is_true" in report.passed


class Image:
    """An image preprocessor; what is wrong with it is in the subclasses."""

    stage = "image"

    def __call__(self, pixels, target):
        return pixels


class Writes(Image):
    """Inverts in place."""

    def __call__(self, pixels, target):
        if pixels.flags.writeable:
            np.subtract(pixels.max(), pixels, out=pixels)
        return pixels.copy()


class Raw(Image):
    """Gives 0..255 as floats."""

    def __call__(self, pixels, target):
        return pixels.astype(np.float32)


class Doubles(Image):
    """Gives float64."""

    def __call__(self, pixels, target):
        return pixels.astype(np.float64)


class Noisy(Image):
    """Draws random numbers."""

    def __call__(self, pixels, target):
        return np.random.permutation(pixels.ravel()).reshape(pixels.shape)  # noqa: NPY002


class FixedThreshold(Image):
    """Clips at 100 whatever the depth."""

    def __call__(self, pixels, target):
        return np.minimum(pixels, 100).astype(pixels.dtype)


class Mirrors(Image):
    """Moves content without a word."""

    def __call__(self, pixels, target):
        return np.ascontiguousarray(pixels[:, ::-1])


class WrongRegion(Image):
    """Cuts the first rows off and says that it did not."""

    def __call__(self, pixels, target):
        return pixels[8:]

    def region(self, shape, target):
        return tuple((0, n) for n in shape[:-1])


class RefusesAll(Image):
    """Takes no image at all."""

    def __call__(self, pixels, target):
        raise ImageError("is never good enough")


class OtherWords(Image):
    """Names its arguments as it likes."""

    def __call__(self, image, wanted):
        return image


class Batch:
    """A batch preprocessor; what is wrong with it is in the subclasses."""

    stage = "batch"

    def __call__(self, images, target, key=None):
        return images


class Mixes(Batch):
    """Normalises over the batch."""

    def __call__(self, images, target, key=None):
        return images - images.mean()


class Bytes(Batch):
    """Leaves float32."""

    def __call__(self, images, target, key=None):
        return (images * 255).astype(jnp.uint8)


class Divides(Batch):
    """Divides by the range of an image, which may be 0."""

    def __call__(self, images, target, key=None):
        low, high = (f(images, axis=(1, 2, 3), keepdims=True) for f in (jnp.min, jnp.max))
        return (images - low) / (high - low)


class Cuts(Batch):
    """Cuts without a word about where."""

    def __call__(self, images, target, key=None):
        return images[(slice(None), *(slice(4, 4 + target.size),) * (images.ndim - 2))]

    def input_size(self, size):
        return size + 8


class Always(Batch):
    """Draws random numbers in evaluation too."""

    def __call__(self, images, target, key=None):
        return images + np.float32(np.random.rand())  # noqa: NPY002


class Branches(Batch):
    """Looks at values with Python's if."""

    def __call__(self, images, target, key=None):
        return images if float(images.max()) > 0 else images + 1


class Astray(Batch):
    """Has a stage of its own."""

    stage = "network"


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        (Writes, "leaves_its_input"),
        (Raw, "gives_pixels"),
        (Doubles, "gives_pixels"),
        (Noisy, "always_the_same"),
        (FixedThreshold, "depths_agree"),
        (Mirrors, "region_is_true"),
        (WrongRegion, "region_is_true"),
        (RefusesAll, "gives_pixels"),
        (OtherWords, "keeps_the_protocol"),
        (Mixes, "images_independent"),
        (Bytes, "shape_and_dtype"),
        (Divides, "stays_finite"),
        (Cuts, "region_is_true"),
        (Always, "the_key_decides"),
        (Branches, "shape_and_dtype"),
        (Astray, "has_a_stage"),
    ],
)
def test_what_is_wrong_is_found(bad, found):
    with pytest.raises(ConformanceError) as caught:
        check_component(bad, kind="preprocessor")
    assert found in caught.value.report.failed


class Good(Batch):
    """Takes three channels only."""

    def __call__(self, images, target, key=None):
        if target.channels != 3:
            raise ParameterError("for colour only")
        return target.standardise(images)


class Jitters(Batch):
    """Another shift of each image in training."""

    def __call__(self, images, target, key=None):
        if key is None:
            return images
        return images + jax.random.uniform(key, (len(images), *(1,) * (images.ndim - 1)))


@component
class Small:
    """Halves an image without saying where things go: maps are then drawn on the small image."""

    stage = "image"

    def __call__(self, pixels, target):
        return np.ascontiguousarray(pixels[::2, ::2])


@pytest.mark.parametrize("good", [Good, Jitters, Image, Small])
def test_what_is_right_passes(good):
    report = check_component(good, kind="preprocessor")
    assert report.ok


def test_the_kind_is_known_by_its_arguments():
    assert check_component(Fit()).subject == "preprocessor/Fit"
