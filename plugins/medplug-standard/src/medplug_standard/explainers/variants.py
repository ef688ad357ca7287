"""What explainers share that try many variants of an image: their scores, and matrices along the axes of space."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from medplug.plugins import NetworkView, Score
from medplug_standard.explainers.halves import in_chunks


def scores_of_variants(
    network: NetworkView, classes: jax.Array, kind: Score, count: int, variant: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    """Scores ``[count, B, T]`` float32 of ``count`` variants of each image: one pass through the network each, for all targets.

    ``variant`` takes its number, an int32 scalar, and gives images ``[B, *S, C]``. So many variants go through the network
    together that there are about ``network.at_once`` images, and no more exist at a time.
    """
    batch, targets = classes.shape

    def scores(numbers: jax.Array) -> jax.Array:
        images = jax.vmap(variant)(numbers)
        logits = network.logits(images.reshape(-1, *images.shape[2:]))
        found = network.scores(logits, jnp.tile(classes, (len(numbers), 1)), kind)
        return found.reshape(-1, batch, targets).astype(jnp.float32)

    return in_chunks(scores, count, network.at_once // batch)


def blurred(images: jax.Array, sigmas: Sequence[float]) -> jax.Array:
    """Images ``[B, *S, C]`` behind a Gaussian blur with a standard deviation, in pixels, for each axis of space.

    At the edges only the weights inside the image count, scaled to sum to 1.
    """
    matrices = []
    for edge, sigma in zip(images.shape[1:-1], sigmas, strict=True):
        weights = np.exp(-((np.arange(edge)[:, None] - np.arange(edge)) ** 2) / (2 * sigma**2))
        matrices.append(weights / weights.sum(0))  # from pixels in rows to pixels in columns
    return jnp.moveaxis(along_axes(jnp.moveaxis(images, -1, 1), matrices), 1, -1)


def along_axes(values: jax.Array, matrices: Sequence[jax.Array | np.ndarray]) -> jax.Array:
    """Each of the last axes of ``values``, ``[..., k, l, m]``, times its matrix ``[k, n]``: ``[..., n, ...]`` float32."""
    first = values.ndim - len(matrices)
    for matrix in matrices:  # what is done goes last, so that the next is always at the same place
        values = jnp.tensordot(values, jnp.asarray(matrix, jnp.float32), axes=(first, 0), precision="highest")
    return values
