"""Rates over a phase: level, along a cosine, along a line, one cycle, or exponentially."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from medplug.plugins import component, param
from medplug_standard.schedules.parts import WARMUP, after_warmup


def _half_cosine(start: float, end: float, done: jax.Array) -> jax.Array:
    """From ``start`` to ``end`` when ``done`` goes from 0 to 1, level at both."""
    return end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * done))


@component
class Constant:
    """The peak rate at each step."""

    def __call__(self, steps: int) -> optax.Schedule:
        """1 throughout."""
        return lambda step: jnp.ones((), jnp.float32)


@component
class Cosine:
    """A warm-up, then half a cosine that reaches zero after the last step (Loshchilov & Hutter 2017)."""

    warmup: float = param(WARMUP, default=0.1, ge=0, lt=1)

    def __call__(self, steps: int) -> optax.Schedule:
        """``(1 + cos(pi t)) / 2`` of the part t of the steps after the warm-up."""
        return after_warmup(steps, self.warmup, lambda done: _half_cosine(1.0, 0.0, done))


@component
class Linear:
    """A warm-up, then a line that reaches zero after the last step."""

    warmup: float = param(WARMUP, default=0.1, ge=0, lt=1)

    def __call__(self, steps: int) -> optax.Schedule:
        """``1 - t`` of the part t of the steps after the warm-up."""
        return after_warmup(steps, self.warmup, lambda done: 1 - done)


@component
class OneCycle:
    """Up along half a cosine, then down along a longer one, far below the start (Smith & Topin 2019)."""

    pct_start: float = param("share of the steps on the way up", default=0.3, ge=0, lt=1)
    div_factor: float = param("the peak over the rate of the first step", default=25.0, ge=1)
    final_div_factor: float = param("the rate of the first step over the last", default=1e4, ge=1)

    def __call__(self, steps: int) -> optax.Schedule:
        """``1 / div_factor`` up to 1, and down to ``1 / (div_factor * final_div_factor)`` after the last step."""
        low = 1 / self.div_factor
        return after_warmup(
            steps,
            self.pct_start,
            fall=lambda done: _half_cosine(1.0, low / self.final_div_factor, done),
            rise=lambda done: _half_cosine(low, 1.0, done),
        )


@component
class Exponential:
    """A warm-up, then the same factor from each step to the next."""

    decay_rate: float = param("share of the peak that is left after the last step", default=0.01, gt=0, le=1)
    warmup: float = param(WARMUP, default=0.1, ge=0, lt=1)

    def __call__(self, steps: int) -> optax.Schedule:
        """``decay_rate ^ t`` of the part t of the steps after the warm-up."""
        return after_warmup(steps, self.warmup, lambda done: jnp.asarray(self.decay_rate, jnp.float32) ** done)
