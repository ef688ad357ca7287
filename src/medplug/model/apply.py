"""A network as pure, compiled functions: predictions over batches, and the two halves that explainers need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from medplug.data.batches import Batch
from medplug.errors import ContractError
from medplug.model.network import BuiltNetwork, standardise


def probabilities(logits: jax.Array, task: str) -> jax.Array:
    """Logits ``[B, K]`` to probabilities: softmax, or sigmoid in multi-label tasks."""
    return jax.nn.softmax(logits) if task == "multiclass" else jax.nn.sigmoid(logits)


def cache_friendly_batch(batch: int) -> int:
    """Images that should go through a network at once: 4 on a CPU, so that activations stay in its cache; else all."""
    return 4 if jax.default_backend() == "cpu" else batch


def divisor(batch: int, at_most: int) -> int:
    """The largest number up to ``at_most`` that divides ``batch``, or the batch itself where only 1 does, unless 1 is asked for."""
    if at_most == 1:
        return 1
    found = next((m for m in range(min(at_most, batch), 1, -1) if batch % m == 0), 1)
    return found if found > 1 else batch


def in_parts(function: Callable[..., Any], *arrays: jax.Array) -> Any:
    """``function(*arrays)`` for a function that treats images apart, a few images at a time where that is faster."""
    batch = len(arrays[0])
    part = divisor(batch, cache_friendly_batch(batch))
    if part == batch:
        return function(*arrays)
    cut = tuple(a.reshape(batch // part, part, *a.shape[1:]) for a in arrays)
    results = jax.lax.map(lambda one: function(*one), cut)
    return jax.tree.map(lambda r: r.reshape(batch, *r.shape[2:]), results)


def predict(network: BuiltNetwork, batches: Iterable[Batch], task: str) -> np.ndarray:
    """Probabilities ``[N, K]`` float64 of all samples; padding is removed.

    Raises:
        ContractError: a probability is not finite.
    """
    forward = forward_function(network, task)
    parts = [np.asarray(forward(batch.images), np.float64)[batch.mask > 0] for batch in batches]
    result = np.concatenate(parts)
    if not np.isfinite(result).all():
        raise ContractError(
            f"{int((~np.isfinite(result)).any(1).sum())} of {len(result)} predictions are not finite; the weights are damaged"
        )
    return result / result.sum(1, keepdims=True) if task == "multiclass" else result


def forward_function(network: BuiltNetwork, task: str) -> Callable[[Any], jax.Array]:
    """uint8 images ``[B, *S, C]`` to probabilities ``[B, K]``, compiled once per shape."""
    graph, state = nnx.split(network.module)

    @jax.jit
    def forward(state: Any, images: jax.Array) -> jax.Array:
        def part(x: jax.Array) -> jax.Array:
            module = nnx.merge(graph, state, copy=True)
            return module(standardise(x, network.preprocessing)).astype(jnp.float32)

        return probabilities(in_parts(part, images.astype(jnp.float32) / 255), task)

    return lambda images: forward(state, images)


def explain_function(network: BuiltNetwork, explainer: Any) -> Callable[[Any, Any, jax.Array], jax.Array]:
    """(uint8 images ``[B, *S, C]``, classes ``[B, T]``, key) to raw maps ``[B, T, *s]``, compiled once per shape."""
    graph, state = nnx.split(network.module)

    @jax.jit
    def explain(state: Any, images: jax.Array, classes: jax.Array, key: jax.Array) -> jax.Array:
        def features(x: jax.Array) -> Any:
            return nnx.merge(graph, state, copy=True).features(x)

        def classify(f: Any) -> jax.Array:
            return nnx.merge(graph, state, copy=True).classify(f)

        x = standardise(images.astype(jnp.float32) / 255, network.preprocessing)
        return explainer(features, classify, x, classes, key)

    def checked(images: Any, classes: Any, key: jax.Array) -> jax.Array:
        classes = jnp.asarray(classes, jnp.int32)
        if classes.ndim != 2 or len(classes) != len(images):
            raise ContractError(f"classes must be [B, T] for {len(images)} images, got {list(classes.shape)}")
        return explain(state, jnp.asarray(images), classes, key)

    return checked
