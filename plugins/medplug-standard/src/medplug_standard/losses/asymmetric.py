"""The asymmetric loss, for many labels of which few are present."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from medplug.plugins import component, param
from medplug_standard.losses.weights import mean_over_known


@component
class Asymmetric:
    """Sigmoid cross-entropy in which easy negatives count less than easy positives, and very easy ones nothing.

    A positive label costs ``-(1 - p)^gamma_positive log p``; a negative one ``-q^gamma_negative log(1 - q)`` with
    ``q = max(p - shift, 0)``. Averaged over the known labels of a sample. Ridnik et al., "Asymmetric Loss For Multi-Label
    Classification", ICCV 2021; the factors take part in the gradient, as in its formula.
    """

    tasks = ("multilabel",)
    examples = ({"gamma_positive": 1.0, "shift": 0.0}, {"gamma_negative": 0.5})

    gamma_positive: float = param("how strongly easy positives are down-weighted", default=0.0, ge=0, le=20)
    gamma_negative: float = param("how strongly easy negatives are down-weighted", default=4.0, ge=0, le=20)
    shift: float = param("negatives with a probability below it cost nothing", default=0.05, ge=0, lt=1)

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]`` of logits ``[B, K]`` and targets ``[B, K]``, NaN for unknown; ``class_counts`` are not used."""
        known = ~jnp.isnan(targets)
        y = jnp.where(known, targets, 0)
        log_p, log_rest = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        positive = -jnp.exp(self.gamma_positive * log_rest) * log_p
        if self.shift == 0:
            negative = -jnp.exp(self.gamma_negative * log_p) * log_rest
        else:
            over = jnp.exp(log_p) - self.shift
            counts = over > 0
            # The branch not taken gets a harmless value, so that its gradient is no infinity times zero.
            q = jnp.where(counts, over, 0.5)
            negative = jnp.where(counts, -(q**self.gamma_negative) * jnp.log1p(-q), 0)
        return mean_over_known(y * positive + (1 - y) * negative, known)
