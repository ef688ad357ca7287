"""Attention rollout."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from medplug.plugins import MedplugError, NetworkView, component, param
from medplug_standard.explainers.halves import spatial_part


@component
class AttentionRollout:
    """Attention rollout (Abnar & Zuidema 2020): how much of each place reaches the output through all layers of attention.

    Each layer is ``0.5 A + 0.5 I``, half its attention and half the way around it, with rows that sum to 1; the product of
    all layers, last to first, says what each token takes from each place of the input. The map is the row of the first
    token, which is the class token; without one it is the mean of all rows. It is never negative and the same for every
    class: it shows what is passed on, not what it is used for.
    """

    heads: Literal["mean", "max", "min"] = param(
        "how the heads of a layer become one; the paper takes the mean, max and min are sharper", default="mean"
    )
    needs = ("attention",)
    class_specific = False

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 at the size of the features, the same for all ``classes`` ``[B, T]``.

        ``keys`` are not used. The cost: one pass through the network.

        Raises:
            MedplugError: there are fewer tokens than places.
        """
        assert network.attention is not None  # the engine reads `needs`
        places = spatial_part(jax.eval_shape(network.features, images)).shape[1:-1]
        layers = network.attention(images)
        tokens, count = layers.shape[-1], math.prod(places)
        if tokens < count:
            raise MedplugError(
                f"attention_rollout: the network declares attention between {tokens} tokens, but its features have {count} "
                f"places ({' x '.join(map(str, places))}), and each needs a token; mend the network's `attention`"
            )
        rolled = rollout(layers, self.heads)
        row = rolled[:, 0] if tokens > count else rolled.mean(1)
        maps = row[:, None, tokens - count :].reshape(len(images), 1, *places)
        return jnp.broadcast_to(maps, (*classes.shape, *places))


@partial(jax.jit, static_argnames=("heads",))
def rollout(layers: jax.Array, heads: Literal["mean", "max", "min"]) -> jax.Array:
    """Attention ``[B, L, A, N, N]`` to what each token takes from each token of the input, ``[B, N, N]`` float32."""
    fused = getattr(layers.astype(jnp.float32), heads)(2)
    mixed = fused + jnp.eye(fused.shape[-1])
    mixed = mixed / mixed.sum(-1, keepdims=True)
    rolled = mixed[:, 0]
    for n in range(1, mixed.shape[1]):
        rolled = jnp.matmul(mixed[:, n], rolled, precision="highest")
    return rolled
