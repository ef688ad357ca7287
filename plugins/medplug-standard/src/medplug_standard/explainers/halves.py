"""What explainers share: features with and without a token, work in chunks, and maps by gradients at the features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from medplug.plugins import Features, NetworkView, Score

SCORE = (
    "what the gradient is taken of; that of a probability vanishes where the network is sure "
    "(probability was used in the published pipeline)"
)
STAGE = "features that are looked at; none takes the last, earlier ones are finer"


def spatial_part(features: Any) -> jax.Array:
    """The features that have places, ``[B, *s, D]``."""
    return features.spatial if isinstance(features, Features) else features


def with_spatial(features: Any, spatial: jax.Array) -> Any:
    """The same features, with other values at their places; a token stays."""
    return features._replace(spatial=spatial) if isinstance(features, Features) else spatial


def flat_places(spatial: jax.Array) -> jax.Array:
    """Features ``[B, *s, D]`` as ``[B, P, D]`` float32, P places in order."""
    return spatial.astype(jnp.float32).reshape(len(spatial), -1, spatial.shape[-1])


def repeated(features: Any, times: int) -> Any:
    """Features of B images as those of ``times * B``: the whole batch again and again."""
    return jax.tree.map(lambda a: jnp.tile(a, (times, *(1,) * (a.ndim - 1))), features)


def pooled_head(network: NetworkView, stage: str | None, score: Score) -> jax.Array | None:
    """``[D, K]`` where the score is the mean of this stage's features times it, plus a constant; else None."""
    applies = score == "logit" and stage in (None, *network.stages[-1:])
    head = network.linear_head if applies else None
    return None if head is None else head.astype(jnp.float32)


def in_chunks(function: Callable[[jax.Array], jax.Array], count: int, at_once: int) -> jax.Array:
    """``function(numbers)`` of the numbers from 0 up to ``count``, with at most ``at_once`` in a call.

    ``function`` takes ``[n]`` int32 and gives ``[n, ...]``; the result is ``[count, ...]``. All chunks are of one size, so
    that the function is compiled once: the last number fills up the last chunk, and what is surplus is cut off.
    """
    chunks = -(-count // max(1, at_once))
    size = -(-count // chunks)
    if chunks == 1:
        return function(jnp.arange(count))
    numbers = jnp.minimum(jnp.arange(chunks * size), count - 1).reshape(chunks, size)
    found = jax.lax.map(function, numbers)
    return found.reshape(chunks * size, *found.shape[2:])[:count]


def backward_passes(
    values: jax.Array,
    pull: Callable[[jax.Array], tuple[jax.Array]],
    at_once: int,
    reduce: Callable[[jax.Array], jax.Array] = lambda gradient: gradient,
) -> jax.Array:
    """What ``reduce`` makes of the gradient of each column of scores ``[B, T]``: ``[B, T, ...]``.

    ``pull`` is what ``jax.vjp`` gave with the scores. Images do not influence each other, so the gradient of a column's sum
    is each image's own. At most ``at_once`` images go back through the network together, and each gradient is reduced
    before the next: an early stage with many targets never holds all of them.
    """

    def one(number: jax.Array) -> jax.Array:
        return reduce(pull(jnp.zeros_like(values).at[:, number].set(1))[0])

    count, targets = values.shape
    return jnp.moveaxis(in_chunks(jax.vmap(one), targets, at_once // count), 0, 1)


def gradient_maps(
    network: NetworkView,
    images: jax.Array,
    classes: jax.Array,
    stage: str | None,
    score: Score,
    combine: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """Maps ``[B, T, *s]`` float32, each made of the features of a stage and of the gradient of a score with respect to them.

    ``combine`` takes features and gradient of one target, both ``[B, P, D]`` float32 for P places, and gives ``[B, P]``.
    One pass through the network serves all targets, and each has a pass back to the stage.
    """
    found = network.features(images, stage)
    spatial = spatial_part(found)
    flat = flat_places(spatial)

    def scores(values: jax.Array) -> jax.Array:
        return network.scores(network.classify(with_spatial(found, values), stage), classes, score)

    values, pull = jax.vjp(scores, spatial)
    maps = backward_passes(values, pull, network.at_once, lambda gradient: combine(flat, flat_places(gradient)))
    return maps.reshape(*classes.shape, *spatial.shape[1:-1])
