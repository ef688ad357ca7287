"""What explainers share: features with and without a token, and gradients of every target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from medplug.plugins import Features


def spatial_part(features: Any) -> jax.Array:
    """The features that have places, ``[B, *s, D]``."""
    return features.spatial if isinstance(features, Features) else features


def with_spatial(features: Any, spatial: jax.Array) -> Any:
    """The same features, with other values at their places; a token stays."""
    return features._replace(spatial=spatial) if isinstance(features, Features) else spatial


def gradients(scores: Callable[[jax.Array], jax.Array], at: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The scores ``[B, T]`` at ``[B, ...]``, and the gradient of each: ``[B, T, ...]`` float32.

    Images do not influence each other, so the gradient of a column's sum is each image's own.
    """
    found, pull = jax.vjp(scores, at)
    count, targets = found.shape
    directions = jnp.broadcast_to(jnp.eye(targets, dtype=found.dtype)[:, None, :], (targets, count, targets))
    (each,) = jax.vmap(pull, out_axes=1)(directions)
    return found, each.astype(jnp.float32)
