"""Randomised input sampling."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from medplug.plugins import NetworkView, Score, component, param
from medplug_standard.explainers.variants import along_axes, scores_of_variants

_SUMMED = 16  # masks that are summed at once


@component
class Rise:
    """RISE (Petsiuk, Das & Saenko 2018): how much more the score is with random masks that show a place.

    A mask is a grid of cells, each shown or not, enlarged bilinearly and shifted by up to a cell; what it hides becomes 0,
    the mean once standardised. The paper's map is ``1 / (N p) * sum_i score_i M_i``: the mean score of the masks
    that show a place. It is positive everywhere, and where the mean score is high the accidents of the draw, how often a
    place was shown, are most of what is seen. Here the mean of the N scores is taken off them first: the map is
    ``1 / (N p) * sum_i (score_i - mean) M_i``, the same less the mean score in expectation, signed, and with less noise.
    """

    masks: int = param(
        "random masks an image; noise falls with the root of the number (the paper takes 4000 to 8000)",
        default=500,
        ge=2,
    )
    cells: int = param("cells of a mask on every axis", default=7, ge=2)
    probability: float = param("of a cell to be shown", default=0.5, gt=0, lt=1)
    score: Score = param("what masks are weighted by", default="probability")

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32 at the size of the images, for ``classes`` ``[B, T]`` int32.

        The masks of an image are drawn from its own key. The cost: one pass through the network for each mask, whatever
        the number of targets.
        """
        grids, shifts = draws(keys, self.masks, self.cells, self.probability, images.shape[1:-1])
        return _maps(network, images, classes, grids, shifts, self.probability, self.score)


def _maps(
    network: NetworkView,
    images: jax.Array,
    classes: jax.Array,
    grids: jax.Array,
    shifts: jax.Array,
    probability: float,
    kind: Score,
) -> jax.Array:
    """Maps ``[B, T, *S]`` from grids ``[B, N, *cells]`` and shifts ``[B, N, axes]``."""
    spatial, count = images.shape[1:-1], grids.shape[1]

    def masks(number: jax.Array) -> jax.Array:
        return jax.vmap(lambda grid, shift: mask(grid, shift, spatial))(grids[:, number], shifts[:, number])

    scores = scores_of_variants(network, classes, kind, count, lambda n: images * masks(n)[..., None])
    centred = scores - scores.mean(0)

    def add(total: jax.Array, numbers: jax.Array) -> tuple[jax.Array, None]:
        weights = jnp.where((numbers < count)[:, None, None], centred[numbers], 0)
        several = jax.vmap(masks)(numbers)
        return total + jnp.einsum("nbt,nb...->bt...", weights, several, precision="highest"), None

    numbers = jnp.arange(-(-count // _SUMMED) * _SUMMED).reshape(-1, _SUMMED)
    total, _ = jax.lax.scan(add, jnp.zeros((*classes.shape, *spatial), jnp.float32), numbers)
    return total / (count * probability)


def mask(grid: jax.Array, shift: jax.Array, spatial: tuple[int, ...]) -> jax.Array:
    """A grid ``[*cells]`` of 0 and 1 as a mask ``[*spatial]`` float32.

    As in the authors' code: the grid is enlarged bilinearly to one cell more than the image has, mirrored at its outermost
    cells, and cut to the image ``shift`` pixels from its corner.
    """
    matrices = []
    for axis, (n, cells) in enumerate(zip(spatial, grid.shape, strict=True)):
        enlarged = (cells + 1) * -(-n // cells)
        at = (jnp.arange(n) + shift[axis] + 0.5) * (cells / enlarged) - 0.5
        at = (cells - 1) - jnp.abs((cells - 1) - jnp.abs(at))
        matrices.append(jnp.maximum(0, 1 - jnp.abs(at - jnp.arange(cells)[:, None])))
    return along_axes(grid.astype(jnp.float32), matrices)


@partial(jax.jit, static_argnames=("masks", "cells", "spatial"))
def draws(
    keys: jax.Array, masks: int, cells: int, probability: float, spatial: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Grids ``[B, masks, *cells]`` bool, and shifts ``[B, masks, axes]`` int32 in pixels, less than a cell."""
    axes = len(spatial)
    # All in one call, for each takes a second to compile; in a map it takes half as long as in vmap.
    drawn = jax.lax.map(lambda key: jax.random.uniform(key, (masks, cells**axes + axes)), keys)
    grids = drawn[..., axes:].reshape(len(keys), masks, *(cells,) * axes) < probability
    edges = np.asarray([-(-n // cells) for n in spatial])
    return grids, jnp.minimum((drawn[..., :axes] * edges).astype(jnp.int32), edges - 1)
