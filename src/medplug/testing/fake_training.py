"""Fakes of what training is made of: optimizers, a schedule, a mixer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from medplug.plugins import component, param


@component
class PlainSgd:
    """Steps against the gradient."""

    def __call__(self) -> optax.GradientTransformation:
        """Without momentum, without state."""
        return optax.sgd(1.0)


@component
class SimpleAdam:
    """Adam without weight decay."""

    epsilon: float = param("added to the root of the second moment", default=1e-8, ge=1e-15)

    def __call__(self) -> optax.GradientTransformation:
        """The usual decay of the moments."""
        return optax.adam(1.0, eps=self.epsilon)


@component
class Level:
    """The same rate at each step."""

    def __call__(self, steps: int) -> optax.Schedule:
        """The peak."""
        return optax.constant_schedule(1.0)


@component
class Blend:
    """Blends each image, and its targets, with the next one of the batch."""

    share: float = param("largest share of the other image", default=0.5, ge=0, le=1)

    def __call__(self, key: jax.Array, images: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Images ``[B, *S, C]`` and targets ``[B, K]``, each row with its own share."""
        share = jax.random.uniform(key, (len(images),), maxval=self.share)

        def blend(x: jax.Array) -> jax.Array:
            other = share.reshape(-1, *(1,) * (x.ndim - 1))
            return (1 - other) * x + jnp.where(other > 0, other * jnp.roll(x, 1, axis=0), 0)

        return blend(images), blend(targets)
