"""The contract of explainers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import jax


@runtime_checkable
class Explainer(Protocol):
    """Maps of where in an image the score of a class is sensitive. Pure JAX, compiled by the engine.

    Maps are raw and signed: positive values speak for the class. Scaling, clipping and colours are the
    business of rendering. Images of a batch do not influence each other.
    """

    def __call__(
        self,
        features: Callable[[jax.Array], Any],
        classify: Callable[[Any], jax.Array],
        images: jax.Array,
        classes: jax.Array,
        key: jax.Array,
    ) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 of any size ``s``; the engine brings them to the size of the image.

        ``features`` and ``classify`` are the halves of the network in eval mode, as pure functions: standardised
        images ``[B, *S, C]`` to features (an array ``[B, *s, D]`` or a ``Features``) and features to logits
        ``[B, K]``. ``classes`` ``[B, T]`` int32 are the classes to explain, traced. ``key`` is for methods that sample.
        """
        ...
