"""Superpixels inside compiled functions, over any number of axes."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


def segment_grid(spatial: tuple[int, ...], segments: int) -> tuple[int, ...]:
    """Cells on each axis, about ``segments`` in all and about as long as wide."""
    step = (np.prod(spatial) / segments) ** (1 / len(spatial))
    return tuple(int(np.clip(round(n / step), 1, n)) for n in spatial)


@partial(jax.jit, static_argnames=("segments", "compactness", "rounds"))
def superpixels(images: jax.Array, segments: int, compactness: float, rounds: int = 10) -> jax.Array:
    """The superpixel of each pixel, ``[B, *S]`` int32, of images ``[B, *S, C]``: SLIC (Achanta et al. 2012).

    Superpixels start as the cells of :func:`segment_grid`, which also number them; in each round a pixel goes to the nearest
    of those of its own and the neighbouring cells, which then move to the mean of their pixels. What is near is

        ``|colour - colour'|^2 / C / variance + compactness^2 * |place - place'|^2``

    with the variance of all values of the image, and places in cells. So neither the number of channels nor the contrast
    matters; skimage's compactness of 10 is about 0.4 here. Unlike there, a few pixels may lie apart from the rest of
    their superpixel, and one may end without pixels.

    Args:
        images: float32, colours of any scale.
        segments: about how many; see :func:`segment_grid`.
        compactness: how much places count beside colours.
        rounds: of assigning pixels and moving superpixels.
    """
    spatial = images.shape[1:-1]
    return jax.vmap(lambda one: _slic(one, segment_grid(spatial, segments), compactness, rounds))(images)


def _slic(image: jax.Array, grid: tuple[int, ...], compactness: float, rounds: int) -> jax.Array:
    spatial, axes = image.shape[:-1], len(grid)
    along = [(np.arange(n) + 0.5) * cells / n for n, cells in zip(spatial, grid, strict=True)]
    places = jnp.stack(jnp.meshgrid(*(jnp.asarray(a, jnp.float32) for a in along), indexing="ij"), -1)
    colours = image / (jnp.sqrt(image.shape[-1]) * (image.std() + 1e-6))
    pixels = jnp.concatenate([colours, compactness * places], -1)
    homes = [
        jnp.asarray(np.floor(a), jnp.int32).reshape([-1 if i == k else 1 for k in range(axes)])
        for i, a in enumerate(along)
    ]
    around = jnp.asarray(list(itertools.product((-1, 0, 1), repeat=axes)), jnp.int32)

    def cell(offset: jax.Array) -> jax.Array:
        found = jnp.zeros((), jnp.int32)
        for home, cells, step in zip(homes, grid, offset, strict=True):
            found = found * cells + jnp.clip(home + step, 0, cells - 1)
        return jnp.broadcast_to(found, spatial)

    def nearest(centres: jax.Array) -> jax.Array:
        def closer(best: tuple[jax.Array, jax.Array], offset: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
            candidate = cell(offset)
            distance = ((pixels - centres[candidate]) ** 2).sum(-1)
            better = distance < best[0]
            return (jnp.where(better, distance, best[0]), jnp.where(better, candidate, best[1])), None

        start = jnp.full(spatial, jnp.inf), cell(jnp.zeros(axes, jnp.int32))
        return jax.lax.scan(closer, start, around)[0][1]

    def moved(labels: jax.Array, centres: jax.Array) -> jax.Array:
        flat, count = labels.reshape(-1), len(centres)
        total = jax.ops.segment_sum(pixels.reshape(len(flat), -1), flat, count)
        size = jax.ops.segment_sum(jnp.ones(len(flat)), flat, count)[:, None]
        return jnp.where(size > 0, total / jnp.maximum(size, 1), centres)

    def once(_: int, labels_centres: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        labels = nearest(labels_centres[1])
        return labels, moved(labels, labels_centres[1])

    labels = cell(jnp.zeros(axes, jnp.int32))
    centres = moved(labels, jnp.zeros((int(np.prod(grid)), pixels.shape[-1])))
    return jax.lax.fori_loop(0, rounds, once, (labels, centres))[0]
