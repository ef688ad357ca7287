"""The kit catches broken augmenters, and lets correct ones pass."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.plugins import component, param
from medplug.testing import ConformanceError, check_component
from medplug.testing.fakes import Mirror

Array = jax.Array


def per_image(key: Array, images: Array, low: float = 0.5, high: float = 1.0) -> Array:
    return jax.random.uniform(key, (len(images),) + (1,) * (images.ndim - 1), minval=low, maxval=high)


@component
class OneCoinPerBatch:
    """Mirrors all images of a batch or none."""

    def __call__(self, key: Array, images: Array) -> Array:
        return jnp.where(jax.random.bernoulli(key), images[..., ::-1, :], images)


@component
class IgnoresKey:
    """Has a seed of its own."""

    def __call__(self, key: Array, images: Array) -> Array:
        return images * per_image(jax.random.key(0), images)


@component
class TooBright:
    """Leaves the range."""

    def __call__(self, key: Array, images: Array) -> Array:
        return images * per_image(key, images, 0.5, 1.5)


@component
class Mixes:
    """Blends each image with its neighbour."""

    def __call__(self, key: Array, images: Array) -> Array:
        share = per_image(key, images)
        return share * images + (1 - share) * jnp.roll(images, 1, axis=0)


@component
class HalfPrecision:
    """Returns bfloat16."""

    def __call__(self, key: Array, images: Array) -> Array:
        return (images * per_image(key, images)).astype(jnp.bfloat16)


@component
class NumpyRandom:
    """Draws outside of JAX."""

    def __call__(self, key: Array, images: Array) -> Array:
        return images * np.random.default_rng().uniform(0.5, 1, (len(images),) + (1,) * (images.ndim - 1)).astype(
            np.float32
        )


@component
class Crops:
    """Returns smaller images."""

    def __call__(self, key: Array, images: Array) -> Array:
        return images[:, 1:-1, 1:-1]


@component
class Transposes:
    """Turns by 90 degrees, which only square images survive."""

    def __call__(self, key: Array, images: Array) -> Array:
        return jnp.where(per_image(key, images) > 0.75, jnp.swapaxes(images, 1, 2), images)


@component
class ThreeChannels:
    """Counts on colour."""

    def __call__(self, key: Array, images: Array) -> Array:
        return images * per_image(key, images) * jnp.array([1.0, 0.9, 0.8])


@component
class PythonIf:
    """Branches on a value."""

    def __call__(self, key: Array, images: Array) -> Any:
        return images[..., ::-1, :] if jax.random.uniform(key) > 0.5 else images


MUTANTS = [
    (OneCoinPerBatch, "images_of_a_batch_differ"),
    (IgnoresKey, "the_key_has_an_effect"),
    (TooBright, "stays_in_range"),
    (Mixes, "images_independent"),
    (HalfPrecision, "shape_and_dtype"),
    (NumpyRandom, "the_key_decides"),
    (Crops, "shape_and_dtype"),
    (Transposes, "shape_and_dtype"),
    (ThreeChannels, "shape_and_dtype"),
    (PythonIf, "compiled_equals_eager"),
]


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=lambda v: getattr(v, "__name__", None))
def test_a_broken_augmenter_fails(mutant: type, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_component(mutant, kind="augmenter")
    assert check in caught.value.report.failed


def test_a_correct_augmenter_passes() -> None:
    report = check_component(Mirror, draw=3)
    assert report.ok
    assert {"images_of_a_batch_differ", "images_independent", "stays_in_range"} <= set(report.passed)


@component
class FlatOnly:
    """Takes two spatial axes and says so."""

    strength: float = param("largest share of light that is taken away", default=0.5, ge=0, le=1)

    def __call__(self, key: Array, images: Array) -> Array:
        if images.ndim != 4:
            raise ValueError("FlatOnly takes images with two spatial axes")
        return images * per_image(key, images, 1 - self.strength)


def test_two_axes_are_enough_if_it_is_said() -> None:
    assert "volumes_work_or_are_refused" in check_component(FlatOnly, draw=2).passed
