"""Zooming in and out, in the plane of the last two spatial axes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from medplug.plugins import ParameterError, component, param
from medplug_standard.augmenters.draws import per_image, require_plane, uniform_or, where_any
from medplug_standard.augmenters.levels import to_levels
from medplug_standard.augmenters.resampling import resample


def apply_scale(images: jax.Array, factor: jax.Array, place: jax.Array, integer: bool = False) -> jax.Array:
    """Images ``[B, *S, C]`` enlarged or reduced by ``factor`` ``[B]``, at their old size.

    An edge of L pixels becomes one of ``n = max(1, floor(L * factor))`` pixels, bilinearly, with half-pixel centres
    and without antialiasing. Of a larger image a window of L pixels is cut out; ``place`` ``[B, 2]`` in [0, 1) says
    where among the n - L + 1 whole positions it begins, for height and width. A smaller image goes to the
    middle, and its surroundings mirror it without repeating the edge pixel (``dcb|abcd|cba``). With ``integer``: what
    was interpolated is rounded to the nearest of the levels 0..255; an image with a factor of 1 stays as it is.
    """
    scaled = images
    for axis in (-3, -2):
        scaled = resample(scaled, axis, *_taps(images.shape[axis], factor, place[:, axis + 3]))
    return jnp.where(per_image(factor != 1, images), to_levels(scaled) / 255, images) if integer else scaled


def _taps(length: int, factor: jax.Array, place: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """For each of ``length`` output pixels: the two input pixels and the weight of the second, each ``[B, length]``."""
    size = jnp.maximum(jnp.floor(length * factor), 1)
    spare = size - length
    # Negative where the image shrinks: then half of the rest, rounded down, lies before it.
    first = jnp.where(spare >= 0, jnp.minimum(jnp.floor(place * (spare + 1)), spare), -((-spare) // 2))
    position = jnp.arange(length, dtype=jnp.float32) + first[:, None]
    size = size[:, None]
    period = jnp.maximum(2 * (size - 1), 1)
    position = position % period
    position = jnp.minimum(position, period - position)
    source = jnp.clip((position + 0.5) * (length / size) - 0.5, 0, length - 1)
    low = jnp.floor(source).astype(jnp.int32)
    return low, jnp.minimum(low + 1, length - 1), source - low


@component
class Scale:
    """Zooms into a random part of an image, or out of it with mirrored surroundings."""

    low: float = param("smallest factor; below 1 the image shrinks", default=0.9, gt=0, le=10)
    high: float = param("largest factor (the published pipeline zoomed by 1.9 to 2.1)", default=1.1, gt=0, le=10)
    p: float = param("probability of a change", default=0.5, ge=0, le=1)
    integer: bool = param(
        "round a scaled image to whole grey levels 0..255, as an 8-bit image has to be", default=False
    )

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ParameterError(f"low must be at most high, got low={self.low:g} and high={self.high:g}")

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32, each scaled by its own factor from [low, high), alike in height and width."""
        require_plane(images, "scale")
        factor_key, place_key = jax.random.split(key)
        factor = uniform_or(factor_key, images.shape[0], self.p, self.low, self.high, neutral=1.0)
        place = jax.random.uniform(place_key, (images.shape[0], 2))
        return where_any(factor != 1, lambda x: apply_scale(x, factor, place, self.integer), images)
