"""CutMix: a box of one image in the place of the same box of another."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from medplug.plugins import component, param
from medplug_standard.mixers.pairs import mix_rows, own_shares, partners


def inside_box(spatial: tuple[int, ...], share: jax.Array, centre: jax.Array) -> jax.Array:
    """``[B, *S]`` bool: a box that is as large a part of the image as ``share`` ``[B]`` says, cut at the borders.

    Args:
        spatial: sizes of the n spatial axes.
        share: 0 to 1; each edge of the box is the n-th root of it times that of the image, in whole pixels, rounded down.
        centre: ``[B, n]`` in [0, 1), as parts of the edges; a box may reach over a border and is cut there.
    """
    batch, axes = len(share), len(spatial)
    box = jnp.ones((batch, *(1,) * axes), bool)
    for axis, length in enumerate(spatial):
        edge = jnp.floor(length * share ** (1 / axes))
        first = jnp.floor(length * centre[:, axis]) - edge // 2
        at = jnp.arange(length)
        inside = (at >= first[:, None]) & (at < (first + edge)[:, None])
        box = box & inside.reshape(batch, *(length if i == axis else 1 for i in range(axes)))
    return box


@component
class CutMix:
    """Covers a box of each image with that of another; targets in the shares of the pixels (Yun et al. 2019).

    The box has the proportions of the image, and of a volume all three axes. What is small may be covered: not for findings of
    a few pixels.
    """

    alpha: float = param("of the Beta distribution of shares; 1 draws all shares alike", default=1.0, ge=0.01, le=100)
    p: float = param("probability that an image is mixed with another", default=1.0, ge=0, le=1)

    def __call__(self, key: jax.Array, images: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Images ``[B, *S, C]`` float32 with a box of another, targets ``[B, K]`` float32 in the shares that remain."""
        pair_key, share_key, place_key = jax.random.split(key, 3)
        batch, spatial = len(images), images.shape[1:-1]
        other = partners(pair_key, batch)
        wanted = own_shares(share_key, batch, self.alpha, self.p)
        box = inside_box(spatial, 1 - wanted, jax.random.uniform(place_key, (batch, len(spatial))))
        pixels = math.prod(spatial)
        left = pixels - box.sum(tuple(range(1, box.ndim)))  # the borders may have cut the box
        kept = jnp.where(left == pixels, 1.0, left / pixels)
        return jnp.where(box[..., None], images[other], images), mix_rows(targets, other, kept)
