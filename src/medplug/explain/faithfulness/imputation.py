"""Removed places get the weighted mean of their neighbours: one linear system an image, solved on a pyramid."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_TOLERANCE = 1e-4  # leaves errors of a hundredth of the deviation of the image in wide holes, and less in others
_SMALL = 16  # edges of the last level of the pyramid
_MOST = 1000  # iterations on one level of the pyramid; some hundred are usual for the widest holes


def imputed(image: np.ndarray, missing: np.ndarray, tolerance: float = _TOLERANCE) -> np.ndarray:
    """``[V, *S, C]`` float32: the image ``[*S, C]`` with the places of each mask ``[V, *S]`` filled from the rest.

    A filled place is the mean of its up to 8 neighbours (26 in volumes), filled or not, that lie inside the image. A
    neighbour weighs half as much for each axis on which it lies beside the place after the first: 1/6 and 1/12 in
    images, as in the paper; 1/14, 1/28 and 1/56 in volumes. At least one place of each mask must be left. ``tolerance``
    is the norm of what is left to solve, as a share of the norm of the filled places. A direct solver takes several
    times as long for wide holes.

    Reference: Rong et al. 2022, "A consistent and efficient evaluation strategy for attribution methods" (noisy linear
    imputation, without the noise).
    """
    values = jnp.moveaxis(jnp.asarray(image, jnp.float32), -1, 0)[None]
    # One after the other, as each stops when it is done; and the program is the same for any number of masks.
    filled = [_filled(values, hole, tolerance) for hole in jnp.asarray(missing)[:, None, None]]
    return np.moveaxis(np.concatenate(filled), 1, -1)


@jax.jit
def _filled(values: jax.Array, missing: jax.Array, tolerance: float) -> jax.Array:
    """``[1, C, *S]`` from values ``[1, C, *S]`` and a mask ``[1, 1, *S]``."""
    return _solved(jnp.where(missing, 0.0, values), missing, tolerance)


def _solved(values: jax.Array, missing: jax.Array, tolerance: float) -> jax.Array:
    """The system, started from the filled image of half the size: from afar conjugate gradients take long."""
    if max(values.shape[2:]) <= _SMALL:
        start = _mean_of_known(values, missing)
    else:
        start = _doubled(_solved(*_halved(values, missing), tolerance), values.shape[2:])
    return _conjugate_gradients(jnp.where(missing, start, values), missing, tolerance)


def _neighbours(x: Any) -> Any:
    """The weighted sum of each place's neighbours ``[1, C, *S]``, NumPy or JAX; outside there is nothing."""
    pad = np.pad if isinstance(x, np.ndarray) else jnp.pad
    total = x
    for axis in range(2, x.ndim):
        padded = pad(total, [(1, 1) if a == axis else (0, 0) for a in range(x.ndim)])
        before, after = (padded[(slice(None),) * axis + (slice(at, at + x.shape[axis]),)] for at in (0, 2))
        total = total + (before + after) / 2
    return (total - x) / (2 ** (x.ndim - 2) - 1)


def _conjugate_gradients(filled: jax.Array, missing: jax.Array, tolerance: float) -> jax.Array:
    """The filled image, improved until all channels will do (Hestenes & Stiefel 1952, each channel by itself)."""
    weight = _neighbours(np.ones((1, 1, *filled.shape[2:]), np.float32))
    space = tuple(range(2, filled.ndim))

    def system(x: jax.Array) -> jax.Array:
        return jnp.where(missing, weight * x - _neighbours(x), 0.0)

    def product(a: jax.Array, b: jax.Array) -> jax.Array:
        return (a * b).sum(space, keepdims=True)

    residual = -system(filled)
    enough = tolerance**2 * product(jnp.where(missing, filled, 0.0), filled) + 1e-20

    def going(carry: tuple[jax.Array, ...]) -> jax.Array:
        return (carry[0] < _MOST) & (carry[4] > enough).any()

    def step(carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        count, x, residual, direction, size = carry
        image = system(direction)
        along = product(direction, image)
        length = jnp.where(size > enough, size / jnp.where(along > 0, along, 1), 0.0)
        x, residual = x + length * direction, residual - length * image
        new = product(residual, residual)
        return count + 1, x, residual, residual + new / jnp.where(size > 0, size, 1) * direction, new

    first = jnp.int32(0), filled, residual, residual, product(residual, residual)
    return jax.lax.while_loop(going, step, first)[1]


def _halved(values: jax.Array, missing: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Known values averaged over boxes of 2 pixels an edge; a box is missing where all its places are."""
    window = (1, 1, *(2 if edge > 1 else 1 for edge in values.shape[2:]))
    total = partial(
        jax.lax.reduce_window,
        init_value=0.0,
        computation=jax.lax.add,
        window_dimensions=window,
        window_strides=window,
        padding="SAME",
    )
    known = total(jnp.where(missing, 0.0, 1.0))
    return total(values) / jnp.maximum(known, 1), known == 0


def _doubled(coarse: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Linear between the centres of the boxes."""
    wide = tuple(n * 2 if edge > 1 else n for n, edge in zip(coarse.shape[2:], shape, strict=True))
    fine = jax.image.resize(coarse, (*coarse.shape[:2], *wide), "linear")
    return fine[(..., *(slice(edge) for edge in shape))]


def _mean_of_known(values: jax.Array, missing: jax.Array) -> jax.Array:
    space = tuple(range(2, values.ndim))
    known = jnp.where(missing, 0.0, 1.0).sum(space, keepdims=True)
    return jnp.broadcast_to(values.sum(space, keepdims=True) / jnp.maximum(known, 1), values.shape)
