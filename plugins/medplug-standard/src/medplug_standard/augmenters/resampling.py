"""Bilinear pixels: along one axis after the other, or anywhere in the plane of the last two spatial axes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

# Without the promise XLA adds a bounds check per pixel, which doubles the time on CPUs.
_INSIDE = "promise_in_bounds"


def resample(images: jax.Array, axis: int, low: jax.Array, high: jax.Array, weight: jax.Array) -> jax.Array:
    """Interpolate images ``[B, *S, C]`` along one axis of length L; the same in all rows (or columns) and slices of an image.

    Args:
        axis: a spatial one, counted from the end.
        low, high: ``[B, L]`` int32: the two input pixels of each output pixel, within the image.
        weight: ``[B, L]`` float32 of the second.
    """
    shape = [images.shape[0]] + [1] * (images.ndim - 1)
    shape[axis] = images.shape[axis]
    before, after = (jnp.take_along_axis(images, index.reshape(shape), axis, mode=_INSIDE) for index in (low, high))
    return before + weight.reshape(shape) * (after - before)


def mirrored(position: jax.Array, length: int) -> jax.Array:
    """Positions on an axis of ``length`` pixels and beyond, folded back at the centres of the edge pixels (``dcb|abcd|cba``)."""
    period = max(2 * (length - 1), 1)
    position = position - period * jnp.floor(position / period)
    return jnp.clip(jnp.minimum(position, period - position), 0, length - 1)


def sample_plane(images: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """Images ``[B, *S, C]`` at the positions ``row``, ``column`` ``[B, H, W]`` float32 of their last two spatial axes.

    Positions are pixels, 0 the centre of the first; beyond the borders the image is mirrored. Slices of a volume are
    all sampled alike.
    """
    batch, (height, width, channels) = images.shape[0], images.shape[-3:]
    flat = images.reshape(batch, -1, height * width, channels)
    row, column = mirrored(row, height), mirrored(column, width)
    top, left = jnp.floor(row).astype(jnp.int32), jnp.floor(column).astype(jnp.int32)
    bottom, right = jnp.minimum(top + 1, height - 1), jnp.minimum(left + 1, width - 1)

    def pixels(i: jax.Array, j: jax.Array) -> jax.Array:
        return jnp.take_along_axis(flat, (i * width + j).reshape(batch, 1, -1, 1), 2, mode=_INSIDE)

    down, across = ((x - jnp.floor(x)).reshape(batch, 1, -1, 1) for x in (row, column))
    above = pixels(top, left) + across * (pixels(top, right) - pixels(top, left))
    below = pixels(bottom, left) + across * (pixels(bottom, right) - pixels(bottom, left))
    return (above + down * (below - above)).reshape(images.shape)
