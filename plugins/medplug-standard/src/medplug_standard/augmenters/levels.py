"""Grey: the luma of colour images, and whole levels 0..255.

Channels are always written out one by one: XLA's CPU backend runs reductions over a trailing axis of
length 3 some ten times slower than the same sum of slices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in OpenCV, Pillow and torchvision


def mean_grey(images: jax.Array) -> jax.Array:
    """Images ``[B, *S, C]`` to the mean of their luma ``[B]`` (C = 3), or of all their values (any other C).

    One dot product with the weights repeated for each pixel: ten times faster on CPUs than a mean over pixels.
    """
    flat = images.reshape(images.shape[0], -1)
    channel = jnp.array(LUMA if images.shape[-1] == 3 else (1 / images.shape[-1],) * images.shape[-1])
    pixels = flat.shape[1] // images.shape[-1]
    return jnp.matmul(flat, jnp.tile(channel, pixels), precision="highest") / pixels


def to_levels(images: jax.Array) -> jax.Array:
    """Images in [0, 1] to whole grey levels 0..255, still float32.

    Rounding to the nearest level first: ``255 * (v / 255)`` may fall short of ``v`` by one bit, which
    rounding down would turn into a whole level.
    """
    return jnp.round(images * 255)


def floor_levels(levels: jax.Array) -> jax.Array:
    """Grey levels to images in [0, 1], clipped and rounded down to whole levels."""
    return jnp.floor(jnp.clip(levels, 0, 255)) / 255


def round_levels(levels: jax.Array) -> jax.Array:
    """Grey levels to images in [0, 1], clipped and rounded to the nearest whole level."""
    return jnp.round(jnp.clip(levels, 0, 255)) / 255


def colours(images: jax.Array, name: str) -> tuple[jax.Array, jax.Array, jax.Array] | None:
    """The red, green and blue ``[B, *S]`` of images; None for grey images (C = 1).

    Raises:
        ValueError: for any other number of channels.
    """
    channels = images.shape[-1]
    if channels == 1:
        return None
    if channels != 3:
        raise ValueError(
            f"augmenter {name}: needs images with 1 or 3 channels, got {channels}; leave it out for such data"
        )
    return images[..., 0], images[..., 1], images[..., 2]
