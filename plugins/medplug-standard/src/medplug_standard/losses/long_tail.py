"""Losses for classes of very unequal size: three ways to let the class counts of the training split speak."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from medplug.plugins import component, param
from medplug_standard.losses.focal import log_softmax_pair

_LEAST = 0.5  # of a sample: what a class without training samples counts, so that its logarithm stays finite


@component
class LogitAdjusted:
    """Cross-entropy of logits to which ``tau`` times the log of each class's share in training is added.

    The network then has to outdo the share of the frequent classes by itself, and its plain logits are those of equally
    frequent classes: it minimises the balanced error (Menon et al., "Long-tail learning via logit adjustment",
    ICLR 2021, equation 10). Its probabilities are therefore not calibrated to the training split's shares.
    """

    tasks = ("multiclass",)
    examples = ({"tau": 0.5},)

    tau: float = param(
        "how strongly the shares are taken out; 1 is the balanced error, 0 cross-entropy", default=1.0, ge=0, le=4
    )

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]`` of logits ``[B, K]`` and one-hot or soft targets ``[B, K]``; ``class_counts`` is ``[K, 2]``."""
        counts = jnp.maximum(class_counts[:, 0], _LEAST)
        return -(targets * jax.nn.log_softmax(logits + self.tau * jnp.log(counts / counts.sum()))).sum(1)


@component
class Ldam:
    """Cross-entropy in which the true class has to win by a margin that is larger for rarer classes.

    The margin of class c is proportional to ``n_c^(-1/4)``, the largest being ``margin`` (Cao et al., "Learning Imbalanced
    Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019). The paper has it on cosines, which ``scale`` = 30
    stretches; on the logits of an ordinary head the scale is 1. Its deferred re-weighting is not part of it.
    """

    tasks = ("multiclass",)
    examples = ({"margin": 2.0, "scale": 3.0},)

    margin: float = param("margin of the rarest class, in logits", default=0.5, ge=0, le=10)
    scale: float = param("what logits and margins are multiplied by", default=1.0, gt=0, le=30)

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]`` of logits ``[B, K]`` and one-hot or soft targets ``[B, K]``; ``class_counts`` is ``[K, 2]``.

        A soft target takes from each class's logit its share of the margin.
        """
        steep = jnp.maximum(class_counts[:, 0], _LEAST) ** -0.25
        margins = self.margin * steep / steep.max()
        return -(targets * jax.nn.log_softmax(self.scale * (logits - targets * margins))).sum(1)


@component
class ClassBalanced:
    """Focal loss, or cross-entropy, weighted by the inverse of each class's effective number of samples.

    n samples of a class are worth ``(1 - beta^n) / (1 - beta)`` different ones; the weights are scaled so that they sum
    to the number of classes that occur (Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR
    2019). ``beta`` = 0 weighs all alike, towards 1 it becomes the inverse frequency. A class without training samples
    has no weight.
    """

    tasks = ("multiclass",)
    examples = ({"beta": 0.9, "gamma": 2.0},)

    beta: float = param("how soon further samples of a class add nothing new", default=0.999, ge=0, lt=1)
    gamma: float = param("how strongly easy samples are down-weighted; 0 is cross-entropy", default=0.0, ge=0, le=20)

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]`` of logits ``[B, K]`` and one-hot or soft targets ``[B, K]``; ``class_counts`` is ``[K, 2]``."""
        counts = class_counts[:, 0]
        present = counts > 0
        # -expm1(n log beta) is 1 - beta^n without the digits that a beta near 1 would cost.
        log_beta = jnp.log(jnp.maximum(jnp.float32(self.beta), 1e-30))
        different = -jnp.expm1(jnp.where(present, counts, 1) * log_beta)
        weights = jnp.where(present, 1 / different, 0)
        weights = weights * present.sum() / jnp.maximum(weights.sum(), 1e-30)
        log_p, log_rest = log_softmax_pair(logits)
        losses = -targets * log_p
        if self.gamma:
            losses = losses * jnp.exp(self.gamma * log_rest)
        return (losses * weights).sum(1)
