"""The contract of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import jax


@runtime_checkable
class Loss(Protocol):
    """What training makes small: one value per sample, from logits.

    Class attribute ``tasks``: ``("multiclass",)``, ``("multilabel",)`` or both. No coupling between the rows of
    a batch: the engine masks padding and takes the mean. Value and gradient stay finite for logits of ±80.
    """

    tasks: tuple[str, ...]

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Logits ``[B, K]`` float32 and targets ``[B, K]`` float32 to losses ``[B]`` float32.

        Targets are one-hot, multi-hot or soft; NaN is an unknown label, which adds nothing in multi-label tasks.
        ``class_counts`` ``[K, 2]`` float32 holds the positives and negatives of each class in the training split, as
        often as an epoch draws them; a loss that weights classes derives its weights from them.
        """
        ...
