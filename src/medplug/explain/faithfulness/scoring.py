"""Scores of many images, in batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from flax import nnx

from medplug.contracts.explainer import Score
from medplug.errors import ContractError
from medplug.model.apply import cache_friendly_batch
from medplug.model.explain import network_view
from medplug.model.network import BuiltNetwork

ScoreFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(standardised images ``[M, *S, C]`` float32, classes ``[M]`` int) to scores ``[M]``."""

_HELD = 2**28  # bytes of variants that wait for the network


class Scorer:
    """The score of a class in each image; made by :func:`scorer`, compiled once for each shape of images.

    Attributes:
        batch: images that go through the network at once.
    """

    def __init__(self, score: Callable[[Any, Any], jax.Array], batch: int) -> None:
        self._score, self.batch = score, batch

    def __call__(self, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Scores ``[M]`` float64 of ``classes`` ``[M]`` in standardised images ``[M, *S, C]``; M may be any number.

        Raises:
            ContractError: a score is not finite.
        """
        images, classes = np.asarray(images, np.float32), np.asarray(classes, np.int32)
        parts = [
            self._score(
                _filled(images[at : at + self.batch], self.batch), _filled(classes[at : at + self.batch], self.batch)
            )
            for at in range(0, len(images), self.batch)
        ]  # fetched after all have been sent, so that an accelerator need not wait
        scores = np.concatenate([np.zeros(0), *(np.asarray(part, np.float64) for part in parts)])[: len(images)]
        return _finite(scores)


def scorer(network: BuiltNetwork, task: str, kind: Score = "probability", batch: int = 64) -> Scorer:
    """The scores of a network, in eval mode.

    Args:
        network: its weights are those of now; later changes of the module do not show.
        task: ``"multiclass"`` or ``"multilabel"``.
        kind: as in :meth:`~medplug.contracts.explainer.NetworkView.scores`.
        batch: images at once on an accelerator; a CPU takes 4, so that activations stay in its cache.
    """
    graph, state = nnx.split(network.module)

    @jax.jit
    def score(state: Any, images: jax.Array, classes: jax.Array) -> jax.Array:
        view = network_view(lambda: nnx.merge(graph, state, copy=True), task)
        return view.scores(view.logits(images), classes[:, None], kind)[:, 0]

    return Scorer(lambda images, classes: score(state, images, classes), cache_friendly_batch(batch))


def score_variants(score: ScoreFunction, variants: Iterable[np.ndarray], classes: np.ndarray) -> np.ndarray:
    """Scores ``[N, V]`` float64 of the V variants ``[V, *S, C]`` of each image, made while they are asked for.

    Variants of several images are scored together, so that few batches are partly empty and memory stays bounded.

    Raises:
        ContractError: a score is not finite.
    """
    found: list[np.ndarray] = []
    waiting: list[np.ndarray] = []

    def send() -> None:
        first = len(found)
        count = len(waiting[0])
        sent = np.repeat(np.asarray(classes)[first : first + len(waiting)], count)
        scores = _finite(np.asarray(score(np.concatenate(waiting), sent), np.float64))
        found.extend(scores.reshape(len(waiting), count))
        waiting.clear()

    for each in variants:
        waiting.append(np.asarray(each, np.float32))
        if sum(one.nbytes for one in waiting) >= _HELD:
            send()
    if waiting:
        send()
    return np.stack(found)


def _filled(values: np.ndarray, count: int) -> np.ndarray:
    """The last row again until there are ``count``."""
    return np.concatenate([values, np.repeat(values[-1:], count - len(values), axis=0)])


def _finite(scores: np.ndarray) -> np.ndarray:
    bad = int((~np.isfinite(scores)).sum())
    if bad:
        raise ContractError(f"{bad} of {len(scores)} scores of changed images are not finite; the weights are damaged")
    return scores
