"""Turning, shearing, shifting and zooming in one step, in the plane of the last two spatial axes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from medplug.plugins import component, param
from medplug_standard.augmenters.draws import per_image, require_plane, uniform_or, where_any
from medplug_standard.augmenters.resampling import sample_plane


def apply_warp(images: jax.Array, matrix: jax.Array, shift: jax.Array) -> jax.Array:
    """Images ``[B, *S, C]`` seen through a linear map about their middle, bilinearly, with mirrored surroundings.

    Args:
        images: two or more spatial axes; all slices of a volume are treated alike.
        matrix: ``[B, 2, 2]``: an offset from the middle of the output, in pixels down and to the right, to that of
            the pixel which is seen there.
        shift: ``[B, 2]`` pixels, down and to the right, that are added to the latter.

    An image with the identity and no shift stays exactly as it is.
    """
    height, width = images.shape[-3:-1]
    middle = (height - 1) / 2, (width - 1) / 2
    down = (jnp.arange(height) - middle[0])[:, None]
    across = (jnp.arange(width) - middle[1])[None, :]
    m, s = matrix[:, :, :, None, None], shift[:, :, None, None]
    row = middle[0] + m[:, 0, 0] * down + m[:, 0, 1] * across + s[:, 0]
    column = middle[1] + m[:, 1, 0] * down + m[:, 1, 1] * across + s[:, 1]
    same = (matrix == jnp.eye(2)).all((1, 2)) & (shift == 0).all(1)
    return jnp.where(per_image(same, images), images, sample_plane(images, row, column))


def turned(degrees: jax.Array) -> jax.Array:
    """``[B, 2, 2]``: the matrices of :func:`apply_warp` that turn images counter-clockwise by ``degrees`` ``[B]``."""
    angle = jnp.deg2rad(degrees)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([jnp.stack([cos, sin], 1), jnp.stack([-sin, cos], 1)], 1)


@component
class Rotate:
    """Turns an image by a few degrees, with mirrored corners."""

    limit: float = param("largest turn in either direction, degrees", default=15.0, ge=0, le=180)
    p: float = param("probability of a turn", default=0.5, ge=0, le=1)

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32, each turned by its own angle from [-limit, limit) in the plane."""
        require_plane(images, "rotate")
        degrees = uniform_or(key, images.shape[0], self.p, -self.limit, self.limit, neutral=0.0)
        shift = jnp.zeros((images.shape[0], 2))
        return where_any(degrees != 0, lambda x: apply_warp(x, turned(degrees), shift), images)
