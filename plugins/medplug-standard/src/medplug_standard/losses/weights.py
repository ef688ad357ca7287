"""Weights that undo the imbalance of a training split, from its class counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def balanced_classes(class_counts: jax.Array) -> jax.Array:
    """``[K]``: ``n / (K n_c)`` with n samples, n_c of class c, K the classes that occur; 0 for one that does not.

    ``class_counts`` is ``[K, 2]``. This is the "balanced" of scikit-learn: the mean weight of a training sample is 1.
    A class without training samples has no finite weight; validation samples of it then add nothing.
    """
    positives = class_counts[:, 0]
    present = jnp.maximum((positives > 0).sum(), 1)
    return _inverse(positives, positives.sum() / present)


def balanced_labels(class_counts: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Weights ``[K]`` of the positives, ``n / (2 n_pos)``, and of the negatives, ``n / (2 n_neg)``, of each label.

    ``class_counts`` is ``[K, 2]``; n counts the samples whose label is known. What does not occur weighs 0.
    """
    half = class_counts.sum(1) / 2
    return _inverse(class_counts[:, 0], half), _inverse(class_counts[:, 1], half)


def mean_over_known(losses: jax.Array, known: jax.Array) -> jax.Array:
    """Losses ``[B, K]`` to their mean ``[B]`` over the known labels; 0 for a sample without any."""
    return jnp.where(known, losses, 0).sum(1) / jnp.maximum(known.sum(1), 1)


def _inverse(counts: jax.Array, numerator: jax.Array) -> jax.Array:
    return jnp.where(counts > 0, numerator / jnp.where(counts > 0, counts, 1), 0)
