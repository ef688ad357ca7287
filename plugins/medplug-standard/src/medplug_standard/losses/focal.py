"""Focal losses (Lin et al., "Focal Loss for Dense Object Detection", 2017): easy samples count less.

The factor ``(1 - p)^gamma`` is computed as ``exp(gamma log(1 - p))`` with ``log(1 - p)`` from the logits: its
gradient stays finite where ``p`` rounds to 1, also for ``gamma`` below 1, where the derivative of a power does not.
"""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp

from medplug.plugins import component, param
from medplug_standard.losses.weights import balanced_classes, balanced_labels, mean_over_known

_EPSILON_HELP = (
    "probabilities are clipped to [epsilon, 1 - epsilon], which caps a loss at -log(epsilon) and cuts its gradient "
    "beyond; 1e-7 in the published pipeline, felt only where p < 1e-7"
)


def log_softmax_pair(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``log p`` and ``log(1 - p)`` of a softmax over ``[B, K]``, K at least 2, exact also where p rounds to 0 or 1."""
    log_p = jax.nn.log_softmax(logits)
    # Only the largest p can be near 1. Its complement is summed from the other classes; the rest have p <= 1/2.
    largest = jax.nn.one_hot(logits.argmax(1), logits.shape[1], dtype=bool)
    others = jax.nn.logsumexp(jnp.where(largest, -jnp.inf, log_p), axis=1, keepdims=True)
    small = jnp.where(largest, -1.0, log_p)  # keeps log1p, and its gradient, finite in the branch not taken
    return log_p, jnp.where(largest, others, jnp.log1p(-jnp.exp(small)))


def _clip(log_p: jax.Array, epsilon: float) -> jax.Array:
    """The logarithm of ``p`` clipped to [epsilon, 1 - epsilon]."""
    return log_p if epsilon == 0 else jnp.clip(log_p, math.log(epsilon), math.log1p(-epsilon))


@component
class Focal:
    """Focal loss of a softmax: ``-sum_c alpha_c y_c (1 - p_c)^gamma log p_c``."""

    tasks = ("multiclass",)
    gamma: float = param("how strongly easy samples are down-weighted; 0 is cross-entropy", default=2.0, ge=0, le=20)
    alpha: Literal["balanced", "none"] = param(
        "balanced: class c weighs n / (K n_c), counted in the training split", default="balanced"
    )
    epsilon: float = param(_EPSILON_HELP, default=0.0, ge=0, le=0.01)

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]`` of logits ``[B, K]`` and one-hot or soft targets ``[B, K]``; ``class_counts``: ``[K, 2]``."""
        log_p, log_rest = (_clip(x, self.epsilon) for x in log_softmax_pair(logits))
        losses = -targets * jnp.exp(self.gamma * log_rest) * log_p
        if self.alpha == "balanced":
            losses = losses * balanced_classes(class_counts)
        return losses.sum(1)


@component
class MultilabelFocal:
    """Focal loss of a sigmoid for each label, averaged over the known labels of a sample.

    ``form="focal"`` is the loss of Lin et al.: ``(1 - p)^gamma (-log p)`` for a positive, ``p^gamma (-log(1 - p))`` for
    a negative, each with its own balanced weight. ``form="published"`` is what AUCMEDI computed for Mayer et al.:
    negatives have the factor ``1 + p^gamma``, so that they are not down-weighted at all, and one weight,
    ``n / (2 n_pos)``, stands before the positives *and* the negatives of a label.
    """

    tasks = ("multilabel",)
    gamma: float = param("how strongly easy labels are down-weighted", default=2.0, ge=0, le=20)
    alpha: Literal["balanced", "none"] = param(
        "balanced: weights from the label's positives and negatives in the training split", default="balanced"
    )
    form: Literal["focal", "published"] = param(
        "focal: as in the literature; published: as AUCMEDI computes it, for comparison with its results",
        default="focal",
    )
    epsilon: float = param(_EPSILON_HELP, default=0.0, ge=0, le=0.01)

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]`` of logits ``[B, K]`` and targets ``[B, K]``, NaN for unknown; ``class_counts``: ``[K, 2]``."""
        known = ~jnp.isnan(targets)
        y = jnp.where(known, targets, 0)
        log_p, log_rest = (_clip(jax.nn.log_sigmoid(x), self.epsilon) for x in (logits, -logits))
        for_positive, for_negative = jnp.exp(self.gamma * log_rest), jnp.exp(self.gamma * log_p)
        if self.form == "published":
            for_negative = 1 + for_negative
        if self.alpha == "balanced":
            weight_positive, weight_negative = balanced_labels(class_counts)
            for_positive = for_positive * weight_positive
            for_negative = for_negative * (weight_negative if self.form == "focal" else weight_positive)
        return mean_over_known(-y * for_positive * log_p - (1 - y) * for_negative * log_rest, known)
