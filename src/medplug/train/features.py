"""The features of the frozen network, computed once for each image and view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medplug.contracts.architecture import Features
from medplug.data.batches import Loader
from medplug.errors import UsageError
from medplug.model.apply import in_parts
from medplug.progress import Reporter
from medplug.train.state import TrainState, merge
from medplug.train.step import Objective, sequence_key

_ALIKE = 1e-3  # of the largest logit: more than rounding makes of a mean that is taken once or twice


def feature_function(objective: Objective) -> Callable[..., Any]:
    """``features(state, images, key)``: pooled features of uint8 images ``[B, *S, C]``, in eval mode, compiled.

    Without a key the images are as in validation, with one they are augmented. The features are ``[B, 1, …, D]`` float32, the
    mean over all places, which the classifier takes as it takes the whole ones; a token stays as it is.
    """

    def features(state: TrainState, images: jax.Array, key: jax.Array | None) -> Any:
        x = images.astype(jnp.float32) / 255 if key is None else objective.augment(key, images)

        def part(x: jax.Array) -> Any:
            return pooled(merge(objective.modes.evaluate, state).features(objective.prepare(x, None)))

        return in_parts(part, x)

    return jax.jit(features)


def pooled(features: Any) -> Any:
    """Features ``[B, *s, D]`` as their mean over all places ``[B, 1, …, D]`` float32; a token stays."""
    if isinstance(features, Features):
        return features._replace(spatial=pooled(features.spatial))
    return features.astype(jnp.float32).mean(tuple(range(1, features.ndim - 1)), keepdims=True)


def check_pooling(objective: Objective, state: TrainState, images: Any) -> None:
    """Make sure that the network classifies the mean of its features as it classifies the features.

    Raises:
        UsageError: it does not, so that whole features would have to be kept.
    """

    @jax.jit
    def both(state: TrainState, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        module = merge(objective.modes.evaluate, state)
        found = module.features(objective.prepare(images.astype(jnp.float32) / 255, None))
        return module.classify(found), module.classify(pooled(found))

    whole, mean = map(np.asarray, both(state, images[:4]))
    if np.abs(whole - mean).max() > _ALIKE * max(1e-6, np.abs(whole).max()):
        raise UsageError(
            "training.head=solve needs a network whose classifier looks at the mean of its features, and this one looks at "
            "more; set training.head=steps"
        )


def features_of(
    function: Callable[..., Any],
    state: TrainState,
    loader: Loader,
    views: int,
    key: jax.Array,
    reporter: Reporter,
    stopped: Callable[[], bool] = lambda: False,
) -> Any | None:
    """Features of all images of a loader, view after view: a pytree of NumPy arrays ``[views * N, …]``; None if stopped.

    The first view is the plain image, further ones are augmented.

    Args:
        function: from :func:`feature_function`.
        state: the variables.
        loader: of N images, in its order.
        views: 1 or more.
        key: of the augmentation.
        reporter: shows progress.
        stopped: looked at after each batch.
    """
    parts: list[Any] = []
    with reporter.task("features of the frozen network", views * len(loader), "batches") as task:
        for view in range(views):
            for number, batch in enumerate(loader.once()):
                own = None if view == 0 else sequence_key(key, (view, number))
                real = batch.mask > 0
                found = function(state, batch.images, own)
                parts.append(jax.tree.map(lambda f, real=real: np.asarray(f)[real], found))
                task.advance()
                if stopped():
                    return None
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
