"""Brightness and contrast: operations that treat all channels alike."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from medplug.plugins import component, param
from medplug_standard.augmenters.draws import per_image, uniform_or, where_any
from medplug_standard.augmenters.levels import floor_levels, mean_grey, to_levels

_INTEGER_HELP = "work on whole grey levels 0..255 and round down, as a lookup table for 8-bit images does"


def apply_brightness(images: jax.Array, delta: jax.Array, integer: bool = False) -> jax.Array:
    """Images ``[B, *S, C]`` plus ``delta`` ``[B]`` (a share of the full range), clipped to [0, 1].

    With ``integer``: ``floor(clip(v + 255 delta, 0, 255))`` of the grey levels ``v``.
    """
    shift = per_image(delta, images)
    if integer:
        return floor_levels(to_levels(images) + 255 * shift)
    return jnp.clip(images + shift, 0, 1)


def apply_contrast(
    images: jax.Array, factor: jax.Array, about: Literal["mean", "zero"] = "mean", integer: bool = False
) -> jax.Array:
    """Images ``[B, *S, C]`` stretched by ``factor`` ``[B]`` about their mean grey or about zero, clipped to [0, 1].

    The mean grey of an image is that of its luma (three channels) or of all its values. With ``integer``:
    the result is rounded down to whole grey levels.
    """
    values = to_levels(images) if integer else images
    stretch = per_image(factor, images)
    if about == "zero":
        changed = values * stretch
    else:
        changed = values + (stretch - 1) * (values - per_image(mean_grey(values), images))
    return floor_levels(changed) if integer else jnp.clip(changed, 0, 1)


@component
class Brightness:
    """Makes an image lighter or darker by adding a constant."""

    limit: float = param("largest change, as a share of the full range", default=0.1, ge=0, le=1)
    p: float = param("probability of a change", default=0.5, ge=0, le=1)
    integer: bool = param(_INTEGER_HELP, default=False)

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32, each with its own constant from [-limit, limit) added."""
        delta = uniform_or(key, images.shape[0], self.p, -self.limit, self.limit, neutral=0.0)
        return apply_brightness(images, delta, self.integer)


@component
class Contrast:
    """Stretches or compresses the grey values of an image."""

    limit: float = param(
        "largest change of the factor, which is drawn from 1 - limit to 1 + limit", default=0.1, ge=0, le=1
    )
    p: float = param("probability of a change", default=0.5, ge=0, le=1)
    about: Literal["mean", "zero"] = param(
        "the value that stays: the image's mean grey, or zero (a plain product, as in the published pipeline)",
        default="mean",
    )
    integer: bool = param(_INTEGER_HELP, default=False)

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32, each stretched by its own factor."""
        factor = uniform_or(key, images.shape[0], self.p, 1 - self.limit, 1 + self.limit, neutral=1.0)
        if self.about == "zero":
            return apply_contrast(images, factor, "zero", self.integer)
        return where_any(factor != 1, lambda x: apply_contrast(x, factor, "mean", self.integer), images)
