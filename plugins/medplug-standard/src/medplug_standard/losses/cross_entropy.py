"""Cross-entropy, for exclusive classes and for independent labels."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from medplug.plugins import component, param
from medplug_standard.losses.weights import balanced_classes, balanced_labels, mean_over_known


@component
class CrossEntropy:
    """Cross-entropy of a softmax: ``-sum_c y_c log p_c``."""

    tasks = ("multiclass",)
    label_smoothing: float = param(
        "share of the target that is spread evenly over all classes (Szegedy et al. 2016)", default=0.0, ge=0, lt=1
    )
    class_weight: Literal["none", "balanced"] = param(
        "balanced: each sample weighs n / (K n_c), the inverse frequency of its class in the training split",
        default="none",
    )

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]`` of logits ``[B, K]`` and one-hot or soft targets ``[B, K]``; ``class_counts`` is ``[K, 2]``.

        The weight of a sample comes from its target before smoothing: smoothing with a rare class's weight would
        pull every sample towards that class.
        """
        smooth = (1 - self.label_smoothing) * targets + self.label_smoothing / logits.shape[1]
        losses = -(smooth * jax.nn.log_softmax(logits)).sum(1)
        if self.class_weight == "balanced":
            losses = losses * (targets * balanced_classes(class_counts)).sum(1)
        return losses


@component
class BinaryCrossEntropy:
    """Cross-entropy of a sigmoid for each label, averaged over the known labels of a sample."""

    tasks = ("multilabel",)
    class_weight: Literal["none", "balanced"] = param(
        "balanced: positives of a label weigh n / (2 n_pos), negatives n / (2 n_neg), counted in the training split",
        default="none",
    )

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]`` of logits ``[B, K]`` and targets ``[B, K]``, NaN for unknown; ``class_counts``: ``[K, 2]``."""
        known = ~jnp.isnan(targets)
        y = jnp.where(known, targets, 0)
        positive, negative = -y * jax.nn.log_sigmoid(logits), -(1 - y) * jax.nn.log_sigmoid(-logits)
        if self.class_weight == "balanced":
            for_positive, for_negative = balanced_labels(class_counts)
            positive, negative = for_positive * positive, for_negative * negative
        return mean_over_known(positive + negative, known)
