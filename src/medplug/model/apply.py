"""A network as pure, compiled functions: predictions over batches, and the two halves that explainers need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from medplug.contracts.architecture import Features
from medplug.data.batches import Batch
from medplug.errors import ContractError
from medplug.model.network import BuiltNetwork


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
    """``function(*arrays)`` for a function that treats images apart, a few images at a time where that is faster.

    A batch that has no divisor is filled up with its first image, so that memory stays bounded whatever its size.
    """
    batch = len(arrays[0])
    most = cache_friendly_batch(batch)
    if batch <= most:
        return function(*arrays)
    part = divisor(batch, most)
    part = most if part == batch else part
    missing = -batch % part
    filled = arrays if not missing else tuple(jnp.concatenate([a, jnp.stack([a[0]] * missing)]) for a in arrays)
    cut = tuple(a.reshape(-1, part, *a.shape[1:]) for a in filled)
    results = jax.lax.map(lambda one: function(*one), cut)
    return jax.tree.map(lambda r: r.reshape(batch + missing, *r.shape[2:])[:batch], results)


class Outputs(NamedTuple):
    """What a network says of N samples.

    Attributes:
        probabilities: ``[N, K]`` float64.
        energy: ``[N]`` float64, minus the log of the summed exponentials of the logits (multi-class), or minus the sum
            of ``log(1 + exp(logit))`` over the labels; high for inputs of which the network makes nothing
            (Liu et al. 2020; for several labels Wang et al. 2021).
        features: ``[N, D]`` float32, the features before the classifier, averaged over the image.
    """

    probabilities: np.ndarray
    energy: np.ndarray
    features: np.ndarray


def predict(network: BuiltNetwork, batches: Iterable[Batch], task: str) -> np.ndarray:
    """Probabilities ``[N, K]`` float64 of all samples; padding is removed.

    Raises:
        ContractError: a probability is not finite.
    """
    forward = forward_function(network, task)
    return _checked([np.asarray(forward(batch.images), np.float64)[batch.mask > 0] for batch in batches], task)


def outputs(
    forward: Callable[[Any], tuple[jax.Array, jax.Array, jax.Array]], batches: Iterable[Batch], task: str
) -> Outputs:
    """Probabilities of all samples, with what tells how far they are from the training images; padding is removed.

    ``forward`` is made by :func:`outputs_function`, once for as many calls as wanted.

    Raises:
        ContractError: a probability is not finite.
    """
    parts: list[list[np.ndarray]] = [[], [], []]
    for batch in batches:
        for column, values in zip(parts, forward(batch.images), strict=True):
            column.append(np.asarray(values)[batch.mask > 0])
    found, energy, features = parts
    checked = _checked([p.astype(np.float64) for p in found], task)
    return Outputs(checked, np.concatenate(energy).astype(np.float64), np.concatenate(features))


def outputs_function(network: BuiltNetwork, task: str) -> Callable[[Any], tuple[jax.Array, jax.Array, jax.Array]]:
    """uint8 images ``[B, *S, C]`` to probabilities, energy and features as in :class:`Outputs`, compiled once per shape."""
    graph, state = nnx.split(network.module)

    @jax.jit
    def forward(state: Any, images: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        def part(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            module = nnx.merge(graph, state, copy=True)
            features = module.features(network.prepare(x))
            return module.classify(features).astype(jnp.float32), _pooled(features)

        logits, features = in_parts(part, images.astype(jnp.float32) / 255)
        energy = jax.nn.logsumexp(logits, axis=1) if task == "multiclass" else jax.nn.softplus(logits).sum(1)
        return probabilities(logits, task), -energy, features

    return lambda images: forward(state, images)


def _checked(parts: list[np.ndarray], task: str) -> np.ndarray:
    result = np.concatenate(parts)
    if not np.isfinite(result).all():
        raise ContractError(
            f"{int((~np.isfinite(result)).any(1).sum())} of {len(result)} predictions are not finite; the weights are damaged"
        )
    return result / result.sum(1, keepdims=True) if task == "multiclass" else result


def _pooled(features: Any) -> jax.Array:
    """Features ``[B, *s, D]``, with or without a token, as one vector ``[B, D]`` per image."""
    spatial, token = features if isinstance(features, Features) else (features, None)
    mean = spatial.astype(jnp.float32).mean(tuple(range(1, spatial.ndim - 1)))
    return mean if token is None else jnp.concatenate([mean, token.astype(jnp.float32)], axis=1)


def forward_function(network: BuiltNetwork, task: str) -> Callable[[Any], jax.Array]:
    """uint8 images ``[B, *S, C]`` to probabilities ``[B, K]``, compiled once per shape."""
    graph, state = nnx.split(network.module)

    @jax.jit
    def forward(state: Any, images: jax.Array) -> jax.Array:
        def part(x: jax.Array) -> jax.Array:
            module = nnx.merge(graph, state, copy=True)
            return module(network.prepare(x)).astype(jnp.float32)

        return probabilities(in_parts(part, images.astype(jnp.float32) / 255), task)

    return lambda images: forward(state, images)
