"""A random part of an image at its full size, in the plane of the last two spatial axes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from medplug.plugins import ParameterError, component, param
from medplug_standard.augmenters.draws import coins, require_plane, where_any
from medplug_standard.augmenters.resampling import resample


def apply_resized_crop(images: jax.Array, edges: jax.Array, place: jax.Array) -> jax.Array:
    """A window of images ``[B, *S, C]``, enlarged to their size.

    Args:
        images: two or more spatial axes; all slices of a volume are cut alike.
        edges: ``[B, 2]`` height and width of the window, whole pixels from 1 to those of the image.
        place: ``[B, 2]`` in [0, 1): where among the possible whole positions the window begins.

    The window is enlarged bilinearly, with half-pixel centres, from its own pixels alone.
    """
    cropped = images
    for axis in (-3, -2):
        length, edge = images.shape[axis], edges[:, axis + 3]
        spare = length - edge
        first = jnp.minimum(jnp.floor(place[:, axis + 3] * (spare + 1)), spare)
        centre = (jnp.arange(length) + 0.5) * (edge / length)[:, None] - 0.5
        source = first[:, None] + jnp.clip(centre, 0, edge[:, None] - 1)
        low = jnp.floor(source).astype(jnp.int32)
        cropped = resample(cropped, axis, low, jnp.minimum(low + 1, length - 1), source - low)
    return cropped


def window_edges(shape: tuple[int, int], area: jax.Array, aspect: jax.Array) -> jax.Array:
    """``[B, 2]`` height and width in whole pixels of windows in images of ``shape`` (height, width).

    ``area`` ``[B]`` is the share of the image's pixels, ``aspect`` ``[B]`` width over height, relative to the image's own.
    A window that would be longer than the image is cut to it.
    """
    relative = jnp.stack([jnp.sqrt(area / aspect), jnp.sqrt(area * aspect)], 1)
    length = jnp.array(shape, jnp.float32)
    return jnp.clip(jnp.round(relative * length), 1, length)


@component
class RandomResizedCrop:
    """Enlarges a random window of the image to its full size (Szegedy et al. 2015).

    The share of the area is drawn evenly, the aspect ratio evenly on a logarithmic scale. Windows of a tenth, as for
    photographs, would often miss a finding.
    """

    area_low: float = param("smallest share of the image's area", default=0.5, gt=0, le=1)
    area_high: float = param("largest share of the image's area", default=1.0, gt=0, le=1)
    aspect_low: float = param("narrowest window: width over height, relative to the image", default=0.75, ge=0.1, le=10)
    aspect_high: float = param("widest window: width over height, relative to the image", default=4 / 3, ge=0.1, le=10)
    p: float = param("probability of a window", default=1.0, ge=0, le=1)

    def __post_init__(self) -> None:
        for name in ("area", "aspect"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if low > high:
                raise ParameterError(
                    f"{name}_low must be at most {name}_high, got {name}_low={low:g} and {name}_high={high:g}"
                )

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32, each cut to its own window and enlarged again."""
        require_plane(images, "random_resized_crop")
        coin_key, area_key, aspect_key, place_key = jax.random.split(key, 4)
        batch = (images.shape[0],)
        area = jax.random.uniform(area_key, batch, minval=self.area_low, maxval=self.area_high)
        low, high = jnp.log(self.aspect_low), jnp.log(self.aspect_high)
        aspect = jnp.exp(jax.random.uniform(aspect_key, batch, minval=low, maxval=high))
        edges = window_edges(images.shape[-3:-1], area, aspect)
        whole = jnp.array(images.shape[-3:-1], jnp.float32)  # a window of all of the image changes nothing
        chosen = coins(coin_key, images.shape[0], self.p)
        edges = jnp.where(chosen[:, None], edges, whole)
        place = jax.random.uniform(place_key, (*batch, 2))
        return where_any(chosen, lambda x: apply_resized_crop(x, edges, place), images)
