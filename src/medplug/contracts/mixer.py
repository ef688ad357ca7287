"""The contract of mixers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import jax


@runtime_checkable
class Mixer(Protocol):
    """Mixes the images of a training batch with each other, and their targets in the same shares.

    Runs inside the compiled training step, once a batch, after the augmenters and never in validation. Pure JAX: all
    randomness comes from ``key``, no Python branches on values. An image that is left as it was keeps its target.
    Shares are not negative and add up to 1, so that mixed one-hot rows still sum to 1. A batch of one image is legal. A mixer that
    cannot work on volumes refuses with a ``ValueError``.
    """

    def __call__(self, key: jax.Array, images: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Images ``[B, *S, C]`` float32 in [0, 1] and targets ``[B, K]`` float32 to the same shapes, dtypes and range.

        Targets are one-hot, multi-hot or soft; NaN is an unknown label. A mixed target is NaN where a label that
        enters it with a share above 0 is unknown, and known elsewhere. ``key`` is a typed PRNG key, another one at
        each step.
        """
        ...
