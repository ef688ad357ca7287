"""The two parts of a phase: a rise to the peak, and what comes after it."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

WARMUP = "share of the steps in which the rate rises"


def after_warmup(
    steps: int,
    warmup: float,
    fall: Callable[[jax.Array], jax.Array],
    rise: Callable[[jax.Array], jax.Array] | None = None,
) -> Callable[[jax.Array | int], jax.Array]:
    """A schedule of ``steps`` steps: ``floor(steps * warmup)`` of them rise, the others follow ``fall``.

    Args:
        steps: of the phase, at least 1.
        warmup: share, below 1.
        fall: share of the peak when a part of the way down is done: 0 at the peak; 1 is first reached after the last step.
        rise: the same for the way up; by default a line whose last step reaches the peak (Goyal et al. 2017).
    """
    rising = math.floor(steps * warmup)

    def share(step: jax.Array | int) -> jax.Array:
        at = jnp.asarray(step, jnp.float32)
        up = (at + 1) / max(1, rising) if rise is None else rise(at / max(1, rising))
        down = fall(jnp.clip((at - rising) / max(1, steps - rising), 0, 1))
        return jnp.clip(jnp.where(at < rising, up, down), 0, 1)

    return share
