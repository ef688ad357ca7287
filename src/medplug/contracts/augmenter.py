"""The contract of augmenters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import jax


@runtime_checkable
class Augmenter(Protocol):
    """Changes a batch of training images at random, inside the compiled training step.

    Pure JAX: no NumPy randomness, no Python branches on values. Randomness comes from ``key`` alone and is
    drawn for each image apart; images of a batch do not influence each other. An augmenter that cannot work on
    volumes, or on a number of channels, refuses with a ``ValueError``.
    """

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32 in [0, 1] to images of the same shape, dtype and range.

        ``key`` is a typed PRNG key, another one at each step.
        """
        ...
