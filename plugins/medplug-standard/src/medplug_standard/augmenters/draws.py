"""Random parameters, one per image, and the shapes that let them meet a batch."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def coins(key: jax.Array, batch: int, p: float) -> jax.Array:
    """``[B]`` bool: which images an operation is applied to."""
    return jax.random.bernoulli(key, p, (batch,))


def uniform_or(key: jax.Array, batch: int, p: float, low: float, high: float, neutral: float) -> jax.Array:
    """``[B]`` float32: with probability ``p`` a draw from [low, high), else ``neutral``, which changes nothing."""
    coin_key, value_key = jax.random.split(key)
    values = jax.random.uniform(value_key, (batch,), minval=low, maxval=high)
    return jnp.where(coins(coin_key, batch, p), values, neutral)


def per_image(values: jax.Array, images: jax.Array) -> jax.Array:
    """Values ``[B]`` as ``[B, 1, ..., 1]``, to be broadcast over images or over one channel of them."""
    return values.reshape(values.shape + (1,) * (images.ndim - 1))


def where_any(chosen: jax.Array, change: Callable[[jax.Array], jax.Array], images: jax.Array) -> jax.Array:
    """``change(images)`` where any of ``chosen`` ``[B]`` is true; ``change`` itself leaves the other images alone.

    The branch saves work in small batches. It also keeps XLA's CPU backend from fusing one operation into the
    next, which would compute a pixel anew for each pixel that is read from it: a chain of all takes half the time.
    """
    return jax.lax.cond(chosen.any(), change, lambda same: same, images)


def require_plane(images: jax.Array, name: str) -> None:
    """Refuse images without two spatial axes; shapes are known while tracing, so this costs nothing."""
    if images.ndim < 4:
        shape = list(images.shape)
        raise ValueError(f"augmenter {name}: needs images [B, *S, C] with at least two spatial axes, got shape {shape}")
