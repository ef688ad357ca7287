"""PolyLoss with one changed coefficient, for exclusive classes. Imported on first use."""

from __future__ import annotations

import jax

from medplug.plugins import component, param


@component
class Poly1:
    """Cross-entropy plus ``epsilon * (1 - p)``, p being the probability of the true class.

    Cross-entropy is the series ``sum_j (1 - p)^j / j``; Poly-1 adds ``epsilon`` to its first coefficient
    (Leng et al., "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions", ICLR 2022).
    Targets that are soft weigh the classes' terms.
    """

    tasks = ("multiclass",)
    examples = ({"epsilon": 2.0}, {"epsilon": -1.0})

    epsilon: float = param("added to the weight of (1 - p); 0 is cross-entropy", default=1.0, ge=-1, le=100)

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]`` of logits ``[B, K]`` and targets ``[B, K]``; ``class_counts`` ``[K, 2]`` are not used."""
        log_p = jax.nn.log_softmax(logits)
        return (targets * (self.epsilon * (1 - jax.numpy.exp(log_p)) - log_p)).sum(1)
