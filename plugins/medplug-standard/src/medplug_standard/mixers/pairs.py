"""Who is mixed with whom, in which shares, and what becomes of their targets."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def partners(key: jax.Array, batch: int) -> jax.Array:
    """``[B]`` int32: the other image of each, the same number of places further on; never itself, unless it is alone."""
    shift = jax.random.randint(key, (), 1, max(batch, 2))
    return (jnp.arange(batch) + shift) % batch


def own_shares(key: jax.Array, batch: int, alpha: float, p: float) -> jax.Array:
    """``[B]`` float32: with probability ``p`` a draw from Beta(alpha, alpha), else 1."""
    coin_key, value_key = jax.random.split(key)
    drawn = jnp.clip(jax.random.beta(value_key, alpha, alpha, (batch,)), 0, 1)
    return jnp.where(jax.random.bernoulli(coin_key, p, (batch,)), drawn, 1)


def mix_rows(rows: jax.Array, other: jax.Array, share: jax.Array) -> jax.Array:
    """``share * rows + (1 - share) * rows[other]`` of ``[B, ...]``; what has no share does not enter, not even as NaN."""
    own = share.reshape(-1, *(1,) * (rows.ndim - 1))
    mine = jnp.where(own > 0, own * rows, 0)
    return mine + jnp.where(own < 1, (1 - own) * rows[other], 0)
